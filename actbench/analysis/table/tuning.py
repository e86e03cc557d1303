"""Each row at its own best setting: tuned factors are picked by the validation metric, never by the test metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from actbench.analysis.table.factors import FlatSpec, Value, check_keys, row_name, show, show_all
from actbench.analysis.table.grouping import Filter, Group, Run, Table, by_seed, fits, grouped
from actbench.analysis.table.result import Tuned
from actbench.analysis.table.rows import best_first
from actbench.config.design import untunable
from actbench.errors import UsageError
from actbench.schema.metrics import METRICS

UNFIT = ("diverged", "failed")
"""One such run and its setting is not picked: the mean of the seeds that survived flatters it."""

MAX_NAMES = 3
"""Rows that a warning names before it counts the rest."""


@dataclass(frozen=True)
class Edge:
    """A picked value beyond which nothing was tried.

    Args:
        key: The tuned factor.
        value: What was picked.
        range: The smallest and the largest value tried.
        beyond: The next value to try.
    """

    key: str
    value: float
    range: tuple[float, float]
    beyond: float


def check_tune(
    tune: Sequence[str], baseline: Mapping[str, Any], where: Mapping[str, Any], specs: Iterable[FlatSpec]
) -> None:
    """Refuse factors that the user can't have tuned in this view.

    Raises:
        UnknownNameError: For a factor that no run has.
        UsageError: For one that is given twice, is what is compared, or is held at one value.
    """
    check_keys("factor", tune, specs if tune else ())
    for key in tune:
        if text := untunable(key):
            raise UsageError(f"--tune: {text}")
        for option, held in (("--baseline", baseline), ("--where", where)):
            if key in held:
                raise UsageError(f"either --tune or {option} for '{key}': each row gets its own value of it")


def validation_metric(metric: str) -> str:
    """What picks the values when this metric is compared: its validation twin, else the accuracy on validation.

    >>> validation_metric("test.loss"), validation_metric("health.dead_fraction")
    ('val.loss', 'val.accuracy')
    """
    twin = f"val.{metric.partition('.')[2]}"
    return twin if twin in METRICS else "val.accuracy"


def tune_rows(table: Table, tune: Sequence[str], *, metric: str, where: Filter) -> tuple[Table | None, list[str]]:
    """The table with each row at the tuned factors' values that have its best mean validation metric.

    A row keeps the runs of the values picked for it, so everything else, the pairing by seed included, is computed as
    in any table. The baseline's row is tuned like the others.

    Args:
        table: The one at common values.
        tune: The factors to tune.
        metric: The compared metric, whose validation twin picks.
        where: What is shown.

    Returns:
        The tuned table, None when there is none to show; and what to know about it, or why there is none.
    """
    keys = tuple(key for key in tune if not _why_not(key, table, where))
    notes = [f"not tuned: {text}" for key in tune if (text := _why_not(key, table, where))]
    factors, averaged = (tuple(key for key in own if key not in keys) for own in (table.factors, table.averaged))
    if keys and not factors:
        notes.append(f"not tuned: no factor is left besides {', '.join(keys)}")
    if not keys or not factors:
        return None, notes
    by = validation_metric(metric)
    rows = grouped([run for group in table.groups for run in group.runs], factors, averaged)
    found = {id(row): own for row in rows if (own := _tuned_row(row, keys, by)) is not None}
    shown = [row for row in rows if fits(row.runs[0][1], where)]
    kept = [row for row in shown if id(row) in found]
    notes += _left_out([row for row in shown if id(row) not in found], by)
    notes += _edges([(row, found[id(row)].picked) for row in kept])
    groups, visible = tuple(found.values()), tuple(found[id(row)] for row in kept)
    view = replace(table, factors=factors, averaged=averaged, groups=groups, shown=visible, repeats=0)
    return (replace(view, tuned=Tuned(keys, by)) if visible else None), notes


def _why_not(key: str, table: Table, where: Filter) -> str | None:
    """Why a factor is not tuned in this table; None when it is."""
    for held, value in where.items():
        if f"{key}.".startswith(f"{held}."):
            return f"'{key}' is held by {held}={show(value)}"
    return None if key in (*table.factors, *table.averaged) else f"'{key}' is no factor of this table"


def _tuned_row(row: Group, keys: Sequence[str], by: str) -> Group | None:
    """The row's runs at its best values of the keys; None when no combination has a validation metric."""
    candidates = sorted(grouped(row.runs, tuple(keys)), key=lambda one: tuple(map(_order, one.factors.values())))
    means = {id(candidate): _mean(candidate.runs, row, by) for candidate in candidates}
    best = best_first(candidates, lambda one: means[id(one)], by)[0]  # of equals the first
    if means[id(best)] is None:
        return None
    return replace(row, runs=best.runs, picked=best.factors)


