"""Groups of runs as rows: means with intervals, outcomes, and which rows are tied with the best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from actbench.analysis.statistics import MIN_VALUES, prediction_interval, wilson_interval
from actbench.analysis.table.against import is_new
from actbench.analysis.table.contrasts import tied_with_best
from actbench.analysis.table.factors import Value
from actbench.analysis.table.grouping import Group, Run
from actbench.analysis.table.result import DEAD_FRACTION, Contrast, Row
from actbench.analysis.table.rules import Rules
from actbench.schema.metrics import METRICS, is_bounded
from actbench.schema.record import OUTCOMES

Item = TypeVar("Item")

CONTEXT_METRICS = (DEAD_FRACTION, "parameters", "seconds")
"""Carried by every row beside the metrics asked for."""


def rows_of(
    groups: Sequence[Group], contrasts: Sequence[Mapping[str, Contrast]], metrics: Sequence[str], rules: Rules
) -> tuple[list[Row], Mapping[str, Value] | None]:
    """Return one row per group, with its tie to the best in the leading metric, and the factors of the best row.

    Args:
        groups: All of a table, those that are not printed included.
        contrasts: Metric -> contrast to the baseline, for each group.
        metrics: The metrics asked for, the leading one first.
        rules: How to judge.

    Returns:
        The rows in the groups' order; the best one's factors are None where neither direction is better and where no
        row has a value from each of its runs. The mean of those that survived is no match for a complete row's.
    """
    names, leading = tuple(dict.fromkeys((*metrics, *CONTEXT_METRICS))), metrics[0]
    rows = [_row(group, contrast, names, rules) for group, contrast in zip(groups, contrasts, strict=True)]
    # Rows are kept by identity, since they hold mappings, which have no hash. Rows of the base (``--against``) are no
    # candidates for the best.
    candidates = {
        id(row): group
        for row, group in zip(rows, groups, strict=True)
        if is_new(row.factors) and row.metrics[leading].mean is not None and not row.lost[leading]
    }
    if not candidates or METRICS[leading].higher_is_better is None:
        return rows, None
    best = sort_rows([row for row in rows if id(row) in candidates], leading)[0]
    tied = tied_with_best(list(candidates.values()), candidates[id(best)], leading, rules)
    marks = dict(zip(candidates, tied, strict=True))
    return [replace(row, tied=marks.get(id(row))) for row in rows], best.factors


def sort_rows(rows: Iterable[Row], metric: str) -> list[Row]:
    """Sort rows as ``best_first`` does, those of which runs diverged or have no value behind the others."""
    return best_first(
        rows, lambda row: row.metrics[metric].mean, metric, is_partial=lambda row: is_partial(row, metric)
    )


def is_partial(row: Row, metric: str) -> bool:
    """Return whether runs of a row diverged or have no value in a metric.

    A run that diverged has a size and a duration; no row leads a table by these.
    """
    return row.lost[metric] > 0 or row.outcomes["diverged"] > 0


def best_first(
    items: Iterable[Item],
    mean: Callable[[Item], float | None],
    metric: str,
    *,
    is_partial: Callable[[Item], bool] = lambda _: False,
) -> list[Item]:
    """Sort rows or groups by their mean in a metric, the best first, or the highest where neither direction is better.

    Args:
        items: The rows or groups; equals keep their order.
        mean: Returns an item's mean; items without one come last.
        metric: Decides the direction.
        is_partial: Returns whether runs of an item have no value. Its mean is that of the survivors, which flatters it,
            so it comes behind all complete ones.
    """
    sign = 1 if METRICS[metric].higher_is_better is False else -1

    def key(item: Item) -> tuple[bool, bool, float]:
        found = mean(item)
        return found is None, is_partial(item), sign * (found or 0.0)

    return sorted(items, key=key)


def _row(group: Group, contrasts: Mapping[str, Contrast], names: Sequence[str], rules: Rules) -> Row:
    counted = Counter(record.outcome for record, _ in group.runs)
    bad = len(group.runs) - counted["ok"]
    metrics = {name: rules.mean_interval(list(group.values(name).values())) for name in names}
    predictions = {
        name: prediction_interval(list(group.values(name).values()), rules.alpha)
        for name, one in metrics.items()
        if one.n >= MIN_VALUES and not is_bounded(name)
    }
    for name in filter(is_bounded, names):  # many zeros and a bound: a Student-t interval would not hold its level
        metrics[name] = replace(metrics[name], low=None, high=None)
    return Row(
        factors=group.factors,
        runs=len(group.runs),
        outcomes={outcome: counted[outcome] for outcome in OUTCOMES},
        metrics=metrics,
        vs_baseline=contrasts,
        failure_rate=wilson_interval(bad, len(group.runs), rules.alpha) if bad else None,
        picked=group.picked,
        lost={name: len(group.lost(name)) for name in names},
        predictions=predictions,
        parameters=_parameters(group.runs),
        records=tuple(record for record, _ in group.runs),
    )


def _parameters(runs: Sequence[Run]) -> tuple[float, float] | None:
    """Return the smallest and the largest number of parameters, of single runs: a mean may be that of no network."""
    found = [count for record, _ in runs if (count := record.final.get("parameters")) is not None]
    return (min(found), max(found)) if found else None
