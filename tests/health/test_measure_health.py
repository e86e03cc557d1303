"""measure_health on hand-made networks with known answers, one for each way in which others miscount a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from handmade import ALIVE, DEAD, Functional, X, fixed, masks, net
from torch import Tensor, nn

from actbench import measure_health
from actbench.errors import UsageError


class Custom(nn.Module):
    """A user's own activation whose inner functions must not be taken for units."""

    def forward(self, z: Tensor, *, scale: float = 1.0) -> Tensor:
        return scale * torch.where(torch.sigmoid(z) > 0.5, z, torch.zeros_like(z))


def test_one_activation_module_shared_by_several_layers_is_seen_at_each_call() -> None:
    act = nn.ReLU()
    found = measure_health(net(fixed(1, ALIVE, DEAD), act, fixed(2, ALIVE, ALIVE, DEAD), act, fixed(3, 0.0)), X)
    assert masks(found) == {"1": [False, True], "1#2": [False, False, True]}
    assert [layer.after for layer in found.layers] == [("0",), ("2",)]
    assert (found.dead, found.units, found.dead_fraction, found.worst_layer) == (2, 5, 0.4, "1")


@pytest.mark.parametrize("act", [nn.ReLU(inplace=True), nn.LeakyReLU(0.0, inplace=True), nn.Threshold(0, 0, True)])
def test_an_in_place_activation_is_judged_by_what_entered_it(act: nn.Module) -> None:
    found = measure_health(net(fixed(1, ALIVE, DEAD, 9.0), act, fixed(3, 0.0)), X)
    assert masks(found) == {"1": [False, True, False]}
    assert found.layers[0].always_on_mask.tolist() == [False, False, True]
    assert found.layers[0].signals["z_mean"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    "function",
    [F.relu, F.relu_, torch.relu, Tensor.relu, Tensor.relu_, lambda z: z.clamp(min=0), lambda z: torch.clamp(z, 0, 6),
     lambda z: F.relu(input=z), lambda z: F.leaky_relu(z, negative_slope=1e-4), lambda z: F.threshold(z, 0.0, 0.0),
     lambda z: F.prelu(z, torch.zeros(1))],
)  # fmt: skip
def test_functions_called_on_tensors_are_seen_with_their_arguments(function: Callable[[Tensor], Tensor]) -> None:
    found = measure_health(Functional(function), X)
    assert list(masks(found).values()) == [[False, True], [False, True, True]]
    assert found.unseen == ()


def swish_in_place(z: Tensor) -> Tensor:
    return z.mul_(z.sigmoid())


class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        return (z > 0).to(z)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def scripted() -> Callable[[Tensor], Tensor]:
    return torch.jit.script(nn.ReLU())


def traced() -> Callable[[Tensor], Tensor]:
    return torch.jit.trace(nn.ReLU(), X)


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize(
    "function",
    [lambda z: z * torch.sigmoid(z), swish_in_place, lambda z: z * torch.tanh(F.softplus(z)),
     lambda z: 0.5 * z * (1 + torch.tanh(0.8 * (z + 0.04 * z**3))), lambda z: z * F.relu6(z + 3) / 6,
     lambda z: z / (1 + torch.exp(-z)), lambda z: torch.where(z > 0, z, 0), lambda z: torch.maximum(z, 0 * z),
     lambda z: z.clamp(min=0.1), StraightThrough.apply, scripted, traced],
)  # fmt: skip
def test_what_cannot_be_seen_is_named_and_never_counted_as_alive(function: Any) -> None:
    made = function() if function in (scripted, traced) else function
    found = measure_health(Functional(made), X.repeat(4, 1))
    assert found.unseen == ("one", "two")
    assert (found.layers, found.outputs, found.dead_fraction) == ((), ("out",), None)
    assert "activation not seen after: one, two" in str(found)


def test_a_layer_without_activation_is_not_unseen() -> None:
    found = measure_health(net(fixed(1, 0.0, 0.0), nn.BatchNorm1d(2), nn.Dropout(), fixed(2, 0.0)), X)
    assert (found.unseen, found.linear, found.layers) == ((), ("0",), ())
    assert "no hidden activation was seen" in str(found)


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_fused_recurrent_layer_is_unseen(cell: type[nn.Module]) -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.hidden, self.out = cell(1, 4), fixed(4, DEAD, 9.0), fixed(2, 0.0)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(F.relu(self.hidden(self.cell(x)[0])))

    found = measure_health(Reader(), torch.randn(3, 5, 1, generator=torch.Generator().manual_seed(0)))
    assert (found.unseen, masks(found)) == (("cell",), {"relu": [True, False]})


