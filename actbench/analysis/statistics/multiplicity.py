"""Adjusted p of many comparisons at once: the family of a table, Holm, Benjamini and Hochberg.

``family_p`` adjusts a table: it cuts the family by rows and leaves each part to Holm or to ``max_t``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from actbench.analysis.pairs_needed import MIN_VALUES, fewest_pairs, smallest_p
from actbench.analysis.statistics.one_sample import BY_HOLM, Test, smallest_p_of, t_p
from actbench.analysis.statistics.samples import Floats
from actbench.analysis.statistics.westfall_young import max_t

MIN_PAIRS_FOR_MAX_T = 8
"""From eight pairs on sign flips reach p = .0078, small enough for a family; below, only the t test can."""

MIN_SHARE = 0.25
"""Of the level, for contrasts under max-T beside others: with eight pairs they then reach .031."""

Method = Literal["Holm", "max-T"]


@dataclass(frozen=True)
class Part:
    """Contrasts of one family that are adjusted by one method.

    Args:
        method: ``max-T`` or ``Holm``.
        contrasts: Their positions in the family.
        share: Share of the family's level that they have, 0 … 1; their adjusted p is divided by it.
        min_pairs: Fewest pairs with which a contrast belongs to this part of two; 0 where there is only one, and for
            the part with the fewest pairs.
    """

    method: Method
    contrasts: tuple[int, ...]
    share: float = 1.0
    min_pairs: int = 0


def family_p(differences: Floats, test: Test = "t", *, alpha: float = 0.05) -> list[float | None]:
    """Return the adjusted p of every difference in one table.

    Each part of the family (``family_parts``) is adjusted by its own method, and the p of a part are divided by its
    share of the level. So the family-wise error is at most the sum of the parts' shares of alpha, which is alpha.

    Measured at alpha = .05 it is 1 to 5 %, also where one method is noisier, runs collapse or the pairs of the
    contrasts differ (``docs/statistics.md``). Where one method is noisier, the rate of the unpaired Dunnett test is 12
    to 14 %.

    Args:
        differences: (S, K), seed × contrast; NaN where a contrast lacks the seed.
        test: ``t`` for roughly normal values, ``sign-flip`` for bounded shares; the p of other tests are adjusted by
            ``holm_with_gaps``.
        alpha: Level of the family, which decides from how many pairs on max-T is used under ``t``.

    Returns:
        p for each contrast; None for fewer than three pairs, for no difference at all and for what ``t`` can't test.
        Under Holm these count as members of the family.

    Raises:
        ValueError: For an infinite number or one beyond 1e300.
    """
    adjusted: list[float | None] = [None] * differences.shape[1]
    for part in family_parts(_pairs(differences), test, alpha=alpha):
        own = differences[:, part.contrasts]
        ps = max_t(own) if part.method == "max-T" else _holm_t(own)
        for index, p in zip(part.contrasts, ps, strict=True):
            adjusted[index] = None if p is None else min(1.0, p / part.share)
    return adjusted


def family_parts(pairs: Sequence[int], test: Test = "t", *, alpha: float = 0.05) -> tuple[Part, ...]:
    """Return the parts of a family, by the numbers of pairs of its contrasts.

    - Bounded shares are one part: max-T, which is exact with any number of pairs.
    - Under a test of ``BY_HOLM`` there is one part, too: Holm's method.
    - Other values: contrasts with at least eight pairs are adjusted by max-T, those with fewer by Holm from paired t
      tests, which need normal differences but can reach small p. A part's share of the level is its share of the
      contrasts; that of max-T is at least a quarter, or eight pairs in a minority could show nothing.

    Contrasts with fewer than three pairs are tested in neither part and choose no method.

    >>> [(part.method, part.contrasts, part.share) for part in family_parts([10, 10, 10, 4])]
    [('max-T', (0, 1, 2), 0.75), ('Holm', (3,), 0.25)]
    """
    everything = tuple(range(len(pairs)))
    if test == "sign-flip":
        return (Part("max-T", everything),)
    if test in BY_HOLM:
        return (Part("Holm", everything),)
    least = min_pairs_for_max_t(alpha)
    many = tuple(index for index in everything if least is not None and pairs[index] >= least)
    few = tuple(index for index in everything if index not in many)
    if least is None or not many:
        return (Part("Holm", everything),)
    if all(pairs[index] < MIN_VALUES for index in few):
        return (Part("max-T", everything),)
    share = max(len(many) / len(pairs), MIN_SHARE)
    return (Part("max-T", many, share, least), Part("Holm", few, 1 - share))


def smallest_adjusted_p(pairs: Sequence[int], test: Test = "t", *, alpha: float = 0.05) -> list[float]:
    """Return the smallest adjusted p that each contrast of a family can reach with its number of pairs.

    1 without a test, 0 for the t test, whose p has no bound; for max-T that of its sign flips over the part's share;
    for anytime tests what Holm's method makes of the smallest p of all rows.

    >>> smallest_adjusted_p([6, 3, 2], "sign-flip"), smallest_adjusted_p([5, 8])
    ([0.03125, 0.25, 1.0], [0.0, 0.015625])
    """
    if test in BY_HOLM:
        return holm([smallest_p_of(test, count) for count in pairs])
    found = [1.0] * len(pairs)
    for part in family_parts(pairs, test, alpha=alpha):
        for index in part.contrasts:
            if pairs[index] >= MIN_VALUES:
                found[index] = min(1.0, smallest_p(pairs[index]) / part.share) if part.method == "max-T" else 0.0
    return found


def holm(ps: Sequence[float]) -> list[float]:
    """Return p adjusted by Holm's step-down method: the k-th smallest of m times (m − k + 1), made monotone, at most 1.

    Keeps the chance of any false finding below alpha whatever the dependence between the tests.

    Reference: Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian J. of Statistics 6.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(ps)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, min(1.0, ps[index] * (len(ps) - rank)))
        adjusted[index] = largest
    return adjusted


