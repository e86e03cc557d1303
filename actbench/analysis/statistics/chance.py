"""The chance that one side beats the other on a new seed, and that they differ by more than does matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actbench.analysis.pairs_needed import MIN_VALUES
from actbench.analysis.statistics.samples import ROUNDING, Floats, checked, size


@dataclass(frozen=True)
class Chance:
    """The chance of an event on a new seed, as counted on the seeds so far.

    Args:
        share: Share of the seeds in which it happened, 0 … 1.
        low: Lower end of its interval.
        high: Upper end.
        n: Number of seeds.
    """

    share: float
    low: float
    high: float
    n: int


def chance_of_more(differences: Sequence[float] | Floats, alpha: float = 0.05) -> Chance | None:
    """Return the chance that the difference on a new seed is above 0, where one of exactly 0 counts half.

    P(d > 0) + P(d = 0)/2, by counting. The normal model Φ(mean/sd) has an interval, too, from the noncentral t
    distribution, which is a quarter narrower and exact for normal differences. But it covers the truth in .80 to .96
    of cases where differences have heavy tails, and in .50 to .98 where runs collapse, against .96 and more for
    counting in each (``docs/statistics.md``).

    Args:
        differences: Finite numbers, one per seed.
        alpha: One minus the coverage of the interval, which is ``exact_interval``.

    Returns:
        The chance; None for fewer than three seeds.

    Raises:
        ValueError: For a number that is NaN, infinite or beyond 1e300.

    >>> chance_of_more([0.3, 0.1, 0.0, 0.2]).share
    0.875
    """
    data = checked(differences)
    return _chance(float((data > 0).sum() + (data == 0).sum() / 2), len(data), alpha)


def chances_within(
    differences: Sequence[float] | Floats, delta: float, alpha: float = 0.05
) -> tuple[Chance, Chance, Chance] | None:
    """Return the chances of a difference on a new seed below −δ, within ±δ and above δ; each has its own interval.

    Args:
        differences: Finite numbers, one per seed.
        delta: The largest difference that does not matter, above 0.
        alpha: One minus the coverage of each interval.

    Returns:
        The three chances, whose shares add up to 1; None for fewer than three seeds.

    Raises:
        ValueError: When delta is not above 0, and for a number that is NaN, infinite or beyond 1e300.

    >>> [one.share for one in chances_within([0.3, 0.1, 0.0, -0.2], delta=0.1)]
    [0.25, 0.5, 0.25]
    """
    if not delta > 0:
        raise ValueError(f"delta should be above 0, not {delta:g}")
    data = checked(differences)
    # 0.901 − 0.9 is a little above 0.001 by rounding alone.
    border = delta + ROUNDING * max(1.0, size(data))
    below, above = float((data < -border).sum()), float((data > border).sum())
    found = [_chance(count, len(data), alpha) for count in (below, len(data) - below - above, above)]
    worse, same, better = found
    return None if worse is None or same is None or better is None else (worse, same, better)


def exact_interval(count: float, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Return Clopper and Pearson's interval of a true share, when an event happened in ``count`` of n cases.

    The shares by which neither as many events nor as few have a chance below α/2: the ends are the α/2 quantile of
    Beta(count, n − count + 1) and the 1 − α/2 quantile of Beta(count + 1, n − count). It covers the truth at least as
    often as it says, for any share and any n; Wilson's does on average over shares.

    Args:
        count: Cases, 0 … n; a half for an event that counts half, which only makes the interval wider than needed.
        n: All cases, at least one.
        alpha: One minus the coverage.

    Raises:
        ValueError: When the count is not within 0 … n.

    Reference: Clopper and Pearson (1934), The use of confidence or fiducial limits illustrated in the case of the
    binomial, Biometrika 26.

    >>> [round(end, 3) for end in exact_interval(5, 5)]
    [0.478, 1.0]
    """
    if not 0 <= count <= n or n < 1:
        raise ValueError(f"{count:g} of {n} cases is not a count")
    from scipy.special import betaincinv

    low = 0.0 if count == 0 else float(betaincinv(count, n - count + 1, alpha / 2))
    high = 1.0 if count == n else float(betaincinv(count + 1, n - count, 1 - alpha / 2))
    return low, high


def _chance(count: float, n: int, alpha: float) -> Chance | None:
    return None if n < MIN_VALUES else Chance(count / n, *exact_interval(count, n, alpha), n)
