"""What a chart draws, as plain numbers: panels, series and marks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite

from actbench.analysis.judgements.formatting import NOTHING, interval, quantity, signed, unit_of_difference
from actbench.analysis.plots._names import drawn_names
from actbench.analysis.table.factors import Value, row_name, show
from actbench.analysis.table.result import Comparison, Row
from actbench.schema.metrics import METRICS
from actbench.schema.record import RunRecord


@dataclass(frozen=True)
class Axis:
    """One direction of a panel.

    Args:
        label: As it is printed along the axis.
        metric: Metric of the values, which decides digits and unit; empty for plain numbers and names.
        differences: 1 where the values are differences of the metric, which are printed with their sign.
    """

    label: str
    metric: str = ""
    differences: int = 0

    @property
    def is_fraction(self) -> bool:
        """Return whether the values are stored as fractions and printed as percent."""
        return bool(self.metric) and METRICS[self.metric].unit == "fraction"

    def text(self, value: float | str | None) -> str:
        """Return a value with its unit."""
        if value is None or isinstance(value, str):
            return NOTHING if value is None else value
        if not self.metric:
            return show(round(value, 12)) if value == round(value, 12) else f"{value:.4g}"
        if not self.differences:
            return quantity(self.metric, value)
        unit = unit_of_difference(self.metric)
        return f"{signed(self.metric, value)} {unit}".rstrip()


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Args:
        title: Printed above it; empty for a chart of one panel, which has the chart's title.
        x: The horizontal axis.
        y: The vertical axis, or the colour of a map's cells.
    """

    title: str
    x: Axis
    y: Axis


@dataclass(frozen=True)
class Series:
    """The marks that belong together: those of one row of the table, mostly.

    Args:
        name: Row name, as in the sentences of ``compare``.
        factors: Factor -> value.
    """

    name: str
    factors: Mapping[str, Value] = field(default_factory=dict)

    @property
    def activation(self) -> str:
        """Return the activation, by which series are coloured and highlighted across charts; else the name."""
        return show(self.factors["activation"]) if "activation" in self.factors else self.name


@dataclass(frozen=True)
class Mark:
    """One thing that is drawn and can be pointed at.

    Args:
        series: Index of its series.
        x: Horizontal position: a number, or the name of a category.
        y: Vertical position, or the value of a cell; None where there is no value; then ``note`` gives the reason.
        low: Lower end of the interval around ``y``; None without one.
        high: Upper end.
        panel: Index of its panel.
        kind: What sort of mark it is, where a chart has several: ``mean``, ``seed``, ``cell`` …
        note: Further facts in words, for the pointer and the table.
        row: The category in the vertical direction of a map; None elsewhere.
    """

    series: int
    x: float | str
    y: float | None
    low: float | None = None
    high: float | None = None
    panel: int = 0
    kind: str = "mean"
    note: str = ""
    row: str | None = None


