"""Widths of layers whose activation changes them: equal outputs, or as many parameters."""

from __future__ import annotations

import math

import pytest

from actbench.errors import ModelError
from actbench.schema.unit_groups import (
    ELEMENTWISE,
    HiddenLayer,
    LayerWidth,
    Network,
    UnitGroup,
    layer_widths,
)

GATE = UnitGroup(inputs=2, kind="gate")
CRELU = UnitGroup(outputs=2, kind="mirrored")
MAXOUT = UnitGroup(inputs=4, kind="pieces")

MNIST = Network(784, [HiddenLayer("hidden.0", 256), HiddenLayer("hidden.1", 256)], 10)
CNN = Network(3, [HiddenLayer("a", 32, 9), HiddenLayer("b", 64, 9), HiddenLayer("c", 128, 64)], 10)
NARROW = Network(64, [HiddenLayer("hidden.0", 3), HiddenLayer("hidden.1", 9)], 10)


def stated(network: Network) -> int:
    return network.parameters(layer_widths(network, ELEMENTWISE, "width"))


def test_parameters_are_counted_by_hand() -> None:
    assert stated(MNIST) == 784 * 256 + 256 + 256 * 256 + 256 + 256 * 10 + 10
    assert stated(CNN) == 3 * 32 * 9 + 32 + 32 * 64 * 9 + 64 + 64 * 64 * 128 + 128 + 128 * 10 + 10
    assert MNIST.parameters(layer_widths(MNIST, ELEMENTWISE, "width"), bias=False) == 784 * 256 + 256 * 256 + 2560


@pytest.mark.parametrize("group", [GATE, CRELU, MAXOUT], ids=lambda group: group.kind)
def test_at_equal_width_each_layer_has_the_stated_outputs(group: UnitGroup) -> None:
    for layer, width in zip(MNIST.layers, layer_widths(MNIST, group, "width").values(), strict=True):
        assert width.outputs == layer.width
        assert width.inputs * group.outputs == width.outputs * group.inputs


@pytest.mark.parametrize("network", [MNIST, CNN], ids=["mlp", "cnn"])
@pytest.mark.parametrize("group", [GATE, CRELU, MAXOUT], ids=lambda group: group.kind)
def test_at_equal_parameters_the_number_is_met_within_half_a_percent(network: Network, group: UnitGroup) -> None:
    found = network.parameters(layer_widths(network, group, "parameters"))
    assert found == pytest.approx(stated(network), rel=0.005)


@pytest.mark.parametrize("network", [MNIST, CNN], ids=["mlp", "cnn"])
@pytest.mark.parametrize("group", [GATE, CRELU, MAXOUT], ids=lambda group: group.kind)
def test_no_factor_of_the_widths_comes_nearer(network: Network, group: UnitGroup) -> None:
    """Against a thousand factors, rounded down and up."""

    def distance(units: list[int]) -> int:
        widths = {
            layer.name: LayerWidth(count, count * group.inputs, count * group.outputs)
            for layer, count in zip(network.layers, units, strict=True)
        }
        return abs(network.parameters(widths) - stated(network))

    chosen = [width.units for width in layer_widths(network, group, "parameters").values()]
    for step in range(1, 1000):
        exact = [layer.width * step / 1000 for layer in network.layers]
        for rounded in (math.floor, math.ceil):
            assert distance(chosen) <= distance([max(1, rounded(width)) for width in exact])
    factors = [count / layer.width for count, layer in zip(chosen, network.layers, strict=True)]
    spare = [1 / layer.width for layer in network.layers]
    assert max(factors) - min(factors) <= max(spare)


def test_an_elementwise_activation_has_the_stated_widths_either_way() -> None:
    assert layer_widths(CNN, ELEMENTWISE, "width") == layer_widths(CNN, ELEMENTWISE, "parameters")


def test_a_layer_keeps_a_unit_and_none_is_needed() -> None:
    tiny = Network(64, [HiddenLayer("hidden.0", 1)], 10)
    assert layer_widths(tiny, MAXOUT, "parameters")["hidden.0"] == LayerWidth(1, 4, 1)
    assert layer_widths(Network(64, [], 10), GATE, "parameters") == {}


def test_an_odd_width_is_refused_where_outputs_come_in_pairs() -> None:
    with pytest.raises(ModelError, match=r"'hidden\.0' can't have 3 of them: state an even width"):
        layer_widths(NARROW, CRELU, "width")
