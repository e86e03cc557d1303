"""What measure_health says of each unit, held against arithmetic, brute force and the trainer's own record."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest
import reference
import torch
import torch.nn.functional as F
from handmade import ALIVE, DEAD, X, fixed, masks, net
from small_runs import CPU, spec
from torch import Tensor, nn

from actbench import measure_health
from actbench.errors import UsageError
from actbench.nn.activations import ELEMENTWISE
from actbench.nn.chosen_activations import function_of, learned_parameters
from actbench.schema.components import resolve
from actbench.schema.health_measures import HEALTH_MEASURES
from actbench.schema.runtime import Cohort
from actbench.training.epoch_log import EpochLog
from actbench.training.state import TrainState


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


class Wrapped(nn.Module):
    """One row of ACTIVATIONS as a module."""

    def __init__(self, name: str) -> None:
        super().__init__()
        component = resolve("activations", {"name": name})
        self.starts = {key: torch.tensor(v).double() for key, (_, v) in learned_parameters(component, 1).items()}
        self.function = function_of(component)

    def forward(self, z: Tensor) -> Tensor:
        return self.function(z, **self.starts)


@pytest.mark.parametrize("name", [name for name in ELEMENTWISE if name != "expression"])
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


def weights(state: TrainState) -> Iterator[tuple[str, Tensor]]:
    """Of the only run, in forward order."""
    layers = [*state.model.hidden_layers(state.images.shape, 10), "output"]
    return ((layer, state.stack.tensors[f"{layer}.{part}"][0]) for layer in layers for part in ("weight", "bias"))


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_a_plain_module_has_the_counts_of_the_trainers_own_record(model: str) -> None:
    sizes = {"hidden": [40, 30]} if model == "mlp" else {"channels": [12, 8], "dense": [20]}
    run = spec(model={"name": model, **sizes}, bias_init=-0.5, training={"precision": "float32"})
    state = TrainState.open(Cohort((run,)), CPU)
    (row,) = EpochLog(state, state.forward).close_initial()
    plain = (
        reference.PlainMLP([64, 40, 30, 10], nn.ReLU, bias=True)
        if model == "mlp"
        else reference.PlainCNN([1, 12, 8], 32, 20, nn.ReLU)
    )
    with torch.no_grad():
        for own, (_, theirs) in zip(plain.parameters(), weights(state), strict=True):
            own.copy_(theirs)
    x = state.images.normalise(state.images.train.pixels[:2000])
    report = measure_health(plain, x)
    assert report.dead == sum(layer["dead"] for layer in row["layers"]) > 0
    for ours, theirs in itertools.zip_longest(report.layers, row["layers"]):
        for key in ("units", *HEALTH_MEASURES):
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
