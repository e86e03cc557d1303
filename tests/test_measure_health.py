"""measure_health on hand-made networks with known answers, one for each way in which others miscount."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import reference
import torch
import torch.nn.functional as F
from test_cohort import CPU, spec
from torch import Tensor, nn

import actbench
from actbench import measure_health
from actbench.activations import function_of, learned_parameters
from actbench.components import resolve
from actbench.errors import UsageError
from actbench.logbook import Logbook
from actbench.plugins import names
from actbench.session import Session
from actbench.spec import Cohort

X = torch.linspace(-1, 1, 101)[:, None]
ALIVE, DEAD = 0.0, -9.0
"""Biases: with z = x + bias and x in [-1, 1] the first unit lives and the second is dead under ReLU."""


def fixed(inputs: int, *biases: float) -> nn.Linear:
    """Each unit's z is the first input plus its own bias."""
    layer = nn.Linear(inputs, len(biases))
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[:, 0] = 1
        layer.bias.copy_(torch.tensor(biases))
    return layer


class Functional(nn.Module):
    """Two hidden layers, 1 and 2 units dead, with a function called on tensors between them."""

    def __init__(self, function: Callable[[Tensor], Tensor], kind: Callable[..., nn.Module] = fixed) -> None:
        super().__init__()
        self.one, self.two, self.out = kind(1, ALIVE, DEAD), kind(2, ALIVE, DEAD, DEAD), fixed(3, 0.0)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.function(self.two(self.function(self.one(x)))))


def masks(report: actbench.HealthReport) -> dict[str, list[bool]]:
    return {layer.name: layer.dead_mask.tolist() for layer in report.layers}


def net(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers)


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
    assert (found.layers, found.outputs, found.dead_fraction) == ((), (), None)
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
    assert (list(masks(found)), found.outputs, found.unseen) == (["1"], ("3",), ())
    assert list(masks(measure_health(made, X, exclude_last=False))) == ["1", "3"]
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


@pytest.mark.parametrize("act", [nn.ReLU(), nn.PReLU(3, init=0.0), nn.GELU(), nn.Tanh(), nn.Softplus()])
@pytest.mark.parametrize("space", [(5,), (5, 4), (5, 4, 3)])
def test_a_convolutions_unit_is_a_channel(act: nn.Module, space: tuple[int, ...]) -> None:
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(space) - 1]
    first = kind(1, 3, 1)
    with torch.no_grad():
        first.weight.fill_(1)
        first.bias.copy_(torch.tensor([0.0, -40.0, -40.0]))
    x = torch.zeros(7, 1, *space)
    x[(3, 0, *(-1 for _ in space))] = 1
    x[(5, 0, *(0 for _ in space))] = 40.5  # channels 1 and 2 live at one position of one image
    for inputs, dead in ((x, 0), (x[:5], 2)):
        report = measure_health(net(first, act, kind(3, 2, 1)), inputs)
        assert (report.units, report.dead, report.layers[0].dead_mask.tolist()[0]) == (3, dead, False)


def test_a_transformers_units_are_the_last_dimension() -> None:
    block = nn.TransformerEncoderLayer(4, 2, 7, batch_first=True)
    with torch.no_grad():
        block.linear1.bias.fill_(99)
        block.linear1.bias[2] = -99
    found = measure_health(block, torch.randn(6, 5, 4, generator=torch.Generator().manual_seed(0)))
    assert {name: sum(mask) for name, mask in masks(found).items()} == {"relu": 1}
    assert found.layers[0].dead_mask.tolist() == [unit == 2 for unit in range(7)]
    assert (found.unseen, found.linear) == ((), ("self_attn",))


