"""Each row's curves as columns of small bars, for a terminal that has room for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from actbench.analysis.judgements.formatting import quantity
from actbench.analysis.leading_metric import learns_numbers
from actbench.analysis.pictures.blocks import (
    ASCII_NONE,
    BLOCKS,
    DIGITS,
    NONE,
    Scale,
    bars,
    scale_of,
    spread_indices,
)
from actbench.analysis.plots._data import seed_curves
from actbench.analysis.reports._cells import Cell, Column
from actbench.analysis.table.result import DEAD_FRACTION, Comparison, Row
from actbench.schema.record import RunRecord

CurveReader = Callable[[RunRecord, Sequence[int]], Sequence[Mapping[str, Any]]]
"""(run, epochs) -> the rows of its curve at these epochs."""

MAX_BARS = 8
"""Epochs that are drawn after epoch 0, at equal distances, the last among them."""

QUALITY, DEAD = "val curve", "dead curve"
WIDTH = len(QUALITY)
"""Least width of a column: its title's."""


@dataclass(frozen=True)
class CurveColumn:
    """One column of bars.

    Args:
        column: Its title and cells.
        meaning: The statement about it below the table.
    """

    column: Column
    meaning: str


def curve_columns(comparison: Comparison, read: CurveReader, *, is_unicode: bool) -> list[CurveColumn]:
    """Return the columns that the rows have curves for: validation accuracy or R², and dead units where any died.

    All rows of a column share one scale. A bar is the mean over seeds, as in the chart of learning curves; where a run
    of the row has no value there is none, since a mean of those that are left would flatter.
    """
    rows = [_with_curves(row, read) for row in comparison.rows]
    epochs = [_epochs(row) for row in rows]
    found = []
    # Beside the accuracy of chance at epoch 0 all later ones look alike.
    metric = "val.r2" if learns_numbers(record.final for row in rows for record in row.records) else "val.accuracy"
    quality = [_means(row, metric, own[1:]) for row, own in zip(rows, epochs, strict=True)]
    if (scale := scale_of(value for own in quality for value in own)) is not None:
        low, high = (quantity(metric, end) for end in (scale.low, scale.high))
        lowest, highest = _ends(is_unicode)
        meaning = f"{QUALITY}: mean {metric} by epoch from 1 to the last, {lowest} {low} to {highest} {high}"
        found.append(CurveColumn(_column(QUALITY, quality, scale, is_unicode=is_unicode), meaning))
    dead = [_means(row, DEAD_FRACTION, own) for row, own in zip(rows, epochs, strict=True)]
    scale = scale_of((value for own in dead for value in own), has_none=True)
    if scale is not None and scale.high > 0:
        none, most = NONE if is_unicode else ASCII_NONE, quantity(DEAD_FRACTION, scale.high)
        meaning = f"{DEAD}: mean share of dead units by epoch from 0, {none} none to {_ends(is_unicode)[1]} {most}"
        found.append(CurveColumn(_column(DEAD, dead, scale, is_unicode=is_unicode), meaning))
    return found


def _ends(is_unicode: bool) -> tuple[str, str]:
    letters = BLOCKS if is_unicode else DIGITS
    return letters[0], letters[-1]


def _column(title: str, values: Sequence[Sequence[float | None]], scale: Scale, *, is_unicode: bool) -> Column:
    cells = tuple(Cell(bars(own, scale, is_unicode=is_unicode)) for own in values)
    return Column(title, cells, is_flush_right=False, role="curve")


def _with_curves(row: Row, read: CurveReader) -> Row:
    """Return the row with the curves of those runs that are in its means: failed ones have no result."""
    epochs = _epochs(row)
    return replace(
        row,
        records=tuple(replace(one, curves=read(one, epochs)) for one in row.records if one.outcome != "failed"),
    )


def _epochs(row: Row) -> list[int]:
    """Return the epochs that are drawn: 0, and at most eight others, of the longest training in the row."""
    last = max((record.spec.training.epochs for record in row.records), default=0)
    return [0, *(1 + index for index in spread_indices(last, MAX_BARS))]


def _means(row: Row, key: str, epochs: Sequence[int]) -> list[float | None]:
    """Return the mean over seeds at each epoch; None where a seed has no value."""
    curves = list(seed_curves(row, key).values())
    values = ([curve[epoch] for curve in curves if epoch in curve] for epoch in epochs)
    return [sum(found) / len(found) if found and len(found) == len(curves) else None for found in values]
