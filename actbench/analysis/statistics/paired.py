"""The difference between two sides that share seeds: its size, its interval, its test and the gain of pairing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from actbench.analysis.pairs_needed import MIN_VALUES
from actbench.analysis.statistics.intervals import t_ends
from actbench.analysis.statistics.samples import Floats, centre, checked, size, standard_deviation, varies
from actbench.analysis.statistics.sign_flips import sign_flip_p

Test = Literal["t", "sign-flip"]


@dataclass(frozen=True)
class Difference:
    """The paired difference of two sides, a − b seed by seed.

    Args:
        difference: Mean of a − b over the common seeds; None when no seed is common.
        low: Lower end of its Student-t interval; None for fewer than three pairs, and under the sign-flip test.
        high: Upper end.
        p: Two-sided; None for fewer than three pairs, and where the differences are all 0 or, under ``t``, do not vary.
        n_pairs: Seeds that both sides have.
        wins: Pairs in which a is the better one.
        losses: Pairs in which b is; the rest are ties.
        pairing_gain: (var a + var b) / var(a − b): by what factor pairing multiplies the seeds' worth.
        note: ``identical``, ``constant`` (the same difference in every pair) or empty.
    """

    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    n_pairs: int
    wins: int
    losses: int
    pairing_gain: float | None
    note: str = ""


def paired_difference(
    a: Mapping[int, float],
    b: Mapping[int, float],
    *,
    alpha: float = 0.05,
    higher_is_better: bool = True,
    test: Test = "t",
) -> Difference:
    """Compare two sides over the seeds that both have; nothing is imputed.

    Runs of one seed share initial weights and batches, so their difference is free of what both share: in the ReLU
    family it has 1 to 17 % of the unpaired variance, which is worth 6 to 100 times the seeds.

    Args:
        a: Seed -> finite value.
        b: The baseline's, likewise.
        alpha: One minus the interval's coverage.
        higher_is_better: Which side of a pair wins.
        test: Paired ``t``, or the exact ``sign-flip`` test for bounded, zero-inflated values such as a dead fraction,
            for which there is no interval.

    Raises:
        ValueError: For a number that is NaN, infinite or beyond 1e300.

    >>> paired_difference({0: 1.0, 1: 2.0, 2: 4.0}, {1: 1.0, 2: 2.0, 3: 9.0}).n_pairs
    2
    """
    seeds = sorted(a.keys() & b.keys())
    left, right = checked([a[seed] for seed in seeds]), checked([b[seed] for seed in seeds])
    differences = left - right
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    if not higher_is_better:
        wins, losses = losses, wins
    n, note = len(seeds), _note(differences, left, right)
    if n == 0:
        return Difference(None, None, None, None, 0, 0, 0, None)
    # Differences that are constant but for rounding get their median and no spread, or a test would take the last bits
    # for variation and find p = 0.
    mean, sd = (float(np.median(differences)), 0.0) if note else (centre(differences), standard_deviation(differences))
    low, high = t_ends(mean, sd, n, alpha) if test == "t" else (None, None)
    p = gain = None
    if n >= MIN_VALUES and note != "identical":
        # Both tests are free of scale, and the difference of two huge values may exceed what they accept.
        scaled = differences / size(differences)
        if test == "sign-flip":  # needs no variation: the same difference in six of six seeds is not chance
            p = sign_flip_p(scaled)
        elif not note:
            p = t_p(scaled)
        gain = None if note else _gain(left, right)
    return Difference(mean, low, high, p, n, wins, losses, gain, note)


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


def _note(differences: Floats, left: Floats, right: Floats) -> str:
    """Return ``identical`` or ``constant`` for differences that do not vary but by rounding of the two sides."""
    if len(differences) < 2:
        return ""
    if not differences.any():
        return "identical"
    return "" if varies(differences, max(size(left), size(right))) else "constant"


def _gain(left: Floats, right: Floats) -> float:
    """Return (var a + var b) / var(a − b) of values scaled to 1, so that no square leaves the range of floats."""
    scale = max(size(left), size(right))
    left, right = left / scale, right / scale
    return float((left.var(ddof=1) + right.var(ddof=1)) / (left - right).var(ddof=1))
