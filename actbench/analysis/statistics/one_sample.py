"""The interval and the p of one sample's mean, by the test in use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from actbench.analysis.pairs_needed import MAX_USEFUL_PAIRS, MIN_VALUES, smallest_p
from actbench.analysis.statistics.anytime import anytime_ends, anytime_p, anytime_sign_p, smallest_anytime_p
from actbench.analysis.statistics.intervals import t_ends
from actbench.analysis.statistics.samples import Floats, centre, checked, size, standard_deviation, varies
from actbench.analysis.statistics.sign_flips import sign_flip_p
from actbench.analysis.statistics.two_stage import two_stage_ends, two_stage_p

Test = Literal["t", "sign-flip", "two-stage t", "anytime t", "anytime signs"]
"""``t`` for roughly normal values, ``sign-flip`` for bounded, zero-inflated ones such as a dead fraction, for which
there is no interval; ``two-stage t`` where the spread of the first seeds chose the number of all; the ``anytime`` ones
where it may depend on what was seen."""

BY_HOLM: tuple[Test, ...] = ("two-stage t", "anytime t", "anytime signs")
"""Tests that are adjusted by Holm's method whatever the number of pairs: sign flips are not valid in their place."""

BY_SIGNS: tuple[Test, ...] = ("sign-flip", "anytime signs")
"""Tests without an interval."""


def ends_of(
    values: Floats, test: Test, alpha: float, *, pilot: Sequence[float] | Floats = ()
) -> tuple[float | None, float | None]:
    """Return the ends of the interval of a mean that belongs to a test; None where there is none.

    Args:
        values: At least one, constant ones exactly so.
        test: The test.
        alpha: One minus the coverage.
        pilot: For ``two-stage t``, those of the first stage.
    """
    if test in BY_SIGNS:
        return None, None
    mean, sd, n = centre(values), standard_deviation(values), len(values)
    if test == "anytime t":
        return anytime_ends(mean, sd, n, alpha)
    if test == "two-stage t":
        first = np.asarray(pilot, dtype=np.float64)
        if sd and _is_without_spread(first):  # a spread of 0 that the second stage has refuted
            return None, None
        return two_stage_ends(mean, standard_deviation(first), len(first), n, alpha)
    return t_ends(mean, sd, n, alpha)


def p_of(values: Floats, test: Test, *, pilot: Sequence[float] | Floats = ()) -> float | None:
    """Return the two-sided p of a mean of 0; None for fewer than three values, and under a t test for constant ones.

    Args:
        values: Numbers of any size; the tests are free of scale.
        test: The test.
        pilot: For ``two-stage t``, those of the first stage.
    """
    n, scale = len(values), size(values)
    if n < MIN_VALUES or scale == 0:
        return None
    data = values / scale
    if test == "sign-flip":
        return sign_flip_p(data)
    if test == "anytime signs":
        return anytime_sign_p(int((data > 0).sum()), int((data < 0).sum()))
    if not varies(data, 1.0):
        return None
    if test == "anytime t":
        return anytime_p(float(data.mean()), standard_deviation(data), n)
    if test == "two-stage t":
        first = np.asarray(pilot, dtype=np.float64) / scale
        if _is_without_spread(first):
            return None
        return two_stage_p(float(data.mean()), standard_deviation(first), len(first), n)
    return t_p(values)


def t_p(differences: Sequence[float] | Floats) -> float | None:
    """Return the two-sided p of the one-sample t test of mean 0: t = mean · √n / sd with n − 1 degrees of freedom.

    For differences that are roughly normal; with fewer than eight pairs only a test that assumes so can reach small p.

    Args:
        differences: Finite numbers, one per seed.

    Returns:
        p; None for fewer than three differences and for constant ones.

    Raises:
        ValueError: For a number that is NaN, infinite or beyond 1e300.

    Reference: Student (1908), The probable error of a mean, Biometrika 6.

    >>> round(t_p([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]), 4)  # Student's own example
    0.0028
    """
    data = checked(differences)
    n, scale = len(data), size(data)
    if n < MIN_VALUES or not varies(data, scale):
        return None
    from scipy.special import stdtr  # scipy.stats takes a second to import, this a tenth

    data = data / scale
    t = abs(float(data.mean())) / float(data.std(ddof=1)) * math.sqrt(n)
    return float(2 * stdtr(n - 1, -t))


def smallest_p_of(test: Test, n: int) -> float:
    """Return the smallest p that a test can reach with n values; 1 for fewer than three.

    >>> smallest_p_of("t", 5), smallest_p_of("sign-flip", 5), round(smallest_p_of("anytime signs", 5), 3)
    (0.0, 0.0625, 0.127)
    """
    if n < MIN_VALUES:
        return 1.0
    if test == "anytime t":
        return smallest_anytime_p(n)
    if test == "anytime signs":
        return anytime_sign_p(n, 0)
    return smallest_p(n) if test == "sign-flip" else 0.0


def fewest_values(test: Test, alpha: float) -> int | None:
    """Return the fewest values with which a test can be below alpha; None where no useful number can.

    >>> [fewest_values(test, 0.05) for test in ("t", "sign-flip", "anytime t", "anytime signs")]
    [3, 6, 4, 7]
    """
    most = MAX_USEFUL_PAIRS if test == "sign-flip" else 4 * MAX_USEFUL_PAIRS
    return next((n for n in range(MIN_VALUES, most + 1) if smallest_p_of(test, n) < alpha), None)


def _is_without_spread(values: Floats) -> bool:
    return len(values) < MIN_VALUES or not varies(values, size(values))
