"""Ranks, pairs and groups of rows across blocks."""

import numpy as np
import pytest
from scipy import stats

from actbench.analysis.statistics.blocks import all_pairs_p, indistinct_groups, ranks


@pytest.mark.parametrize("higher", [True, False])
def test_ranks_are_those_of_scipy_ties_included(higher):
    table = np.random.default_rng(0).integers(0, 4, size=(20, 6)).astype(float)
    expected = stats.rankdata(-table if higher else table, axis=1)

    assert (ranks(table, higher_is_better=higher) == expected).all()


def test_values_that_differ_by_rounding_share_their_rank():
    assert ranks(np.array([[0.1 + 0.2, 0.3, 0.1]]), higher_is_better=True).tolist() == [[1.5, 1.5, 3.0]]


def test_no_pair_of_equal_rows_is_told_apart_too_often():
    generator = np.random.default_rng(1)
    found = [all_pairs_p(generator.normal(size=(8, 4))) for _ in range(150)]
    wrong = sum(any(p < 0.05 for p in one.values()) for one in found)

    assert wrong / 150 < 0.05 + 4 * (0.05 * 0.95 / 150) ** 0.5


def test_a_row_that_always_wins_is_told_apart_once_there_are_enough_blocks():
    for blocks, told in ((5, False), (6, True)):
        table = np.random.default_rng(2).normal(size=(blocks, 2)) * 0.1 + [0.0, 5.0]
        assert (all_pairs_p(table)[0, 1] < 0.05) == told


@pytest.mark.parametrize(
    ("differ", "groups"),
    [
        ([], [(0, 1, 2, 3)]),
        ([(0, 1), (0, 2), (0, 3)], [(1, 2, 3)]),
        ([(0, 3)], [(0, 1, 2), (1, 2, 3)]),
        ([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)], []),
        ([(0, 2)], [(0, 1), (1, 2, 3)]),
    ],
)
def test_groups_are_the_longest_neighbours_of_which_no_two_differ(differ, groups):
    assert indistinct_groups(range(4), {frozenset(pair) for pair in differ}) == groups
