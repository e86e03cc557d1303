"""The health of units with several pre-activations or outputs, against autograd on plain tensors, unit by unit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from actbench.health.modules.module import measure_health
from actbench.health.units.probe import UnitHealth, UnitObserver, slope_by_autograd
from actbench.nn.chosen_activations import function_of
from actbench.schema.components import resolve
from actbench.schema.spec import HealthSettings
from actbench.schema.unit_groups import group_of

HEALTH = HealthSettings(constant_std=1e-3)

GATES: dict[str, Callable[[Tensor], Tensor]] = {
    "glu": torch.sigmoid, "bilinear": lambda z: z, "reglu": F.relu, "geglu": F.gelu, "swiglu": F.silu,
}  # fmt: skip


def observed(choice: object, z: Tensor, cuts: tuple[int, ...] = ()) -> UnitHealth:
    """Measure one run's layer: z (N, pre-activations, …positions), in batches that end at ``cuts``."""
    component = resolve("activations", choice)
    function, group = function_of(component), group_of(component)
    observer = UnitObserver(slope_by_autograd(lambda _, values: function(values)), HEALTH, histograms=True)
    for start, stop in zip((0, *cuts), (*cuts, len(z)), strict=True):
        observer.observe("hidden", z[start:stop].unsqueeze(0), group=group)
    return observer.finish(len(z))


def inputs(units: int, blocks: int, seed: int = 0) -> Tensor:
    """Pre-activations of 40 examples, with units from closed to open in every block."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(40, units * blocks, dtype=torch.float64, generator=generator)
    return z + torch.linspace(-14, 6, units, dtype=torch.float64).repeat(blocks)


def slopes(function: Callable[[Tensor], Tensor], parts: Tensor) -> Tensor:
    """Return |∂a/∂z| of one unit for its parts (N, blocks), each example by itself."""
    found = [torch.autograd.functional.jacobian(function, row).reshape(-1, len(row)).abs().amax(0) for row in parts]
    return torch.stack(found)


@pytest.mark.parametrize("name", GATES)
def test_a_gated_unit_is_dead_where_no_gradient_passes_either_factor(name: str) -> None:
    z, gate = inputs(12, 2), GATES[name]
    (row,) = observed(name, z).of_run(0)["layers"]
    each = torch.stack([slopes(lambda p: p[0] * gate(p[1]), z[:, [u, u + 12]]).amax(0) for u in range(12)])
    silent = each <= HEALTH.dead_slope
    assert row["units"] == row["outputs"] == 12
    assert row["pre_activations"] == 24
    assert row["dead"] == int(silent.all(1).sum())
    assert row["silent_pre_activations"] == int(silent.sum())
    assert row["closed"] == int(silent[:, 0].sum()) == int((gate(z[:, 12:]).abs().amax(0) <= HEALTH.dead_slope).sum())
    a = z[:, :12] * gate(z[:, 12:])
    assert row["constant"] == int((a.std(0, correction=0) <= 1e-3).sum())
    assert row["sparsity"] == pytest.approx(float((a == 0).double().mean()))
    assert row["always_on"] == int(((z[:, 12:] > 0).double().mean(0) > 0.99).sum())
    figures = ("z_mean", z.mean()), ("z_std", z.std(correction=0)), ("a_mean", a.mean()), ("a_std", a.std(correction=0))
    for key, value in figures:
        assert row[key] == pytest.approx(float(value), rel=1e-9)


def test_some_gates_are_closed_and_others_are_not() -> None:
    (row,) = observed("reglu", inputs(12, 2)).of_run(0)["layers"]
    assert 0 < row["closed"] == row["dead"] < 12


def test_a_maxout_unit_lives_and_its_pieces_may_be_silent() -> None:
    z = inputs(4, 3)
    z[:, 4] = z[:, [0, 8]].amax(1) - 1  # never the largest
    z[:, 9] = z[:, [1, 5]].amax(1) + 1  # always the largest
    (row,) = observed({"name": "maxout", "pieces": 3}, z).of_run(0)["layers"]
    winners = z.unflatten(1, (3, 4)).argmax(1)
    silent = sum(int((winners[:, unit] != piece).all()) for unit in range(4) for piece in range(3))
    assert silent >= 3
    assert (row["units"], row["pre_activations"], row["outputs"]) == (4, 12, 4)
    assert (row["dead"], row["silent_pre_activations"]) == (0, silent)
    assert "closed" not in row
    assert row["a_mean"] == pytest.approx(float(z.unflatten(1, (3, 4)).amax(1).mean()))


def test_a_unit_of_crelu_is_a_pre_activation_and_is_constant_with_it() -> None:
    z = inputs(6, 1)
    z[:, 2], z[:, 3] = 5.0, 0.0  # one of its outputs is 5 and the other 0; both are 0
    (row,) = observed("crelu", z).of_run(0)["layers"]
    both = torch.cat([F.relu(z), F.relu(-z)], 1)
    assert (row["units"], row["pre_activations"], row["outputs"]) == (6, 6, 12)
    assert row["constant"] == 2
    assert row["dead"] == row["silent_pre_activations"] == 1, "relu has slope 0 at 0, on both sides"
    assert row["sparsity"] == pytest.approx(float((both == 0).double().mean()))
    assert row["a_mean"] == pytest.approx(float(both.mean()))
    assert row["a_std"] == pytest.approx(float(both.std(correction=0)))
    assert row["a_max"] == pytest.approx(float(both.max()))


@pytest.mark.parametrize("choice", ["swiglu", "crelu", {"name": "maxout", "pieces": 2}], ids=str)
@pytest.mark.parametrize("positions", [(), (3, 5)])
def test_neither_cuts_nor_layout_change_what_is_measured(choice: object, positions: tuple[int, ...]) -> None:
    z = inputs(6, 2).view(40, 12, *(1 for _ in positions)) + torch.zeros(40, 12, *positions)
    whole = observed(choice, z).of_run(0)["layers"][0]
    parts = observed(choice, z, (1, 17)).of_run(0)["layers"][0]
    assert {
        key
        for key, value in whole.items()
        if value != (parts[key] if isinstance(value, dict) else pytest.approx(parts[key]))
    } == set()
    flat = observed(choice, inputs(6, 2)).of_run(0)["layers"][0]
    assert {key: whole[key] for key in ("units", "dead", "constant", "silent_pre_activations")} == {
        key: flat[key] for key in ("units", "dead", "constant", "silent_pre_activations")
    }


def test_a_unit_that_is_not_finite_is_neither_dead_nor_alive() -> None:
    z = inputs(6, 2)
    z[3, 8] = torch.nan  # the gate of unit 2, which would be closed
    (row,) = observed("reglu", z).of_run(0)["layers"]
    (clean,) = observed("reglu", inputs(6, 2)).of_run(0)["layers"]
    assert row["not_finite"] == 1
    assert row["dead"] == clean["dead"] - 1


class OfTorch(nn.Module):
    """A hidden layer of ``nn.GLU`` whose first three gates are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.glu, self.outer = nn.Linear(5, 16), nn.GLU(), nn.Linear(8, 2)
        with torch.no_grad():
            self.inner.bias[8:11] = -100.0

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(self.glu(self.inner(x)))


