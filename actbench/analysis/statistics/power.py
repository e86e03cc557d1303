"""Power of the tests: how often the paired t test and sign flips find a difference, seeds needed, equivalence."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache, lru_cache, partial

import numpy as np

from actbench.analysis.pairs_needed import FLIPS, MAX_EXACT_PAIRS, MIN_VALUES, fewest_pairs
from actbench.analysis.statistics.anytime import anytime_t
from actbench.analysis.statistics.paired import Difference
from actbench.analysis.statistics.samples import ROUNDING, Floats, checked, size, standard_deviation
from actbench.analysis.statistics.sign_flips import sign_patterns

MAX_SEEDS = 1_000_000
"""Nobody runs more, so where more would be needed there is no number of seeds to name."""

RESAMPLES = 1000
"""Studies drawn to estimate a power: one of .8 is then known to ± .013."""

MAX_RESAMPLED_PAIRS = 40
"""Up to here a power of sign flips is estimated from drawn studies; beyond, many zeros and ties hardly matter."""

OTHERS, OTHERS_AT_LEAST = 1.2, 0.35
"""A contrast of noise has evidence of at least T in a share 1.2·T + 0.35·2^(1 − n) of sign patterns: of 150 normal
contrasts with 6 to 12 pairs 1.1·T to 1.2·T, and 1.3·T to 1.55·T where T is 2^(1 − n), the smallest p that there is."""

NODES = 200
"""Of the quadrature over the standard deviation: six digits of the power."""


def t_power(effect: float, n: int, alpha: float = 0.05, *, anytime: bool = False) -> float:
    """Return the power of the two-sided paired t test: its chance to find a true difference.

    P(|T| > c), c = t(1 − α/2, n − 1), for a noncentral t with n − 1 degrees of freedom and noncentrality d·√n, as the
    mean of Φ(d·√n − c·s) + Φ(−d·√n − c·s) over the distribution of the sample's standard deviation s (in units of the
    true one). scipy's own function for it, nctdtr, is NaN for some large effects.

    Args:
        effect: d, the true mean difference over the standard deviation of the differences.
        n: Pairs, at least two.
        alpha: Level of the test.
        anytime: Whether it is the anytime-valid t test, with its own c (``anytime_t``), at a single look.

    Reference: Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, chapter 2.

    >>> round(t_power(1.0, 10), 2)
    0.8
    """
    from scipy.special import ndtr

    margins, weights = _margins(n, alpha, anytime=anytime)
    if np.isinf(margins).any():  # no |t| of so few pairs is enough
        return 0.0
    shift = abs(effect) * math.sqrt(n)
    return min(1.0, float(weights @ (ndtr(shift - margins) + ndtr(-shift - margins))))


def seeds_needed(
    difference: float,
    sd: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    comparisons: int = 1,
    anytime: bool = False,
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
        anytime: Whether it is the anytime-valid t test.

    Returns:
        At least 3; None when the difference is 0 or more than a million would be needed.

    >>> seeds_needed(1.0, 1.0), seeds_needed(1.0, 1.0, comparisons=9), seeds_needed(0.5, 1.0)
    (10, 17, 34)
    """
    if difference == 0:
        return None
    effect, level = abs(difference) / sd if sd > 0 else math.inf, alpha / comparisons
    found = partial(t_power, effect, alpha=level, anytime=anytime)
    if found(MAX_SEEDS) < power:
        return None
    return MIN_VALUES + bisect_left(range(MIN_VALUES, MAX_SEEDS), power, key=found)


def seeds_needed_by_flips(
    differences: Sequence[float] | Floats, *, alpha: float = 0.05, power: float = 0.8, comparisons: int = 1
) -> int | None:
    """Return the fewest pairs with which sign-flip max-T finds the difference that was seen, with the wanted power.

    Shares such as dead fractions are far from normal, and many of their differences are 0. So up to 40 pairs the power
    is that of studies which draw their differences, with replacement, from those that were seen (``flips_power``); with
    more pairs that of the t test with Bonferroni's bound, which sign flips then equal (Pitman, 1937). Never fewer pairs
    than can be below alpha: six at .05.

    Args:
        differences: Those that were seen, one per seed.
        alpha: Level of the whole family.
        power: Chance of finding the difference.
        comparisons: Size of the family; the others are taken to be noise.

    Returns:
        None when the mean is 0, or when no number of pairs, or more than a million, would do.

    Reference: Pitman (1937), Significance tests which may be applied to samples from any populations, Supplement to the
    JRSS 4. Davison, Hinkley (1997), Bootstrap Methods and their Application, section 4.6 (power by resampling).

    >>> seeds_needed_by_flips([-0.29, -0.31, -0.28]), seeds_needed_by_flips([0.3, 0.0, 0.0, 0.2])
    (6, 14)
    """
    data = checked(differences)
    least = fewest_pairs(alpha)
    if least is None or not data.any():
        return None
    data = data / size(data)
    for n in range(least, MAX_RESAMPLED_PAIRS + 1):
        if flips_power(data, n, alpha=alpha, comparisons=comparisons) >= power:
            return n
    needed = seeds_needed(
        float(data.mean()), standard_deviation(data) or 0.0, alpha=alpha, power=power, comparisons=comparisons
    )
    return None if needed is None else max(needed, MAX_RESAMPLED_PAIRS + 1)


