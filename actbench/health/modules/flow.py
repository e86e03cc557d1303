"""Follow each tensor of a forward pass: the weight layers and activations that its numbers went through.

From that follows which activation belongs to which layer, which one is the output's, which sigmoid is only a gate, and
after which layer something non-linear happened that was not observed.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, replace
from functools import reduce

from torch import Tensor
from torch.utils.weak import WeakIdRef, WeakTensorKeyDictionary

from actbench.health.modules.aliases import memory_of, overlay, version
from actbench.health.modules.calls import GATING

Names = frozenset[str]


@dataclass(frozen=True)
class Origin:
    """The steps that a tensor's numbers went through since the last weight layer.

    Args:
        weights: Weight layers that it is an output of, if no activation was seen in between.
        activations: Activations since the last weight layer.
        opaque: Whether a function in between was not known to be linear.
    """

    weights: Names = frozenset()
    activations: Names = frozenset()
    opaque: bool = False

    def __or__(self, other: Origin) -> Origin:
        """Return the origin of a tensor made from two."""
        return Origin(
            self.weights | other.weights,
            self.activations | other.activations,
            self.opaque or other.opaque,
        )


INPUT = Origin()
CONSTANT = Origin()
"""The origin of parameters, buffers and results made of them alone. Equal to ``INPUT``: compare with ``is``."""
UNKNOWN = Origin(opaque=True)
"""The origin of a tensor that no observed function returned."""


def _merged(one: Origin | None, other: Origin) -> Origin:
    """Return the origin of memory that was written in part; a part of a constant that holds a signal makes it one."""
    if one is None or one is CONSTANT:
        return other
    return one if other is CONSTANT else one | other


class Flow:
    """Records the origins of tensors over all forward passes of one measurement.

    Layers and activations go by the names that ``Watch`` gives to their calls.

    Attributes:
        hidden: Activations that a weight layer follows.
        gates: Activations that only scale another signal.
        sources: Activation -> the weight layers that feed it directly.
        met_unknown: Whether a tensor was met that no observed function returned.
        has_left: Whether a signal left torch in this pass, so that a tensor made of no other may hold it.
    """

    def __init__(self) -> None:
        self.hidden: set[str] = set()
        self.gates: set[str] = set()
        self.sources: dict[str, Names] = {}
        self.met_unknown = False
        self.has_left = False
        self._kinds: dict[str, str] = {}  # activation -> its function
        self._ancestry: dict[str, Names] = {}  # activation -> weight layers behind it, through other activations too
        self._own_gates: set[str] = set()  # gates on a signal of their own layer, as in x * sigmoid(x)
        self._layers: dict[str, None] = {}  # weight layers in the order of their first calls
        self._linear: set[str] = set()  # weight layers that reach the next one by known linear steps
        self._concealed: set[str] = set()  # weight layers followed by something that was not observed
        # Of the present pass: weight layers called so far, and those that may have fed a tensor made out of sight.
        self._called: set[str] = set()
        self._suspects: set[str] = set()
        # Tensor -> its origin and its version when that was recorded. Weak, so that following a tensor does not keep it
        # in memory.
        self._origins: MutableMapping[Tensor, tuple[Origin, int]] = WeakTensorKeyDictionary()
        # Memory -> the tensors that lay in it when they were recorded: to look through all tensors at each call that
        # works in place would take time quadratic in the number of layers.
        self._lying_in: dict[int, list[WeakIdRef]] = {}

    def begin(self, constants: Iterable[Tensor], inputs: Iterable[Tensor]) -> None:
        """Start a forward pass."""
        self._origins, self._lying_in = WeakTensorKeyDictionary(), {}
        self._called, self._suspects, self.has_left = set(), set(), False
        self.assign(constants, CONSTANT)
        self.assign(inputs, INPUT)

    def assign(self, tensors: Iterable[Tensor], origin: Origin) -> None:
        """Record the origin of tensors."""
        for tensor in tensors:
            self._origins[tensor] = origin, version(tensor)
            if (memory := memory_of(tensor)) is not None:
                self._lying_in.setdefault(memory, []).append(WeakIdRef(tensor))

    def write(self, target: Tensor, origin: Origin) -> None:
        """Record that numbers of this origin were written into a tensor's memory, which other tensors may share."""
        for other in self._sharing(target):
            whole = overlay(target, other) == "whole"
            self.assign([other], origin if whole else _merged(self._known(other), origin))
        self.assign([target], origin)

    def count_write(self, written: Tensor, before: int) -> None:
        """Record that an observed call has raised the version of a tensor and its views; origins are as before it."""
        for tensor in self._sharing(written):
            origin, then = self._origins[tensor]
            if then == before:
                self.assign([tensor], origin)

    def _sharing(self, tensor: Tensor) -> list[Tensor]:
        """Return the recorded tensors that share a tensor's memory, itself included."""
        memory = memory_of(tensor)
        refs = () if memory is None else self._lying_in.get(memory, ())
        there = [other for ref in refs if (other := ref()) is not None]
        found = {id(other): other for other in there if other in self._origins and overlay(tensor, other)}
        if tensor in self._origins:
            found[id(tensor)] = tensor
        if memory is not None:  # without those that are gone, whose memory may be another's by now
            self._lying_in[memory] = [WeakIdRef(other) for other in found.values()]
        return list(found.values())

    def leave(self, tensors: Iterable[Tensor]) -> None:
        """Record that tensors are read by code that is not torch's, which may write into their memory too."""
        self.has_left = True
        for tensor in tensors:
            if not self.is_constant(tensor):
                self.write(tensor, replace(self.of([tensor]), opaque=True))

    def is_constant(self, tensor: Tensor) -> bool:
        """Return whether a tensor is made of parameters and constants alone."""
        return self._known(tensor) is CONSTANT

    def _known(self, tensor: Tensor) -> Origin | None:
        """Return a tensor's recorded origin; one that was written out of sight since has lost what it was made of."""
        origin, then = self._origins.get(tensor, (None, 0))
        if origin is None or origin is CONSTANT or then == version(tensor):
            return origin
        return replace(origin, opaque=True)

    def of(self, tensors: Iterable[Tensor]) -> Origin:
        """Return the origin of a result made of these tensors; a tensor made out of sight is ``UNKNOWN``."""
        found = [self._known(tensor) for tensor in tensors]
        if any(origin is None for origin in found):
            self.met_unknown = True
            # Scripted code or a C++ extension made it, of a signal that left sight after any of these layers.
            self._suspects |= self._called - self._linear
        signals = [origin or UNKNOWN for origin in found if origin is not CONSTANT]
        return reduce(Origin.__or__, signals) if signals else CONSTANT

    def multiply(self, factors: Iterable[Tensor]) -> None:
        """Record that signals are multiplied: an activation that only scales another signal is a gate.

        A sigmoid always is one; another function is one if it and its partner stem from one weight layer, as in
        ``x * tanh(softplus(x))``. The square of an activation is not.
        """
        origins = [self._known(factor) or UNKNOWN for factor in factors]
        for one in origins:
            for other in origins:
                for name in one.activations - other.activations:
                    self._note_gate(name, other)

    def _note_gate(self, name: str, partner: Origin) -> None:
        """Record whether an activation gates its partner, and whether that is a signal of its own layer."""
        fed_by = partner.weights.union(*(self._ancestry[activation] for activation in partner.activations))
        if self._ancestry[name] & fed_by:
            self._own_gates.add(name)
        elif self._kinds[name] not in GATING:
            return
        self.gates.add(name)

    def enter_weights(self, layer: str, origin: Origin, *, recurrent: bool) -> Origin:
        """Record that a weight layer takes a signal: its activations are hidden ones. Return the result's origin."""
        self.hidden |= origin.activations
        if origin.opaque:
            self._concealed |= origin.weights | self._suspects
            self._suspects.clear()
        else:
            self._linear |= origin.weights
        self._layers.setdefault(layer)
        self._called.add(layer)
        if recurrent:
            self._concealed.add(layer)
            return INPUT
        return Origin(weights=frozenset({layer}))

    def activate(self, name: str, kind: str, origin: Origin) -> Origin:
        """Record that an activation takes a signal. Return the result's origin."""
        self._kinds[name] = kind
        self.sources[name] = self.sources.get(name, frozenset()) | origin.weights
        self._ancestry[name] = origin.weights.union(*(self._ancestry[before] for before in origin.activations))
        if origin.opaque and not origin.weights:
            self._suspects.clear()  # the signal that went out of sight has come back, and its activation is seen
        return replace(origin, weights=frozenset(), activations=origin.activations | {name}, opaque=False)

    def conceal(self, layer: str) -> None:
        """Record a layer that can't be looked into."""
        self._layers.setdefault(layer)
        self._concealed.add(layer)

    @property
    def unseen(self) -> tuple[str, ...]:
        """Weight layers, in order of their calls, followed by a step that is not a known activation."""
        return self._ordered((self._concealed | self._fed(self._own_gates)) - self._activated)

    @property
    def last(self) -> tuple[str, ...]:
        """Weight layers that no other follows: the network's heads, and layers with a result that goes nowhere."""
        return self._ordered(set(self._layers) - self._activated.union(self.unseen, self.gating, self.linear))

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