def holm_with_gaps(ps: Sequence[float | None]) -> list[float | None]:
    """Return Holm's adjusted p; None for a contrast without a p, which counts in the family with p = 1."""
    adjusted = holm([1.0 if p is None else p for p in ps])
    return [None if p is None else q for p, q in zip(ps, adjusted, strict=True)]


def benjamini_hochberg(ps: Sequence[float]) -> list[float]:
    """Return p adjusted for the false discovery rate: the k-th smallest of m times m / k, made monotone from above.

    Of the findings at .05, on average at most 5 % are false. That is a weaker promise than Holm's, so it is for
    exploring all pairs, and such findings are flagged as exploratory. Assumes tests that are independent or positively
    dependent.

    Reference: Benjamini and Hochberg (1995), Controlling the false discovery rate, J. Royal Statistical Society B 57.

    >>> benjamini_hochberg([0.01, 0.04, 0.03])
    [0.03, 0.04, 0.04]
    """
    adjusted = [0.0] * len(ps)
    smallest = 1.0
    for rank, index in reversed(list(enumerate(sorted(range(len(ps)), key=lambda i: ps[i]), start=1))):
        smallest = min(smallest, ps[index] * len(ps) / rank)
        adjusted[index] = smallest
    return adjusted


def _holm_t(differences: Floats) -> list[float | None]:
    """Return Holm's adjusted p of paired t tests; None for a contrast without one, which counts in the family."""
    return holm_with_gaps([t_p(column[~np.isnan(column)]) for column in differences.T])


def _pairs(differences: Floats) -> list[int]:
    return [int(count) for count in (~np.isnan(differences)).sum(axis=0)]


def min_pairs_for_max_t(alpha: float) -> int | None:
    """Return the fewest pairs with which max-T can show something at a quarter of the level; None where none can."""
    least = fewest_pairs(alpha * MIN_SHARE)
    return None if least is None else max(MIN_PAIRS_FOR_MAX_T, least)
