"""Where each tensor of a forward pass comes from: which weight layers and activations its numbers went through.

So it is known which activation belongs to which layer, which one is the output's, which sigmoid is only a gate, and
after which layer something non-linear happened that nobody saw.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, replace
from functools import reduce

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from actbench.health.modules.calls import GATES

Names = frozenset[str]


@dataclass(frozen=True)
class Origin:
    """What a tensor's numbers went through since the last weight layer.

    Args:
        weights: Weight layers whose output it is, if no activation was seen in between.
        activations: Activations since the last weight layer.
        opaque: Whether something that is no known linear function was in between.
        units: (dimension, size) of the units where they were last certain.
    """

    weights: Names = frozenset()
    activations: Names = frozenset()
    opaque: bool = False
    units: tuple[int, int] | None = None

    def __or__(self, other: Origin) -> Origin:
        """Of a tensor made from two."""
        return Origin(
            self.weights | other.weights,
            self.activations | other.activations,
            self.opaque or other.opaque,
            self.units or other.units,
        )


INPUT = Origin()
CONSTANT = Origin()
"""Of parameters, buffers and what is made of them alone; told from ``INPUT`` by identity."""
UNKNOWN = Origin(opaque=True)


class Flow:
    """The ledger of all forward passes of one measurement."""

    def __init__(self) -> None:
        """Nothing has passed yet."""
        self.hidden: set[str] = set()
        self.gates: set[str] = set()
        self.sources: dict[str, Names] = {}
        self._kinds: dict[str, str] = {}
        self._ancestry: dict[str, Names] = {}
        self._own_gates: set[str] = set()
        self._layers: dict[str, None] = {}
        self._linear: set[str] = set()
        self._hidden_from_sight: set[str] = set()
        self._called: set[str] = set()
        self._suspects: set[str] = set()
        self._origins: MutableMapping[Tensor, Origin] = WeakTensorKeyDictionary()

    def begin(self, constants: Iterable[Tensor], inputs: Iterable[Tensor]) -> None:
        """Start a forward pass."""
        self._origins = WeakTensorKeyDictionary()
        self._called, self._suspects = set(), set()
        self.assign(constants, CONSTANT)
        self.assign(inputs, INPUT)

    def assign(self, tensors: Iterable[Tensor], origin: Origin) -> None:
        """Say where tensors come from."""
        for tensor in tensors:
            self._origins[tensor] = origin

    def is_constant(self, tensor: Tensor) -> bool:
        """Whether it is made of parameters and constants alone."""
        return self._origins.get(tensor) is CONSTANT

    def of(self, tensors: Iterable[Tensor]) -> Origin:
        """Where something made of these tensors comes from; a tensor made out of sight is ``UNKNOWN``."""
        found = [self._origins.get(tensor) for tensor in tensors]
        if any(origin is None for origin in found):
            self._suspects |= self._called - self._linear
        signals = [origin or UNKNOWN for origin in found if origin is not CONSTANT]
        return reduce(Origin.__or__, signals) if signals else CONSTANT

    def meet(self, factors: Iterable[Tensor]) -> None:
        """Two signals are multiplied: an activation that only gates the other one is no unit's own.

        A sigmoid always is a gate then; another function is one if it and its partner stem from one weight layer, as
        in ``x * tanh(softplus(x))``. The square of an activation is none.
        """
        origins = [self._origins.get(factor) or UNKNOWN for factor in factors]
        for one in origins:
            for other in origins:
                for name in one.activations - other.activations:
                    self._judge(name, other)

    def _judge(self, name: str, partner: Origin) -> None:
        """Note whether an activation gates its partner, and whether that is a signal of its own layer."""
        fed_by = partner.weights.union(*(self._ancestry[activation] for activation in partner.activations))
        if self._ancestry[name] & fed_by:
            self._own_gates.add(name)
        elif self._kinds[name] not in GATES:
            return
        self.gates.add(name)

    def enter_weights(self, layer: str, origin: Origin, *, recurrent: bool) -> Origin:
        """A weight layer takes a signal: what it went through is hidden, not output. Returns the result's origin."""
        self.hidden |= origin.activations
        if origin.opaque:
            self._hidden_from_sight |= origin.weights | self._suspects
            self._suspects.clear()
        else:
            self._linear |= origin.weights
        self._layers.setdefault(layer)
        self._called.add(layer)
        if recurrent:
            self._hidden_from_sight.add(layer)
            return INPUT
        return Origin(weights=frozenset({layer}))

    def activate(self, name: str, kind: str, origin: Origin) -> Origin:
        """An activation takes a signal. Returns its result's origin."""
        self._kinds[name] = kind
        self.sources[name] = self.sources.get(name, frozenset()) | origin.weights
        self._ancestry[name] = origin.weights.union(*(self._ancestry[before] for before in origin.activations))
        if origin.opaque and not origin.weights:
            self._suspects.clear()  # what went out of sight has come back, and its activation is seen
        return replace(origin, weights=frozenset(), activations=origin.activations | {name}, opaque=False)

    def conceal(self, layer: str) -> None:
        """A layer that can't be looked into."""
        self._layers.setdefault(layer)
        self._hidden_from_sight.add(layer)

    @property
    def unseen(self) -> tuple[str, ...]:
        """Weight layers, in order of their calls, after which something happened that is no known activation."""
        concealed = self._hidden_from_sight | self._fed(self._own_gates)
        return self._ordered(concealed - self._activated)

    @property
    def gating(self) -> tuple[str, ...]:
        """Weight layers that only gate the signal of others, as in squeeze-and-excitation."""
        return self._ordered(self._fed(self.gates) - self._activated.union(self.unseen))

    @property
    def linear(self) -> tuple[str, ...]:
        """Weight layers that reach the next one through linear functions, pooling and normalisation alone."""
        return self._ordered(self._linear - self._activated.union(self.unseen, self.gating))

    @property
    def _activated(self) -> set[str]:
        return self._fed(self.hidden - self.gates)

    def _fed(self, activations: Iterable[str]) -> set[str]:
        return {layer for name in activations for layer in self.sources[name]}

    def _ordered(self, layers: set[str]) -> tuple[str, ...]:
        return tuple(layer for layer in self._layers if layer in layers)
