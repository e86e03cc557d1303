"""Each row at its own best setting: tuned factors are picked by the validation metric, never by the test metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from actbench.analysis.leading_metric import learns_numbers
from actbench.analysis.table.against import SIDE
from actbench.analysis.table.factors import FlatSpec, Value, check_keys, row_name, show, show_all
from actbench.analysis.table.grouping import Filter, Group, Run, Table, by_seed, fits, grouped
from actbench.analysis.table.result import Tuned
from actbench.analysis.table.rows import best_first
from actbench.config.design import untunable
from actbench.errors import UsageError
from actbench.schema.metrics import METRICS
from actbench.system.text import some_names

UNFIT = ("diverged", "failed")
"""A setting with one such run is not picked, since the mean over the seeds that survived flatters it."""

MAX_NAMES = 3
"""Rows that a warning names before it counts the rest."""


@dataclass(frozen=True)
class Edge:
    """A picked value at the end of the values that were tried.

    Args:
        key: The tuned factor.
        value: The picked value.
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
    """Refuse factors that can't be tuned in this view.

    Raises:
        UnknownNameError: For a factor that no run has.
        UsageError: For a factor that is given twice, is compared, or is held at one value.
    """
    check_keys("factor", tune, specs if tune else ())
    for key in tune:
        if text := untunable(key):
            raise UsageError(f"--tune: {text}")
        for option, held in (("--baseline", baseline), ("--where", where)):
            if key in held:
                raise UsageError(f"either --tune or {option} for '{key}': each row gets its own value of it")


def validation_metric(metric: str, finals: Iterable[Mapping[str, Any]] = ()) -> str:
    """Return the metric that picks values when this one is compared: its validation twin, else validation accuracy.

    Args:
        metric: The compared one.
        finals: The runs' final metrics, which show whether their targets are numbers: these have an error instead.

    >>> validation_metric("test.loss"), validation_metric("health.dead_fraction")
    ('val.loss', 'val.accuracy')
    """
    twin = f"val.{metric.partition('.')[2]}"
    if twin in METRICS:
        return twin
    return "val.mse" if learns_numbers(finals) else "val.accuracy"


def tune_rows(table: Table, tune: Sequence[str], *, metric: str, where: Filter) -> tuple[Table | None, list[str]]:
    """Return the table with each row at the tuned factors' values that have its best mean validation metric.

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
    by = validation_metric(metric, (record.final for record, _ in table.all_runs))
    # A row of the tuned table has the runs of all values of the tuned factors, of which those picked are kept.
    rows = grouped([run for group in table.groups for run in group.runs], factors, averaged)
    found = {id(row): own for row in rows if (own := _tuned_row(row, keys, by)) is not None}
    shown = [row for row in rows if fits(row.runs[0][1], where)]
    kept = [row for row in shown if id(row) in found]
    # The base's rows are hidden (``--against``), but a row without its base has no difference.
    compared = [
        row for row in rows if fits(row.runs[0][1], {key: value for key, value in where.items() if key != SIDE})
    ]
    if left_out := [row for row in compared if id(row) not in found]:
        names = _names(left_out)
        notes.append(f"no value to pick, as none has {by} of all its runs, so these rows are left out: {names}")
    if uneven := [row for row in kept if _has_uneven_seeds(row, keys, by)]:
        notes.append(
            f"the values tried have runs with different seeds, and each mean {by} is over its own: the picked one may "
            f"be best for its seeds alone, for {_names(uneven)}"
        )
    notes += _edge_warnings([(row, found[id(row)].picked, _equals(row, keys, by)) for row in kept])
    groups, visible = tuple(found.values()), tuple(found[id(row)] for row in kept)
    view = replace(table, factors=factors, averaged=averaged, groups=groups, shown=visible, repeats=0)
    return (replace(view, tuned=Tuned(keys, by)) if visible else None), notes


def cells_at_own_values(
    runs: Sequence[Run], factors: Sequence[str], tune: Sequence[str], *, metric: str
) -> tuple[list[Group], list[Group], str]:
    """Return each cell of the other factors at its own best value of the tuned ones, as ``tune_rows`` picks it.

    Args:
        runs: Of one table.
        factors: All factors in which they differ.
        tune: Those to tune, of which at least one is a factor.
        metric: The metric whose validation twin picks.

    Returns:
        The cells with the runs of the values picked, the cells that have none to pick, and the metric that picked.
    """
    keys = tuple(key for key in tune if key in factors)
    by = validation_metric(metric, (record.final for record, _ in runs))
    cells = grouped(runs, tuple(key for key in factors if key not in keys))
    picked = [(cell, _tuned_row(cell, keys, by)) for cell in cells]
    return [own for _, own in picked if own], [cell for cell, own in picked if own is None], by


def edge_of(key: str, value: Value, tried: Iterable[Value]) -> Edge | None:
    """Return the end of the range at which a picked value lies; None inside it, for names, and for 0 as 'off'.

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
    # A count such as a number of epochs continues with a count.
    beyond = max(1, round(further)) if all(isinstance(one, int) for one in known) and known[0] > 0 else further
    return Edge(key, at, (known[0], known[-1]), float(f"{beyond:.3g}"))


