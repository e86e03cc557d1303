"""Paired differences of groups with their adjusted p: to the baseline, to the best row, and between two factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actbench.analysis.statistics import (
    MIN_PAIRS_FOR_MAX_T,
    MIN_VALUES,
    Difference,
    Test,
    family_p,
    interaction_p,
    mean_interval,
    paired_difference,
)
from actbench.analysis.table.baselines import counterpart
from actbench.analysis.table.factors import Value
from actbench.analysis.table.grouping import Group
from actbench.analysis.table.result import Contrast, Family, Interaction, is_bounded
from actbench.schema.metrics import METRICS

Values = Mapping[int, float]
"""Seed -> value."""

EXACT = ("identical", "constant")
"""Notes of differences that do not vary but by rounding."""


@dataclass(frozen=True)
class SeedDifferences:
    """Two sides and what the one has over the other, seed by seed."""

    difference: Difference
    by_seed: Values

    @property
    def sd(self) -> float | None:
        """Standard deviation of the differences; None for fewer than two."""
        return mean_interval(list(self.by_seed.values())).sd


def against_baseline(
    groups: Sequence[Group], baseline: Mapping[str, Value], metric: str, alpha: float
) -> tuple[dict[int, Contrast], Family]:
    """Each group's contrast by its position, adjusted over all of them, and the family that they make."""
    by_factors = {tuple(group.factors.values()): group for group in groups}
    values = {id(group): group.values(metric) for group in groups}
    pairs: dict[int, SeedDifferences] = {}
    for index, group in enumerate(groups):
        base = counterpart(group, baseline, by_factors)
        if base is not None:
            pairs[index] = seed_differences(values[id(group)], values[id(base)], metric, alpha)
    ps = _adjusted(list(pairs.values()), metric)
    contrasts = {
        index: Contrast(pair.difference, p, p is not None and p < alpha, pair.sd)
        for (index, pair), p in zip(pairs.items(), ps, strict=True)
    }
    return contrasts, Family(_method(list(pairs.values())), len(pairs))


def tied_with_best(groups: Sequence[Group], best: Group, metric: str, alpha: float) -> list[bool | None]:
    """Whether each group can't be told from the best: adjusted p of its paired difference to it not below alpha.

    None where nothing can be said: fewer than three pairs, or a difference that is the same in every pair. The best is
    chosen by the same numbers, so a row that narrowly misses the mark may yet be its equal.
    """
    values = best.values(metric)
    pairs = [seed_differences(group.values(metric), values, metric, alpha) for group in groups if group is not best]
    ps = iter(zip(pairs, _adjusted(pairs, metric), strict=True))
    return [True if group is best else _is_tied(*next(ps), alpha) for group in groups]


def interaction(
    groups: Sequence[Group], baseline: Mapping[str, Value] | None, metric: str, alpha: float
) -> Interaction | None:
    """Whether the effect of one factor depends on the other, where exactly two vary and every combination is there."""
    levels = {key: list(dict.fromkeys(group.factors[key] for group in groups)) for key in groups[0].factors}
    names = [key for key, values in levels.items() if len(values) > 1]
    if len(names) != 2 or len(groups) != len(levels[names[0]]) * len(levels[names[1]]):
        return None
    first, second = names
    values = {(group.factors[first], group.factors[second]): group.values(metric) for group in groups}
    seeds = sorted(set.intersection(*(set(one) for one in values.values())))
    if len(seeds) < MIN_VALUES:
        return None
    cells = [[[values[a, b][seed] for b in levels[second]] for a in levels[first]] for seed in seeds]
    p = interaction_p(np.array(cells))
    if p is None:
        return None
    origin = tuple((baseline or {}).get(key, levels[key][0]) for key in names)
    return _largest(values, seeds, (first, second), (origin[0], origin[1]), metric, alpha, p)


def seed_differences(left: Values, right: Values, metric: str, alpha: float) -> SeedDifferences:
    """Left − right over the seeds that both have."""
    found = paired_difference(
        left, right, alpha=alpha, higher_is_better=METRICS[metric].higher_is_better is not False, test=_test(metric)
    )
    exact = found.note in EXACT and found.difference is not None
    constant = found.difference if exact else None  # free of rounding, which a test might take for variation
    seeds = sorted(left.keys() & right.keys())
    return SeedDifferences(found, {seed: left[seed] - right[seed] if constant is None else constant for seed in seeds})


def _largest(
    values: Mapping[tuple[Value, Value], Values],
    seeds: Sequence[int],
    names: tuple[str, str],
    origin: tuple[Value, Value],
    metric: str,
    alpha: float,
    p: float,
) -> Interaction:
    """The interaction with its largest effect: (a, b) − (origin, b) less (a, origin) − (origin, origin)."""
    found: list[tuple[tuple[Value, Value], Difference]] = []
    for a, b in values:
        if a == origin[0] or b == origin[1]:
            continue
        there = {seed: values[a, b][seed] - values[origin[0], b][seed] for seed in seeds}
        here = {seed: values[a, origin[1]][seed] - values[origin][seed] for seed in seeds}
        found.append(((a, b), paired_difference(there, here, alpha=alpha, test=_test(metric))))
    (a, b), effect = max(found, key=lambda one: abs(one[1].difference or 0.0))
    return Interaction(metric, names, p, {names[0]: a, names[1]: b}, dict(zip(names, origin, strict=True)), effect)


def _is_tied(pair: SeedDifferences, p: float | None, alpha: float) -> bool | None:
    if pair.difference.n_pairs < MIN_VALUES or (p is None and pair.difference.note == "constant"):
        return None
    return p is None or p >= alpha


def _test(metric: str) -> Test:
    return "sign-flip" if is_bounded(metric) else "t"


def _adjusted(pairs: Sequence[SeedDifferences], metric: str) -> list[float | None]:
    if not any(pair.difference.n_pairs >= MIN_VALUES for pair in pairs):
        return [None] * len(pairs)
    return family_p(_matrix(pairs), _test(metric))


def _matrix(pairs: Sequence[SeedDifferences]) -> NDArray[np.float64]:
    """Differences, (S, K), seed × pair; NaN where a pair lacks the seed."""
    seeds = sorted({seed for pair in pairs for seed in pair.by_seed})
    return np.array([[pair.by_seed.get(seed, np.nan) for pair in pairs] for seed in seeds], dtype=np.float64)


def _method(pairs: Sequence[SeedDifferences]) -> str:
    """The adjustment that ``family_p`` makes, in words."""
    tested = [len(pair.by_seed) for pair in pairs if len(pair.by_seed) >= MIN_VALUES and any(pair.by_seed.values())]
    return "max-T" if min(tested, default=0) >= MIN_PAIRS_FOR_MAX_T else "Holm"
