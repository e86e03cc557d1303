"""Every row against every other one, flagged as exploratory: to find hypotheses for new seeds."""

from __future__ import annotations

from itertools import combinations
from math import inf

from actbench.analysis.statistics import benjamini_hochberg, mean_interval
from actbench.analysis.table.against import is_new
from actbench.analysis.table.contrasts import seed_differences
from actbench.analysis.table.grouping import Table
from actbench.analysis.table.result import Comparison, Pairs, RowPair
from actbench.analysis.table.rows import best_first
from actbench.errors import UsageError

MAX_PAIRS = 20_000
"""The pairs of 200 rows take seconds; nobody reads more."""


def all_pairs(comparison: Comparison, table: Table) -> Pairs:
    """Return the paired difference of every two rows in the leading metric, p adjusted for the false discovery rate.

    A pair without a p counts as p = 1 in the adjustment. Hidden rows belong to the family, so that hiding one changes
    no number.

    Raises:
        UsageError: When there are more than ``MAX_PAIRS`` pairs.
    """
    metric = comparison.metrics[0]
    values = {id(group): group.values(metric) for group in table.groups}
    means = {key: mean_interval(list(own.values())).mean for key, own in values.items()}
    candidates = [group for group in table.groups if is_new(group.factors)]
    groups = best_first(
        candidates, lambda group: means[id(group)], metric, is_partial=lambda group: bool(group.lost(metric))
    )
    count = len(groups) * (len(groups) - 1) // 2
    if count > MAX_PAIRS:
        raise UsageError(
            f"--all-pairs: {len(groups):,} rows of {comparison.title} make {count:,} pairs, more than {MAX_PAIRS:,}: "
            "name fewer factors with --by"
        )
    chosen = list(combinations(groups, 2))
    found = [seed_differences(values[id(a)], values[id(b)], metric, comparison.rules).difference for a, b in chosen]
    # Too few pairs or no variation: no p, but the comparison was made and counts in the family.
    adjusted = benjamini_hochberg([1.0 if one.p is None else one.p for one in found])
    shown = {id(group) for group in table.shown}
    pairs = [
        RowPair(left.factors, right.factors, one, None if one.p is None else p)
        for (left, right), one, p in zip(chosen, found, adjusted, strict=True)
        if {id(left), id(right)} <= shown
    ]
    ranked = sorted(pairs, key=lambda pair: inf if pair.difference.p is None else pair.difference.p)
    return Pairs(metric, tuple(ranked), count, comparison.rules.test(metric))