@dataclass(frozen=True)
class ChartData:
    """Everything that one chart draws.

    Args:
        panels: Its pairs of axes.
        series: In the order in which they are drawn and listed.
        marks: In the order of the chart's table.
        caption: A description of the marks, such as which mean and which interval they show.
        baseline: The baseline's activation, which is drawn in ink; empty without one.
        columns: Panels beside each other.
    """

    panels: tuple[Panel, ...]
    series: tuple[Series, ...]
    marks: tuple[Mark, ...]
    caption: str
    baseline: str = ""
    columns: int = 1

    @cached_property
    def names(self) -> list[str]:
        """Return the names of the series as pictures show them: short, and no two alike.

        A row's settings are named by the last part of their keys, as ``relu (lr=0.1)``. Tables have the full names.
        """
        return drawn_names([one.name for one in self.series], [one.factors for one in self.series])

    def gid(self, index: int) -> str:
        """Return the name under which a mark is drawn; it begins with that of its series."""
        return f"{self.series_gid(self.marks[index].series)}.m{index}"

    def series_gid(self, index: int) -> str:
        """Return the name under which a series' line and band are drawn."""
        return f"s{index}"

    def listed(self, index: int) -> str:
        """Return how a series is listed beside the picture: its name, and the facts on it that the legend has."""
        return self.series[index].name

    def in_panel(self, panel: int, kind: str | None = None, series: int | None = None) -> Iterator[tuple[int, Mark]]:
        """Yield the marks of a panel with their indices: of one kind and one series, or of all."""
        for index, mark in self._by_place.get((panel, series), ()):
            if kind in (None, mark.kind):
                yield index, mark

    @cached_property
    def _by_place(self) -> Mapping[tuple[int, int | None], Sequence[tuple[int, Mark]]]:
        """The marks of each panel and series, and of each panel: of 500 series, each would go through all marks."""
        found: dict[tuple[int, int | None], list[tuple[int, Mark]]] = {}
        for index, mark in enumerate(self.marks):
            for series in (mark.series, None):
                found.setdefault((mark.panel, series), []).append((index, mark))
        return found

    def text(self, index: int) -> str:
        """Return a mark in words, as it is shown under the pointer: ``relu · epoch 3 · val.accuracy 93.12 %``."""
        mark = self.marks[index]
        panel = self.panels[mark.panel]
        name, place = self.series[mark.series].name, self._place(mark)
        parts = [name, "" if place == name else place, f"{panel.y.label} {panel.y.text(mark.y)}"]
        if ends := self._ends(mark):
            parts[-1] += f" {ends}"
        return " · ".join(part for part in (*parts, mark.note) if part)

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return the chart as a table, for those who do not see it: heads and rows of text."""
        has = {
            "panel": len(self.panels) > 1,
            "interval": any(mark.low is not None for mark in self.marks),
            "note": any(mark.note for mark in self.marks),
        }
        heads = ("series", *(("of",) if has["panel"] else ()), "at", "value")
        heads += tuple(name for name in ("interval", "note") if has[name])
        rows = []
        for mark in self.marks:
            panel = self.panels[mark.panel]
            row = [self.series[mark.series].name, *([panel.title or panel.y.label] if has["panel"] else [])]
            row += [self._place(mark), panel.y.text(mark.y)]
            row += [self._ends(mark)] if has["interval"] else []
            rows.append((*row, *([mark.note] if has["note"] else [])))
        return heads, rows

    def _place(self, mark: Mark) -> str:
        panel = self.panels[mark.panel]
        across = f"{panel.x.label} {panel.x.text(mark.x)}".strip()
        return across if mark.row in (None, self.series[mark.series].name) else f"{mark.row}, {across}"

    def _ends(self, mark: Mark) -> str:
        """Return a mark's interval in the digits of ``compare``; empty without one."""
        axis = self.panels[mark.panel].y
        if mark.low is None or mark.high is None:
            return ""
        if axis.metric:
            return interval(axis.metric, (mark.low, mark.high), differences=axis.differences)
        return f"[{axis.text(mark.low)}, {axis.text(mark.high)}]"


def series_of(comparison: Comparison) -> tuple[Series, ...]:
    """Return one series for each row of the table, in its order."""
    return tuple(Series(row_name(row.factors), row.factors) for row in comparison.rows)


def baseline_activation(comparison: Comparison) -> str:
    """Return the activation that the others are compared to; empty where there is none or several."""
    return show(factors["activation"]) if "activation" in (factors := comparison.baseline or {}) else ""


def leading_accuracy(comparison: Comparison) -> str:
    """Return the first accuracy among the metrics that were asked for, else the leading metric."""
    return next((name for name in comparison.metrics if name.endswith(".accuracy")), comparison.metrics[0])


def runs_by_seed(row: Row) -> dict[int, list[RunRecord]]:
    """Return seed -> the runs of a row; several where a factor is averaged over."""
    found: dict[int, list[RunRecord]] = {}
    for record in row.records:
        found.setdefault(record.spec.seed, []).append(record)
    return dict(sorted(found.items()))


def curve(record: RunRecord, key: str) -> dict[int, float]:
    """Return epoch -> value of one run; epochs without a finite value are left out."""
    return {
        int(row["epoch"]): float(row[key])
        for row in record.curves
        if isinstance(row.get(key), (int, float)) and isfinite(row[key])
    }


def seed_curves(row: Row, key: str) -> dict[int, dict[int, float]]:
    """Return seed -> epoch -> value, averaged over the seed's runs where each of them has one."""
    found: dict[int, dict[int, float]] = {}
    for seed, records in runs_by_seed(row).items():
        curves = [curve(record, key) for record in records]
        epochs: Sequence[int] = sorted(set.intersection(*(set(one) for one in curves)))
        found[seed] = {epoch: sum(one[epoch] for one in curves) / len(curves) for epoch in epochs}
    return found
