"""Health against hand-made units and brute force: what is dead, constant, sparse; how batches merge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from probed import measured, one_activation
from torch import Tensor

from actbench.health.units.diagnosis import is_collapsed
from actbench.health.units.probe import PIECE, UnitObserver, slope_by_autograd
from actbench.nn.activations import ELEMENTWISE
from actbench.schema.spec import HealthSettings

FLAT_AT_ZERO = ("relu", "relu6", "squared_relu", "hardswish", "hardsigmoid", "hardtanh")


def z_of(*units: list[float]) -> Tensor:
    return torch.tensor(units, dtype=torch.float64).T


def test_a_relu_unit_is_dead_when_it_is_zero_on_every_input() -> None:
    z = z_of([-1, -2, 0], [-1, -2, 0.5], [1, 2, 3], [-1, -1, -1])
    found = measured(z, one_activation("relu"), [3])
    assert found["layers"][0]["dead"] == 2
    assert found["dead_fraction"] == 0.5
    assert found["layers"][0]["constant"] == 2
    assert found["layers"][0]["always_on"] == 1
    assert found["sparsity"] == pytest.approx(8 / 12)


def test_a_leaky_unit_is_never_dead_above_the_threshold_and_is_below_it() -> None:
    z = z_of([-1, -2, -3], [-5, -4, -6])
    assert measured(z, one_activation("leaky_relu"), [3])["dead"] == 0
    assert measured(z, one_activation("leaky_relu", negative_slope=1e-4), [3])["dead"] == 2


def test_a_prelu_whose_slope_went_to_zero_is_dead_where_it_is_negative() -> None:
    z = z_of([-1, -2, -3], [-5, 4, -6])
    assert measured(z, one_activation("prelu", slope=0.0), [3])["dead"] == 1


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_both_tails_of_a_saturating_activation_count(name: str) -> None:
    z = z_of([20, 25, 30], [-20, -25, -30], [20, -20, 30], [-1, 0, 1])
    found = measured(z, one_activation(name), [3])
    assert found["dead"] == 3
    assert found["constant"] == 2, "the third changes sides: it is dead, yet carries information"
    assert found["inert"] == 3


def test_a_sigmoid_layer_that_does_not_move_is_constant_though_not_dead() -> None:
    z = torch.full((50, 4), 0.3, dtype=torch.float64)
    found = measured(z, one_activation("sigmoid"), [50])
    assert (found["dead"], found["constant"], found["inert_fraction"]) == (0, 4, 1.0)
    assert is_collapsed(found, HealthSettings())


def test_a_channel_is_alive_if_it_lives_at_one_position_of_one_image() -> None:
    z = torch.full((6, 2, 5, 5), -1.0, dtype=torch.float64)
    z[3, 1, 4, 0] = 0.1
    found = measured(z, one_activation("relu"), [4, 2])
    assert found["layers"][0]["dead"] == 1
    assert found["units"] == 2
    assert found["sparsity"] == pytest.approx(299 / 300)


def test_one_dead_layer_collapses_a_run_that_is_alive_elsewhere() -> None:
    row = {
        "units": 100,
        "inert_fraction": 0.1,
        "layers": [{"name": "a", "units": 90, "inert": 0}, {"name": "b", "units": 10, "inert": 10}],
    }
    assert is_collapsed(row, HealthSettings())
    row["layers"][1]["inert"] = 9
    assert not is_collapsed(row, HealthSettings())
    assert is_collapsed(row | {"inert_fraction": 0.51}, HealthSettings())
    assert not is_collapsed({"units": 0, "layers": [], "inert_fraction": None}, HealthSettings())


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    cuts=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    name=st.sampled_from([name for name in ELEMENTWISE if name != "expression"]),
)
def test_how_the_probe_is_split_into_batches_does_not_matter(seed: int, cuts: list[int], name: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(sum(cuts), 7, 3, dtype=torch.float64, generator=generator) * 4 - 3
    apply = one_activation(name)
    whole, parts = measured(z, apply, [sum(cuts)]), measured(z, apply, cuts)
    assert whole["layers"][0]["dead"] == parts["layers"][0]["dead"]
    assert whole["layers"][0]["constant"] == parts["layers"][0]["constant"]
    assert whole["saturation"] == pytest.approx(parts["saturation"], abs=1e-12)
    if (
        name in FLAT_AT_ZERO
    ):  # elsewhere an exact 0 is an underflow, which vector kernels and their remainders do not share
        assert whole["sparsity"] == pytest.approx(parts["sparsity"], abs=1e-12)


@pytest.mark.parametrize("name", [name for name in ELEMENTWISE if name != "expression"])
def test_every_activation_agrees_with_brute_force(name: str) -> None:
    generator = torch.Generator().manual_seed(5)
    z = torch.randn(40, 9, dtype=torch.float64, generator=generator) * 5 + torch.linspace(-16, 16, 9)
    apply, step = one_activation(name), 1e-6
    slopes = (apply("", z + step) - apply("", z - step)).abs() / (2 * step)
    dead = [bool((slopes[:, unit] <= 1e-3).all()) for unit in range(9)]
    constant = [float(apply("", z)[:, unit].std(correction=0)) <= 1e-3 for unit in range(9)]
    found = measured(z, apply, [16, 24])
    assert found["layers"][0]["dead"] == sum(dead)
    assert found["layers"][0]["constant"] == sum(constant)


def test_a_constant_far_from_zero_is_seen_in_float64_sums() -> None:
    z = torch.full((2000, 1), 1e6, dtype=torch.float64)
    z[::2] += 1
    found = measured(z, one_activation("identity"), [7] * 285 + [5])
    assert found["constant"] == 0


def test_thresholds_are_the_specs() -> None:
    z = z_of([-1, -2, -3])
    assert measured(z, one_activation("leaky_relu"), [3], dead_slope=0.02)["dead"] == 1
    assert measured(z, one_activation("leaky_relu"), [3], constant_std=1.0)["constant"] == 1


@pytest.mark.parametrize("positions", [(), (100, 100)])
def test_a_layer_larger_than_a_piece_is_measured_as_one(positions: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(5)
    z = (
        torch.randn(2, 21, 4, *positions, generator=generator)
        if positions
        else torch.randn(2, 40, 9000, generator=generator)
    )
    z = z * 3 - 1
    z[:, :, 0] = -2.0
    z[0, -1, 1] = float("nan")
    assert z[0, 0].numel() * 4 * z.shape[1] > PIECE
    observer = UnitObserver(slope_by_autograd(one_activation("relu")), HealthSettings(), histograms=True)
    observer.observe("hidden", z)
    found = observer.finish(z.shape[1])
    values = z.double().movedim(2, 1).flatten(2).numpy()  # (R, U, …)
    outputs = np.maximum(values, 0)
    units = {name: measured.numpy() for name, measured in found.units["hidden"].items()}
    unknown = np.isnan(values).any(2)
    assert (units["not_finite"] == unknown).all()
    assert (units["dead"] == ((values <= 0).all(2) & ~unknown)).all()
    assert (units["constant"] == ((outputs.std(2) <= 1e-3) & ~unknown)).all()
    assert np.allclose(units["sparsity"], (outputs == 0).mean(2))
    assert np.allclose(units["saturation"][~unknown], (values <= 0).mean(2)[~unknown])
    assert np.allclose(found.signals["hidden"]["z_std"][1], values[1].std(), rtol=1e-5)
    counted = found.histograms["hidden"]["z_histogram"].sum(1)
    assert counted.tolist() == np.isfinite(values).sum((1, 2)).tolist()
