"""What moves a result: the variance of each row's runs by the seed of the weights and by that of the batches.

Needs runs in which both are crossed: ``actbench run CONFIG order_seed=0,1,2,3,4``. A usual study moves both with one
seed, and can't tell them apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from actbench.analysis.further.run_rows import Row, leading_metric, named, rows_without, runs_of, value_of
from actbench.analysis.further.table import FurtherTable, quantity_with_interval
from actbench.analysis.judgements.formatting import NOTHING, number, quantity
from actbench.analysis.pairs_needed import MIN_VALUES
from actbench.analysis.statistics.variance_components import Component, VarianceComponents, variance_components
from actbench.errors import UsageError
from actbench.schema.metrics import METRICS
from actbench.schema.record import RunRecord

ORDER = "order_seed"
SOURCES = {"weights": "rows", "batches": "columns", "rest": "rest"}
"""Name of a source -> its part of the table whose rows are the seeds of the weights."""
NAMES = {"weights": "the initial weights", "batches": "the batches", "rest": "pairs of both"}


@dataclass(frozen=True)
class RowSources:
    """The sources of one row's variance.

    Args:
        row: Its name.
        mean: Of its runs.
        found: The components; None where fewer than three of either seed are complete.
        weights: Seeds of the weights that have a run with each seed of the batches.
        batches: Seeds of the batches.
        lost: Seeds of the weights left out, since a run with one of the others is missing or has no value.
    """

    row: str
    mean: float | None
    found: VarianceComponents | None
    weights: int
    batches: int
    lost: int


def variance_sources(
    records: Sequence[RunRecord], *, metric: Sequence[str] = (), alpha: float = 0.05
) -> tuple[str, list[RowSources]]:
    """Return the metric, and the sources of each row's variance.

    Args:
        records: The runs.
        metric: One metric; empty for the one by which such runs are judged.
        alpha: One minus the coverage of each interval.

    Raises:
        UsageError: Where no row has three seeds of each kind, with the command that makes them.
        ResultsError: When there are no runs.
    """
    runs = runs_of(records)
    name = leading_metric(runs, metric)
    cells: dict[Row, dict[tuple[int, int], float | None]] = {}
    for (record, _), row in zip(runs, rows_without(runs, [ORDER]), strict=True):
        if record.spec.order_seed is not None:
            place = (record.spec.seed, record.spec.order_seed)
            cells.setdefault(row, {}).setdefault(place, value_of(record, name))
    found = [_of_row(row, own, alpha) for row, own in cells.items()]
    if all(one.found is None for one in found):
        raise UsageError(
            f"--components needs runs in which at least {MIN_VALUES} seeds of the weights are crossed with as many of "
            f"the batches: actbench run CONFIG seeds=5 {ORDER}=0,1,2,3,4"
        )
    return name, found


def variance_table(metric: str, rows: Sequence[RowSources], alpha: float = 0.05) -> FurtherTable:
    """Lay out the sources of variance as a table with its sentences."""
    level = f"{100 * (1 - alpha):g} %"
    return FurtherTable(
        title=f"What moves {metric}",
        headings=("row", "mean", "sd by weights", "sd by batches", "sd by the rest", "shares"),
        rows=[_cells(metric, one) for one in rows],
        lines=[{key: value for key, value in _line(one).items() if key != "sources"} for one in rows],
        sentences=[sentence for one in rows for sentence in _sentences(one)],
        caption=(
            f"sd by: standard deviation between seeds of one kind, all else equal, with its {level} interval, in "
            f"{'points' if METRICS[metric].unit == 'fraction' else 'the unit of the metric'}",
            "weights: the seed of the initialisation; batches: order_seed (order, augmentation, dropout); rest: what "
            "a pair of seeds does beyond both",
            "shares: of the variance, in that order",
        ),
        data={"metric": metric, "alpha": alpha, "rows": [_line(one) for one in rows]},
    )


def _of_row(row: Row, cells: dict[tuple[int, int], float | None], alpha: float) -> RowSources:
    """Return a row's sources over the seeds of the weights that have a value with each seed of the batches."""
    weights, batches = (sorted({place[side] for place in cells}) for side in (0, 1))
    table = [[cells.get((seed, order)) for order in batches] for seed in weights]
    complete = [[value for value in line if value is not None] for line in table]
    complete = [line for line in complete if len(line) == len(batches)]
    values = np.array(complete, dtype=np.float64).reshape(len(complete), len(batches))
    return RowSources(
        row=named(row),
        mean=float(values.mean()) if values.size else None,
        found=variance_components(values, alpha),
        weights=len(complete),
        batches=len(batches),
        lost=len(weights) - len(complete),
    )


def _cells(metric: str, one: RowSources) -> list[str]:
    if one.found is None:
        return [one.row, quantity(metric, one.mean), *[NOTHING] * 4]
    parts = [getattr(one.found, part) for part in SOURCES.values()]
    shares = " / ".join(f"{100 * part.share:.0f} %" for part in parts)
    return [one.row, quantity(metric, one.mean), *(_deviation(metric, part) for part in parts), shares]


def _deviation(metric: str, part: Component) -> str:
    value, low, high = (number(metric, math.sqrt(end)) for end in (part.variance, part.low, part.high))
    return quantity_with_interval(value, (low, high))


def _sentences(one: RowSources) -> list[str]:
    runs = f"{one.weights} × {one.batches} runs"
    lost = [f"{one.row}: {one.lost} seeds of the weights lack a run or its value, and are left out"] if one.lost else []
    if one.found is None:
        return [f"{one.row}: {runs} are too few; at least {MIN_VALUES} × {MIN_VALUES} are needed", *lost]
    shares = {source: getattr(one.found, part).share for source, part in SOURCES.items()}
    if not any(shares.values()):
        return [f"{one.row}: nothing varies ({runs})", *lost]
    parts = {source: getattr(one.found, part) for source, part in SOURCES.items()}
    largest = max(shares, key=lambda source: shares[source])
    share = f"{100 * shares[largest]:.0f} % of the variance ({runs})"
    if any(parts[largest].low <= part.high for source, part in parts.items() if source != largest):
        return [
            f"{one.row}: what moves it most is not shown; the largest estimate is that of {NAMES[largest]}, {share}",
            *lost,
        ]
    return [f"{one.row}: {NAMES[largest]} move it most, with {share}", *lost]


def _line(one: RowSources) -> dict[str, Any]:
    """Return a row's numbers, of the JSON and, flat, of the CSV."""
    line: dict[str, Any] = {"row": one.row, "mean": one.mean, "weights": one.weights, "batches": one.batches}
    sources: dict[str, Any] = {}
    for source, part in SOURCES.items():
        component = None if one.found is None else getattr(one.found, part)
        for name in ("variance", "low", "high", "share"):
            value = None if component is None else getattr(component, name)
            sources.setdefault(source, {})[name] = value
            line[f"{source}_{name}"] = value
    return {**line, "sources": sources}
