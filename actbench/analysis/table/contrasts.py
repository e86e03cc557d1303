"""Paired differences of groups with their adjusted p: to the baseline, to the best row, and between two factors.

The statistics are those of ``actbench.analysis.statistics``; here groups become the arrays that they take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from actbench.analysis.statistics import (
    BY_HOLM,
    MIN_VALUES,
    Difference,
    Part,
    family_p,
    family_parts,
    holm_with_gaps,
    interaction_p,
    paired_difference,
    sign_flip_p,
    smallest_adjusted_p,
)
from actbench.analysis.statistics.samples import Floats, scaled
from actbench.analysis.table.baselines import counterpart
from actbench.analysis.table.factors import Value
from actbench.analysis.table.grouping import Group
from actbench.analysis.table.result import Contrast, Family, Interaction
from actbench.analysis.table.rules import Rules
from actbench.schema.metrics import described

Values = Mapping[int, float]
"""Seed -> value."""

EXACT = ("identical", "constant")
"""Notes of differences that do not vary but by rounding."""


@dataclass(frozen=True)
class SeedDifferences:
    """The difference of two sides, as a summary and seed by seed.

    Args:
        difference: Mean, interval and test.
        by_seed: Seed -> left − right.
    """

    difference: Difference
    by_seed: Values


def seed_differences(left: Values, right: Values, metric: str, rules: Rules) -> SeedDifferences:
    """Return left − right over the seeds that both have, with the test that suits the metric."""
    found = paired_difference(
        left,
        right,
        alpha=rules.alpha,
        higher_is_better=described(metric).higher_is_better is not False,
        test=rules.test(metric),
        pilot=rules.pilot(metric),
    )
    # Differences that vary by rounding alone are set equal, since a test would take the last bits for variation.
    exact = found.note in EXACT and found.difference is not None
    constant = found.difference if exact else None
    seeds = sorted(left.keys() & right.keys())
    by_seed = {seed: left[seed] - right[seed] if constant is None else constant for seed in seeds}
    return SeedDifferences(found, by_seed)


def against_baseline(
    groups: Sequence[Group], baseline: Mapping[str, Value], metric: str, rules: Rules
) -> tuple[dict[int, Contrast], Family]:
    """Return each group's contrast by its position, adjusted over all of them, and the family that they make."""
    by_factors = {tuple(group.factors.values()): group for group in groups}
    values = {id(group): group.values(metric) for group in groups}
    found: dict[int, SeedDifferences] = {}
    for index, group in enumerate(groups):
        base = counterpart(group, baseline, by_factors)
        if base is not None:
            found[index] = seed_differences(values[id(group)], values[id(base)], metric, rules)
    family = Family(rules.test(metric), _parts(list(found.values()), metric, rules))
    contrasts = _adjusted(list(found.values()), family, rules.alpha)
    return dict(zip(found, contrasts, strict=True)), family


def tied_with_best(groups: Sequence[Group], best: Group, metric: str, rules: Rules) -> list[bool | None]:
    """Return whether each group is tied with the best: adjusted p of its paired difference to it not below alpha.

    None where nothing can be said: fewer pairs than the test needs to be below alpha, or, for the t test, a difference
    that is the same in every pair. The best is chosen by the same numbers, so a row that narrowly misses the mark may
    yet be its equal.
    """
    values = best.values(metric)
    others = [group for group in groups if group is not best]
    found = [seed_differences(group.values(metric), values, metric, rules) for group in others]
    family = Family(rules.test(metric), _parts(found, metric, rules))
    ties: dict[int, bool | None] = {id(best): True}
    for group, one in zip(others, _adjusted(found, family, rules.alpha), strict=True):
        # Without a p there are enough pairs and no difference in any of them: the group equals the best.
        is_equal = one.difference.n_pairs >= MIN_VALUES and one.difference.note == "identical"
        is_tested = one.p_adjusted is not None and one.smallest_p < rules.alpha
        ties[id(group)] = (is_equal or not one.significant) if is_equal or is_tested else None
    return [ties[id(group)] for group in groups]


def interaction(
    groups: Sequence[Group], baseline: Mapping[str, Value] | None, metric: str, rules: Rules
) -> Interaction | None:
    """Return the interaction of two factors, where exactly two vary and every combination of them is there.

    None under anytime rules, too: its sign flips are for a number of seeds that was fixed beforehand.

    Its p is that of ``interaction_p``; its size is the largest of (a, b) − (origin, b) less (a, origin) − (origin,
    origin), a paired number, where the origin is the baseline's value of each factor.
    """
    levels = {key: list(dict.fromkeys(group.factors[key] for group in groups)) for key in groups[0].factors}
    names = [key for key, values in levels.items() if len(values) > 1]
    if rules.anytime or len(names) != 2 or len(groups) != len(levels[names[0]]) * len(levels[names[1]]):
        return None
    first, second = names
    values = {(group.factors[first], group.factors[second]): group.values(metric) for group in groups}
    seeds = sorted(set.intersection(*(set(one) for one in values.values())))
    if len(seeds) < MIN_VALUES:
        return None
    # (S, A, B): seed × level of the first factor × level of the second, of seeds that every combination has.
    p = interaction_p(np.array([[[values[a, b][s] for b in levels[second]] for a in levels[first]] for s in seeds]))
    if p is None:
        return None
    row, column = ((baseline or {}).get(key, levels[key][0]) for key in names)
    effects: list[tuple[tuple[Value, Value], Difference]] = []
    for a, b in values:
        if a != row and b != column:
            there = {seed: values[a, b][seed] - values[row, b][seed] for seed in seeds}
            here = {seed: values[a, column][seed] - values[row, column][seed] for seed in seeds}
            effects.append(((a, b), seed_differences(there, here, metric, rules).difference))
    (a, b), effect = max(effects, key=lambda one: abs(one[1].difference or 0.0))
    return Interaction(metric, (first, second), p, {first: a, second: b}, {first: row, second: column}, effect)


def _parts(found: Sequence[SeedDifferences], metric: str, rules: Rules) -> tuple[Part, ...]:
    return family_parts([one.difference.n_pairs for one in found], rules.test(metric), alpha=rules.alpha)


def _adjusted(found: Sequence[SeedDifferences], family: Family, alpha: float) -> list[Contrast]:
    """Return each difference with its p adjusted over all of them, and its own p by the same test."""
    pairs = [one.difference.n_pairs for one in found]
    # Without any test there is nothing to import scipy for.
    any_test = any(n >= MIN_VALUES for n in pairs)
    if family.test in BY_HOLM:
        ps = holm_with_gaps([one.difference.p for one in found])
    else:
        ps = family_p(_matrix(found), family.test, alpha=alpha) if any_test else [None] * len(found)
    by_flips = {index for part in family.parts if part.method == "max-T" for index in part.contrasts}
    contrasts = []
    for index, (one, p, least) in enumerate(
        zip(found, ps, smallest_adjusted_p(pairs, family.test, alpha=alpha), strict=True)
    ):
        values, difference = tuple(one.by_seed.values()), one.difference
        if p is not None and index in by_flips:
            difference = replace(difference, p=sign_flip_p(scaled(np.array(values))))
        contrasts.append(Contrast(difference, p, p is not None and p < alpha, least, values))
    return contrasts


def _matrix(found: Sequence[SeedDifferences]) -> Floats:
    """Return (S, K), seed × difference; NaN where a difference lacks the seed."""
    seeds = sorted({seed for one in found for seed in one.by_seed})
    rows = [[one.by_seed.get(seed, np.nan) for one in found] for seed in seeds]
    return np.array(rows, dtype=np.float64).reshape(len(seeds), len(found))
