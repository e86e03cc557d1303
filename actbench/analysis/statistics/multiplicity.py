"""Adjusted p of many comparisons at once: Holm, Westfall and Young's max-T, Benjamini and Hochberg.

``family_p`` chooses between the first two for a table, ``max_t`` is the sign-flip max-T procedure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from actbench.analysis.statistics.paired import Test, t_p
from actbench.analysis.statistics.samples import MIN_VALUES, ROUNDING, Floats, checked
from actbench.analysis.statistics.sign_flips import sign_flip_p, sign_patterns

MIN_PAIRS_FOR_MAX_T = 8
"""From eight pairs on sign flips reach p = .0078, small enough for a family; below, only the t test can."""

Method = Literal["Holm", "max-T"]

BLOCK = 1000
"""Sign patterns evaluated at a time: a thousand contrasts then take megabytes rather than hundreds of them."""


def family_p(differences: Floats, test: Test = "t") -> list[float | None]:
    """Return the adjusted p of every difference in one table: Holm's below eight pairs, max-T's from eight on.

    At alpha = .05 the measured family-wise error rate is 2.6 to 4.8 %, also where one method is noisier or runs
    collapse. Below eight seeds exact tests find less (at five nothing, and Holm with Wilcoxon nothing at six); from
    eight on max-T matches Holm with t on normal values and finds a third to a half more where runs collapse. Where one
    method is noisier, the rate of the unpaired Dunnett test is 12 to 14 % (``docs/statistics.md``).

    Args:
        differences: (S, K), seed × contrast; NaN where a contrast lacks the seed.
        test: Test per contrast, used when the smallest number of pairs is below eight.

    Returns:
        p for each contrast; None for fewer than three pairs, for no difference at all and for what ``t`` can't test.
        Under Holm these count as members of the family.

    Raises:
        ValueError: For an infinite number or one beyond 1e300.
    """
    if family_method(differences) == "max-T":
        return max_t(differences)
    single = t_p if test == "t" else sign_flip_p
    ps = [single(column) if _is_testable(column) else None for column in _columns(differences)]
    # Columns without a test count in the family nevertheless: the reader sees them in the table.
    adjusted = holm([1.0 if p is None else p for p in ps])
    return [None if p is None else q for p, q in zip(ps, adjusted, strict=True)]


def family_method(differences: Floats) -> Method:
    """Return the method by which ``family_p`` adjusts these differences, one for the whole table.

    It is max-T where every testable contrast has at least eight pairs, else Holm's. Contrasts without a test (too few
    pairs, no difference at all) do not choose.

    Args:
        differences: (S, K), seed × contrast; NaN where a contrast lacks the seed.
    """
    pairs = [len(column) for column in _columns(differences) if _is_testable(column)]
    return "max-T" if min(pairs, default=0) >= MIN_PAIRS_FOR_MAX_T else "Holm"


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


def max_t(differences: Floats) -> list[float | None]:
    """Return p adjusted by step-down max-T: a contrast's |t| against the largest |t| under sign flips.

    Order the contrasts so that |t_1| ≤ … ≤ |t_K|. The raw p of contrast k is the share of sign patterns in which
    max_{j ≤ k} |t_j*| ≥ |t_k|, with the maximum over contrast k and all weaker ones; its adjusted p is the largest raw
    p of contrast k and all stronger ones, so that the order of p is that of |t|.

    A flip turns all differences of a seed together, which keeps their correlation: contrasts to one baseline share its
    noise, so that they are fewer comparisons than Holm counts. Needs no normal differences, only symmetric ones. Exact
    up to 12 seeds, by 10,000 flips from a fixed seed beyond.

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
    # A seed that a contrast lacks becomes a difference of 0, which no flip changes. Each column is divided by its
    # largest value: t is free of scale, and squares of huge differences would overflow.
    there = ~np.isnan(differences)
    checked(differences[there])
    filled = np.where(there, differences, 0.0)
    sizes, pairs = np.abs(filled).max(axis=0, initial=0.0), there.sum(axis=0)
    tested = np.flatnonzero((pairs >= MIN_VALUES) & (sizes > 0))
    found: list[float | None] = [None] * differences.shape[1]
    if len(tested):
        ps = _step_down(filled[:, tested] / sizes[tested], pairs[tested])
        for index, p in zip(tested, ps, strict=True):
            found[index] = float(p)
    return found


def _columns(differences: Floats) -> list[Floats]:
    """Return each contrast's differences, without the seeds that it lacks."""
    return [column[~np.isnan(column)] for column in differences.T]


def _is_testable(column: Floats) -> bool:
    return len(column) >= MIN_VALUES and bool(column.any())


def _step_down(data: Floats, pairs: NDArray[np.int_]) -> Floats:
    """Return the adjusted p of each column, (S, K) -> (K,), as ``max_t`` defines it.

    Args:
        data: Differences, seed × contrast, with 0 where a contrast lacks the seed.
        pairs: Seeds of each contrast, (K,).
    """
    signs = sign_patterns(len(data))  # (patterns, S), the observed one first
    # Divided by √(n·Σd²), so that the sum under a pattern is the r of ``_scores``.
    scaled = (data / np.sqrt(pairs * np.square(data).sum(axis=0))).T  # (K, S)
    observed = _scores(scaled, signs[:1], pairs)[:, 0]
    # Weakest contrast first, so that a running maximum downwards is the maximum over all weaker ones.
    order = np.argsort(observed, kind="stable")
    scaled, pairs, observed = scaled[order], pairs[order], observed[order]
    counts = np.zeros(len(scaled))
    for start in range(0, len(signs), BLOCK):
        scores = _scores(scaled, signs[start : start + BLOCK], pairs)
        largest = np.maximum.accumulate(scores, axis=0)  # over the contrast itself and all weaker ones
        # ROUNDING: patterns that tie with the observed one on paper count as ties, otherwise rounding would decide p.
        counts += (largest >= observed[:, None] - ROUNDING).sum(axis=1)
    # Step down: a contrast's p is at least that of every stronger one; then back to the order of the columns.
    ps = np.empty(len(scaled))
    ps[order] = np.maximum.accumulate(counts[::-1])[::-1] / len(signs)
    return ps


def _scores(scaled: Floats, signs: Floats, pairs: NDArray[np.int_]) -> Floats:
    """Return t² / (1 + t²) of each contrast under each pattern, (K, patterns).

    Flips leave Σd² as it is. So with r² = (Σ±d)² / (n·Σd²), t² = (n − 1)·r² / (1 − r²), and this bounded form of it
    takes one matrix product, has no division by 0 and compares contrasts of different n.
    """
    squares: Floats = np.square(scaled @ signs.T)
    freedom = pairs[:, None] - 1
    return freedom * squares / (1 + (freedom - 1) * squares)
