"""Speed of convergence: the epochs that a row's runs need to a validation accuracy, and how many never get there."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite

from actbench.analysis.table.factors import Value
from actbench.analysis.table.grouping import Group, Table
from actbench.analysis.table.result import REACH_METRIC, Comparison, Reach, Row
from actbench.errors import UsageError
from actbench.schema.record import RunRecord

UNFINISHED = ("diverged", "failed")
"""Outcomes of runs that count as never having reached the level, whatever their curves held before."""


def rows_with_reach(comparison: Comparison, table: Table, level: float) -> tuple[Row, ...]:
    """Return the comparison's rows, each with its speed of convergence.

    A seed that never reaches the level is counted and stands in no mean: it has no number of epochs, and the number
    that it was given to train would only measure the study's patience. Where rows differ in how many seeds reached it,
    their means are therefore means over different seeds.

    Args:
        comparison: The table as it is shown.
        table: The runs behind it.
        level: Validation accuracy, 0 … 1.

    Raises:
        UsageError: When the level is not an accuracy, or no run has a validation curve.
    """
    if not 0 < level <= 1:
        raise UsageError(f"--reach: expected an accuracy above 0 and at most 1, such as 0.9, not {level:g}")
    ended = [record for record, _ in table.runs if record.outcome not in UNFINISHED]
    if ended and not any(record.curves for record in ended):
        raise UsageError(
            f"--reach: these results hold no epochs of {comparison.title} (metrics.jsonl), or were read in Python "
            "without read_results(..., curves=True)"
        )
    if ended and not any(map(_curve, ended)):
        raise UsageError(
            f"--reach: no run of {comparison.title} has a curve of {REACH_METRIC}: it needs runs with validation "
            "examples (dataset.val_fraction above 0)"
        )
    found = {tuple(group.factors.values()): reach_of(group, level) for group in table.groups}
    return tuple(replace(row, reach=found[tuple(row.factors.values())]) for row in comparison.rows)


def reach_of(group: Group, level: float) -> Reach:
    """Return the mean over the seeds that reached the level; all runs of a seed that is averaged over have to.

    A diverged or failed run counts as one that never did, whatever its curve held before. A seed that lacks one of the
    combinations averaged over is left out, as it is of every mean.
    """
    combinations = {tuple(one.get(key) for key in group.averaged) for _, one in group.runs}
    by_seed: dict[int, dict[tuple[Value, ...], int | None]] = {}
    for record, one in group.runs:
        if record.outcome in UNFINISHED or _curve(record):
            own = by_seed.setdefault(record.spec.seed, {})
            own[tuple(one.get(key) for key in group.averaged)] = first_epoch(record, level)
    complete = [own.values() for own in by_seed.values() if own.keys() == combinations]
    means: list[float] = []
    for epochs in complete:
        reached = [epoch for epoch in epochs if epoch is not None]
        if len(reached) == len(epochs):  # a mean over some of a seed's runs would favour rows in which others fail
            means.append(sum(reached) / len(reached))
    return Reach(level, sum(means) / len(means) if means else None, len(means), len(complete))


def first_epoch(record: RunRecord, level: float) -> int | None:
    """Return the first epoch after which the validation accuracy is at least the level; 0 is before any training."""
    if record.outcome in UNFINISHED:
        return None
    return next((epoch for epoch, accuracy in _curve(record) if accuracy >= level), None)


def _curve(record: RunRecord) -> list[tuple[int, float]]:
    """Return epoch and validation accuracy, for the epochs that have one."""
    points = ((int(row["epoch"]), row.get(REACH_METRIC)) for row in record.curves)
    return [(epoch, value) for epoch, value in points if value is not None and isfinite(value)]
