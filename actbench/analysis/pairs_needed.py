"""With how many pairs a test can show anything: arithmetic alone, so that ``plan`` need not load numpy for it."""

from __future__ import annotations

MIN_VALUES = 3
"""Below three values there is no interval and no test: two points carry next to nothing about a spread."""

MAX_EXACT_PAIRS = 12
"""Up to here every pattern of signs is counted: 2**11 of them, since a pattern and its mirror image count as one."""

FLIPS = 10_000
"""Patterns drawn beyond: a p of .05 is then known to ± .002."""

MAX_USEFUL_PAIRS = 15
"""More pairs than these reach no smaller p: one in 10,000 patterns is the least that can be counted."""

MAX_RUNS = 1000
"""More runs than these are not searched for the fewest that could show a share."""


def smallest_p(n: int) -> float:
    """Return the smallest two-sided p that sign flips of n differences other than 0 reach: 2^(1 − n), at most 1.

    With fewer than six seeds no such test, nor Wilcoxon's, can be below .05, whatever the data. Where patterns are
    drawn, one in 10,000 is the least that can be counted.

    >>> smallest_p(5), smallest_p(40)
    (0.0625, 0.0001)
    """
    exact = min(1.0, 2.0 ** (1 - n))
    return exact if n <= MAX_EXACT_PAIRS else max(exact, 1 / FLIPS)


def fewest_pairs(alpha: float) -> int | None:
    """Return the fewest pairs with which a sign-flip test can be below alpha; None where no number of pairs can.

    >>> fewest_pairs(0.05), fewest_pairs(0.0625), fewest_pairs(1e-6)
    (6, 6, None)
    """
    return next((n for n in range(MIN_VALUES, MAX_USEFUL_PAIRS + 1) if smallest_p(n) < alpha), None)
