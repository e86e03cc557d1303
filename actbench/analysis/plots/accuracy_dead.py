"""Accuracy against the share of dead units: a dot a run, and the line beyond which a network is said to be useless."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from math import floor, isfinite, log10
from statistics import median
from typing import TYPE_CHECKING, Any

from actbench.analysis.judgements.formatting import quantity
from actbench.analysis.leading_metric import ACCURACY, EXPLAINED, learns_numbers
from actbench.analysis.plots import Chart
from actbench.analysis.plots._data import Axis, ChartData, Mark, Panel, Series, baseline_activation
from actbench.analysis.plots._labels import Label, legend_below, legend_inches
from actbench.analysis.plots._style import INK, Look, Pen, pens
from actbench.analysis.table.factors import row_name, show, show_all
from actbench.analysis.table.result import DEAD_FRACTION, Comparison, Row
from actbench.schema.metrics import METRICS
from actbench.schema.record import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform

CLAIM = 0.5
"""It is often said that a network with more than half of its units dead is useless."""

CHANCE_DASH = (0, (1.2, 1.8))

LINEAR_FROM = 0.1
"""With a smaller median, of the runs with any dead unit, a linear axis would press most dots into its corner."""

UNKNOWN = "unknown"
"""The place of a run without a dead fraction."""


@dataclass(frozen=True)
class AccuracyDeadData(ChartData):
    """What the chart draws.

    Args:
        classes: Number of the dataset's classes; None where the runs' files do not hold it, it varies, or the targets
            are numbers.
    """

    _: KW_ONLY
    classes: int | None = None

    @property
    def metric(self) -> str:
        """Return the metric that the chart draws: an accuracy; of numbers R²."""
        return self.panels[0].y.metric

    @property
    def chance(self) -> float | None:
        """Return the accuracy of guessing, each class as likely as the others: 1/classes; for R² that of the mean."""
        if self.metric == EXPLAINED:
            return 0.0
        return None if self.classes is None else 1 / self.classes

    @property
    def chance_name(self) -> str:
        """Name the line at ``chance`` shortly."""
        return "the mean of the targets" if self.metric == EXPLAINED else f"chance, {self.classes} classes"

    @property
    def has_chance_line(self) -> bool:
        """Return whether the axis reaches down to chance and leaves the runs at least half of its height."""
        values = [mark.y for mark in self.marks if mark.y is not None]
        return self.chance is not None and min(values) - self.chance <= max(values) - min(values)


class AccuracyDead(Chart):
    """One run's accuracy (of numbers R²) and share of dead units at the last epoch, over all runs of the table."""

    title = "Accuracy and dead units"
    question = "Do networks with many dead units learn less, and are those with more than half of them dead useless?"
    order = 70

    def collect(self, comparison: Comparison) -> ChartData | None:
        """Return a mark for each run that ended; None where no unit of any run is dead."""
        finals = (record.final for row in comparison.rows for record in row.records)
        default = EXPLAINED if learns_numbers(finals) else ACCURACY
        metric = next((name for name in comparison.metrics if name.endswith(".accuracy")), default)
        by_name: dict[str, Series] = {}
        marks: list[Mark] = []
        for row in comparison.rows:
            own = _series_of(row, comparison)
            by_name.setdefault(own.name, own)
            series = list(by_name).index(own.name)
            marks += [_mark(series, own, row, one, metric) for one in row.records if one.outcome != "failed"]
        if not any(float(mark.x) > 0 for mark in marks if _is_placed(mark)):
            return None
        data = AccuracyDeadData(
            panels=(Panel("", Axis("dead units", DEAD_FRACTION), Axis(metric, metric)),),
            series=tuple(by_name.values()),
            marks=tuple(sorted(marks, key=lambda mark: mark.series)),
            caption="",
            baseline=baseline_activation(comparison),
            classes=_classes(comparison),
        )
        return replace(data, caption=_caption(comparison, metric, data))

    def draw(self, data: ChartData, axes: Sequence[Axes], look: Look) -> None:
        """Draw a marker for each run: filled, hollow where it collapsed, crossed at the rim where it has no value."""
        (ax,) = axes
        assert isinstance(data, AccuracyDeadData)
        drawn_with = pens(data)
        _accuracy_axis(ax, data, look)
        _dead_axis(ax, data, look)
        size = look.marker * 0.8
        for index, mark in sorted(enumerate(data.marks), key=lambda pair: pair[1].kind == "collapsed"):
            if not _is_placed(mark):
                continue
            pen = drawn_with[mark.series]
            face = "none" if mark.kind == "collapsed" else pen.color
            style = {"color": pen.color, "markerfacecolor": face, "markeredgewidth": look.line * 0.6}
            ax.plot([mark.x], [mark.y], pen.marker, alpha=0.75, markersize=size, gid=data.gid(index), **style)
        for index, mark, place in _at_the_rim(ax, data, look):
            pen = drawn_with[mark.series]
            at: dict[str, Any] = {"color": pen.color, "markeredgewidth": look.line * 0.5, "transform": place.transform}
            at |= {"clip_on": False, "markerfacecolor": "none"}
            x, y, cross = [place.x], [place.y], f"{data.series_gid(mark.series)}.cross{index}"
            ax.plot(x, y, pen.marker, markersize=size * 1.7, gid=data.gid(index), **at)
            ax.plot(x, y, "x", markersize=size * 0.8, gid=cross, **at)
        legend_below(ax, _names(data, drawn_with, look))

    def below(self, data: ChartData, look: Look) -> float:
        """Return the inches of the legend."""
        assert isinstance(data, AccuracyDeadData)
        return legend_inches([one.text for one in _names(data, pens(data), look)], look)


