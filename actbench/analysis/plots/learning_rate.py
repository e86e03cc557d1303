"""Accuracy against learning rate: mean and interval of each row, seeds faint, runs without a value at the rim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from math import isfinite, log10
from typing import TYPE_CHECKING, Any

from actbench.analysis.judgements.lost_runs import lost_of
from actbench.analysis.plots import Chart
from actbench.analysis.plots._data import Axis, ChartData, Mark, Panel, Series, baseline_activation, leading_accuracy
from actbench.analysis.plots._labels import Label, fit_beside, key_of, label_ends, legend_inches
from actbench.analysis.plots._style import GROUND, Look, Pen, pens
from actbench.analysis.statistics import Interval
from actbench.analysis.table.factors import Value, flat_specs, row_name, show
from actbench.analysis.table.grouping import Group, Run
from actbench.analysis.table.result import Comparison, Row
from actbench.schema.metrics import METRICS, is_bounded
from actbench.schema.record import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform

RATE, OPTIMIZER = "training.optimizer.lr", "training.optimizer"

MAX_SEEDS = 20
"""More faint dots than these are a grey area."""

MAX_FAINT_SERIES = 12
"""With more series their seeds hide the means."""

LOG_FROM = 20
"""Losses that differ by more than this factor are drawn on a logarithmic axis."""

MEANS, LOST = ("mean", "survivors"), ("diverged", "lost")
"""Kinds of marks: means of all runs and of those that are left; runs without a value."""

LANE = 0.13
"""Share of the panel's height that is set aside for runs without a value."""


@dataclass(frozen=True)
class _Point:
    """The runs of one row at one learning rate.

    Args:
        factors: Factor -> value, without the learning rate.
        rate: The learning rate.
        values: Seed -> value.
        mean: Of the values.
        runs: All of them.
        lost: Those without a value.
    """

    factors: Mapping[str, Value]
    rate: float
    values: Mapping[int, float]
    mean: Interval
    runs: Sequence[RunRecord]
    lost: Sequence[RunRecord]


class LearningRate(Chart):
    """The first accuracy that was asked for, else the leading metric, against the optimizer's learning rate."""

    title = "Learning rate"
    question = "Which learning rate suits which activation, and from where on do runs diverge?"
    order = 80

    def collect(self, comparison: Comparison) -> ChartData | None:
        """Return mean, interval and seeds at each learning rate; None where no series has two of them."""
        metric = leading_accuracy(comparison)
        points = [one for row in comparison.rows for one in _points(row, comparison, metric)]
        keys = list(dict.fromkeys(tuple(one.factors.items()) for one in points))
        rates = [{one.rate for one in points if tuple(one.factors.items()) == key} for key in keys]
        if not any(len(own) > 1 for own in rates):
            return None
        has_seeds = len(keys) <= MAX_FAINT_SERIES and max(len(one.runs) for one in points) <= MAX_SEEDS
        marks: list[Mark] = []
        for series, key in enumerate(keys):
            own = [one for one in points if tuple(one.factors.items()) == key]
            for point in sorted(own, key=lambda one: one.rate):
                marks += _marks(series, point, has_seeds=has_seeds)
        return ChartData(
            panels=(Panel("", Axis("learning rate"), Axis(metric, metric)),),
            series=tuple(Series(row_name(dict(key)) or "all runs", dict(key)) for key in keys),
            marks=tuple(marks),
            caption=_caption(comparison, metric, marks),
            baseline=baseline_activation(comparison),
        )

    def draw(self, data: ChartData, axes: Sequence[Axes], look: Look) -> None:
        """Draw a line for each series through its complete means; runs without a value have a lane of their own."""
        (ax,) = axes
        scale = _Scale.of(data)
        scale.apply(ax, data)
        shifts = _rates_axis(ax, data, look)
        labels = []
        for series, (pen, shift) in enumerate(zip(pens(data), shifts, strict=True)):
            own = [(index, mark) for index, mark in enumerate(data.marks) if mark.series == series]
            _draw_series(ax, data, own, scale, pen, shift, look)
            ends = [mark.y for _, mark in own if mark.y is not None and mark.kind != "seed"]
            y, name = ends[-1] if ends else scale.lane, data.names[series]
            labels.append(Label(name, y, pen.color, key_of(pen, look), data.series_gid(series)))
        label_ends(ax, labels, look)

    def below(self, data: ChartData, look: Look) -> float:
        """Return the inches of the legend where there are more series than names fit beside the panel."""
        names = data.names
        longest = (max(map(len, names)) * 0.5 + 2.9) * look.font / 72
        is_beside = len(names) <= MAX_FAINT_SERIES and longest < 0.42 * look.widths[0]
        return 0.0 if is_beside else legend_inches(names, look)


