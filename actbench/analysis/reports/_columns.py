"""A comparison, and its table of all pairs, as columns of cells: built once here, rendered by every format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from actbench.analysis.judgements.formatting import NOTHING, number, p_value, short, unit_of_difference
from actbench.analysis.reports._cells import (
    Cell,
    Column,
    Role,
    chance_cell,
    difference_cell,
    mean_cell,
    outcomes_cell,
    prediction_cell,
    reach_cell,
    shares_cell,
    wins_cell,
)
from actbench.analysis.table.factors import row_name, show
from actbench.analysis.table.result import DEAD_FRACTION, Comparison, Contrast, Pairs, Row
from actbench.schema.metrics import METRICS, is_bounded

DEAD = "dead"
"""Title of the column of dead units, which stands in each table."""

MAX_PAIRS_SHOWN = 20
"""More lines than these are not read; CSV and JSON have all."""


def columns(comparison: Comparison, *, with_ties: bool = True) -> list[Column]:
    """Return all columns of the table.

    Args:
        comparison: The table, its best row first.
        with_ties: Whether a column of ``=`` marks the rows that are tied with the best.
    """
    rows, metrics = comparison.rows, comparison.metrics
    tuned = comparison.tuned.factors if comparison.tuned else ()
    names = short_names((*comparison.factors, *tuned))
    found = [_words("factor", names[key], (show(row.factors[key]) for row in rows)) for key in comparison.factors]
    found += [_words("picked", f"picked {names[key]}", (show(row.picked[key]) for row in rows)) for key in tuned]
    if with_ties and has_ties(rows):
        found.append(Column("", tuple(Cell("=" if row.tied else "") for row in rows), role="tie"))
    shorter = short_names(metrics)
    for metric in metrics:
        best = _best(comparison, metric)
        cells = (mean_cell(metric, row.metrics[metric], is_best=index in best) for index, row in enumerate(rows))
        found.append(Column(metric, tuple(cells), metric=metric, short_title=shorter[metric]))
        if comparison.has_prediction and not is_bounded(metric):
            ends = (prediction_cell(metric, row.predictions.get(metric)) for row in rows)
            note = "%" if METRICS[metric].unit == "fraction" else ""
            found.append(Column("one more run", tuple(ends), note=note, role="prediction", metric=metric))
        if any(row.vs_baseline for row in rows):
            found += _versus_baseline(comparison, metric)
            found += _on_new_seeds(comparison, metric) if comparison.has_chance else []
    counts = (row.metrics[metrics[0]].n for row in rows)
    found.append(Column("n", tuple(Cell(str(n), is_number=True) for n in counts), role="n"))
    if any(row.failure_rate for row in rows):
        found.append(Column("outcomes", tuple(map(outcomes_cell, rows)), is_flush_right=False, role="outcomes"))
    reached = [row.reach for row in rows if row.reach is not None]
    if reached:
        note = f"to {100 * reached[0].level:g} %"
        found.append(Column("epochs", tuple(map(reach_cell, reached)), note=note, role="epochs"))
    if DEAD_FRACTION not in metrics:
        dead = (mean_cell(DEAD_FRACTION, row.metrics[DEAD_FRACTION]) for row in rows)
        found.append(Column(DEAD, tuple(dead), role="dead"))
    if common_parameters(comparison) is None:
        found.append(Column("parameters", tuple(map(_parameters, rows)), role="parameters"))
    return found


def essential(found: Sequence[Column]) -> list[Column]:
    """Return the columns of a table for a page of paper: without parameters, the range of dead units, and wins."""
    return [
        without_range(column) if column.role == "dead" else column
        for column in found
        if column.role not in ("parameters", "wins")
    ]


def without_range(column: Column) -> Column:
    """Return the column with its means alone."""
    return replace(column, cells=tuple(replace(cell, below=()) for cell in column.cells))


def pair_columns(pairs: Pairs) -> list[Column]:
    """Return the pairs with the smallest p as a table."""
    shown, metric = pairs.pairs[:MAX_PAIRS_SHOWN], pairs.metric
    differences = (difference_cell(metric, Contrast(one.difference, one.p_adjusted, False)) for one in shown)
    counts = (Cell(str(one.difference.n_pairs), is_number=True) for one in shown)
    return [
        _words("row", "row", (row_name(one.left) for one in shown)),
        _words("row", "against", (row_name(one.right) for one in shown)),
        Column("Δ", tuple(differences), note=unit_of_difference(metric), role="difference", metric=metric),
        Column("p", tuple(_p_cell(one.difference.p) for one in shown), role="p"),
        Column("adjusted p", tuple(_p_cell(one.p_adjusted) for one in shown), role="adjusted p"),
        Column("pairs", tuple(counts), role="pairs"),
    ]


def has_ties(rows: Sequence[Row]) -> bool:
    """Return whether any row can't be told from the best, besides the best itself."""
    return sum(bool(row.tied) for row in rows) > 1


