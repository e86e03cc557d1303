"""Intervals: Student's for a mean and for one further value, Wilson's for a count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from actbench.analysis.pairs_needed import MIN_VALUES
from actbench.analysis.statistics.samples import centre, checked, standard_deviation


@dataclass(frozen=True)
class Interval:
    """A mean with its Student-t interval.

    Args:
        mean: None when there are no values.
        low: Lower end of the interval, in the values' unit; None for fewer than three values.
        high: Upper end.
        sd: Standard deviation (n − 1); None for fewer than two values.
        min: Smallest value.
        max: Largest value.
        n: Number of values.
    """

    mean: float | None
    low: float | None
    high: float | None
    sd: float | None
    min: float | None
    max: float | None
    n: int


def mean_interval(values: Sequence[float], alpha: float = 0.05) -> Interval:
    r"""Return a mean and its interval, mean ± t(1 − α/2, n − 1) · sd / √n.

    For values that are roughly normal. At nominal .95 the interval of five normal values holds the true mean in .953 of
    cases; z in .882, the percentile bootstrap in .840 and mean ± 1 sd in .913 (``docs/statistics.md``). When 5 % of
    runs collapse deeply no interval of the mean survives, this one holds it in .52 to .85: count such runs beside it.

    Args:
        values: Finite numbers, one per seed.
        alpha: One minus the coverage.

    Raises:
        ValueError: For a number that is NaN, infinite or beyond 1e300.

    Reference: Student (1908), The probable error of a mean, Biometrika 6.

    >>> mean_interval([0.0, 0.0, 0.0])
    Interval(mean=0.0, low=0.0, high=0.0, sd=0.0, min=0.0, max=0.0, n=3)
    >>> mean_interval([1.0, 3.0]).low is None
    True
    """
    data = checked(values)
    n = len(data)
    if n == 0:
        return Interval(None, None, None, None, None, None, 0)
    mean, sd = centre(data), standard_deviation(data)
    low, high = t_ends(mean, sd, n, alpha)
    return Interval(mean, low, high, sd, float(data.min()), float(data.max()), n)


def t_ends(mean: float, sd: float | None, n: int, alpha: float) -> tuple[float | None, float | None]:
    """Return the ends of a Student-t interval: None for fewer than three values, the mean twice for constant ones.

    >>> [round(end, 2) for end in t_ends(1.58, 1.23, 10, 0.05)]  # Student's own example: hours of sleep gained
    [0.7, 2.46]
    """
    if n < MIN_VALUES or sd is None:
        return None, None
    if sd == 0:
        return mean, mean
    from scipy.special import stdtrit  # scipy.stats takes a second to import, this a tenth

    half = float(stdtrit(n - 1, 1 - alpha / 2)) * sd / math.sqrt(n)
    return mean - half, mean + half


def prediction_interval(values: Sequence[float], alpha: float = 0.05) -> tuple[float, float]:
    """Return the interval that one further value of the same kind lies in: mean ± t(1 − α/2, n − 1) · sd · √(1 + 1/n).

    Args:
        values: At least two finite numbers, roughly normal.
        alpha: The chance that such a value lies outside.

    Raises:
        ValueError: For fewer than two values, or a number that is NaN, infinite or beyond 1e300.

    Reference: Hahn and Meeker (1991), Statistical Intervals, section 4.8.

    >>> [round(end, 2) for end in prediction_interval([51.4, 49.5, 48.7, 49.3, 51.6])]
    [46.11, 54.09]
    """
    data = checked(values)
    sd = standard_deviation(data)
    if sd is None:
        raise ValueError("a prediction needs two values")
    from scipy.special import stdtrit

    mean, n = centre(data), len(data)
    half = float(stdtrit(n - 1, 1 - alpha / 2)) * sd * math.sqrt(1 + 1 / n)
    return mean - half, mean + half


def wilson_interval(count: int, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Return the interval of a true share when ``count`` of n runs did something, such as diverge.

    (p + z²/2n ± z·√(p(1 − p)/n + z²/4n²)) / (1 + z²/n), with p = count/n and z = z(1 − α/2). Unlike p ± z·sd it stays
    within 0 … 1 and has a width at 0 of n: no failure in 5 runs leaves room for a failure rate of 43 %.

    Args:
        count: Runs that did, 0 … n.
        n: All runs; 0 leaves every share possible.
        alpha: One minus the coverage.

    Raises:
        ValueError: When the count is not within 0 … n.

    Reference: Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22.

    >>> [round(end, 2) for end in wilson_interval(0, 5)]
    [0.0, 0.43]
    """
    if not 0 <= count <= n:
        raise ValueError(f"{count} of {n} runs is not a count")
    if n == 0:
        return 0.0, 1.0
    from scipy.special import ndtri

    share, z = count / n, float(ndtri(1 - alpha / 2))
    middle = share + z**2 / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    low, high = ((middle + side) / (1 + z**2 / n) for side in (-half, half))
    # Exactly 0 and 1 at the borders, where rounding would leave 1e-17 and 1 − 1e-16.
    return 0.0 if count == 0 else low, 1.0 if count == n else high