@dataclass(frozen=True)
class _Scale:
    """The vertical axis, with a lane beyond its worse end for runs without a value.

    Args:
        low: Smallest number that is drawn.
        high: Largest number that is drawn.
        limits: Of the axes, the lane included.
        lane: Height of the lane's middle; NaN without one.
        is_log: Whether the axis is logarithmic.
    """

    low: float
    high: float
    limits: tuple[float, float]
    lane: float
    is_log: bool

    @classmethod
    def of(cls, data: ChartData) -> _Scale:
        """Return the scale that has room for every mean and seed, and for intervals as far as the metric's scale."""
        metric = METRICS[data.panels[0].y.metric]
        least, most = metric.scale()
        values = [mark.y for mark in data.marks if mark.y is not None] or [0.0, 1.0]
        low, high = min(values), max(values)
        is_log = metric.unit == "nats" and low > 0 and high > LOG_FROM * low
        span = high - low or (0.02 if metric.unit == "fraction" else abs(high) * 0.1 or 1.0)
        # An interval of a few seeds that lie far apart may be wider than all values: beyond one more span it is cut.
        lower = [mark.low for mark in data.marks if mark.low is not None]
        upper = [mark.high for mark in data.marks if mark.high is not None]
        if is_log:
            low, high = max(min([*lower, low]), low / 2), min(max([*upper, high]), high * 2)
        else:
            low, high = max(min([*lower, low]), low - span), min(max([*upper, high]), high + span)
        low, high = max(low, least), min(high, most)
        if low == high:
            low, high = low - span / 2, high + span / 2
        bottom, top = (log10(low), log10(high)) if is_log else (low, high)
        margin = 0.04 * (top - bottom)
        bottom, top = bottom - margin, top + margin
        lane = float("nan")
        if any(mark.kind in LOST for mark in data.marks):
            room = LANE / (1 - LANE) * (top - bottom)
            if metric.higher_is_better is False:
                lane, top = top + room * 0.6, top + room
            else:
                lane, bottom = bottom - room * 0.6, bottom - room
        at = [10**one if is_log else one for one in (bottom, top, lane)]
        return cls(low, high, (at[0], at[1]), at[2], is_log)

    def apply(self, axes: Axes, data: ChartData) -> None:
        """Set limits, ticks and label; the lane is named by a tick."""
        panel = data.panels[0]
        if self.is_log:
            axes.set_yscale("log")
            axes.minorticks_off()
        axes.set_ylim(self.limits)
        slack = 1e-9 * abs(self.high - self.low)
        ticks = [float(one) for one in axes.yaxis.get_major_locator().tick_values(self.low, self.high)]
        ticks = [one for one in ticks if self.low - slack <= one <= self.high + slack]
        names = [f"{100 * one:.6g}%" if panel.y.is_fraction else f"{one:.6g}" for one in ticks]
        if isfinite(self.lane):
            kinds = {mark.kind for mark in data.marks if mark.kind in LOST}
            ticks, names = [*ticks, self.lane], [*names, "diverged" if kinds == {"diverged"} else "no value"]
        axes.set_yticks(ticks, names)
        axes.set_ylabel(panel.y.label)

    def within(self, value: float) -> float:
        """Return an interval's end, or the end of what is drawn."""
        return min(max(value, self.low), self.high)


