"""The statistics of a comparison once more, from scipy and the words of docs/statistics.md, without actbench.

All tests are two-sided, all intervals those of 95 %. From thirteen seeds on actbench draws 10,000 patterns of signs. A
single p is here counted over all patterns up to ``MAX_COUNTED`` seeds; max-T, whose evidence is itself a share of the
patterns, is drawn as there, but four times from other seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from benchmarks.claims.packed_runs import OUTCOMES

LEVEL = 0.95
MAX_COUNTED = 18
"""Seeds up to which all patterns of signs are counted: 2^17, with the mirror images left out."""

PRODUCT_COUNTS, PRODUCT_DRAWS = 12, 10_000
"""Seeds up to which actbench counts all patterns itself, and the number that it draws beyond."""

REPEATS = 4
ROUNDING = 1e-12
MIN_SEEDS = 3
MIN_PAIRS_FOR_MAX_T = 8
MIN_SHARE_OF_MAX_T = 0.25

Floats = NDArray[np.float64]
Factors = Mapping[str, Any]


def interval(values: Sequence[float] | Floats) -> tuple[float | None, float | None]:
    """Return Student's interval of a mean; None twice for fewer than three values."""
    n = len(values)
    if n < MIN_SEEDS:
        return None, None
    mean = float(np.mean(values))
    if is_constant(values, float(np.max(np.abs(values)))):
        return mean, mean
    low, high = stats.t.interval(LEVEL, n - 1, loc=mean, scale=stats.sem(values))
    return float(low), float(high)


def is_constant(values: Sequence[float] | Floats, size: float) -> bool:
    """Return whether values vary by no more than rounding does among numbers of that size."""
    return float(np.ptp(np.asarray(values))) <= ROUNDING * size


def wilson(count: int, n: int) -> tuple[float, float]:
    """Return Wilson's interval of a share."""
    found = stats.binomtest(count, n).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)


def share_p(count: int, n: int, bound: float) -> float:
    """Return the p of a share of runs under a bound: twice the smaller one of P(X or fewer) and P(X or more)."""
    if not 0 <= bound <= 1:  # no share can be there
        return 0.0
    law = stats.binom(n, bound)
    return float(min(1.0, 2 * min(law.cdf(count), law.sf(count - 1))))


def t_p(differences: Floats) -> float | None:
    """Return the p of the one-sample t test of mean 0; None for fewer than three values or constant ones."""
    if len(differences) < MIN_SEEDS or is_constant(differences, float(np.max(np.abs(differences), initial=0.0))):
        return None
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def sign_flip_p(differences: Floats) -> float | None:
    """Return the share of sign patterns with at least as extreme a sum; None for no difference or too few."""
    if len(differences) < MIN_SEEDS or not differences.any():
        return None
    column = differences[:, None]
    is_drawn = len(differences) > MAX_COUNTED
    sums = np.abs(drawn_sums(column, 0, 100_000) if is_drawn else counted_sums(column))[:, 0]
    return float(np.mean(sums >= sums[0] - ROUNDING * np.abs(differences).sum()))


def counted_sums(differences: Floats) -> Floats:
    """Return the sum of each contrast under each pattern of signs, (patterns, K); the observed one stands first.

    Args:
        differences: (S, K), seed × contrast. A pattern turns all differences of a seed together.
    """
    found = differences[:1]  # the first seed keeps its sign: mirror images say the same
    for row in differences[1:]:
        found = np.concatenate([found + row, found - row])
    return found


def drawn_sums(differences: Floats, seed: int, patterns: int) -> Floats:
    """Return the same for patterns that are drawn, the observed one among them."""
    signs = np.random.default_rng([20_261_127, seed]).choice([-1.0, 1.0], size=(patterns, len(differences)))
    signs[0] = 1.0
    found: Floats = signs @ differences
    return found


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Return Holm's adjusted p; a comparison without a p counts as p = 1 and keeps None."""
    filled = np.array([1.0 if p is None else p for p in ps])
    order = np.argsort(filled, kind="stable")
    stepped = np.maximum.accumulate(np.minimum(1.0, filled[order] * np.arange(len(ps), 0, -1)))
    adjusted = np.empty(len(ps))
    adjusted[order] = stepped
    return [None if p is None else float(value) for p, value in zip(ps, adjusted, strict=True)]


def max_t(differences: Floats) -> list[float | None]:
    """Return p adjusted by step-down sign-flip max-T, as docs/statistics.md describes it.

    The evidence of a contrast under a pattern is the smaller one of its t test's p and its sign-flip p, but never below
    2^(1−n); equal p are ordered by |t|.

    Args:
        differences: (S, K), seed × contrast; NaN where a contrast lacks the seed.
    """
    there = ~np.isnan(differences)
    pairs = there.sum(axis=0)
    filled = np.where(there, differences, 0.0)
    tested = [k for k in range(differences.shape[1]) if pairs[k] >= MIN_SEEDS and filled[:, k].any()]
    found: list[float | None] = [None] * differences.shape[1]
    if not tested:
        return found
    if len(filled) <= PRODUCT_COUNTS:
        ps = _step_down(filled[:, tested], counted_sums(filled[:, tested]), pairs[tested])
    else:
        draws = [drawn_sums(filled[:, tested], seed, PRODUCT_DRAWS) for seed in range(REPEATS)]
        ps = np.mean([_step_down(filled[:, tested], sums, pairs[tested]) for sums in draws], axis=0)
    for k, p in zip(tested, ps, strict=True):
        found[k] = float(p)
    return found


