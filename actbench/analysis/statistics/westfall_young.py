"""Sign-flip max-T: adjusted p of many differences at once, from the signs of whole seeds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from actbench.analysis.pairs_needed import MIN_VALUES
from actbench.analysis.statistics.samples import ROUNDING, Floats, checked, scaled
from actbench.analysis.statistics.sign_flips import sign_flip_p, sign_patterns

TIE = 1e-5
"""Weight of t where two p are equal: below the step of 1e-4 between two p that are counted."""


def max_t(differences: Floats) -> list[float | None]:
    """Return p adjusted by step-down max-T: a contrast's evidence against the largest evidence under sign flips.

    A flip turns all differences of a seed together, which keeps their correlation: contrasts to one baseline share its
    noise, so that they are fewer comparisons than Holm counts. Needs no normal differences, only symmetric ones. Exact
    up to 12 seeds, by 10,000 flips from a fixed seed beyond.

    The evidence T of a contrast under a pattern of signs is the smaller one of its two p, that of the paired t test and
    that of the sign-flip test, but at least 2^(1 − n), the smallest p that flips of its n pairs can reach; of equal p,
    the larger |t| is the stronger one. So a contrast never hides one whose own sign-flip p is below that number: with
    |t| alone, three pairs, whose t is easily huge, take every finding away from contrasts with ten.

    Order the contrasts by their observed evidence, T_1 the weakest. The raw p of contrast k is the share of sign
    patterns in which max_{j ≤ k} T_j* ≥ T_k, with the maximum over contrast k and all weaker ones; its adjusted p is
    the largest raw p of contrast k and all stronger ones, so that the order of p is that of T.

    Args:
        differences: (S, K), seed × contrast; NaN where a contrast lacks the seed.

    Returns:
        Adjusted p for each contrast; None for fewer than three pairs and where every difference is 0.

    Raises:
        ValueError: For an infinite number or one beyond 1e300.

    Reference: Westfall and Young (1993), Resampling-Based Multiple Testing.

    >>> max_t(np.array([[1.0, 0.1], [2.0, -0.3], [3.0, 0.1], [2.0, 0.0]]))
    [0.125, 1.0]
    """
    there = ~np.isnan(differences)
    checked(differences[there])
    # A seed that a contrast lacks becomes a difference of 0, which no flip changes.
    filled = np.where(there, differences, 0.0)
    pairs = there.sum(axis=0)
    tested = np.flatnonzero((pairs >= MIN_VALUES) & filled.any(axis=0))
    found: list[float | None] = [None] * differences.shape[1]
    if len(tested):
        # Where patterns are drawn, those of all seeds may miss a little of what those of a contrast's own seeds count.
        single = [sign_flip_p(scaled(differences[there[:, index], index])) for index in tested]
        for index, p in zip(tested, _step_down(filled[:, tested], pairs[tested], np.array(single)), strict=True):
            found[index] = float(p)
    return found


def _evidence(column: Floats, pairs: int, *, observed_only: bool = False) -> Floats:
    """Return T of one contrast under each pattern of signs, (patterns,), the observed one first; larger is stronger.

    Args:
        column: Differences, (S,), with 0 where the contrast lacks the seed.
        pairs: Number of seeds that it has.
        observed_only: Whether to return only that of the observed signs, (1,), in a tenth of the time.
    """
    from scipy.special import betainc  # scipy.stats takes a second to import, this a tenth

    column = scaled(column)  # squares of huge differences would overflow
    sums = np.abs(sign_patterns(len(column)) @ column)
    # The share of patterns with as large a sum; sums that are equal on paper may differ by rounding.
    room, patterns = ROUNDING * np.abs(column).sum(), len(sums)
    if observed_only:
        smaller, sums = np.count_nonzero(sums < sums[0] - room), sums[:1]
    else:
        smaller = np.searchsorted(np.sort(sums), sums - room)
    by_flips = 1 - smaller / patterns
    # Flips leave Σd² as it is. So with r² = (Σ±d)² / (n·Σd²), t² = (n − 1)·r² / (1 − r²), and the p of that t is an
    # incomplete beta function of 1 − r², which is finite where t is not.
    squares = np.minimum(np.square(sums) / (pairs * np.square(column).sum()), 1.0)
    by_t = betainc((pairs - 1) / 2, 0.5, 1 - squares)
    p = np.maximum(np.minimum(by_t, by_flips), 2.0 ** (1 - pairs))
    found: Floats = TIE * _bounded_t(squares, pairs) - p
    return found


def _bounded_t(squares: Floats, pairs: int) -> Floats:
    """Return t² / (1 + t²) of r²: it grows with |t| and ends at 1."""
    freedom = pairs - 1
    found: Floats = freedom * squares / (1 + (freedom - 1) * squares)
    return found


def _step_down(columns: Floats, pairs: NDArray[np.int_], single: Floats) -> Floats:
    """Return the adjusted p of each contrast, (K,), as ``max_t`` defines it; never below its own p.

    One contrast after the other, as the evidence of 5,000 under 10,000 patterns at once would take 400 MB.

    Args:
        columns: Differences, (S, K), with 0 where a contrast lacks the seed.
        pairs: Number of seeds that each has, (K,).
        single: The p of each contrast's own sign-flip test, (K,).
    """
    own = [(column, int(count)) for column, count in zip(columns.T, pairs, strict=True)]
    observed = np.array([_evidence(column, count, observed_only=True)[0] for column, count in own])
    # Weakest contrast first, so that a running maximum is the maximum over all weaker ones.
    order = np.argsort(observed, kind="stable")
    raw = np.empty(len(order))
    largest: Floats | None = None
    for place, index in enumerate(order):
        found = _evidence(*own[index])
        largest = found if largest is None else np.maximum(largest, found)
        # ROUNDING: patterns that tie with the observed one on paper count as ties, otherwise rounding would decide p.
        raw[place] = max(float((largest >= observed[index] - ROUNDING).mean()), single[index])
    # Step down: a contrast's p is at least that of every stronger one; then back to the order of the columns.
    ps = np.empty(len(order))
    ps[order] = np.maximum.accumulate(raw[::-1])[::-1]
    return ps
