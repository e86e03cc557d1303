"""Rows across blocks, such as activations across datasets: mean ranks, and which rows can't be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from actbench.analysis.statistics.samples import ROUNDING, Floats, checked, size
from actbench.analysis.statistics.westfall_young import max_t


def ranks(table: Floats, *, higher_is_better: bool) -> Floats:
    """Return each block's ranks of the rows, 1 the best; rows of equal value share the mean of their ranks.

    Args:
        table: (blocks, rows), finite.
        higher_is_better: Whether rank 1 is that of the highest value.

    Raises:
        ValueError: For a number that is NaN, infinite or beyond 1e300.

    >>> ranks(np.array([[0.9, 0.8, 0.9], [0.5, 0.7, 0.6]]), higher_is_better=True).tolist()
    [[1.5, 3.0, 1.5], [3.0, 1.0, 2.0]]
    """
    data = checked(table)
    signed = -data if higher_is_better else data
    tie = ROUNDING * size(data)
    above = (signed[:, None, :] < signed[:, :, None] - tie).sum(axis=2)  # rows that are better than each
    level = (np.abs(signed[:, None, :] - signed[:, :, None]) <= tie).sum(axis=2)  # as good, itself included
    found: Floats = above + (level + 1) / 2
    return found


def all_pairs_p(table: Floats) -> dict[tuple[int, int], float | None]:
    """Return the p of every pair of rows over the blocks, adjusted for all pairs by sign-flip max-T.

    A block's mean differences are flipped together. What varies by seeds within a block is in them already: the blocks
    are the sample, so that a claim is about further datasets of the kind. With B blocks no p is below 2^(1 − B).

    Args:
        table: (blocks, rows), each the mean of a row in a block.

    >>> all_pairs_p(np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 1.5], [0.0, 1.2]]))
    {(0, 1): 0.125}
    """
    pairs = list(combinations(range(table.shape[1]), 2))
    if not pairs:
        return {}
    first, second = (np.array(side) for side in zip(*pairs, strict=True))
    return dict(zip(pairs, max_t(table[:, first] - table[:, second]), strict=True))


def indistinct_groups(order: Sequence[int], differ: set[frozenset[int]]) -> list[tuple[int, ...]]:
    """Return the longest runs of neighbours in ``order`` in which no two rows differ, as a critical-difference picture.

    Args:
        order: Rows from the best to the worst.
        differ: Pairs of rows that are told apart.

    Returns:
        Each run of at least two rows that is not part of a longer one.

    >>> indistinct_groups([2, 0, 1, 3], {frozenset({2, 1}), frozenset({2, 3}), frozenset({0, 3})})
    [(2, 0), (0, 1), (1, 3)]
    """
    found: list[tuple[int, ...]] = []
    reached = 0
    for start in range(len(order)):
        stop = start + 1
        while stop < len(order) and all(frozenset({order[stop], one}) not in differ for one in order[start:stop]):
            stop += 1
        if stop - start > 1 and stop > reached:
            found.append(tuple(order[start:stop]))
            reached = stop
    return found