class Reshaped(nn.Module):
    """A generator's start: one vector an example becomes an image of three channels."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.out = fixed(1, *[0.0] * 4, *[DEAD] * 8), nn.Conv2d(3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.one(x).view(-1, 3, 2, 2)))


def test_a_vector_made_an_image_has_channels_and_the_dimension_can_be_chosen() -> None:
    assert masks(measure_health(Reshaped(), X)) == {"relu": [False, True, True]}
    assert measure_health(Reshaped(), X, unit_axis=3).units == 2
    assert measure_health(Reshaped(), X, unit_axis={"relu": -2, "other": 1}).units == 2
    with pytest.raises(UsageError, match="unit_axis 7"):
        measure_health(Reshaped(), X, unit_axis=7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("act", [nn.ReLU(), nn.PReLU(init=0.0), nn.ReLU(inplace=True)])
def test_other_precisions(dtype: torch.dtype, act: nn.Module) -> None:
    found = measure_health(net(fixed(1, ALIVE, DEAD), act, fixed(2, 0.0)).to(dtype), X.to(dtype))
    assert masks(found) == {"1": [False, True]}


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
    with pytest.raises(UsageError, match="it is no activation"):
        measure_health(net(fixed(1, ALIVE, DEAD), halving, fixed(1, 0.0)), X, activations=(nn.GLU,))
    assert measure_health(net(fixed(1, ALIVE, DEAD), halving, fixed(1, 0.0)), X).unseen == ("0",)


class Wrapped(nn.Module):
    """One row of ACTIVATIONS as a module."""

    def __init__(self, name: str) -> None:
        super().__init__()
        component = resolve("activations", {"name": name})
        self.starts = {key: torch.tensor(v).double() for key, (_, v) in learned_parameters(component, 1).items()}
        self.function = function_of(component)

    def forward(self, z: Tensor) -> Tensor:
        return self.function(z, **self.starts)


@pytest.mark.parametrize("name", [name for name in names("activations") if name != "expression"])
def test_every_activation_agrees_with_brute_force(name: str) -> None:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(60, 4, dtype=torch.float64, generator=generator) * 3
    made = net(nn.Linear(4, 9), Wrapped(name), nn.Linear(9, 2)).double()
    with torch.no_grad():
        made[0].weight.copy_(torch.randn(9, 4, generator=generator))
        made[0].bias.copy_(torch.linspace(-40, 40, 9))
        z, step = made[0](x), 1e-6
        slopes = (made[1](z + step) - made[1](z - step)).abs() / (2 * step)
        a = made[1](z)
    layer = measure_health(made, [x[:7], x[7:]], activations=(Wrapped,)).layers[0]
    assert layer.dead_mask.tolist() == (slopes <= 1e-3).all(0).tolist()
    assert layer.constant_mask.tolist() == [float(a[:, unit].std(correction=0)) <= 1e-3 for unit in range(9)]
    assert layer.sparsity == pytest.approx(float((a == 0).double().mean()))


def weights(session: Session) -> Iterator[tuple[str, Tensor]]:
    """Of the only run, in forward order."""
    layers = [*session.model.hidden_layers(session.images.shape, 10), "output"]
    return ((layer, session.stack.tensors[f"{layer}.{part}"][0]) for layer in layers for part in ("weight", "bias"))


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_a_plain_module_has_the_counts_of_the_trainers_own_record(model: str) -> None:
    sizes = {"hidden": [40, 30]} if model == "mlp" else {"channels": [12, 8], "dense": [20]}
    run = spec(model={"name": model, **sizes}, bias_init=-0.5, training={"precision": "float32"})
    session = Session.open(Cohort((run,)), CPU)
    (row,) = Logbook(session).untrained()
    plain = (
        reference.PlainMLP([64, 40, 30, 10], nn.ReLU, bias=True, batch_norm=False)
        if model == "mlp"
        else reference.PlainCNN([1, 12, 8], 32, 20, nn.ReLU)
    )
    with torch.no_grad():
        for own, (_, theirs) in zip(plain.parameters(), weights(session), strict=True):
            own.copy_(theirs)
    x = session.images.normalise(session.images.train.pixels[:2000])
    report = measure_health(plain, x)
    assert report.dead == sum(layer["dead"] for layer in row["layers"]) > 0
    for ours, theirs in itertools.zip_longest(report.layers, row["layers"]):
        for key in ("units", "dead", "constant", "inert", "rare", "dormant", "always_on", "sparsity", "saturation"):
            assert getattr(ours, key) == theirs[key], (theirs["name"], key)


def test_the_report_prints_its_definition_and_its_probe_and_is_json() -> None:
    found = measure_health(net(fixed(1, ALIVE, DEAD), nn.ReLU(), fixed(2, 0.0)), X.repeat(20, 1))
    text = str(found)
    assert "dead 50.0 % (1/2, slope ≤ 1e-3 on 2,020 inputs)" in text
    assert "silence on 2,020 inputs bounds a unit's firing rate below 0.15 % (3/N) at 95 %" in text
    heads, row = text.splitlines()[:2]
    assert len(heads) == len(row)
    content = json.loads(json.dumps(found.to_dict()))
    assert content["layers"][0]["dead_units"] == [1]
    assert (content["dead_fraction"], content["examples"], content["dead_slope"]) == (0.5, 2020, 1e-3)
