"""A run's section of the page: settings, outcome, diagnosis, layers and a small curve."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from actbench.analysis.chosen_settings import chosen_settings
from actbench.analysis.frames import table_of_runs
from actbench.analysis.judgements.formatting import NOTHING, quantity
from actbench.analysis.plots._data import curve
from actbench.analysis.reports.csv import write_lines
from actbench.analysis.table.factors import row_name, show
from actbench.analysis.table.result import Comparison, Row
from actbench.schema.metrics import METRICS
from actbench.schema.record import RunRecord
from actbench.system.text import one_line, printable

MAX_FULL = 200
"""With more runs only those that went wrong have a section; the others are lines of a table."""

CURVES = (("val.accuracy", "val.r2"), ("train.loss", "train.mse"))
"""Metrics of the small curves; of each pair a run has one."""


WIDTH, HEIGHT, EDGE = 160, 44, 3
"""Of a small curve, in its own units."""

LAYER_FIELDS = ("units", "dead", "constant", "inert")


@dataclass(frozen=True)
class SmallCurve:
    """One metric of one run by epoch, as points of an SVG polyline.

    Args:
        metric: Its name.
        points: ``x,y x,y …`` within ``WIDTH`` × ``HEIGHT``.
        text: First and last value in words.
        index: Its place in ``CURVES``, for the style sheet.
    """

    metric: str
    points: str
    text: str
    index: int


@dataclass(frozen=True)
class RunView:
    """One run as the page shows it.

    Args:
        id: Of its section.
        name: Study and run id.
        activation: Its label.
        highlight: By which it is highlighted, with its row.
        seed: Its seed.
        outcome: See ``OUTCOMES``.
        message: Why it is not ``ok``.
        diagnosis: Sentences about its hidden units.
        settings: The main settings, and those that leave their default.
        final: Metric -> value with its unit.
        layers: Heads and rows of its hidden layers; empty without any.
        curves: Small curves; none where a run has fewer than two values.
    """

    id: str
    name: str
    activation: str
    highlight: str
    seed: int
    outcome: str
    message: str
    diagnosis: Sequence[str]
    settings: Mapping[str, str]
    final: Mapping[str, str]
    layers: Sequence[Sequence[str]]
    curves: Sequence[SmallCurve]


def run_views(records: Sequence[RunRecord], comparisons: Sequence[Comparison]) -> list[RunView]:
    """Return every run as the page shows it, in the order of the records.

    Args:
        records: The runs.
        comparisons: Their tables: a run is highlighted with its row, whose label may be another than its activation's.
    """
    rows = {
        (record.study, record.spec.digest): highlight_of(row)
        for comparison in reversed(comparisons)
        for row in comparison.rows
        for record in row.records
    }
    return [
        _view(index, one, rows.get((one.study, one.spec.digest), one.spec.activation.label))
        for index, one in enumerate(records)
    ]


def highlight_of(row: Row) -> str:
    """Return by which name a row is highlighted: its activation, or its own name where it has none."""
    return show(row.factors["activation"]) if "activation" in row.factors else row_name(row.factors)


def environments(records: Sequence[RunRecord]) -> list[tuple[str, list[tuple[str, int]]]]:
    """Return entry of the environment -> its values with the number of runs that have each, most frequent first."""
    keys = dict.fromkeys(key for record in records for key in record.environment)
    found = []
    for key in keys:
        counts = Counter(_word(record.environment[key]) for record in records if key in record.environment)
        found.append((printable(str(key)), counts.most_common()))
    return found


def runs_csv(records: Sequence[RunRecord]) -> str:
    """Return one line a run: what varies in its study, seed, outcome, final metrics as they are stored, the message."""
    columns = table_of_runs(records).columns
    target = io.StringIO()
    lines = (dict(zip(columns, line, strict=True)) for line in zip(*columns.values(), strict=True))
    write_lines(list(columns), lines, target)
    return target.getvalue()


def _view(index: int, record: RunRecord, highlight: str) -> RunView:
    diagnosis = [one_line(text) for text in record.health.get("diagnosis", ()) if text != record.message]
    return RunView(
        id=f"run-{index}",
        name=printable(f"{record.study} / {record.run_id}"),
        activation=printable(record.spec.activation.label),
        highlight=printable(highlight),
        seed=record.spec.seed,
        outcome=record.outcome,
        message=one_line(record.message),
        diagnosis=diagnosis,
        settings={printable(key): value for key, value in chosen_settings(record).items()},
        final={name: quantity(name, value) for name, value in record.final.items() if name in METRICS},
        layers=_layers(record),
        curves=[
            found
            for place, names in enumerate(CURVES)
            for name in names
            if (found := _small_curve(record, name, place)) is not None
        ],
    )


def _layers(record: RunRecord) -> list[list[str]]:
    layers = record.health.get("layers") or ()
    if not layers:
        return []
    rows = [
        [printable(layer["name"]), *(NOTHING if (n := layer.get(key)) is None else f"{n:,}" for key in LAYER_FIELDS)]
        for layer in layers
    ]
    return [["layer", *LAYER_FIELDS], *rows]


def _small_curve(record: RunRecord, metric: str, place: int) -> SmallCurve | None:
    values = curve(record, metric)
    if len(values) < 2:
        return None
    epochs, least, most = [*values], min(values.values()), max(values.values())
    across, up = (WIDTH - 2 * EDGE) / (epochs[-1] - epochs[0]), (HEIGHT - 2 * EDGE) / ((most - least) or 1.0)
    points = [
        f"{EDGE + (epoch - epochs[0]) * across:.1f},{HEIGHT - EDGE - (value - least) * up:.1f}"
        for epoch, value in values.items()
    ]
    first, last = epochs[0], epochs[-1]
    text = (
        f"{metric} from {quantity(metric, values[first])} at epoch {first} to {quantity(metric, values[last])} at "
        f"epoch {last}"
    )
    return SmallCurve(metric, " ".join(points), text, place)


def _word(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return printable(" ".join(map(str, value)))
    return printable(f"{value:.4g}" if isinstance(value, float) else str(value))