def _caption(comparison: Comparison, metric: str, marks: Sequence[Mark]) -> str:
    kinds = {mark.kind for mark in marks}
    parts = ["Marker: mean over seeds"]
    if any(mark.low is not None for mark in marks):
        parts.append(f"line through it: its {100 * (1 - comparison.alpha):g} % {comparison.rules.interval_name}")
    if "seed" in kinds:
        parts.append("small dots: the seeds")
    sentences = [f"{metric} against the learning rate", "; ".join(parts)]
    if averaged := [key for key in comparison.averaged if key != RATE]:
        sentences.append(f"Averaged over {', '.join(averaged)}, seed by seed")
    if "survivors" in kinds:
        sentences.append("Hollow: mean of the runs that are left where others have no value; no line goes through it")
    if kinds.intersection(LOST):
        sentences.append("Crossed, at the rim: runs without a value, such as those that diverged")
    return ". ".join((*sentences, "Markers of one learning rate stand side by side so that none hides another."))


def _points(row: Row, comparison: Comparison, metric: str) -> Iterator[_Point]:
    """Yield the runs of a row for each learning rate: one, unless the table averages over learning rates."""
    runs = list(zip(row.records, flat_specs([record.spec for record in row.records]), strict=True))
    rated: dict[float, list[Run]] = {}
    for run in runs:
        rate = run[0].spec.training.optimizer.options.get("lr")  # a user's own optimizer may have none
        if isinstance(rate, (int, float)) and rate > 0:
            rated.setdefault(float(rate), []).append(run)
    averaged = tuple(key for key in comparison.averaged if key != RATE)
    for rate, own in rated.items():
        group = Group(row.factors, own, averaged)
        values = group.values(metric)
        # The table has the mean where a row is one learning rate; else it is computed as the table's would be.
        is_row = len(own) == len(runs) and RATE not in comparison.averaged and metric in row.metrics
        mean = row.metrics[metric] if is_row else comparison.rules.mean_interval(list(values.values()))
        if is_bounded(metric):
            mean = replace(mean, low=None, high=None)
        yield _Point(_without_rate(row, own[0][0]), rate, values, mean, [one for one, _ in own], group.lost(metric))


def _without_rate(row: Row, record: RunRecord) -> dict[str, Value]:
    """Return a row's factors without the learning rate, which is part of the label where optimizers differ by name."""
    rest = {key: value for key, value in row.factors.items() if key != RATE}
    if OPTIMIZER in rest:
        optimizer = record.spec.training.optimizer
        kept = {option: value for option, value in optimizer.changed.items() if option != "lr"}
        rest[OPTIMIZER] = replace(optimizer, changed=kept).label
    return rest


def _marks(series: int, point: _Point, *, has_seeds: bool) -> Iterator[Mark]:
    """Yield a point's mean, its seeds, and how many runs have no value."""
    note = f"n = {point.mean.n}"
    if point.lost:
        missing = lost_of(point.lost, len(point.runs))
        note += f", of those that are left: {missing}"
        kind = "diverged" if {record.outcome for record in point.lost} == {"diverged"} else "lost"
        yield Mark(series, point.rate, None, kind=kind, note=missing)
    if point.mean.mean is not None:
        kind = "survivors" if point.lost else "mean"
        yield Mark(series, point.rate, point.mean.mean, point.mean.low, point.mean.high, kind=kind, note=note)
    if has_seeds:
        for seed, value in point.values.items():
            yield Mark(series, point.rate, value, kind="seed", note=f"seed {seed}")


