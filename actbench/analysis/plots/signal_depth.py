"""Signal by depth: the mean square of the pre-activations in each layer, with what mean-field theory expects of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from actbench.analysis.plots import Chart
from actbench.analysis.plots._data import Axis, ChartData, Mark, Panel, baseline_activation, series_of
from actbench.analysis.plots._labels import Label, key_of, label_ends, legend_inches
from actbench.analysis.plots._layers import LayerRow, SeedMean, layer_means
from actbench.analysis.plots._style import Look, Pen, pens
from actbench.analysis.table.factors import row_name
from actbench.analysis.table.result import Comparison, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOG_FROM = 20
"""Mean squares that differ by more than this factor are drawn on a logarithmic axis."""

THEORY = "theory"

MAX_BANDS = 6
"""With more rows their bands lie over each other; the marks have the ends all the same."""

MAX_REASONS = 3
"""Reasons why rows have no prediction; more are not read."""


class SignalDepth(Chart):
    """E[z²] of each hidden layer, before training and after it."""

    title = "Signal by depth"
    question = "Does the signal keep its size from layer to layer, and is it as theory expects before training?"
    order = 110
    uses_predictions = True

    def collect(self, comparison: Comparison) -> ChartData | None:
        """Return each row's mean over seeds in each layer, and its prediction; None for fewer than two layers."""
        marks: list[Mark] = []
        for series, row in enumerate(comparison.rows):
            means = layer_means(row, mean_square)
            if len(means) > 1:
                marks += _measured(series, means)
                marks += _predicted(series, row, list(means))
        if not marks:
            return None
        axes = Axis("hidden layer"), Axis("mean square of z")
        titles = ["before training", *(["after training"] if any(mark.panel for mark in marks) else [])]
        return ChartData(
            panels=tuple(Panel(title, *axes) for title in titles),
            series=series_of(comparison),
            marks=tuple(marks),
            caption=_caption(comparison, has_theory=any(mark.kind == THEORY for mark in marks)),
            baseline=baseline_activation(comparison),
            columns=2,
        )

    def draw(self, data: ChartData, axes: Sequence[Axes], look: Look) -> None:
        """Draw a line with its band for each row, and its prediction as a thin dashed one."""
        drawn_with = pens(data)
        for panel, ax in enumerate(axes):
            labels = []
            for series, pen in enumerate(drawn_with):
                if any(True for _ in data.in_panel(panel, "mean", series)):
                    labels.append(_draw_row(ax, data, panel, series, pen, look))
            _finish(ax, data, panel)
            if labels:
                label_ends(ax, labels, look)

    def height(self, data: ChartData, look: Look) -> float:
        """Return the inches of a panel, with room for a legend of many rows."""
        return look.height + legend_inches(data.names, look)


def mean_square(layer: LayerRow) -> float | None:
    """Return E[z²] = mean² + deviation² over units, inputs and positions; None where the entry has no such numbers."""
    mean, deviation = layer.get("z_mean"), layer.get("z_std")
    return None if mean is None or deviation is None else float(mean) ** 2 + float(deviation) ** 2


def _measured(series: int, means: dict[str, dict[int, SeedMean]]) -> Iterator[Mark]:
    """Yield a layer's means at epoch 0, and at the last epoch that each layer has."""
    last = min(max(epochs) for epochs in means.values())
    for panel, epoch in enumerate([0, last] if last > 0 else [0]):
        for depth, (layer, epochs) in enumerate(means.items(), 1):
            if epoch in epochs:
                one = epochs[epoch]
                note = f"{layer}, epoch {epoch}, n = {one.n}"
                yield Mark(series, depth, one.mean, one.low, one.high, panel, note=note)


def _predicted(series: int, row: Row, layers: Sequence[str]) -> Iterator[Mark]:
    prediction = row.prediction
    for depth, value in enumerate(prediction.mean_squares if prediction else (), 1):
        layer = layers[depth - 1] if depth <= len(layers) else ""
        yield Mark(series, depth, value, kind=THEORY, note=f"{layer}, mean-field theory".removeprefix(", "))


