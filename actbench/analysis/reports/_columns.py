"""A comparison, and its table of all pairs, as columns of cells: built once here, rendered by every format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from actbench.analysis.judgements.formatting import NOTHING, number, p_value, unit_of_difference
from actbench.analysis.reports._cells import (
    Cell,
    Column,
    difference_cell,
    mean_cell,
    outcomes_cell,
    quantity_cell,
    reach_cell,
    wins_cell,
)
from actbench.analysis.table.factors import row_name, show, show_all
from actbench.analysis.table.result import DEAD_FRACTION, Comparison, Contrast, Pairs, Row
from actbench.schema.metrics import METRICS

MAX_DETAILS = 3
"""Level of detail where there is room for everything."""

DEAD = "dead"
"""Title of the column of dead units, which stands in each table."""

MAX_PAIRS_SHOWN = 20
"""More lines than these are not read; CSV and JSON have all."""


def columns(comparison: Comparison, *, details: int = MAX_DETAILS, with_ties: bool = True) -> list[Column]:
    """Return the table's columns.

    Args:
        comparison: The table, its best row first.
        details: How much there is room for: 3 everything, 2 no parameters, 1 nor the range of dead units, 0 nor the
            wins.
        with_ties: Whether a column of ``=`` marks the rows that are tied with the best.
    """
    rows = comparison.rows
    tuned = comparison.tuned.factors if comparison.tuned else ()
    names = short_names((*comparison.factors, *tuned))
    found = [_words(names[key], (show(row.factors[key]) for row in rows)) for key in comparison.factors]
    found += [_words(f"picked {names[key]}", (show(row.picked[key]) for row in rows)) for key in tuned]
    if with_ties and has_ties(rows):
        found.append(Column("", tuple(Cell("=" if row.tied else "") for row in rows)))
    for metric in comparison.metrics:
        best = _best(comparison, metric)
        cells = (mean_cell(metric, row.metrics[metric], is_best=index in best) for index, row in enumerate(rows))
        found.append(Column(metric, tuple(cells)))
        if any(row.vs_baseline for row in rows):
            found += _versus_baseline(comparison, metric, with_wins=details > 0)
    counts = (row.metrics[comparison.metrics[0]].n for row in rows)
    found.append(Column("n", tuple(Cell(str(n), is_number=True) for n in counts)))
    if any(row.failure_rate for row in rows):
        found.append(Column("outcomes", tuple(map(outcomes_cell, rows)), is_flush_right=False))
    reached = [row.reach for row in rows if row.reach is not None]
    if reached:
        found.append(Column("epochs", tuple(map(reach_cell, reached)), note=f"to {100 * reached[0].level:g} %"))
    if DEAD_FRACTION not in comparison.metrics:
        dead = [row.metrics[DEAD_FRACTION] for row in rows]
        with_range = details > 1
        cells = (
            mean_cell(DEAD_FRACTION, one) if with_range else quantity_cell(DEAD_FRACTION, one.mean) for one in dead
        )
        found.append(Column(DEAD, tuple(cells)))
    if details > 2 and common_parameters(comparison) is None:
        found.append(Column("parameters", tuple(map(_parameters, rows))))
    return found


def pair_columns(pairs: Pairs, *, with_split_names: bool = False) -> list[Column]:
    """Return the pairs with the smallest p as a table.

    Args:
        pairs: All of them.
        with_split_names: Whether the brackets of a row's name may stand in a line of their own below it.
    """
    shown, metric = pairs.pairs[:MAX_PAIRS_SHOWN], pairs.metric
    differences = (difference_cell(metric, Contrast(one.difference, one.p_adjusted, False)) for one in shown)
    name = _split_name if with_split_names else _name
    return [
        Column("row", tuple(name(one.left) for one in shown), is_flush_right=False),
        Column("against", tuple(name(one.right) for one in shown), is_flush_right=False),
        Column("Δ", tuple(differences), note=unit_of_difference(metric)),
        Column("p", tuple(_p_cell(one.difference.p) for one in shown)),
        Column("adjusted p", tuple(_p_cell(one.p_adjusted) for one in shown)),
        Column("pairs", tuple(Cell(str(one.difference.n_pairs), is_number=True) for one in shown)),
    ]


def has_ties(rows: Sequence[Row]) -> bool:
    """Return whether any row can't be told from the best, besides the best itself."""
    return sum(bool(row.tied) for row in rows) > 1


def has_range(found: Sequence[Column]) -> bool:
    """Return whether the column of dead units shows a range in any of its cells."""
    return any(column.title == DEAD and any(cell.below for cell in column.cells) for column in found)


def common_parameters(comparison: Comparison) -> str | None:
    """Return the number of parameters when all runs of all rows agree on it, otherwise None."""
    found = {count for row in comparison.rows for count in row.parameters or ()}
    return number("parameters", found.pop()) if len(found) == 1 else None


def _versus_baseline(comparison: Comparison, metric: str, *, with_wins: bool) -> list[Column]:
    contrasts = [row.vs_baseline.get(metric) for row in comparison.rows]
    blanks = [Cell("baseline" if comparison.is_baseline(row.factors) else NOTHING) for row in comparison.rows]
    cells = (difference_cell(metric, one) if one else blank for one, blank in zip(contrasts, blanks, strict=True))
    found = [Column("Δ baseline", tuple(cells), note=unit_of_difference(metric))]
    if with_wins:
        # Where neither direction is better, the wins count the pairs with the higher value.
        title = "higher in" if METRICS[metric].higher_is_better is None else "better in"
        found.append(Column(title, tuple(wins_cell(one) if one else Cell("") for one in contrasts)))
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


def _words(title: str, texts: Iterable[str]) -> Column:
    return Column(title, tuple(map(Cell, texts)), is_flush_right=False)


def _name(factors: Mapping[str, object]) -> Cell:
    return Cell(row_name(factors))


def _split_name(factors: Mapping[str, object]) -> Cell:
    rest = {key: value for key, value in factors.items() if key != "activation"}
    if "activation" not in factors or not rest:
        return _name(factors)
    return Cell(show(factors["activation"]), below=(f"({show_all(rest)})",))


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