def _complete(marks: Sequence[Mark]) -> Iterator[list[Mark]]:
    """Yield the stretches of neighbouring means that no run is missing from: a line through survivors would flatter."""
    for is_complete, stretch in groupby(marks, key=lambda mark: mark.kind == "mean"):
        if is_complete:
            yield list(stretch)


def _draw_series(
    ax: Axes,
    data: ChartData,
    own: Sequence[tuple[int, Mark]],
    scale: _Scale,
    pen: Pen,
    shift: Transform,
    look: Look,
) -> None:
    means = [mark for _, mark in own if mark.kind in MEANS]
    gid = data.series_gid(own[0][1].series) if own else ""
    for number, stretch in enumerate(_complete(means)):
        x, y = [mark.x for mark in stretch], [mark.y for mark in stretch]
        ax.plot(x, y, color=pen.color, linestyle=pen.dash, transform=shift, gid=f"{gid}.line{number}")
    for index, mark in own:
        at: dict[str, Any] = {"color": pen.color, "transform": shift}
        name = data.gid(index)
        if mark.kind == "seed":
            size = look.marker * 0.45
            ax.plot([mark.x], [mark.y], "o", alpha=0.4, markersize=size, markeredgewidth=0, gid=name, **at)
        elif mark.kind in LOST:
            at["markeredgewidth"] = look.line * 0.5
            size = look.marker * 1.2
            ax.plot([mark.x], [scale.lane], pen.marker, markerfacecolor="none", markersize=size, gid=name, **at)
            ax.plot([mark.x], [scale.lane], "x", markersize=size * 0.45, gid=f"{gid}.cross{index}", **at)
        else:
            if mark.low is not None and mark.high is not None:
                ends = [scale.within(mark.low), scale.within(mark.high)]
                ax.plot([mark.x] * 2, ends, "-", linewidth=look.line * 0.8, gid=f"{gid}.interval{index}", **at)
            face = GROUND if mark.kind == "survivors" else pen.color
            ax.plot([mark.x], [mark.y], pen.marker, markerfacecolor=face, markersize=look.marker, gid=name, **at)


def _rates_axis(ax: Axes, data: ChartData, look: Look) -> list[Transform]:
    """Set the horizontal axis, and return where each series stands beside the learning rate, in points."""
    from matplotlib.transforms import ScaledTranslation

    figure = ax.get_figure(root=True)
    assert figure is not None
    columns = spec.get_geometry()[1] if (spec := ax.get_subplotspec()) else 1
    beside = max(map(len, data.names)) + 5 if fit_beside(ax, data.names, look) else 0  # characters right of the axes
    width = figure.get_size_inches()[0] / columns * 72 - (beside + 13) * look.font * 0.56  # points
    rates = sorted({float(mark.x) for mark in data.marks})
    logs = [log10(rate) for rate in rates]
    per_point = (logs[-1] - logs[0]) * 1.12 / width
    gap = min(b - a for a, b in pairwise(logs)) / per_point
    count = len(data.series)
    step = min(look.marker * 1.3, 0.5 * gap / count)
    margin = 0.04 * (logs[-1] - logs[0]) + (step * count / 2 + look.marker) * per_point
    ax.set_xscale("log")
    ax.minorticks_off()
    ax.set_xlim(10 ** (logs[0] - margin), 10 ** (logs[-1] + margin))
    shown: list[float] = []
    for rate in rates:  # as many of the learning rates as have room for their digits
        needed = 0.0 if not shown else (len(show(rate)) + len(show(shown[-1])) + 2) / 2 * look.font * 0.58
        if not shown or (log10(rate) - log10(shown[-1])) / per_point >= needed:
            shown.append(rate)
    ax.set_xticks(shown, [show(rate) for rate in shown])
    ax.set_xlabel(data.panels[0].x.label)
    offsets = [(place - (count - 1) / 2) * step / 72 for place in range(count)]
    return [ax.transData + ScaledTranslation(offset, 0, figure.dpi_scale_trans) for offset in offsets]


plugin = LearningRate()