def test_a_recurrent_layer_written_by_hand_is_a_layer_a_call() -> None:
    class Loop(nn.Module):
        def __init__(self, step: Callable[[Tensor], Tensor]) -> None:
            super().__init__()
            self.take, self.keep, self.out, self.step = fixed(1, 0.0, 20.0), nn.Linear(2, 2), fixed(2, 0.0), step
            nn.init.zeros_(self.keep.weight)
            nn.init.zeros_(self.keep.bias)

        def forward(self, x: Tensor) -> Tensor:
            h = x.new_zeros(len(x), 2)
            for _ in range(3):
                h = self.step(self.take(x) + self.keep(h))
            return self.out(h)

    found = measure_health(Loop(torch.tanh), X)
    assert masks(found) == {"tanh": [False, True], "tanh#2": [False, True], "tanh#3": [False, True]}
    assert (found.layers[2].after, found.unseen) == (("keep", "take"), ())
    assert measure_health(Loop(lambda z: torch.sigmoid(z) * torch.tanh(z)), X).unseen == ("take", "keep")


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_a_scripted_block_is_unseen_and_a_scripted_network_is_refused() -> None:
    block = torch.jit.script(net(fixed(1, ALIVE, DEAD), nn.ReLU()))
    found = measure_health(net(block, fixed(2, DEAD), nn.ReLU(), fixed(1, 0.0)), X)
    assert (found.unseen, masks(found)) == (("0",), {"2": [True]})
    with pytest.raises(UsageError, match="scripted"):
        measure_health(block, X)


def test_a_sigmoid_on_other_layers_signal_is_a_gate_and_alone_an_activation() -> None:
    class Excited(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.squeeze, self.out = fixed(1, ALIVE, DEAD), fixed(2, 0.0, 0.0), fixed(2, 0.0)
            self.relu, self.gate = nn.ReLU(), nn.Sigmoid()

        def forward(self, x: Tensor) -> Tensor:
            h = self.relu(self.one(x))
            return self.out(h * self.gate(self.squeeze(h)))

    found = measure_health(Excited(), X)
    assert (masks(found), found.gating, found.unseen) == ({"relu": [False, True]}, ("squeeze",), ())
    assert list(masks(measure_health(Functional(torch.sigmoid), X))) == ["sigmoid", "sigmoid#2"]


def test_the_networks_output_is_left_out_unless_asked_for() -> None:
    made = net(fixed(1, ALIVE, DEAD), nn.ReLU(), fixed(2, 0.0), nn.Sigmoid())
    found = measure_health(made, X)
    assert (list(masks(found)), found.outputs, found.unseen) == (["1"], ("2", "3"), ())
    found = measure_health(made, X, exclude_last=False)
    assert (list(masks(found)), found.outputs) == (["1", "3"], ())
    assert list(masks(measure_health(nn.ReLU(), X, exclude_last=False))) == ["relu"]


def test_z_is_read_after_batch_norm() -> None:
    norm = nn.BatchNorm1d(2)
    norm.running_mean = torch.tensor([0.0, 50.0])
    found = measure_health(net(fixed(1, DEAD, 9.0), norm, nn.ReLU(), fixed(2, 0.0)), X)
    assert masks(found) == {"2": [True, True]}, "without the norm the second unit would be on for every input"


def test_a_layer_whose_weight_is_computed_keeps_its_name() -> None:
    normed = nn.utils.parametrizations.weight_norm(fixed(1, ALIVE, DEAD))
    (layer,) = measure_health(net(normed, nn.ReLU(), fixed(2, 0.0)), X).layers
    assert (layer.after, layer.dead_mask.tolist()) == (("0",), [False, True])


def test_softmax_is_no_units_activation() -> None:
    assert measure_health(net(fixed(1, 0.0, 0.0), nn.Softmax(1), fixed(2, 0.0)), X).layers == ()


def test_a_compiled_network_is_measured_through_its_original() -> None:
    plain = net(net(fixed(1, ALIVE, DEAD), nn.ReLU()), fixed(2, 0.0))
    expected = measure_health(plain, X).to_dict()
    compiled = torch.compile(plain, backend="eager")
    compiled(X)
    assert measure_health(compiled, X).to_dict() == expected
    inner = net(torch.compile(plain[0], backend="eager"), plain[1])
    inner(X)
    assert measure_health(inner, X).to_dict() == expected


def test_a_users_own_activation_class_is_measured_as_one() -> None:
    made = net(fixed(1, ALIVE, DEAD), Custom(), fixed(2, 0.0))
    assert measure_health(made, X).unseen == ("0",)
    found = measure_health(made, X, activations=(Custom,))
    assert (masks(found), found.unseen, found.layers[0].activation) == ({"1": [False, True]}, (), "Custom")
    halving = nn.GLU()
    with pytest.raises(UsageError, match="it is not an activation"):
        measure_health(net(fixed(1, ALIVE, DEAD), halving, fixed(1, 0.0)), X, activations=(nn.GLU,))
    found = measure_health(net(fixed(1, ALIVE, DEAD), halving, fixed(1, 0.0)), X)
    assert ([layer.units for layer in found.layers], found.unseen) == ([1], ())
