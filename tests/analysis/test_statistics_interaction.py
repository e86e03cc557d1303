"""The interaction test against an enumeration that shares no code, and against the paired test of a 2 × 2 table."""

import itertools

import numpy as np
import pytest

from actbench.analysis.statistics import interaction_p, sign_flip_p


def table(seeds, *shape, noise=1.0):
    """Two factors that add up, in seeds of different luck."""
    generator = np.random.default_rng(seeds + sum(shape))
    luck, rows, columns = (3 * generator.normal(size=size) for size in ((seeds, 1, 1), (shape[0], 1), (1, shape[1])))
    return luck + rows + columns + noise * generator.normal(size=(seeds, *shape))


def enumerated(values):
    """Pattern by pattern, each seed's residuals from its own least-squares fit of an additive model."""
    seeds, rows, columns = values.shape
    cells = list(itertools.product(range(rows), range(columns)))
    design = np.array([[*(a == i for i in range(rows)), *(b == j for j in range(columns))] for a, b in cells], float)
    fits = [design @ np.linalg.lstsq(design, seed.ravel(), rcond=None)[0] for seed in values]
    residuals = values.reshape(seeds, -1) - np.array(fits)
    statistics = [
        (sum(s * r for s, r in zip(signs, residuals, strict=True)) ** 2).sum()
        for signs in itertools.product([1, -1], repeat=seeds)
    ]
    return np.mean(np.array(statistics) >= statistics[0] * (1 - 1e-9))


@pytest.mark.parametrize("shape", [(3, 2, 2), (5, 3, 2), (8, 2, 4), (7, 6, 2)])
def test_the_interaction_test_is_a_count_of_sign_patterns(shape):
    values = table(*shape)
    values[:, 0, 0] += 1.5
    assert interaction_p(values) == enumerated(values)


def counted_in_whole_numbers(values):
    """As ``enumerated``, but exact: residuals of whole numbers times the number of cells are whole."""
    seeds, rows, columns = values.shape
    own = rows * columns * values + values.sum(axis=(1, 2), keepdims=True)
    residuals = own - columns * values.sum(axis=1, keepdims=True) - rows * values.sum(axis=2, keepdims=True)
    signs = np.array(list(itertools.product([1], *[[1, -1]] * (seeds - 1))))
    statistics = np.square(signs @ residuals.reshape(seeds, -1)).sum(axis=1)
    return np.mean(statistics >= statistics[0])


@pytest.mark.parametrize("shape", [(6, 2, 2), (6, 3, 2), (11, 6, 6), (11, 8, 6), (11, 3, 8)])
def test_patterns_that_tie_on_paper_tie_whatever_rounding_does(shape):
    for draw in range(40):
        generator = np.random.default_rng(draw)
        tenths = generator.integers(0, 3, size=shape) + generator.integers(0, 9, size=shape[1:])
        assert interaction_p(tenths / 10) == counted_in_whole_numbers(tenths)


@pytest.mark.parametrize("seeds", [4, 9, 15])
def test_in_a_table_of_two_by_two_it_is_the_paired_test_of_the_difference_of_differences(seeds):
    values = table(seeds, 2, 2)
    values[:, 1, 1] += 1.0
    effect = values[:, 1, 1] - values[:, 0, 1] - values[:, 1, 0] + values[:, 0, 0]
    assert interaction_p(values) == pytest.approx(sign_flip_p(effect))


def test_main_effects_and_lucky_seeds_are_no_interaction():
    values = table(6, 3, 2)
    more = values + 50 * table(6, 3, 2, noise=0.0)
    assert interaction_p(more) == interaction_p(values)


def test_an_interaction_that_every_seed_shows_has_the_smallest_p():
    values = table(8, 3, 2, noise=0.01)
    values[:, 0, 0] += 1.0
    assert interaction_p(values) == 2 / 2**8


def test_swapping_the_factors_changes_nothing():
    values = table(7, 4, 3)
    assert interaction_p(values) == interaction_p(values.swapaxes(1, 2))


@pytest.mark.parametrize(
    "values",
    [
        np.ones((5, 2, 2)),
        np.zeros((5, 3, 2)),
        table(5, 3, 2, noise=0.0),
        table(2, 3, 2),
        table(5, 1, 4),
        table(5, 4, 1),
    ],
    ids=["constant", "zero", "additive", "two seeds", "one row", "one column"],
)
def test_without_anything_to_test_there_is_no_p(values):
    assert interaction_p(values) is None
