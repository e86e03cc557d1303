"""Intervals and tests for studies that are looked at while seeds are added: they hold at every look at once.

An interval of the usual kind is right with the number of seeds that was fixed beforehand. Whoever looks after each seed
and stops at a moment of their choice has as many chances to be wrong as looks: in 23 to 27 % of studies at least one of
the 95 % t intervals from 3 or 5 to 30 seeds misses the truth. The intervals here miss it at any look in at most 5 % of
studies, however many looks there are and whatever they lead to.

Each test is a bet against "no difference" whose winnings are, on average, never more than 1 while there is none. That
they ever exceed 1/alpha then has a chance of at most alpha (Ville, 1939), and p = 1 / winnings is valid at any look.
"""

from __future__ import annotations

import math

from actbench.analysis.pairs_needed import MIN_VALUES

EFFECT_VARIANCE = 4.0
"""g: the bet is spread over effects d (mean over standard deviation) as a normal distribution of this variance.

With 1 there is no interval below five pairs, and that of five is 3.0 times as wide as Student's; with 4 there is one
from four pairs on, and five make it 1.9 times as wide, ten 1.8 times, thirty 1.7 times. Beyond, every further pair is
dearer: with 50 it is 2.2 times as wide with five and 2.0 times with thirty (``docs/statistics.md``).
"""


def anytime_ends(mean: float, sd: float | None, n: int, alpha: float) -> tuple[float | None, float | None]:
    r"""Return the ends of the interval of a mean that holds at every look at once, for roughly normal values.

    The winnings against the mean μ after n values, with t² = n · (mean − μ)² / sd², are

    B = (1 + n·g)^(−1/2) · ((1 + t²/(n − 1)) / (1 + t²/((n − 1)·(1 + n·g))))^(n/2),

    the ratio of the likelihoods of t with an effect drawn from N(0, g) and without one. The interval has the μ with
    B < 1/alpha: with r = 1/(1 + n·g) and A = (alpha·√r)^(−2/n) those with t²/(n − 1) < (A − 1) / (1 − A·r).

    Args:
        mean: Of the values.
        sd: Their standard deviation (n − 1); None for fewer than two.
        n: Number of values.
        alpha: Chance that an interval of one study, at any of its looks, does not hold the true mean.

    Returns:
        The ends; None for fewer than three values, or too few for any finite interval (three at .05); the mean twice
        for constant values, as in ``t_ends``.

    Reference: Lai (1976), On confidence sequences, Annals of Statistics 4. Wang and Ramdas (2025), Anytime-valid
    t-tests and confidence sequences for Gaussian means with unknown variance, Sequential Analysis 44. Rouder et al.
    (2009), Bayesian t tests for accepting and rejecting the null hypothesis, Psychonomic Bulletin & Review 16 (the
    ratio for a fixed n).

    >>> [round(end, 2) for end in anytime_ends(1.58, 1.23, 10, 0.05)]  # Student's [0.70, 2.46] is narrower
    [0.04, 3.12]
    >>> anytime_ends(1.58, 1.23, 3, 0.05)
    (None, None)
    """
    if n < MIN_VALUES or sd is None:
        return None, None
    if sd == 0:
        return mean, mean
    limit = anytime_t(n, alpha)
    if math.isinf(limit):
        return None, None
    half = limit * sd / math.sqrt(n)
    return mean - half, mean + half


def anytime_t(n: int, alpha: float, *, effect_variance: float = EFFECT_VARIANCE) -> float:
    """Return the |t| from which on n values contradict a mean at level alpha; infinite where no |t| does.

    Args:
        n: Number of values, at least two.
        alpha: Level over all looks together.
        effect_variance: g; another one than the default is for measuring what it costs.

    >>> round(anytime_t(10, 0.05), 2), anytime_t(3, 0.05)
    (3.97, inf)
    """
    shrink = 1 / (1 + n * effect_variance)
    # (alpha · √r)^(−2/n) in logarithms: alpha may be tiny where a family shares it.
    growth = math.exp(min(700.0, -2 / n * (math.log(alpha) + math.log(shrink) / 2)))
    if growth * shrink >= 1:
        return math.inf
    return math.sqrt((n - 1) * (growth - 1) / (1 - growth * shrink))


def anytime_p(mean: float, sd: float | None, n: int) -> float | None:
    """Return the p of a mean of 0 that is valid at any look: 1/B of ``anytime_ends``, at most 1.

    Args:
        mean: Of roughly normal values.
        sd: Their standard deviation (n − 1).
        n: Number of values.

    Returns:
        p; None for fewer than three values and for constant ones.

    >>> round(anytime_p(1.58, 1.23, 10), 3)
    0.044
    """
    if n < MIN_VALUES or sd is None or sd == 0:
        return None
    widened, effect = 1 + n * EFFECT_VARIANCE, mean / sd
    x = n * effect * effect / (n - 1)  # t²/(n − 1); a power of a huge effect would raise where a product is infinite
    ratio = math.log(widened) if math.isinf(x) else math.log1p(x) - math.log1p(x / widened)
    return min(1.0, math.exp(math.log(widened) / 2 - n / 2 * ratio))


def smallest_anytime_p(n: int) -> float:
    """Return the smallest p that ``anytime_p`` reaches with n values: (1 + n·g)^(−(n − 1)/2).

    >>> round(smallest_anytime_p(3), 3), round(smallest_anytime_p(5), 4)
    (0.077, 0.0023)
    """
    return math.exp(-(n - 1) / 2 * math.log(1 + n * EFFECT_VARIANCE))


def anytime_sign_p(wins: int, losses: int) -> float:
    r"""Return the p, valid at any look, of differences that are as likely above 0 as below: the sign test's bet.

    With k of m differences above 0, and those of 0 left out, the winnings are 2^m · B(k + ½, m − k + ½) / B(½, ½), the
    mean of the likelihood ratio (2θ)^k · (2(1 − θ))^(m − k) over Jeffreys' prior of the share θ. For bounded shares
    such as a dead fraction, which are far from normal.

    Args:
        wins: Differences on one side.
        losses: Differences on the other.

    Reference: Ville (1939), Étude critique de la notion de collectif. Robbins (1970), Statistical methods related to
    the law of the iterated logarithm, Annals of Mathematical Statistics 41 (mixtures).

    >>> round(anytime_sign_p(7, 0), 3), anytime_sign_p(1, 1)
    (0.037, 1.0)
    """
    # The beta function is positive here, so the logarithms of three gamma functions are all that it takes.
    total = wins + losses
    log_beta = math.lgamma(wins + 0.5) + math.lgamma(losses + 0.5) - math.lgamma(total + 1) - math.log(math.pi)
    return min(1.0, math.exp(-total * math.log(2) - log_beta))