def _step_down(differences: Floats, sums: Floats, pairs: NDArray[np.int64]) -> Floats:
    """Return the adjusted p of each contrast, (K,), of sums under patterns, (patterns, K)."""
    columns = zip(differences.T, sums.T, pairs, strict=True)
    evidence = np.array([_evidence(column, own, int(n)) for column, own, n in columns])
    order = np.argsort(evidence[:, 0], kind="stable")  # the weakest first
    strongest = np.maximum.accumulate(evidence[order], axis=0)
    raw = (strongest >= evidence[order, :1] - ROUNDING).mean(axis=1)
    found = np.empty(len(order))
    found[order] = np.maximum.accumulate(raw[::-1])[::-1]
    return found


def _evidence(column: Floats, sums: Floats, pairs: int) -> Floats:
    """Return how strong one contrast looks under each pattern: minus its p, and t where two p are equal."""
    sizes = np.abs(sums)
    slack = ROUNDING * float(np.abs(column).sum())
    by_flips = 1 - np.searchsorted(np.sort(sizes), sizes - slack) / len(sizes)
    squares, mean = float(np.square(column).sum()), sums / pairs
    spread = np.sqrt(np.maximum(squares - pairs * mean**2, 0.0) / (pairs - 1))
    with np.errstate(divide="ignore"):
        t = np.abs(mean) / spread * math.sqrt(pairs)
    p = np.maximum(np.minimum(2 * special.stdtr(pairs - 1, -t), by_flips), 2.0 ** (1 - pairs))
    # |t| decides where two p are equal: a hundred-thousandth of t²/(1 + t²), which grows with |t| and ends at 1.
    found: Floats = 1e-5 * (1 - 1 / (1 + t**2)) - p
    return found


def family_p(differences: Floats, *, is_share: bool) -> list[float | None]:
    """Return the adjusted p of a table's differences: max-T for shares and rows of eight pairs or more, else Holm.

    Args:
        differences: (S, K), seed × contrast; NaN where a contrast lacks the seed.
        is_share: Whether the metric is a health share.
    """
    if is_share:
        return max_t(differences)
    pairs = (~np.isnan(differences)).sum(axis=0)
    many = [k for k, n in enumerate(pairs) if n >= MIN_PAIRS_FOR_MAX_T]
    few = [k for k, n in enumerate(pairs) if n < MIN_PAIRS_FOR_MAX_T]
    share = (
        1.0 if not few or all(pairs[k] < MIN_SEEDS for k in few) else max(len(many) / len(pairs), MIN_SHARE_OF_MAX_T)
    )
    adjusted: list[float | None] = [None] * len(pairs)
    if not many:
        return holm([_own_t(differences[:, k]) for k in few])
    by_method = [(many, max_t(differences[:, many]), share)]
    if share < 1:
        by_method.append((few, holm([_own_t(differences[:, k]) for k in few]), 1 - share))
    for members, ps, part in by_method:
        for k, p in zip(members, ps, strict=True):
            adjusted[k] = None if p is None else min(1.0, p / part)
    return adjusted


def contrasts(
    factors: Sequence[Mapping[str, Any]],
    values: Sequence[Mapping[int, float]],
    baseline: Mapping[str, Any],
    metric: str,
) -> tuple[dict[int, dict[int, float]], dict[int, float | None]]:
    """Return row -> seed -> difference to the baseline's row, and row -> p adjusted over all of them.

    A factor that the baseline leaves out is matched: each row has the baseline with its own value there.

    Args:
        factors: Those of each row.
        values: Seed -> value, of each row.
        baseline: Factor -> value.
        metric: The values' metric.
    """
    pairs = {}
    for place, own in enumerate(factors):
        base = next((other for other, one in enumerate(factors) if one == {**own, **baseline}), place)
        if base != place:
            pairs[place] = differences_of(values[place], values[base])
    seeds = sorted({seed for one in pairs.values() for seed in one})
    matrix = np.array([[one.get(seed, np.nan) for one in pairs.values()] for seed in seeds])
    adjusted = family_p(matrix.reshape(len(seeds), len(pairs)), is_share=is_share(metric)) if pairs else []
    return pairs, dict(zip(pairs, adjusted, strict=True))


def differences_of(left: Mapping[int, float], right: Mapping[int, float]) -> dict[int, float]:
    """Return seed -> left − right, over the seeds that both have."""
    own = {seed: left[seed] - right[seed] for seed in left if seed in right}
    values = np.array(list(own.values()))
    # The same difference but for rounding is one difference, or a test would take the last bits for variation.
    if len(own) > 1 and values.any():
        size = max(abs(side[seed]) for side in (left, right) for seed in own)
        if is_constant(values, size):
            return dict.fromkeys(own, float(np.median(values)))
    return own


def is_share(metric: str) -> bool:
    """Return whether a metric is a share of units or of runs, whose differences are tested by sign flips."""
    return metric in OUTCOMES or (metric.startswith("health.") and not metric.endswith("gradient_ratio"))


def tolerance_of(p: float, seeds: int) -> float:
    """Return how far actbench's p may be from ours: rounding, or chance where either draws its patterns.

    Five standard errors of a share of 10,000 patterns, and three patterns more for p near 0.
    """
    if seeds <= PRODUCT_COUNTS:
        return 1e-9
    return 5 * math.sqrt(max(p * (1 - p), 0.0) / PRODUCT_DRAWS) + 3 / PRODUCT_DRAWS


def _own_t(column: Floats) -> float | None:
    own: Floats = column[~np.isnan(column)]
    return t_p(own)
