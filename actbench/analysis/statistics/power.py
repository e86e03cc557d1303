"""Power of the tests: the smallest possible p, the power of the paired t test, the seeds needed, equivalence."""

from __future__ import annotations

import math
from bisect import bisect_left
from functools import cache, lru_cache

import numpy as np

from actbench.analysis.statistics.paired import Difference
from actbench.analysis.statistics.samples import MIN_VALUES, Floats

MAX_SEEDS = 1_000_000
"""Nobody runs more, so where more would be needed there is no number of seeds to name."""

NODES = 200
"""Of the quadrature over the standard deviation: six digits of the power."""


def smallest_p(n: int) -> float:
    """Return the smallest two-sided p of an exact sign-flip or Wilcoxon test of n pairs: 2^(1 − n), at most 1.

    With fewer than six seeds no such test can reach .05, whatever the data.

    >>> smallest_p(5)
    0.0625
    """
    return min(1.0, 2.0 ** (1 - n))


def t_power(effect: float, n: int, alpha: float = 0.05) -> float:
    """Return the power of the two-sided paired t test: its chance to find a true difference.

    P(|T| > c), c = t(1 − α/2, n − 1), for a noncentral t with n − 1 degrees of freedom and noncentrality d·√n, as the
    mean of Φ(d·√n − c·s) + Φ(−d·√n − c·s) over the distribution of the sample's standard deviation s (in units of the
    true one). scipy's own function for it, nctdtr, is NaN for some large effects.

    Args:
        effect: d, the true mean difference over the standard deviation of the differences.
        n: Pairs, at least two.
        alpha: Level of the test.

    Reference: Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, chapter 2.

    >>> round(t_power(1.0, 10), 2)
    0.8
    """
    from scipy.special import ndtr

    margins, weights = _margins(n, alpha)
    shift = abs(effect) * math.sqrt(n)
    return min(1.0, float(weights @ (ndtr(shift - margins) + ndtr(-shift - margins))))


def seeds_needed(
    difference: float, sd: float, *, alpha: float = 0.05, power: float = 0.8, comparisons: int = 1
) -> int | None:
    """Return the fewest pairs with which the paired t test finds a difference with the wanted power.

    80 % power takes 10 seeds at d = 1 (17 with Bonferroni over 9 comparisons) and 34 at d = 0.5. A standard deviation
    from few seeds is itself uncertain: with five, one time in five the number comes out below a quarter or above twice
    the right one.

    Args:
        difference: The true mean difference to be found.
        sd: Standard deviation of the paired differences, in the same unit.
        alpha: Level of the whole family.
        power: Chance of finding it.
        comparisons: Size of the family; Bonferroni shares alpha among it.

    Returns:
        At least 3; None when the difference is 0 or more than a million would be needed.

    >>> seeds_needed(1.0, 1.0), seeds_needed(1.0, 1.0, comparisons=9), seeds_needed(0.5, 1.0)
    (10, 17, 34)
    """
    if difference == 0:
        return None
    effect, level = abs(difference) / sd if sd > 0 else math.inf, alpha / comparisons
    if t_power(effect, MAX_SEEDS, level) < power:
        return None
    return MIN_VALUES + bisect_left(range(MIN_VALUES, MAX_SEEDS), power, key=lambda n: t_power(effect, n, level))


def is_equivalent(difference: Difference, delta: float) -> bool:
    """Return whether two sides are practically the same: the whole interval of their difference lies within ±δ.

    Anything else is "not distinguishable" at most; no number of seeds without a finding shows equality.

    Args:
        difference: With its interval; without one (fewer than three pairs, sign-flip test) nothing is shown.
        delta: The largest difference that does not matter, above 0, in the metric's unit.

    Raises:
        ValueError: When delta is not above 0.

    Reference: Schuirmann (1987), A comparison of the two one-sided tests procedure and the power approach for
    assessing bioequivalence, J. Pharmacokinetics and Biopharmaceutics 15.
    """
    if not delta > 0:
        raise ValueError(f"delta must be above 0, not {delta:g}")
    if difference.low is None or difference.high is None:
        return False
    return -delta < difference.low and difference.high < delta


@lru_cache(maxsize=1024)  # a table asks for the same few numbers of seeds in each of a thousand cells
def _margins(n: int, alpha: float) -> tuple[Floats, Floats]:
    """Return the mean's least distance from 0 (c·s, in standard errors) at each node, and the nodes' weights."""
    from scipy.special import gammaincinv, stdtrit

    nodes, weights = _quadrature()
    # (n − 1)·s² is χ² with n − 1 degrees of freedom: its quantiles at the nodes, as standard deviations.
    deviations = np.sqrt(2 * gammaincinv((n - 1) / 2, nodes) / (n - 1))
    return -stdtrit(n - 1, alpha / 2) * deviations, weights


@cache
def _quadrature() -> tuple[Floats, Floats]:
    """Return Gauss and Legendre's nodes and weights on 0 … 1, here the ranks of s in its distribution."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return (nodes + 1) / 2, weights / 2
