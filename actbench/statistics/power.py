"""What a number of seeds can show: the smallest p, the power, the seeds needed, and when two sides are the same."""

from __future__ import annotations

import math
from bisect import bisect_left

from actbench.statistics.paired import Difference
from actbench.statistics.samples import FEWEST

MOST_SEEDS = 1_000_000
"""Nobody runs more, so what would take more is not a number of seeds."""

LARGEST_EFFECT = 1e6
"""Beyond it the noncentral t distribution leaves the range of floats; three seeds have long sufficed."""


def smallest_p(n: int) -> float:
    """The smallest two-sided p that an exact sign-flip or Wilcoxon test of n pairs can reach: 2^(1 − n), at most 1.

    With fewer than six seeds no such test can reach .05, whatever the data.

    >>> smallest_p(5)
    0.0625
    """
    return min(1.0, 2.0 ** (1 - n))


def t_power(effect: float, n: int, alpha: float = 0.05) -> float:
    """The chance that the two-sided paired t test finds a true difference.

    P(|T| > t(1 − α/2, n − 1)) for a noncentral t with n − 1 degrees of freedom and noncentrality d·√n.

    Args:
        effect: d, the true mean difference over the standard deviation of the differences.
        n: Pairs, at least two.
        alpha: Level of the test.

    Reference: Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, chapter 2.

    >>> round(t_power(1.0, 10), 2)
    0.8
    """
    from scipy.special import nctdtr, stdtrit

    freedom, shift = n - 1, effect * math.sqrt(n)
    critical = float(stdtrit(freedom, 1 - alpha / 2))
    below, above = nctdtr(freedom, shift, critical), nctdtr(freedom, -shift, critical)
    return float(2 - below - above)


def seeds_needed(
    difference: float, sd: float, *, alpha: float = 0.05, power: float = 0.8, comparisons: int = 1
) -> int | None:
    """The fewest pairs with which the paired t test finds such a difference so often.

    80 % power takes 10 seeds at d = 1 (17 with Bonferroni over 9 comparisons) and 34 at d = 0.5. A standard deviation
    from few seeds is itself uncertain: with five, one time in five the number comes out below a quarter or above twice
    of what it should be.

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
    if sd == 0:
        return FEWEST
    effect, level = min(abs(difference) / sd, LARGEST_EFFECT), alpha / comparisons
    if t_power(effect, MOST_SEEDS, level) < power:
        return None
    return FEWEST + bisect_left(range(FEWEST, MOST_SEEDS), power, key=lambda n: t_power(effect, n, level))


def is_equivalent(difference: Difference, delta: float) -> bool:
    """Whether two sides are practically the same: the whole interval of their difference lies within ±δ.

    Anything else is "not distinguishable" at most; no number of seeds without a finding shows equality.

    Args:
        difference: With its interval; without one (fewer than three pairs, sign-flip test) nothing is shown.
        delta: The largest difference that does not matter, above 0, in the metric's unit.

    Raises:
        ValueError: When delta is not above 0.

    Reference: Schuirmann (1987), A comparison of the two one-sided tests procedure and the power approach.
    """
    if not delta > 0:
        raise ValueError(f"delta must be above 0, not {delta:g}")
    if difference.low is None or difference.high is None:
        return False
    return -delta < difference.low and difference.high < delta