def _caption(comparison: Comparison, *, has_theory: bool) -> str:
    text = (
        "E[z²] of the pre-activations z over units and the probe's images. Line: mean over seeds; band, with at most "
        f"{MAX_BANDS} rows: from the smallest to the largest of them. A row of which a run has no finite numbers after "
        "training has no line there."
    )
    if has_theory:
        text += (
            " Dashed: mean-field theory, for infinitely wide layers at initialisation and inputs of mean square 1 "
            "(arXiv:1606.05340)."
        )
    without: dict[str, list[str]] = {}
    for row in comparison.rows:
        if row.prediction is not None and row.prediction.note:
            without.setdefault(row.prediction.note, []).append(row_name(row.factors))
    for note, names in list(without.items())[:MAX_REASONS]:
        rows = "all rows" if len(names) == len(comparison.rows) else f"{len(names)} of {len(comparison.rows)} rows"
        text += f" Theory for {rows}: {note}."
    return text


def _draw_row(ax: Axes, data: ChartData, panel: int, series: int, pen: Pen, look: Look) -> Label:
    gid = data.series_gid(series)
    means = list(data.in_panel(panel, "mean", series))
    x, y = [float(mark.x) for _, mark in means], [float(mark.y or 0) for _, mark in means]
    ax.plot(x, y, color=pen.color, linestyle=pen.dash, gid=f"{gid}.line.p{panel}")
    band = [(mark.x, mark.low, mark.high) for _, mark in means if mark.low is not None]
    if band and len(data.series) <= MAX_BANDS:
        ax.fill_between(*zip(*band, strict=True), color=pen.color, alpha=0.15, linewidth=0, gid=f"{gid}.band.p{panel}")
    for index, mark in means:
        ax.plot([mark.x], [mark.y], pen.marker, color=pen.color, markersize=look.marker * 0.8, gid=data.gid(index))
    theory = list(data.in_panel(panel, THEORY, series))
    if theory:
        thin = {"color": pen.color, "linewidth": look.line * 0.6}
        at = [mark.x for _, mark in theory], [mark.y for _, mark in theory]
        ax.plot(*at, linestyle=(0, (3, 3)), gid=f"{gid}.theory", **thin)
        for index, mark in theory:
            ax.plot([mark.x], [mark.y], "_", color=pen.color, markersize=look.marker * 1.6, gid=data.gid(index))
    return Label(data.names[series], y[-1], pen.color, key_of(pen, look), gid)


def _finish(ax: Axes, data: ChartData, panel: int) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    own = data.panels[panel]
    ax.set_xlabel(own.x.label)
    ax.set_ylabel(own.y.label)
    if len(data.panels) > 1:
        has_theory = any(True for _ in data.in_panel(panel, THEORY))
        ax.set_title(f"{own.title} (thin dashes: theory)" if has_theory else own.title)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    values = [mark.y for _, mark in data.in_panel(panel) if mark.y is not None]
    ends = [
        end
        for _, mark in data.in_panel(panel)
        for end in (mark.low, mark.high)
        if end is not None and len(data.series) <= MAX_BANDS
    ]
    positive = [value for value in values if value > 0]
    if positive and max(positive) > LOG_FROM * min(positive):
        if len(positive) < len(values):  # a network that is silent: 0 has no logarithm
            ax.set_yscale("symlog", linthresh=min(positive))
        else:
            ax.set_yscale("log")
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        shown = [value for value in (*values, *ends) if value > 0]
        ax.set_ylim(0 if len(positive) < len(values) else min(shown) / 1.5, max(shown) * 1.5)
    else:
        ax.set_ylim(0, 1.06 * max([1e-3, *values, *ends]))


plugin = SignalDepth()