@dataclass(frozen=True)
class _Place:
    """Where a run without a value is drawn: a point in the coordinates of a transform."""

    x: float
    y: float
    transform: Transform


def _is_placed(mark: Mark) -> bool:
    return mark.y is not None and mark.x != UNKNOWN


def _series_of(row: Row, comparison: Comparison) -> Series:
    """Return the series of a row's runs: their activation, or the row itself where all have the same one."""
    activations = {other.factors.get("activation") for other in comparison.rows}
    if len(activations) > 1:
        return Series(show(row.factors["activation"]), {"activation": row.factors["activation"]})
    return Series(row_name(row.factors) or "all runs")


def _mark(series: int, own: Series, row: Row, record: RunRecord, metric: str) -> Mark:
    dead, accuracy = (_finite(record.final.get(name)) for name in (DEAD_FRACTION, metric))
    rest = {key: value for key, value in row.factors.items() if key not in own.factors and own.factors}
    note = ", ".join(text for text in (show_all(rest), f"seed {record.spec.seed}", record.outcome) if text)
    return Mark(series, UNKNOWN if dead is None else dead, accuracy, kind=record.outcome, note=note)


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and isfinite(value) else None


def _classes(comparison: Comparison) -> int | None:
    """Return the number of classes of the table's dataset; None where no run holds it, or they differ.

    Runs of versions that did not record it may stand beside later ones: a table is of one dataset.
    """
    environments = [record.environment for row in comparison.rows for record in row.records]
    known = [one["classes"] for one in environments if "classes" in one]
    found = known[0] if known and all(one == known[0] for one in known) else None
    return found if type(found) is int and found > 0 else None


def _caption(comparison: Comparison, metric: str, data: AccuracyDeadData) -> str:
    marks = data.marks
    beyond = [mark.y for mark in marks if mark.y is not None and mark.x != UNKNOWN and float(mark.x) > CLAIM]
    count = f"{len(beyond)} run{'s' if len(beyond) != 1 else ''}"
    found = f", {metric} {quantity(metric, min(beyond))} to {quantity(metric, max(beyond))}" if beyond else ""
    sentences = [
        f"Each marker is one run at its last or selected epoch. Dead: {comparison.dead}",
        f"Dashed: 50 %, beyond which a network is said to be useless; beyond it: {count}{found}",
    ]
    if data.chance is not None:
        chance = f"the accuracy of guessing among {data.classes} classes, {quantity(metric, data.chance)}"
        if metric == EXPLAINED:
            chance = "the mean of the targets, which explains nothing of them"
        sentences.append(f"Dotted: {chance}" if data.has_chance_line else f"Below the axis: {chance}")
    if any(mark.kind == "collapsed" for mark in marks):
        sentences.append("Hollow: collapsed")
    if missing := sum(not _is_placed(mark) for mark in marks):
        sentences.append(f"Crossed, at the rim: without a value, such as diverged runs ({missing})")
    if failed := sum(row.outcomes.get("failed", 0) for row in comparison.rows):
        sentences.append(f"Failed runs are left out ({failed})")
    return ". ".join(sentences) + "."


def _accuracy_axis(ax: Axes, data: AccuracyDeadData, look: Look) -> None:
    """Set the vertical axis, and draw the line at chance if it is near enough to the runs."""
    from matplotlib.ticker import FuncFormatter

    values = [mark.y for mark in data.marks if mark.y is not None]
    if data.chance is not None and data.has_chance_line:
        values.append(data.chance)
        ax.axhline(data.chance, color=INK, linewidth=look.line * 0.8, linestyle=CHANCE_DASH, gid="chance")
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.01
    least, most = METRICS[data.metric].scale()
    ax.set_ylim(max(low - margin, least - 0.03), min(high + margin, most + 0.03))
    if data.panels[0].y.is_fraction:
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.6g}%"))
    ax.set_ylabel(data.panels[0].y.label)


