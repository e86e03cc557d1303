"""Check the closed forms on silent ReLU networks, those of ``health.theory``, against draws of many small networks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actbench.diagnostics.verification import Check, Folders, bounds_check, share_check
from actbench.health.theory.closed_forms import (
    born_dead_lower_bound,
    probability_of_a_silent_second_layer_neuron,
    probability_of_silence,
)

Array = NDArray[np.float64]

TRIALS = 200_000
DEPTH = 10
"""Weight layers of the networks that are held to both bounds of being born dead: nine hidden ones."""
WIDTHS = ((1,), (2, 2), (3, 3, 3), (2, 3, 4, 5), (4,) * 6)
BORN_DEAD = "arXiv:1903.06733"
SECOND_LAYER = "arXiv:2412.06829"


def checks(folders: Folders) -> Iterator[Check]:
    """Compare shares of silent networks, each drawn with a generator of its own."""
    for widths in WIDTHS:
        name = f"silent at an input, {'-'.join(map(str, widths))}"
        yield share_check(name, probability_of_silence(widths), silent_at_an_input(widths, TRIALS), BORN_DEAD)
    for width in (2, 3):
        name = f"born dead, 1 input, {width}-{width}"
        yield share_check(name, born_dead_lower_bound([width] * 2), born_dead(width, 3, TRIALS), BORN_DEAD)
    for width in (2, 3, 5):
        low, high = born_dead_lower_bound([width] * (DEPTH - 1)), probability_of_silence([width] * (DEPTH - 1))
        name = f"born dead, 1 input, {DEPTH - 1} × {width}"
        yield bounds_check(name, low, high, born_dead(width, DEPTH, TRIALS), BORN_DEAD)
    for inputs, first in ((2, 2), (1, 2), (2, 3)):
        name = f"2nd-layer neuron silent, n₀={inputs} n₁={first}"
        expected = probability_of_a_silent_second_layer_neuron(inputs, first)
        yield share_check(name, expected, silent_everywhere(inputs, first, TRIALS), SECOND_LAYER)


def silent_at_an_input(widths: tuple[int, ...], trials: int) -> NDArray[np.bool_]:
    """Return (trials,): whether a network with normal weights and no biases has a silent layer at input (1, 1, 1)."""
    generator = np.random.default_rng(sum(widths))
    signal = np.ones((trials, 3))
    silent = np.zeros(trials, dtype=bool)
    for units in widths:
        weights = generator.standard_normal((trials, units, signal.shape[1]))
        signal = np.maximum(np.einsum("tui,ti->tu", weights, signal), 0)
        silent |= (signal == 0).all(1)
    return silent


def born_dead(width: int, depth: int, trials: int) -> NDArray[np.bool_]:
    """Return (trials,): whether a network without biases is zero at −1 and at 1.

    It is homogeneous, so it is zero on all of R then.
    """
    generator = np.random.default_rng(width * depth)
    signal = np.maximum(generator.standard_normal((trials, 1, width)) * [[1], [-1]], 0)  # (trials, the two ends, units)
    for _ in range(depth - 2):
        weights = generator.standard_normal((trials, width, width))
        signal = np.maximum(np.einsum("tui,tei->teu", weights, signal), 0)
    silent: NDArray[np.bool_] = np.count_nonzero(signal, axis=(1, 2)) == 0
    return silent


def silent_everywhere(inputs: int, units: int, trials: int) -> NDArray[np.bool_]:
    """Return (trials,): whether a neuron above a first layer is zero on all of R^inputs; normal weights and biases."""
    generator = np.random.default_rng(10 * inputs + units)
    shapes = ((trials, units, inputs), (trials, units), (trials, units), (trials,))
    return never_positive(*(generator.standard_normal(shape) for shape in shapes))


def never_positive(weights: Array, bias: Array, above: Array, own_bias: Array) -> NDArray[np.bool_]:
    """Return whether z(x) = above · max(0, weights x + bias) + own_bias ≤ 0 for all x.

    z is linear between the first layer's hyperplanes, which have corners when there are as many of them as inputs or
    more. Then its supremum is taken at a corner, or it rises along one of the edges that lead away from corners. So it
    is never positive exactly if z ≤ 0 at all corners and no edge has a positive slope at its far ends.

    Args:
        weights: (trials, units, inputs), any ``inputs`` rows of them independent; at least as many units as inputs.
        bias: (trials, units).
        above: (trials, units).
        own_bias: (trials,).

    Returns:
        (trials,).
    """
    trials, units, inputs = weights.shape
    silent = np.ones(trials, dtype=bool)
    # A corner lies on as many hyperplanes as there are inputs; all trials are solved at once.
    for through in combinations(range(units), inputs):
        corner = np.linalg.solve(weights[:, through], -bias[:, through, None])[..., 0]
        silent &= _weighed(above, _products(weights, corner) + bias, through) + own_bias <= 0
    # An edge lies on one hyperplane fewer: its direction is the null vector of their weights. Far out the biases no
    # longer count, so the slope along it is z without them.
    for along in combinations(range(units), inputs - 1):
        direction = np.linalg.svd(weights[:, along])[2][:, -1] if along else np.ones((trials, 1))
        for way in (direction, -direction):
            silent &= _weighed(above, _products(weights, way), along) <= 0
    return silent


def _products(weights: Array, x: NDArray[np.floating[Any]]) -> Array:
    result: Array = np.einsum("tui,ti->tu", weights, x)
    return result


def _weighed(above: Array, z: Array, zero: tuple[int, ...]) -> Array:
    """Return Σ above·max(0, z), with the units whose hyperplanes meet here at exactly 0, free of rounding."""
    z[:, zero] = 0
    result: Array = np.einsum("tu,tu->t", above, np.maximum(z, 0))
    return result
