"""A comparison's table for the page: the cells of the widest text table, and beside each its exact number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from actbench.analysis.compare import compare_with
from actbench.analysis.compare_options import CompareOptions
from actbench.analysis.judgements.formatting import NOTHING, p_value
from actbench.analysis.page._runs import highlight_of
from actbench.analysis.page._words import anchor
from actbench.analysis.reports import _sentences
from actbench.analysis.reports._cells import Cell, Column
from actbench.analysis.reports._columns import DEAD, columns, has_range
from actbench.analysis.table.factors import row_name
from actbench.analysis.table.result import DEAD_FRACTION, Comparison, Row
from actbench.schema.record import RunRecord
from actbench.storage.reading import Records
from actbench.system.text import printable

MAX_BASELINES = 12
"""With more rows only the study's own baseline is computed: each further one is a whole comparison."""

HEADS = {DEAD: "dead", "Δ baseline": "paired", "outcomes": "Wilson interval", "adjusted p": "adjusted p"}
"""Title of a column -> the word whose definition it leads to."""


@dataclass(frozen=True)
class Head:
    """The head of a column.

    Args:
        text: As it is printed, with its unit in a second line.
        word: Id of the definition; empty where none is needed.
        is_number: Whether the column is sorted by its numbers.
    """

    text: str
    word: str
    is_number: bool


@dataclass(frozen=True)
class TableRow:
    """One row.

    Args:
        name: Its name in sentences.
        activation: By which it is highlighted.
        kind: ``baseline``, ``best`` or nothing, for the style sheet.
        cells: Each cell, and the exact number behind it as JSON has it; None for words.
    """

    name: str
    activation: str
    kind: str
    cells: Sequence[tuple[Cell, float | None]]


@dataclass(frozen=True)
class TableView:
    """A table against one baseline.

    Args:
        baseline: Its name; empty without one.
        heads: One a column.
        rows: In the order of ``compare``.
        caption: What the figures mean.
        verdicts: All of them.
    """

    baseline: str
    heads: Sequence[Head]
    rows: Sequence[TableRow]
    caption: str
    verdicts: Sequence[str]


def table_of(comparison: Comparison) -> TableView:
    """Return a comparison as the page shows it."""
    found = _with_p(comparison, columns(comparison))
    exact = _exact(comparison, found)
    cells = [[*zip(row, numbers, strict=True)] for row, numbers in zip(_across(found), exact, strict=True)]
    caption = _sentences.one_sentence(_sentences.caption(comparison, _sentences.Shown(has_range=has_range(found))))
    return TableView(
        baseline=row_name(comparison.baseline or {}),
        heads=[_head(column) for column in found],
        rows=[_row(comparison, row, own) for row, own in zip(comparison.rows, cells, strict=True)],
        caption=printable(caption),
        verdicts=(*comparison.verdicts, *comparison.further_runs, *comparison.new_seeds),
    )


def other_baselines(records: Records, comparison: Comparison, options: CompareOptions) -> list[Comparison]:
    """Return the same table against each of its other rows; none with more than ``MAX_BASELINES`` rows.

    Every number is that of ``compare`` with this baseline, in a family of its own.

    Args:
        records: All that were compared.
        comparison: The table.
        options: With which it was computed.
    """
    rows = comparison.rows
    if options.against is not None or comparison.baseline is None or not 2 < len(rows) <= MAX_BASELINES:
        return []
    # Without folders no commands for more seeds are made: nobody sees them, and each would read the config again.
    own = replace(records, runs=tuple(one for one in records if one.study == comparison.study), warnings=(), folders={})
    # A baseline of the table at common values holds the tuned factors, too, and ``compare`` takes no such pair.
    tune = options.tune if comparison.tuned is not None else ()
    found = []
    for row in rows:
        if comparison.is_baseline(row.factors) and comparison.baseline.keys() == row.factors.keys():
            continue
        again = compare_with(own, replace(options, baseline=row.factors, methods=False, tune=tune))
        # Its study may have other tables, and a value written in two ways may have found another row.
        found += [one for one in again.comparisons if _is_same_table(one, comparison) and one.baseline == row.factors]
    return found


def outcome_lists(records: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    """Return outcome -> its runs, for the outcomes that something went wrong with."""
    return {
        outcome: own
        for outcome in ("failed", "diverged", "collapsed")
        if (own := [one for one in records if one.outcome == outcome])
    }


def _is_same_table(one: Comparison, other: Comparison) -> bool:
    return (one.context, one.tuned, one.factors) == (other.context, other.tuned, other.factors)


def _with_p(comparison: Comparison, found: Sequence[Column]) -> list[Column]:
    """Return the columns with the adjusted p behind each column of wins, which a terminal has no room for."""
    metrics, result = iter(comparison.metrics), []
    for column in found:
        result.append(column)
        if column.title in ("better in", "higher in"):
            metric = next(metrics)
            contrasts = [row.vs_baseline.get(metric) for row in comparison.rows]
            texts = [
                "" if one is None else NOTHING if one.p_adjusted is None else p_value(one.p_adjusted)
                for one in contrasts
            ]
            result.append(Column("adjusted p", tuple(Cell(text.removeprefix("= ")) for text in texts)))
    return result


def _exact(comparison: Comparison, found: Sequence[Column]) -> list[list[float | None]]:
    """Return the exact numbers of the cells, row by row."""
    return [[*_numbers(comparison, row, found)] for row in comparison.rows]


def _numbers(comparison: Comparison, row: Row, found: Sequence[Column]) -> Iterator[float | None]:
    metric = comparison.metrics[0]
    for column in found:
        contrast = row.vs_baseline.get(metric)
        if column.title in comparison.metrics:
            metric = column.title
            yield row.metrics[metric].mean
        elif column.title == "Δ baseline":
            yield None if contrast is None else contrast.difference.difference
        elif column.title in ("better in", "higher in"):
            yield None if contrast is None else contrast.difference.wins
        elif column.title == "adjusted p":
            yield None if contrast is None else contrast.p_adjusted
        elif column.title == "n":
            yield row.metrics[comparison.metrics[0]].n
        elif column.title == DEAD:
            yield row.metrics[DEAD_FRACTION].mean
        elif column.title == "epochs":
            yield None if row.reach is None else row.reach.epochs
        elif column.title == "parameters":
            yield None if row.parameters is None else row.parameters[0]
        else:
            yield _as_number(row, column.title, comparison)


def _as_number(row: Row, title: str, comparison: Comparison) -> float | None:
    """Return a factor's value where it is a number, so that biases are sorted as numbers."""
    for key in comparison.factors:
        if title in (key, key.rpartition(".")[2]):
            value = row.factors[key]
            return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    return None


def _across(found: Sequence[Column]) -> list[tuple[Cell, ...]]:
    return [*zip(*(column.cells for column in found), strict=True)]


def _head(column: Column) -> Head:
    word = HEADS.get(column.title, "" if column.title else "tied")
    # Of a head that is no link, line breaks would be shown as stand-ins.
    text = column.heading("\n" if word else " ") or "="
    return Head(text, anchor(word) if word else "", column.is_flush_right)


def _row(comparison: Comparison, row: Row, cells: Sequence[tuple[Cell, float | None]]) -> TableRow:
    is_best = comparison.best is not None and row.factors == comparison.best
    kind = "baseline" if comparison.is_baseline(row.factors) else "best" if is_best else ""
    return TableRow(printable(row_name(row.factors)), printable(highlight_of(row)), kind, cells)
