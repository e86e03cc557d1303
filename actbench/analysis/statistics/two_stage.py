"""Stein's two-stage rule: how many seeds make an interval as narrow as wanted, with a coverage that is exact.

The first n₀ values give a standard deviation s₀, and s₀ alone gives the number N of all values. As s₀ of normal values
says nothing about their mean, the mean of all N still has a normal distribution around the truth whatever N became, and
(mean − μ) · √N / s₀ has Student's distribution with n₀ − 1 degrees of freedom. The same holds for every other sample
that is jointly normal with those whose s₀ chose N: a table whose widest row chooses N keeps exact intervals in all of
its rows. The price is that the later values do not improve the standard deviation.

Reference: Stein (1945), A two-sample test for a linear hypothesis whose power is independent of the variance, Annals of
Mathematical Statistics 16.
"""

from __future__ import annotations

import math

from actbench.analysis.pairs_needed import MIN_VALUES

MAX_SIZE = 10**9
"""Nobody trains as many; a larger number is reported as this one."""


def two_stage_size(sd: float, pilot: int, half_width: float, alpha: float = 0.05) -> int:
    """Return the number of values, those of the pilot included, that makes the interval as narrow as wanted.

    N = max(n₀, ⌈(t(1 − α/2, n₀ − 1) · s₀ / w)²⌉).

    Args:
        sd: s₀, the standard deviation of the pilot's values.
        pilot: n₀, their number, at least three.
        half_width: w, the largest ± that is wanted, above 0.
        alpha: One minus the interval's coverage.

    >>> two_stage_size(1.0, 5, 0.6), two_stage_size(0.1, 5, 0.6)
    (22, 5)
    """
    from scipy.special import stdtrit

    ratio = float(stdtrit(pilot - 1, 1 - alpha / 2)) * sd / half_width
    # A number that is whole on paper may come out a little above, by rounding.
    return max(pilot, math.ceil(min(ratio**2 * (1 - 1e-12), MAX_SIZE))) if ratio < MAX_SIZE else MAX_SIZE


def two_stage_ends(
    mean: float, sd: float | None, pilot: int, n: int, alpha: float
) -> tuple[float | None, float | None]:
    """Return mean ± t(1 − α/2, n₀ − 1) · s₀ / √N.

    Args:
        mean: Of all N values.
        sd: s₀, the standard deviation of the pilot's values.
        pilot: n₀, their number.
        n: N, the number of all values, chosen by s₀ alone.
        alpha: One minus the coverage.

    Returns:
        The ends; None for a pilot of fewer than three; the mean twice for a pilot that does not vary.

    >>> [round(end, 2) for end in two_stage_ends(0.5, 1.0, 5, 22, 0.05)]
    [-0.09, 1.09]
    """
    if pilot < MIN_VALUES or sd is None:
        return None, None
    if sd == 0:
        return mean, mean
    from scipy.special import stdtrit

    half = float(stdtrit(pilot - 1, 1 - alpha / 2)) * sd / math.sqrt(n)
    return mean - half, mean + half


def two_stage_p(mean: float, sd: float | None, pilot: int, n: int) -> float | None:
    """Return the two-sided p of a mean of 0: t = mean · √N / s₀ with n₀ − 1 degrees of freedom.

    The test that belongs to ``two_stage_ends``. The t test of all N values does not keep its level when their spread
    has chosen N.

    Returns:
        p; None for a pilot of fewer than three or one that does not vary.

    >>> round(two_stage_p(0.5, 1.0, 5, 22), 3)
    0.079
    """
    if pilot < MIN_VALUES or sd is None or sd == 0:
        return None
    from scipy.special import stdtr

    return float(2 * stdtr(pilot - 1, -abs(mean) * math.sqrt(n) / sd))