def _dead_axis(ax: Axes, data: ChartData, look: Look) -> None:
    """Set the horizontal axis, linear or logarithmic above the smallest share there is, and draw the claim's line."""
    shares = [float(mark.x) for mark in data.marks if mark.x != UNKNOWN and float(mark.x) > 0]
    is_linear = median(shares) >= LINEAR_FROM
    if is_linear:
        end = min(max(1.04 * max(shares), CLAIM + 0.06), 1.02)
        ax.set_xlim(-0.02 * end, end)
        ticks = [one for one in ax.xaxis.get_major_locator().tick_values(0, end) if 0 <= one <= end]
    else:
        first = floor(log10(min(shares)))
        ax.set_xscale("symlog", linthresh=10.0**first, linscale=0.5)
        ax.minorticks_off()
        ax.set_xlim(-(10.0**first) * 0.15, 1.15)
        ticks = [0.0, *(10.0**power for power in range(first, 1))]
    ax.set_xticks(ticks, [f"{100 * one:.6g}%" for one in ticks])
    ax.set_xlabel(f"{data.panels[0].x.label} of all hidden units")
    ax.axvline(CLAIM, color=INK, linewidth=look.line * 0.8, linestyle=(0, (5, 3)))
    at = ax.transData.transform((CLAIM, 0))[0], ax.transAxes.inverted()
    is_far_right = at[1].transform((at[0], 0))[0] > 0.6
    ax.annotate(
        f"useless beyond {100 * CLAIM:g} % dead?",
        (CLAIM, 1),
        xytext=(0, 3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="right" if is_far_right else "center",
        va="bottom",
        fontsize=look.font * 0.9,
        annotation_clip=False,
    )


def _at_the_rim(ax: Axes, data: ChartData, look: Look) -> Iterator[tuple[int, Mark, _Place]]:
    """Yield where runs without a value are drawn.

    A run without an accuracy lies on the lower edge, one without a dead fraction right of the axes at its accuracy; one
    with neither, as those that diverged, is stacked there from below.
    """
    from matplotlib.transforms import ScaledTranslation, blended_transform_factory

    missing = [(index, mark) for index, mark in enumerate(data.marks) if not _is_placed(mark)]
    figure = ax.get_figure(root=True)
    assert figure is not None
    down = spec.get_geometry()[0] if (spec := ax.get_subplotspec()) else 1
    gap = look.marker * 1.9
    room = figure.get_size_inches()[1] / down * 0.6 * 72  # points of the axes' height
    fit = max(int(room / gap), 1)
    neither = beside = 0
    for index, mark in missing:
        if mark.x != UNKNOWN:
            yield index, mark, _Place(float(mark.x), 0.0, blended_transform_factory(ax.transData, ax.transAxes))
            continue
        column = 0 if mark.y is not None else neither // fit
        beside = max(beside, column + 1)
        right = ScaledTranslation((look.font + column * gap) / 72, 0, figure.dpi_scale_trans)
        if mark.y is not None:
            yield index, mark, _Place(1.0, mark.y, blended_transform_factory(ax.transAxes, ax.transData) + right)
            continue
        up = ScaledTranslation(0, (neither % fit + 0.5) * gap / 72, figure.dpi_scale_trans)
        yield index, mark, _Place(1.0, 0.0, ax.transAxes + right + up)
        neither += 1
    if beside:
        lane = [mark for _, mark in missing if mark.x == UNKNOWN]
        ax.annotate(
            "diverged" if all(mark.kind == "diverged" for mark in lane) else "no value",
            (1, 0),
            xytext=(look.font * 1.4 + beside * gap, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            rotation=90,
            ha="left",
            va="bottom",
            fontsize=look.font * 0.9,
            annotation_clip=False,
        )


def _names(data: AccuracyDeadData, drawn_with: Sequence[Pen], look: Look) -> list[Label]:
    """Return the names of the legend: the series, the collapsed runs' hollow marker, and the line at chance."""
    from matplotlib.lines import Line2D

    labels = []
    for series, pen in enumerate(drawn_with):
        key = Line2D([], [], color=pen.color, marker=pen.marker, linestyle="none", markersize=look.marker)
        labels.append(Label(data.names[series], 0.0, pen.color, key, data.series_gid(series)))
    if any(mark.kind == "collapsed" for mark in data.marks):
        style = {"markerfacecolor": "none", "markersize": look.marker}
        key = Line2D([], [], color=INK, marker="o", linestyle="none", **style)
        labels.append(Label("hollow: collapsed", 0.0, INK, key, "collapsed"))
    if data.has_chance_line:
        key = Line2D([], [], color=INK, linestyle=CHANCE_DASH, linewidth=look.line * 0.8)
        labels.append(Label(data.chance_name, 0.0, INK, key, "chance"))
    return labels


plugin = AccuracyDead()