def flips_power(differences: Floats, n: int, *, alpha: float = 0.05, comparisons: int = 1) -> float:
    """Return how often n differences, drawn with replacement from these, are found by sign-flip max-T.

    The adjusted p of a contrast is the share of sign patterns in which its own evidence T or that of any other contrast
    is as strong as the observed one, and T is the smaller p of its sign-flip and its t test (``max_t``). Its own share
    is its sign-flip p, whichever of the two is smaller; each other contrast, taken to be noise, adds about
    1.2·T + 0.35·2^(1 − n). So found is what has p_flips + (comparisons − 1) · (1.2·T + 0.35·2^(1 − n)) below alpha.

    Args:
        differences: At least one that is not 0.
        n: Pairs of a study, at least two.
        alpha: Level of the whole family.
        comparisons: Size of the family.
    """
    from scipy.special import betainc

    least = 2.0 ** (1 - n)
    if least + (comparisons - 1) * (OTHERS * least + OTHERS_AT_LEAST * least) >= alpha:
        return 0.0  # no p of so few pairs is smaller
    drawn = np.random.default_rng(0).choice(differences, size=(RESAMPLES, n))
    drawn = drawn[drawn.any(axis=1)]  # a study without any difference finds none
    by_flips = _flips_p(drawn)
    squares = np.minimum(np.square(drawn.sum(axis=1)) / (n * np.square(drawn).sum(axis=1)), 1.0)  # r², as in max_t
    by_t = betainc((n - 1) / 2, 0.5, 1 - squares)
    evidence = np.maximum(np.minimum(by_t, by_flips), least)
    found = by_flips + (comparisons - 1) * (OTHERS * evidence + OTHERS_AT_LEAST * least) < alpha
    return float(found.sum() / RESAMPLES)


def _flips_p(studies: Floats) -> Floats:
    """Return the sign-flip p of each study, (studies,): exact up to 12 pairs.

    Beyond, that of the normal distribution, 2·Φ(−|Σd| / √Σd²), but at least 2^(1 − k) with k differences other than 0.

    Args:
        studies: Differences, (studies, n), in each study one at least that is not 0.
    """
    from scipy.special import ndtr

    n = studies.shape[1]
    if n <= MAX_EXACT_PAIRS:
        sums = np.abs(studies @ sign_patterns(n).T)  # (studies, patterns)
        tolerance = ROUNDING * np.abs(studies).sum(axis=1, keepdims=True)
        exact: Floats = (sums >= sums[:, :1] - tolerance).mean(axis=1)
        return exact
    scores = np.abs(studies.sum(axis=1)) / np.sqrt(np.square(studies).sum(axis=1))
    least = np.maximum(2.0 ** (1 - np.count_nonzero(studies, axis=1)), 1 / FLIPS)
    found: Floats = np.maximum(2 * ndtr(-scores), least)
    return found


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
def _margins(n: int, alpha: float, *, anytime: bool) -> tuple[Floats, Floats]:
    """Return the mean's least distance from 0 (c·s, in standard errors) at each node, and the nodes' weights."""
    from scipy.special import gammaincinv, stdtrit

    nodes, weights = _quadrature()
    # (n − 1)·s² is χ² with n − 1 degrees of freedom: its quantiles at the nodes, as standard deviations.
    deviations = np.sqrt(2 * gammaincinv((n - 1) / 2, nodes) / (n - 1))
    return (anytime_t(n, alpha) if anytime else -stdtrit(n - 1, alpha / 2)) * deviations, weights


@cache
def _quadrature() -> tuple[Floats, Floats]:
    """Return Gauss and Legendre's nodes and weights on 0 … 1, here the ranks of s in its distribution."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return (nodes + 1) / 2, weights / 2