def has_range(found: Sequence[Column]) -> bool:
    """Return whether the column of dead units shows a range in any of its cells."""
    return any(column.role == "dead" and any(cell.below for cell in column.cells) for column in found)


def common_parameters(comparison: Comparison) -> str | None:
    """Return the number of parameters when all runs of all rows agree on it, otherwise None."""
    found = {count for row in comparison.rows for count in row.parameters or ()}
    return number("parameters", found.pop()) if len(found) == 1 else None


def _versus_baseline(comparison: Comparison, metric: str) -> list[Column]:
    contrasts = [row.vs_baseline.get(metric) for row in comparison.rows]
    blanks = [Cell("baseline" if comparison.is_baseline(row.factors) else NOTHING) for row in comparison.rows]
    cells = (difference_cell(metric, one) if one else blank for one, blank in zip(contrasts, blanks, strict=True))
    # Where neither direction is better, the wins count the pairs with the higher value.
    title = "higher in" if METRICS[metric].higher_is_better is None else "better in"
    wins = (wins_cell(one) if one else Cell("") for one in contrasts)
    unit = unit_of_difference(metric)
    return [
        Column("Δ baseline", tuple(cells), note=unit, role="difference", metric=metric, short_title="Δ"),
        Column(title, tuple(wins), role="wins", metric=metric),
    ]


def _on_new_seeds(comparison: Comparison, metric: str) -> list[Column]:
    contrasts = [row.vs_baseline.get(metric) for row in comparison.rows]
    word = "higher" if METRICS[metric].higher_is_better is None else "better"
    chances = tuple(chance_cell(one) if one else Cell("") for one in contrasts)
    found = [Column(f"{word} on a new seed", chances, role="chance", metric=metric, short_title=f"{word} anew")]
    deltas = [new.delta for one in contrasts if one and (new := one.new_seed) is not None and new.delta is not None]
    if deltas:
        shares = tuple(shares_cell(one) if one else Cell("") for one in contrasts)
        note = f"±{short(metric, deltas[0])}"
        found.append(Column("worse / same / better", shares, note=note, role="shares", metric=metric))
    return found


def _best(comparison: Comparison, metric: str) -> set[int]:
    """Return the rows that are best in a metric: in the leading one, all that are tied with the best."""
    higher = METRICS[metric].higher_is_better
    if higher is None:
        return set()
    if metric == comparison.metrics[0]:
        return {index for index, row in enumerate(comparison.rows) if row.tied}
    rows = [(index, row) for index, row in enumerate(comparison.rows) if not row.lost[metric]]
    known = {index: mean for index, row in rows if (mean := row.metrics[metric].mean) is not None}
    return {index for index, mean in known.items() if mean == (max if higher else min)(known.values())}


def _words(role: Role, title: str, texts: Iterable[str]) -> Column:
    return Column(title, tuple(map(Cell, texts)), is_flush_right=False, role=role)


def _p_cell(p: float | None) -> Cell:
    text = NOTHING if p is None else p_value(p).removeprefix("= ")
    # Of all p-values only 1 has a digit before its point; .004 and < .001 are centred like words.
    return Cell(text, is_number=text == "1")


def _parameters(row: Row) -> Cell:
    """Return the number of parameters, or a range where a row is an average over networks of different size."""
    if row.parameters is None:
        return Cell(NOTHING)
    least, most = (number("parameters", count) for count in row.parameters)
    return Cell(least if least == most else f"{least}–{most}", is_number=True)


def short_names(keys: Iterable[str]) -> Mapping[str, str]:
    """Return the last part of each dotted key, or the whole key where two end in the same part.

    >>> short_names(["activation", "training.optimizer.lr"])
    {'activation': 'activation', 'training.optimizer.lr': 'lr'}
    """
    last = {key: key.rpartition(".")[2] for key in keys}
    return {key: name if list(last.values()).count(name) == 1 else key for key, name in last.items()}
