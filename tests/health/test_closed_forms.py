"""Closed forms against enumeration, exact arithmetic, linear programs, simulation and quadratures."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from integrals import FUNCTIONS, adaptive_mean
from scipy import optimize

from actbench.diagnostics.verification import silence
from actbench.errors import UsageError
from actbench.health.theory import closed_forms

SIGNS = (False, True)


def within_four_standard_errors(measured: float, expected: float, trials: int) -> bool:
    return abs(measured - expected) <= 4 * math.sqrt(expected * (1 - expected) / trials)


# Silence


@pytest.mark.parametrize("widths", [(1,), (1, 1, 1), (2, 2), (3, 1, 2), (2, 3, 4), (5, 5)])
def test_the_probability_of_silence_is_the_share_of_sign_patterns_with_a_silent_layer(widths: tuple[int, ...]) -> None:
    layers = [list(itertools.product(SIGNS, repeat=width)) for width in widths]
    patterns = list(itertools.product(*layers))
    silent = sum(any(not any(layer) for layer in pattern) for pattern in patterns)

    assert closed_forms.probability_of_silence(widths) == pytest.approx(silent / len(patterns), rel=1e-14)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("depth", [1, 3, 6])
@pytest.mark.parametrize("width", [1, 2, 4])
def test_networks_with_uniform_weights_are_silent_as_often_as_the_formula_says(
    width: int, depth: int, biased: bool
) -> None:
    trials, generator = 20_000, torch.Generator().manual_seed(width * 10 + depth)
    x, silent = torch.ones(trials, 3, 1), torch.zeros(trials, dtype=torch.bool)
    for _ in range(depth):
        weights = 2 * torch.rand(trials, width, x.shape[1], generator=generator) - 1
        bias = (2 * torch.rand(trials, width, 1, generator=generator) - 1) * biased
        x = torch.relu(weights @ x + bias)
        silent |= (x == 0).all(1).squeeze(1)

    expected = closed_forms.probability_of_silence([width] * depth)
    assert within_four_standard_errors(silent.double().mean().item(), expected, trials)


def test_the_probability_of_silence_keeps_its_digits_for_wide_layers() -> None:
    assert closed_forms.probability_of_silence([256] * 5) == pytest.approx(5 * 2.0**-256, rel=1e-12)


def test_no_hidden_layer_is_never_silent_and_none_has_no_units() -> None:
    assert closed_forms.probability_of_silence([]) == 0
    with pytest.raises(UsageError, match="at least one unit"):
        closed_forms.probability_of_silence([3, 0])


# Born dead


@pytest.mark.parametrize("width", [1, 2, 3])
def test_two_hidden_layers_are_born_dead_as_often_as_sign_patterns_say(width: int) -> None:
    """Behind one layer the two half-lines live on different units, so their signs in the next are independent."""
    patterns = list(itertools.product(SIGNS, repeat=width))
    cases = list(itertools.product(patterns, repeat=3))
    dead = sum(
        (not any(first) or not any(right)) and (all(first) or not any(left))  # no unit fires on the right, nor the left
        for first, right, left in cases
    )

    assert closed_forms.born_dead_lower_bound([width] * 2) == dead / len(cases)


@pytest.mark.parametrize("width", [1, 2, 3, 8])
@pytest.mark.parametrize("depth", [2, 3, 4, 7, 20])
def test_the_lower_bound_is_the_closed_form_in_exact_arithmetic(width: int, depth: int) -> None:
    half = Fraction(1, 2**width)
    a1, a2 = 1 - half, 1 - 2 * half - (width - 1) * half**2
    factor = (1 - 2 * half) * (1 - half) / (1 + (width - 1) * half)
    exact = 1 - a1 ** (depth - 2) + factor * (a2 ** (depth - 2) - a1 ** (depth - 2))

    assert closed_forms.born_dead_lower_bound([width] * (depth - 1)) == pytest.approx(float(exact), rel=1e-13)


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("depth", [3, 4, 6, 10])
def test_deeper_networks_are_born_dead_at_least_as_often_as_the_bound(width: int, depth: int) -> None:
    trials = 50_000
    share = silence.born_dead(width, depth, trials).mean()
    error = math.sqrt(share * (1 - share) / trials)
    bound = closed_forms.born_dead_lower_bound([width] * (depth - 1))

    assert bound <= share + 4 * error
    assert share - 4 * error <= closed_forms.probability_of_silence([width] * (depth - 1))
    if depth == 3 or width == 1:
        assert within_four_standard_errors(share, bound, trials)


@pytest.mark.parametrize(("width", "bound"), [(2, 0.8703), (3, 0.5134), (5, 0.0640), (10, 0.0001)])
def test_the_lower_bound_of_ten_layers_is_the_published_one(width: int, bound: float) -> None:
    assert closed_forms.born_dead_lower_bound([width] * 9) == pytest.approx(bound, abs=5e-5)


def test_layers_of_other_widths_are_counted_each_by_its_own() -> None:
    """Sign patterns again: one unit on one half-line, then two units, which are all silent on one ray or not."""
    assert closed_forms.born_dead_lower_bound([1, 2]) == 2**-2  # one ray is left after one unit
    assert closed_forms.born_dead_lower_bound([2, 1]) == 0.5 * 0.5 + 0.5 * 0.25


@pytest.mark.parametrize("widths", [[], [3, 0], [0]])
def test_the_bound_refuses_what_is_no_network_with_a_hidden_layer(widths: list[int]) -> None:
    with pytest.raises(UsageError, match="has a hidden layer, and each has at least one unit"):
        closed_forms.born_dead_lower_bound(widths)


# Spread of the variance


@pytest.mark.parametrize("widths", [[], [3], [4, 4], [5, 3, 8]])
def test_the_spread_is_that_of_drawn_relu_networks(widths: list[int]) -> None:
    networks = 200_000
    generator = np.random.default_rng(len(widths))
    z, gain = None, 2.0
    squares = np.full(networks, 1.0)  # of one input
    for units in widths:
        z = np.sqrt(gain * squares)[:, None] * generator.standard_normal((networks, units))
        squares = np.square(np.maximum(z, 0)).mean(1)
    variances = gain * squares
    spread = closed_forms.variance_spread(6, widths)
    error = np.square(variances / 2).std() / math.sqrt(networks)

    assert np.square(variances / 2).mean() == pytest.approx(1 + spread**2, abs=4 * error + 1e-12)


# Second layer


def linear_program_finds_a_positive_value(
    weights: np.ndarray, bias: np.ndarray, above: np.ndarray, own_bias: float
) -> bool:
    """On each sign pattern of the first layer z is linear: maximise it over that region."""
    for pattern in itertools.product((-1.0, 1.0), repeat=len(bias)):
        on = (np.array(pattern) > 0) * above
        signs = np.array(pattern)[:, None]
        region = {"A_ub": -signs * weights, "b_ub": signs[:, 0] * bias, "bounds": (None, None)}
        found = optimize.linprog(-on @ weights, **region)
        if found.status == 3 or (found.status == 0 and -found.fun + on @ bias + own_bias > 1e-9):
            return True
    return False


@pytest.mark.parametrize(("inputs", "units"), [(1, 1), (2, 2), (1, 2), (2, 3)])
def test_corners_and_edges_tell_a_silent_neuron_as_linear_programs_do(inputs: int, units: int) -> None:
    trials, generator = 60, np.random.default_rng(5)
    weights, bias = generator.standard_normal((trials, units, inputs)), generator.standard_normal((trials, units))
    above, own_bias = -abs(generator.standard_normal((trials, units))), generator.standard_normal(trials)
    above[::2, 0] *= -1  # half of them with a chance to be silent only if their first unit can't fire alone
    told = silence.never_positive(weights, bias, above, own_bias)
    positive = [
        linear_program_finds_a_positive_value(*case) for case in zip(weights, bias, above, own_bias, strict=True)
    ]

    assert told.tolist() == [not found for found in positive]
    assert 0 < told.sum() < trials


@pytest.mark.parametrize(("inputs", "units"), [(1, 1), (2, 2), (3, 3), (1, 2), (2, 3), (3, 4)])
def test_second_layer_neurons_are_silent_as_often_as_the_formula_says(inputs: int, units: int) -> None:
    trials = 40_000
    expected = closed_forms.probability_of_a_silent_second_layer_neuron(inputs, units)

    assert within_four_standard_errors(silence.silent_everywhere(inputs, units, trials).mean(), expected, trials)


@pytest.mark.parametrize(("inputs", "units"), [(2, 1), (3, 1), (5, 2)])
def test_fewer_units_than_inputs_are_as_many_units_as_inputs(inputs: int, units: int) -> None:
    """Only the part of the input that the units see matters: it has as many dimensions as there are units."""
    fewer = closed_forms.probability_of_a_silent_second_layer_neuron(inputs, units)

    assert fewer == closed_forms.probability_of_a_silent_second_layer_neuron(units, units)


@pytest.mark.parametrize("units", [1, 2, 3])
def test_without_biases_a_second_layer_neuron_is_silent_more_often(units: int) -> None:
    trials, generator = 40_000, np.random.default_rng(units)
    weights, above = generator.standard_normal((trials, units, units)), generator.standard_normal((trials, units))
    silent = silence.never_positive(weights, np.zeros((trials, units)), above, np.zeros(trials))

    assert within_four_standard_errors(silent.mean(), 2.0**-units, trials)


@pytest.mark.parametrize(("inputs", "units"), [(2, 4), (0, 1), (3, 0)])
def test_what_is_not_proved_of_the_second_layer_is_not_answered(inputs: int, units: int) -> None:
    with pytest.raises(UsageError, match=f"not for {units}"):
        closed_forms.probability_of_a_silent_second_layer_neuron(inputs, units)


# Constants


@pytest.mark.parametrize("name", closed_forms.SECOND_MOMENTS)
def test_second_moments_are_those_of_an_adaptive_quadrature(name: str) -> None:
    measured = adaptive_mean(lambda z: FUNCTIONS[name](z) ** 2)

    assert closed_forms.SECOND_MOMENTS[name] == pytest.approx(measured, abs=1e-10)


@pytest.mark.parametrize("name", closed_forms.MINIMA)
def test_minima_are_those_of_brents_method(name: str) -> None:
    found = optimize.minimize_scalar(FUNCTIONS[name], bounds=(-3, 0), method="bounded", options={"xatol": 1e-10})

    assert closed_forms.MINIMA[name] == (pytest.approx(found.fun, abs=1e-10), pytest.approx(found.x, abs=1e-6))


def test_silus_minimum_is_lamberts() -> None:
    from scipy.special import lambertw

    w = float(lambertw(1 / math.e).real)
    assert closed_forms.MINIMA["silu"] == (pytest.approx(-w, abs=1e-9), pytest.approx(-1 - w, abs=1e-6))


def test_mean_zero_and_variance_one_is_selus_fixed_point() -> None:
    assert adaptive_mean(FUNCTIONS["selu"]) == pytest.approx(0, abs=1e-12)
    assert closed_forms.selu_constants() == pytest.approx((1.6732632423543772, 1.0507009873554805), abs=1e-14)


@pytest.mark.parametrize("inputs", [1, 3, 10, 2000, 60_000])
def test_three_over_n_bounds_the_exact_confidence_limit(inputs: int) -> None:
    exact = 1 - 0.05 ** (1 / inputs)

    assert exact <= closed_forms.max_unseen_firing_rate(inputs) <= 1
    with pytest.raises(UsageError, match="at least one input"):
        closed_forms.max_unseen_firing_rate(0)