def _mean(runs: Sequence[Run], row: Group, by: str) -> float | None:
    """A candidate's mean validation metric; None for one that can't be picked."""
    combinations = [{tuple(one.get(key) for key in row.averaged) for _, one in own} for own in (runs, row.runs)]
    if combinations[0] != combinations[1] or any(record.outcome in UNFIT for record, _ in runs):
        return None
    values = by_seed(runs, row.averaged, by).values()
    return sum(values) / len(values) if values else None


def _order(value: Value) -> tuple[bool, float, str]:
    """Numbers by size, then everything else by name."""
    number = _number(value)
    return (number is None, number or 0.0, "" if number is not None else show(value))


def _number(value: Value) -> float | None:
    return None if value is None or isinstance(value, (bool, str)) else value


def _left_out(rows: Sequence[Group], by: str) -> list[str]:
    if not rows:
        return []
    return [f"no value to pick, as none has {by} of all its runs, so these rows are left out: {_names(rows)}"]


def _edges(rows: Sequence[tuple[Group, Mapping[str, Value]]]) -> list[str]:
    """One warning for each value that was picked at the end of its range."""
    found: dict[Edge, list[Group]] = {}
    for row, picked in rows:
        for key, value in picked.items():
            edge = edge_of(key, value, [one.get(key) for _, one in row.runs])
            if edge is not None:
                found.setdefault(edge, []).append(row)
    return [_edge_in_words(edge, own) for edge, own in found.items()]


def edge_of(key: str, value: Value, tried: Iterable[Value]) -> Edge | None:
    """The end of the range that a picked value is; None for one inside, for names, and for 0 below positive numbers.

    The next value continues the range: by the last ratio where all are positive, as learning rates go, else by the
    last step.

    >>> edge_of("training.optimizer.lr", 0.1, [0.1, 0.025, 0.05])
    Edge(key='training.optimizer.lr', value=0.1, range=(0.025, 0.1), beyond=0.2)
    """
    numbers = [_number(one) for one in tried]
    known = sorted({one for one in numbers if one is not None})
    at = _number(value)
    if at is None or None in numbers or len(known) < 2 or at not in (known[0], known[-1]):
        return None
    if at == 0 and known[0] == 0:  # the setting is off: there is nothing below
        return None
    neighbour = known[1] if at == known[0] else known[-2]
    further = at * (at / neighbour) if known[0] > 0 else at + (at - neighbour)
    beyond = max(1, round(further)) if all(isinstance(one, int) for one in known) and known[0] > 0 else further
    return Edge(key, at, (known[0], known[-1]), float(f"{beyond:.3g}"))


def _edge_in_words(edge: Edge, rows: Sequence[Group]) -> str:
    low, high = edge.range
    end = "smallest" if edge.value == low else "largest"
    picked = f"{show_all({edge.key: edge.value})}, picked for {_names(rows)}"
    text = f"{picked}, is the {end} value tried ({show(low)} to {show(high)})"
    return text if edge.beyond == edge.value else f"{text}: add {show(edge.beyond)} to its sweep"


def _names(rows: Sequence[Group]) -> str:
    names = [row_name(row.factors) for row in rows]
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more