def _why_not(key: str, table: Table, where: Filter) -> str | None:
    """Return why a factor is not tuned in this table; None when it is."""
    for held, value in where.items():
        if f"{key}.".startswith(f"{held}."):
            return f"'{key}' is held by {held}={show(value)}"
    return None if key in (*table.factors, *table.averaged) else f"'{key}' is not a factor of this table"


def _tuned_row(row: Group, keys: Sequence[str], by: str) -> Group | None:
    """Return the row's runs at its best values of the keys; None when no combination has a validation metric."""
    candidates = sorted(grouped(row.runs, tuple(keys)), key=lambda one: tuple(map(_order, one.factors.values())))
    means = {id(candidate): _mean(candidate.runs, row, by) for candidate in candidates}
    best = best_first(candidates, lambda one: means[id(one)], by)[0]  # of equals the one with the smallest values
    return None if means[id(best)] is None else replace(row, runs=best.runs, picked=best.factors)


def _mean(runs: Sequence[Run], row: Group, by: str) -> float | None:
    """Return a candidate's mean validation metric; None for one that can't be picked.

    That is one with a run that diverged or failed, or without a run in each combination that the row averages over.
    """
    combinations = [{tuple(one.get(key) for key in row.averaged) for _, one in own} for own in (runs, row.runs)]
    if combinations[0] != combinations[1] or any(record.outcome in UNFIT for record, _ in runs):
        return None
    values = by_seed(runs, row.averaged, by).values()
    return sum(values) / len(values) if values else None


def _has_uneven_seeds(row: Group, keys: Sequence[str], by: str) -> bool:
    """Return whether the values that could be picked for a row have their validation metric of different seeds."""
    candidates = [one for one in grouped(row.runs, tuple(keys)) if _mean(one.runs, row, by) is not None]
    return len({frozenset(by_seed(one.runs, row.averaged, by)) for one in candidates}) > 1


def _equals(row: Group, keys: Sequence[str], by: str) -> list[Mapping[str, Value]]:
    """Return the values of all candidates whose mean is that of the best, the picked one included."""
    candidates = [(one.factors, _mean(one.runs, row, by)) for one in grouped(row.runs, tuple(keys))]
    means = [mean for _, mean in candidates if mean is not None]
    best = max(means) if METRICS[by].higher_is_better else min(means)
    return [factors for factors, mean in candidates if mean == best]


def _order(value: Value) -> tuple[bool, float, str]:
    """Return a sort key that puts numbers first, by size, then everything else by name."""
    number = _number(value)
    return (number is None, number or 0.0, "" if number is not None else show(value))


def _number(value: Value) -> float | None:
    return None if value is None or isinstance(value, (bool, str)) else value


def _edge_warnings(rows: Sequence[tuple[Group, Mapping[str, Value], Sequence[Mapping[str, Value]]]]) -> list[str]:
    """Return one warning for each value that was picked at the end of its range, with the next value to try.

    There is none where a value with the same mean lies inside the range: the best need not lie beyond.

    Args:
        rows: A row, its picked values, and those of all candidates with the same mean.
    """
    found: dict[Edge, list[Group]] = {}
    for row, picked, equals in rows:
        for key, value in picked.items():
            tried = [one.get(key) for _, one in row.runs]
            edge = edge_of(key, value, tried)
            if edge is not None and all(edge_of(key, one[key], tried) for one in equals):
                found.setdefault(edge, []).append(row)
    texts = []
    for edge, own in found.items():
        low, high = edge.range
        end = "smallest" if edge.value == low else "largest"
        picked_for = f"{show_all({edge.key: edge.value})}, picked for {_names(own)}"
        text = f"{picked_for}, is the {end} value tried ({show(low)} to {show(high)})"
        texts.append(text if edge.beyond == edge.value else f"{text}: add {show(edge.beyond)} to its sweep")
    return texts


def _names(rows: Sequence[Group]) -> str:
    return some_names([row_name(row.factors) for row in rows], MAX_NAMES)
