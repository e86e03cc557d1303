"""Mean-field maps against quadratures and drawn weights; forecasts against our own networks."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
import torch
from integrals import FUNCTIONS, adaptive_mean

from actbench import datasets
from actbench.errors import UsageError
from actbench.health.theory import closed_forms, forecast, meanfield
from actbench.nn.activations import ELEMENTWISE
from actbench.nn.chosen_activations import row_of
from actbench.nn.initializers import Initializer
from actbench.schema.components import resolve
from actbench.schema.events import Finished
from actbench.schema.registry import names
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec
from actbench.training.loop import run_cohort


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.0), (0.3, 2.5), (-1.0, 0.04)])
def test_gaussian_means_are_those_of_an_adaptive_quadrature(name: str, mean: float, variance: float) -> None:
    function = np.vectorize(FUNCTIONS[name], otypes=[float])
    found = meanfield.gaussian_mean(function, mean, variance, row_of(resolve("activations", name)).kinks)

    assert found == pytest.approx(adaptive_mean(FUNCTIONS[name], mean, variance), abs=1e-10)


def test_a_gaussian_mean_that_does_not_exist_is_infinite_and_one_without_spread_is_the_value() -> None:
    assert meanfield.gaussian_mean(lambda z: np.exp(z**2), 0.0, 1.0) == math.inf
    assert meanfield.gaussian_mean(np.exp, 2.0, 0.0) == math.exp(2)


@pytest.mark.parametrize("shape", [(200, 50), (50, 200)])
@pytest.mark.parametrize("scheme", sorted({*names("weight_inits")} - {"lsuv", *forecast.WITHOUT_THEORY}))
def test_gains_are_those_of_the_weights_that_are_drawn(scheme: str, shape: tuple[int, int]) -> None:
    weight_init = {"name": "siren", "w0": 2} if scheme == "siren" else scheme
    spec = RunSpec.model_validate({"weight_init": weight_init, "activation": "gelu"})
    for first in (False, True):
        moment = 1.0 if first else closed_forms.SECOND_MOMENTS["gelu"]
        scale = 0.5 if scheme == "siren" else 1.0
        weights = Initializer(spec, torch.float64).weight(shape, first=first)
        gain = meanfield.weight_gain(scheme, shape[1], shape[0], moment=moment, scale=scale, first=first)
        assert float(weights.square().mean()) * shape[1] == pytest.approx(gain, rel=4 * math.sqrt(2 / weights.numel()))


@pytest.mark.parametrize("scheme", forecast.WITHOUT_THEORY)
def test_a_forecast_says_why_theory_does_not_cover_a_scheme(scheme: str) -> None:
    found = forecast.forecast(spec(weight_init=scheme), 64)
    assert found.note == f"no closed form for weight_init {scheme}: {forecast.WITHOUT_THEORY[scheme]}"
    assert not found.variances


def test_a_scheme_that_theory_does_not_know_is_refused() -> None:
    with pytest.raises(UsageError, match="no theory of weight_init 'sparse'"):
        meanfield.weight_gain("sparse", 3, 4, moment=1.0)


def spec(**changes: Any) -> RunSpec:
    model = {"name": "mlp", "hidden": changes.pop("hidden", [64] * 4)} | changes.pop("model", {})
    return RunSpec.model_validate({"model": model} | changes)


@pytest.mark.parametrize(
    ("activation", "weight_init", "bias_init", "scale"),
    [
        ("relu", "he_normal", 0.0, "standard"),
        ("relu", "pytorch", None, "standard"),
        ("prelu", "xavier_uniform", 0.0, "standard"),
        ("identity", "matched", 0, "standard"),
        ("relu", "he_normal", 0.0, "unit"),
        ("relu", "matched", 0.0, "symmetric"),
        ("leaky_relu", {"name": "orthogonal", "gain": "matched"}, 0.0, "standard"),
        ("relu", {"name": "siren", "w0": 1}, 0.0, "standard"),
    ],
)
def test_our_networks_start_as_forecast(
    activation: str, weight_init: Any, bias_init: float | None, scale: str, tmp_path: Path
) -> None:
    """Homogeneous activations without bias: the variance is then exact in the mean at any width and for any data."""
    chosen = {"activation": activation, "weight_init": weight_init, "bias_init": bias_init}
    chosen |= {"dataset": {"name": "digits", "train_size": 250, "scale": scale}, "training": {"epochs": 0}}
    runs = tuple(spec(seed=seed, **chosen) for seed in range(24))
    events = run_cohort(Cohort(runs), Runtime(device="cpu", data_folder=tmp_path))
    starts = [event.record.curves[0] for event in events if isinstance(event, Finished)]
    data = datasets.load(runs[0].dataset, tmp_path)
    expected = forecast.forecast(runs[0], 64, data_moment=data.input_moment)
    if weight_init == "matched":
        assert expected.variances == pytest.approx([1.0] * 4)
    elif scale != "standard":
        assert expected.variances[0] == pytest.approx(2 * np.square(data.train_images / 255).mean())

    variances = [row["layers"][-1]["z_std"] ** 2 + row["layers"][-1]["z_mean"] ** 2 for row in starts]
    ratios = [row["health.gradient_ratio"] for row in starts]
    for measured, predicted in ((variances, expected.variances[-1]), (ratios, expected.gradient_ratio)):
        assert fmean(measured) == pytest.approx(predicted, abs=4 * stdev(measured) / math.sqrt(len(measured)))


@pytest.mark.parametrize("bias", [0.0, 0.1, -0.1, "pytorch", None])
def test_silence_is_exact_for_symmetric_biases_and_a_bound_for_positive_ones(bias: float | str | None) -> None:
    found = forecast.forecast(spec(hidden=[2, 3], bias_init=bias), 784)

    assert found.silenced == (None if bias == -0.1 else closed_forms.probability_of_silence([2, 3]))
    assert found.silenced_at_most == (bias == 0.1)


@pytest.mark.parametrize("hidden", [[2] * 9, [3, 5]])
def test_a_network_of_one_input_has_both_bounds_of_being_born_dead(hidden: list[int]) -> None:
    found = forecast.forecast(spec(hidden=hidden), 1)

    assert found.born_dead_at_least == closed_forms.born_dead_lower_bound(hidden)
    assert found.silenced == closed_forms.probability_of_silence(hidden)


@pytest.mark.parametrize(
    ("changes", "inputs"),
    [
        ({}, 2),
        ({}, None),
        ({"bias_init": 0.1}, 1),
        ({"bias_init": "pytorch"}, 1),
        ({"activation": "relu6"}, 1),
        ({"activation": "leaky_relu"}, 1),
    ],
)
def test_the_lower_bound_is_claimed_only_where_its_theorem_holds(changes: dict[str, Any], inputs: int | None) -> None:
    assert forecast.forecast(spec(hidden=[2, 2], **changes), inputs).born_dead_at_least is None


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "prelu", "identity"])
def test_the_variance_scatters_between_networks_as_forecast(activation: str) -> None:
    networks, hidden = 4000, [6, 4, 5]
    chosen = spec(hidden=hidden, activation=activation)
    spreads = forecast.forecast(chosen, 64).spreads
    function, _ = forecast._elementwise(chosen.activation)
    generator = torch.Generator().manual_seed(0)
    squares = np.ones(networks)
    for layer, units in enumerate([*hidden, 1]):
        variances = 2 * squares
        if layer < len(hidden):
            ratios = np.square(variances / variances.mean())
            error = 4 * ratios.std() / math.sqrt(networks)
            assert ratios.mean() == pytest.approx(1 + spreads[layer] ** 2, abs=2 * error + 1e-12)
            z = torch.randn(networks, units, generator=generator, dtype=torch.float64).numpy()
            squares = np.square(function(z * np.sqrt(variances)[:, None])).mean(1)


@pytest.mark.parametrize(
    "changes",
    [
        {"activation": "gelu"},
        {"activation": "squared_relu"},
        {"bias_init": 0.1},
        {"bias_init": "pytorch"},
        {"weight_init": "orthogonal"},
        {"weight_init": "he_uniform"},
    ],
)
def test_no_spread_is_claimed_where_the_law_does_not_hold(changes: dict[str, Any]) -> None:
    assert forecast.forecast(spec(**changes), 784).spreads == ()


def test_narrow_networks_carry_a_warning_that_wide_ones_do_not_need() -> None:
    narrow, wide = (forecast.forecast(spec(hidden=hidden), 784) for hidden in ([2] * 9, [64] * 4))

    assert narrow.gradients == wide.gradients == "pass"
    assert narrow.warning == (
        "92.5 % of such networks are silent at a given input, and no gradient passes through them; "
        "the last layer's var z has a standard deviation between networks of 150 times its mean"
    )
    assert wide.warning == ""


def test_positive_biases_leave_fewer_zeros() -> None:
    shares = [forecast.forecast(spec(bias_init=bias), 784).zeros for bias in (-0.1, 0.0, 0.1)]

    assert shares[0] > shares[1] == 0.5 > shares[2]


@pytest.mark.parametrize(
    "activation", ["relu", "relu6", "squared_relu", "max(x, 0)", "elu", "gelu", "tanh", "softplus"]
)
def test_only_activations_with_exact_zeros_can_be_silenced(activation: str) -> None:
    found = forecast.forecast(spec(activation=activation), 784)
    rectifies = activation in ("relu", "relu6", "squared_relu", "max(x, 0)")

    assert (found.silenced is not None, found.zeros is not None) == (rectifies, rectifies)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"activation": "sigmoid", "weight_init": "pytorch", "hidden": [64] * 9}, "vanish"),
        ({"activation": "identity", "hidden": [64] * 30}, "explode"),
        ({"activation": "relu"}, "pass"),
        ({"hidden": [64]}, ""),
    ],
)
def test_gradients_are_told_in_a_word(changes: dict[str, Any], word: str) -> None:
    assert forecast.forecast(spec(**changes), 784).gradients == word


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"model": {"name": "mlp", "batch_norm": True}}, "no closed form with norm: batch"),
        ({"hidden": []}, "no hidden layer"),
        ({"activation": "x * exp(x**2)"}, "beyond hidden.0 the variance or the gradient factor is not a finite number"),
    ],
)
def test_what_theory_does_not_cover_is_said(changes: dict[str, Any], note: str) -> None:
    assert forecast.forecast(spec(**changes), 784).note == note


def test_a_convolution_has_no_closed_form() -> None:
    found = forecast.forecast(RunSpec.model_validate({"model": "cnn"}), 784)

    assert found.note.startswith("no closed form for model cnn")
    assert found.variances == ()


@pytest.mark.parametrize("name", [name for name in ELEMENTWISE if name != "expression"])
def test_every_activation_has_a_forecast(name: str) -> None:
    found = forecast.forecast(spec(activation=name), 784)

    assert not found.note
    assert len(found.variances) == 4
    assert all(math.isfinite(value) for value in (*found.variances, *found.factors))
