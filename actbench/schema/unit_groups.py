"""Say how many pre-activations and outputs one hidden unit has, and how wide layers are where that is not one of each.

An elementwise activation makes one output of one pre-activation. A gate makes one of two, maxout one of k, CReLU two of
one. The pre-activations of a layer lie in blocks, one behind another: those of unit u are numbers u, u + U, u + 2U …
of its U·k; so do the outputs::

    swiglu, U = 3    z  [v₀ v₁ v₂ g₀ g₁ g₂]  ─▶  a  [v₀·silu(g₀)  v₁·silu(g₁)  v₂·silu(g₂)]
    crelu,  U = 2    z  [z₀ z₁]              ─▶  a  [relu(z₀) relu(z₁) relu(−z₀) relu(−z₁)]

So a stated width can mean two things, and a model offers both (its option ``match``): that many outputs, or as many
parameters as an elementwise activation has at that width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal, NamedTuple

from actbench.errors import ModelError

if TYPE_CHECKING:
    from actbench.schema.components import Component

Kind = Literal["elementwise", "gate", "mirrored", "pieces"]
Match = Literal["width", "parameters"]


@dataclass(frozen=True)
class UnitGroup:
    """Hold how many pre-activations and outputs belong to one unit.

    Args:
        inputs: Pre-activations of a unit.
        outputs: Outputs of a unit.
        kind: What makes its output: a function of one number; the first of two times a function of the second
            (``gate``); a function of z and of −z (``mirrored``); the largest (``pieces``).
    """

    inputs: int = 1
    outputs: int = 1
    kind: Kind = "elementwise"

    @property
    def is_elementwise(self) -> bool:
        """Whether a layer has as many outputs as pre-activations, each made of one."""
        return self.kind == "elementwise"


ELEMENTWISE = UnitGroup()

MAX_TRIED = 10
"""Layers of which every choice is tried, to be one unit wider: 1,024 choices take 10 ms."""


class LayerWidth(NamedTuple):
    """The size of a hidden layer: its units, their pre-activations (rows of its weights), their outputs."""

    units: int
    inputs: int
    outputs: int


class HiddenLayer(NamedTuple):
    """A hidden layer as a config states it.

    Args:
        name: Its name.
        width: The width that is stated.
        reads: Numbers that a pre-activation reads of each output before it: 1, a kernel's pixels, or an image's.
    """

    name: str
    width: int
    reads: int = 1


@dataclass(frozen=True)
class Network:
    """Hold a network's hidden layers, one behind another, and what lies around them.

    Args:
        inputs: Numbers, or channels, that the first layer reads.
        layers: The hidden layers, in forward order.
        classes: Outputs.
        last_reads: Numbers that a logit reads of each output of the last hidden layer.
    """

    inputs: int
    layers: Sequence[HiddenLayer]
    classes: int
    last_reads: int = 1

    def parameters(self, widths: Mapping[str, LayerWidth], *, bias: bool = True) -> int:
        """Return the numbers in weights and biases at these widths."""
        total, before = 0, self.inputs
        for layer in self.layers:
            width = widths[layer.name]
            total += width.inputs * (layer.reads * before + bias)
            before = width.outputs
        return total + self.classes * (self.last_reads * before + bias)


def group_of(activation: Component) -> UnitGroup:
    """Return how many pre-activations and outputs a unit has with a chosen activation; a user's own is elementwise.

    >>> from actbench.schema.components import resolve
    >>> group_of(resolve("activations", {"name": "maxout", "pieces": 3}))
    UnitGroup(inputs=3, outputs=1, kind='pieces')
    """
    if activation.path is not None:
        return ELEMENTWISE
    from actbench.schema.registry import load

    kind: Kind = load("activations", activation.name).expand
    if kind == "pieces":
        return UnitGroup(inputs=int(activation.options["pieces"]), kind=kind)
    return {
        "elementwise": ELEMENTWISE,
        "gate": UnitGroup(inputs=2, kind="gate"),
        "mirrored": UnitGroup(outputs=2, kind="mirrored"),
    }[kind]


def layer_widths(network: Network, group: UnitGroup, match: Match) -> dict[str, LayerWidth]:
    """Return the width of each hidden layer.

    Args:
        network: The layers with the widths that are stated.
        group: Pre-activations and outputs of a unit.
        match: ``width``: each layer has the stated number of outputs. ``parameters``: the stated widths times one
            factor, rounded down, or one more, so that the number of weights and biases is nearest to that with an
            elementwise activation at the stated widths: for a gate between 1/2 of the width, where the first layer
            holds most of them, and 0.71 (2/3 in a transformer's block, which has three equal matrices).

    Raises:
        ModelError: When a stated width is odd and each unit has two outputs.

    Reference:
        Equal parameters: Shazeer 2020, arXiv:2002.05202, section 3.

    >>> network = Network(784, [HiddenLayer("hidden.0", 256), HiddenLayer("hidden.1", 256)], 10)
    >>> layer_widths(network, UnitGroup(inputs=2, kind="gate"), "width")["hidden.0"]
    LayerWidth(units=256, inputs=512, outputs=256)
    >>> layer_widths(network, UnitGroup(inputs=2, kind="gate"), "parameters")["hidden.0"]
    LayerWidth(units=144, inputs=288, outputs=144)
    """
    if match == "width" or group.is_elementwise:
        for layer in network.layers:
            if layer.width % group.outputs:
                raise ModelError(
                    f"the activation makes {group.outputs} outputs of each pre-activation, so '{layer.name}' can't "
                    f"have {layer.width} of them: state an even width, or match: parameters"
                )
        return _widths(network, group, [layer.width // group.outputs for layer in network.layers])
    return _widths(network, group, _matched_units(network, group))


def _matched_units(network: Network, group: UnitGroup) -> list[int]:
    """Return the units of each layer with which the network has about as many parameters as an elementwise one."""
    stated = [layer.width for layer in network.layers]
    target = network.parameters(_widths(network, ELEMENTWISE, stated))

    def parameters(units: Sequence[int]) -> int:
        return network.parameters(_widths(network, group, units))

    def scaled(scale: float) -> list[int]:
        return [max(1, int(scale * width)) for width in stated]

    low, high = 0.0, 1.0  # a unit has at least as many numbers as an elementwise one, so there are no more of them
    for _ in range(60):  # halves the distance beyond what a float64 holds
        middle = (low + high) / 2
        low, high = (middle, high) if parameters(scaled(middle)) <= target else (low, middle)
    units = scaled(low)
    # One unit more in some layers brings the number nearer. All choices of layers are tried, unless they are too many:
    # then all layers but the last ones stay as they are.
    tried = range(max(0, len(units) - MAX_TRIED), len(units))
    choices = (set(chosen) for count in range(len(tried) + 1) for chosen in combinations(tried, count))
    candidates = [[count + (index in chosen) for index, count in enumerate(units)] for chosen in choices]
    return min(candidates, key=lambda more: abs(parameters(more) - target))


def _widths(network: Network, group: UnitGroup, units: Sequence[int]) -> dict[str, LayerWidth]:
    return {
        layer.name: LayerWidth(count, count * group.inputs, count * group.outputs)
        for layer, count in zip(network.layers, units, strict=True)
    }
