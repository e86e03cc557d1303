"""The share of runs that end in one way: its exact interval and test, and those that hold at every look."""

from __future__ import annotations

import math

from actbench.analysis.statistics.chance import exact_interval


def share_p(count: int, n: int, share: float, *, anytime: bool = False) -> float:
    """Return the two-sided p of a true share, when an event happened in ``count`` of n independent cases.

    p = min(1, 2 · min(P(X ≤ count), P(X ≥ count))) with X ~ Bin(n, share): it is below α exactly where the share lies
    outside ``share_interval``.

    Args:
        count: Cases with the event, 0 … n.
        n: All cases, at least one.
        share: The share to be tested; one outside 0 … 1 is impossible, with p = 0.
        anytime: Whether n may depend on what was seen.

    Raises:
        ValueError: When the count is not within 0 … n.

    Reference: Clopper and Pearson (1934), The use of confidence or fiducial limits illustrated in the case of the
    binomial, Biometrika 26.

    >>> round(share_p(10, 10, 0.5), 5), share_p(1, 10, 0.0), share_p(0, 10, 0.0)
    (0.00195, 0.0, 1.0)
    """
    _check(count, n)
    if not 0 <= share <= 1:
        return 0.0
    if anytime:
        return _anytime_p(count, n, share)
    from scipy.special import bdtr, bdtrc  # scipy.stats takes a second to import, this a tenth

    at_most = float(bdtr(count, n, share))
    at_least = 1.0 if count == 0 else float(bdtrc(count - 1, n, share))
    return min(1.0, 2 * min(at_most, at_least))


def share_interval(count: int, n: int, alpha: float = 0.05, *, anytime: bool = False) -> tuple[float, float]:
    """Return the interval of a true share that belongs to ``share_p``: Clopper and Pearson's, or one for every look.

    Args:
        count: Cases with the event, 0 … n.
        n: All cases, at least one.
        alpha: One minus the coverage.
        anytime: Whether n may depend on what was seen.

    Raises:
        ValueError: When the count is not within 0 … n.

    >>> [round(end, 3) for end in share_interval(5, 5)], [round(end, 3) for end in share_interval(5, 5, anytime=True)]
    ([0.478, 1.0], [0.415, 1.0])
    """
    _check(count, n)
    if not anytime:
        return exact_interval(count, n, alpha)
    seen = count / n
    # p falls on both sides of the share seen, where it is 1.
    low = 0.0 if count == 0 else _crossing(count, n, alpha, outside=0.0, inside=seen)
    high = 1.0 if count == n else _crossing(count, n, alpha, outside=1.0, inside=seen)
    return low, high


def smallest_share_p(n: int, share: float, *, above: bool, anytime: bool = False) -> float:
    """Return the smallest p that n cases can reach for a true share above this one, or below it.

    >>> round(smallest_share_p(36, 0.9, above=True), 3), round(smallest_share_p(35, 0.9, above=True), 3)
    (0.045, 0.05)
    """
    return share_p(n if above else 0, n, share, anytime=anytime)


def _anytime_p(count: int, n: int, share: float) -> float:
    """Return 1 over the winnings of a bet against the share: the likelihood's mean over Jeffreys' prior, over its own.

    For a share of one half this is ``anytime_sign_p``.

    Reference: Robbins (1970), Statistical methods related to the law of the iterated logarithm, Annals of Mathematical
    Statistics 41.
    """
    if (share == 0 and count) or (share == 1 and count < n):
        return 0.0
    log_beta = math.lgamma(count + 0.5) + math.lgamma(n - count + 0.5) - math.lgamma(n + 1) - math.log(math.pi)
    log_own = (count * math.log(share) if count else 0.0) + ((n - count) * math.log1p(-share) if count < n else 0.0)
    return math.exp(min(0.0, log_own - log_beta))


def _crossing(count: int, n: int, alpha: float, *, outside: float, inside: float) -> float:
    """Return where the p of a share crosses α between a share outside the interval and one inside, by halving."""
    for _ in range(60):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if _anytime_p(count, n, middle) < alpha else (outside, middle)
    return outside


def _check(count: int, n: int) -> None:
    if not 0 <= count <= n or n < 1:
        raise ValueError(f"{count} of {n} cases is not a count")