def test_a_glu_of_torch_is_a_layer_of_units_whose_gates_may_be_closed() -> None:
    generator = torch.Generator().manual_seed(1)
    report = measure_health(OfTorch(), torch.randn(60, 5, generator=generator))
    (layer,) = report.layers
    assert (layer.name, layer.activation, layer.units, layer.dead, layer.after) == ("glu", "glu", 8, 3, ("inner",))
    assert layer.dead_mask.tolist() == [True] * 3 + [False] * 5
    assert (report.unseen, report.uncertain) == ((), ())


def test_positions_of_a_sequence_are_no_units_of_a_glu_and_padding_does_not_count() -> None:
    x = torch.randn(60, 4, 5, generator=torch.Generator().manual_seed(1))
    mask = torch.arange(4) < torch.tensor([1, 2, 3, 4] * 15)[:, None]
    network = OfTorch()
    (layer,) = measure_health(network, x, mask=mask).layers
    with torch.no_grad():
        z = network.inner(x)[mask]
    assert (layer.units, layer.dead) == (8, 3)
    assert layer.signals["z_mean"] == pytest.approx(float(z.mean()), rel=1e-5)
    assert layer.signals["a_mean"] == pytest.approx(float(F.glu(z).mean()), rel=1e-5, abs=1e-6)


def test_a_glu_along_something_else_than_the_units_is_reported_as_unseen() -> None:
    class AlongTime(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.outer = nn.Linear(5, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.outer(F.glu(self.inner(x), dim=1))

    report = measure_health(AlongTime(), torch.randn(30, 4, 5))
    assert (report.layers, report.unseen) == ((), ("inner",))


def test_a_gate_written_by_hand_counts_its_closed_units_and_names_the_value_as_unseen() -> None:
    class SwiGLU(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value, self.gate, self.outer = nn.Linear(5, 8), nn.Linear(5, 8), nn.Linear(8, 2)
            with torch.no_grad():
                self.gate.bias[:3] = -100.0

        def forward(self, x: Tensor) -> Tensor:
            return self.outer(self.value(x) * F.silu(self.gate(x)))

    report = measure_health(SwiGLU(), torch.randn(60, 5, generator=torch.Generator().manual_seed(1)))
    assert [(layer.activation, layer.units, layer.dead, layer.after) for layer in report.layers] == [
        ("silu", 8, 3, ("gate",))
    ]
    assert report.unseen == ("value",)
