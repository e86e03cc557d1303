"""Numbers that are not finite are a count of their own: never alive, never in another count or share."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from factories import record, save
from handmade import ALIVE, DEAD, X, fixed, masks, net
from probed import measured, one_activation
from reading_commands import call
from small_runs import records, spec
from torch import Tensor, nn

from actbench import HealthCallback, measure_health
from actbench.health.units.diagnosis import diagnose, is_collapsed
from actbench.health.units.measures import mean_over_units
from actbench.health.units.probe import UnitObserver, slope_by_autograd
from actbench.schema.health_measures import COUNTED, SHARES
from actbench.schema.spec import HealthSettings

NAN, INF = math.nan, math.inf
SMALL = {"name": "mlp", "hidden": [6, 5]}


def z_of(*units: list[float]) -> Tensor:
    return torch.tensor(units, dtype=torch.float64).T


@pytest.mark.parametrize("wrong", [NAN, INF, -INF])
@pytest.mark.parametrize("batches", [[4], [1, 3], [3, 1]])
def test_a_unit_that_is_not_finite_once_is_counted_apart_and_changes_no_other(wrong: float, batches: list[int]) -> None:
    known = z_of([-1, -2, -3, -4], [1, 2, 3, 4], [-1, 0, 1, 2])
    lost = z_of([1, wrong, -1, 2])
    alone = measured(known, one_activation("relu"), batches)
    found = measured(torch.cat([known, lost], 1), one_activation("relu"), batches)
    assert (found["not_finite"], found["not_finite_fraction"], found["units"]) == (1, 1 / 4, 4)
    same = {*COUNTED, *SHARES, "dead_fraction", "inert_fraction", "worst_layer_dead_fraction"} - {"not_finite"}
    assert {key: found[key] for key in same} == {key: alone[key] for key in same}
    for signal in ("z_mean", "z_std", "a_mean", "a_std", "a_max"):
        assert found["layers"][0][signal] == pytest.approx(alone["layers"][0][signal])


def test_an_infinite_slope_is_not_finite_either() -> None:
    def root(layer: str, z: Tensor) -> Tensor:
        return z.abs().sqrt()  # f'(0) is 0 · ∞

    found = measured(z_of([1, 4], [0, 4]), root, [2])
    assert [found[key] for key in ("not_finite", "dead", "constant")] == [1, 0, 0]


def test_a_layer_without_finite_units_has_no_share_and_is_neither_worst_nor_collapsed() -> None:
    found = measured(z_of([NAN, NAN], [INF, 1]), one_activation("relu"), [2])
    assert (found["not_finite"], found["dead"], found["inert"], found["rare"]) == (2, 0, 0, 0)
    assert [found[key] for key in ("dead_fraction", "inert_fraction", "sparsity", "worst_layer")] == [None] * 4
    assert found["layers"][0]["z_mean"] is found["layers"][0]["sparsity"] is found["layers"][0]["a_max"] is None
    assert not is_collapsed(found, HealthSettings())


def test_a_run_with_infinite_numbers_moves_no_bit_of_its_neighbour() -> None:
    z = torch.randn(2, 50, 7, generator=torch.Generator().manual_seed(1))
    both = z.clone()
    both[1, 3, 2] = NAN
    rows = []
    for part in (z, both):
        observer = UnitObserver(slope_by_autograd(one_activation("gelu")), HealthSettings())
        observer.observe("hidden", part)
        rows.append(observer.finish(50).of_run(0))
    assert rows[0] == rows[1]
    values, unknown = torch.tensor([[1.0, 2.0], [NAN, 4.0], [NAN, NAN]]), torch.zeros(3, 2, dtype=torch.bool)
    unknown[1, 0] = unknown[2] = True
    assert str(mean_over_units(values, unknown).tolist()) == "[1.5, 4.0, nan]"


def test_a_diverged_network_has_no_dead_share_and_says_why() -> None:
    broken = net(fixed(1, ALIVE, DEAD), nn.ReLU(), fixed(2, DEAD, ALIVE, ALIVE), nn.ReLU(), fixed(3, 0.0))
    with torch.no_grad():
        broken[2].weight[1, 0] = NAN
    found = measure_health(broken, X)
    assert masks(found) == {"1": [False, True], "3": [True, False, False]}
    assert found.layer("3").not_finite_mask.tolist() == [False, True, False]
    assert (found.not_finite, found.dead_fraction, found.layer("3").dead_fraction) == (1, 2 / 4, 1 / 2)
    assert "dead 50.0 % (2/4, slope ≤ 1e-3 on 101 inputs; 1 of 5 units not finite)" in str(found)
    with torch.no_grad():
        broken[0].weight.fill_(INF)
    found = measure_health(broken, X)
    assert (found.not_finite, found.dead_fraction, found.layer("1").dead_fraction) == (5, None, None)
    assert "dead – (0/0, slope ≤ 1e-3 on 101 inputs; 5 of 5 units not finite)" in str(found)
    assert "0.0 %" not in str(found)
    json.dumps(found.to_dict(), allow_nan=False)


def test_units_that_cease_to_be_finite_are_not_revived() -> None:
    module, callback = net(fixed(1, ALIVE, DEAD, ALIVE), nn.ReLU(), fixed(3, 0.0)), HealthCallback(X)
    callback.measure(module, 0)
    with torch.no_grad():
        module[0].weight.fill_(NAN)
    callback.measure(module, 1)
    (layer,) = callback.history[-1]["layers"]
    assert {key: layer[key] for key in ("not_finite", "dead", "born_dead", "revived", "died", "lost")} == {
        "not_finite": 3, "dead": 0, "born_dead": 1, "revived": 0, "died": 0, "lost": 0
    }  # fmt: skip


def test_a_diverged_run_of_a_study_says_how_many_units_are_not_finite() -> None:
    wild = spec(activation={"name": "expression", "formula": "exp(x) * 1e30 * x"}, model=SMALL)
    calm = spec(activation="relu", model=SMALL)
    diverged, healthy = records(wild, calm)
    last = diverged.curves[-1]
    assert (diverged.outcome, last["layers"], last["health.dead_fraction"]) == ("diverged", [], None)
    assert last["health.not_finite_fraction"] == 5 / 11, "the first layer's z is finite, the second one's overflows"
    assert all("health.not_finite_fraction" not in row for row in healthy.curves)
    assert [layer["not_finite"] for layer in healthy.health["layers"]] == [0, 0]


def test_a_diagnosis_counts_the_units_of_a_layer_that_are_not_finite() -> None:
    layer = {"name": "conv.0.1", "units": 8, "dead": 0, "constant": 0, "inert": 0, "lost": 0}
    rows = [{"epoch": 0, "layers": [layer | more]} for more in ({}, {"not_finite": 0}, {"not_finite": 3})]
    assert [diagnose(spec(), [row]) for row in rows] == [
        (), (), ("conv.0.1: 3 of 8 units are NaN or infinite on the probe; they count neither as dead nor as alive",)
    ]  # fmt: skip


def test_a_diverged_runs_page_says_that_its_layers_are_those_of_an_earlier_epoch(tmp_path: Path) -> None:
    one = record(outcome="diverged")
    save(tmp_path / "diverged", [one])
    save(tmp_path / "ok", [record()])
    text = call("show", one.spec.digest[:8], "--results", tmp_path / "diverged")
    assert "Health of the hidden layers, last epoch with finite numbers" in text
    assert "Health of the hidden layers, last epoch\n" in call(
        "show", one.spec.digest[:8], "--results", tmp_path / "ok"
    )
