"""Gradient norm by depth, before and after training: whether the signal vanishes or explodes on its way down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from actbench.analysis.plots import Chart
from actbench.analysis.plots._data import Axis, ChartData, Mark, Panel, baseline_activation, series_of
from actbench.analysis.plots._labels import Label, key_of, legend_below, legend_inches
from actbench.analysis.plots._layers import SeedMean, layer_means, layer_names
from actbench.analysis.plots._strips import AXES, layer_ticks, upright_inches
from actbench.analysis.plots._style import Look, Pen, pens
from actbench.analysis.table.result import Comparison, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_GUIDED = 6
"""With more rows their guide lines and ranges are a grey area."""

THEORY = "theory"

FLOOR = 0.4
"""Norms of 0 are drawn at this part of the smallest norm that is not."""


class GradientDepth(Chart):
    """The norm of the loss's gradient with respect to each layer's pre-activations."""

    title = "Gradient norm by depth"
    question = "Does the training signal reach the first layers, before training and after it?"
    order = 50
    uses_predictions = True

    def collect(self, comparison: Comparison) -> ChartData | None:
        """Return a mean over seeds with the seeds' range for each row and layer, at the first and the last epoch."""
        found = [layer_means(row, lambda layer: layer.get("gradient_norm")) for row in comparison.rows]
        layers = layer_names(found)
        if max((len(row) for row in found), default=0) < 2:
            return None
        lasts = [max((epoch for epochs in row.values() for epoch in epochs), default=0) for row in found]
        marks = [
            Mark(series, layer, one.mean, one.low, one.high, panel, note=_note(epoch, one))
            for panel, is_last in enumerate((False, True))
            for series, row in enumerate(found)
            for epoch in [lasts[series] if is_last else 0]
            for layer in layers
            if (one := row.get(layer, {}).get(epoch)) is not None and (epoch or not is_last)
        ]
        if not marks:
            return None
        for series, (row, means) in enumerate(zip(comparison.rows, found, strict=True)):
            marks += _predicted(series, row, means)
        trained = {lasts[mark.series] for mark in marks if mark.panel}
        titles = ["before training", f"after epoch {max(trained)}" if len(trained) == 1 else "after the last epoch"]
        return ChartData(
            panels=tuple(Panel(title, Axis("layer"), Axis("gradient norm")) for title in titles[: 1 + bool(trained)]),
            series=series_of(comparison),
            marks=tuple(marks),
            caption="L2 norm of the gradient of the mean loss with respect to a layer's pre-activations, first layer "
            f"left; mean over seeds{_guides(marks)}. A triangle at the lower edge: 0 in every run. A row of which runs "
            f"diverged is shown at the last epoch of which every run has values.{_theory(marks)}",
            baseline=baseline_activation(comparison),
            columns=2,
        )

    def draw(self, data: ChartData, axes: Sequence[Axes], look: Look) -> None:
        """Draw a line through each row's layers, both panels on one logarithmic scale."""
        layers = list(dict.fromkeys(str(mark.x) for mark in data.marks))
        places = {layer: place for place, layer in enumerate(layers)}
        ends = [mark for mark in data.marks if _is_guided(data.marks)]  # with many rows their ranges are not drawn
        values = [mark.y for mark in data.marks] + [one for mark in ends for one in (mark.low, mark.high)]
        known = [value for value in values if value]
        lowest, highest = min(known, default=1.0), max(known, default=1.0)
        floor = lowest * FLOOR
        labels: dict[int, Label] = {}
        for panel, ax in enumerate(axes):
            for series, pen in enumerate(pens(data)):
                label = _draw_row(ax, data, panel, series, pen, places, floor, look)
                if label is not None:
                    labels.setdefault(series, label)
            has_theory = any(True for _ in data.in_panel(panel, THEORY))
            ax.set_title(data.panels[panel].title + " (thin dashes: theory)" * has_theory)
            ax.set_yscale("log")
            ax.set_ylim(floor * 0.8 if 0 in values else lowest * 0.7, highest * 1.4)
            ax.set_xlim(-0.3, len(layers) - 0.7)
            ax.set_xlabel(layer_ticks(ax, list(places.values()), layers, look))
            ax.set_ylabel(data.panels[panel].y.label)
        legend_below(axes[0], [labels[series] for series in sorted(labels)])

    def height(self, data: ChartData, look: Look) -> float:
        """Return more inches than usual: the names of layers and rows below take some."""
        names = [data.names[series] for series in dict.fromkeys(mark.series for mark in data.marks)]
        layers = list(dict.fromkeys(str(mark.x) for mark in data.marks))
        beside = look.widths[0] * AXES / len(data.panels)  # the narrower case: both panels beside each other
        return look.height * 1.15 + legend_inches(names, look) + upright_inches(layers, beside, look)


def _draw_row(
    ax: Axes,
    data: ChartData,
    panel: int,
    series: int,
    pen: Pen,
    places: Mapping[str, int],
    floor: float,
    look: Look,
) -> Label | None:
    """Draw a row's line, range, guide and marks in one panel; return its entry of the legend, None without marks."""
    marks = list(data.in_panel(panel, "mean", series))
    if not marks:
        return None
    _draw_theory(ax, data, panel, series, pen, places, look)
    gid, is_guided = data.series_gid(series), _is_guided(data.marks)
    x = [places[str(mark.x)] for _, mark in marks]
    y = [max(mark.y or 0.0, floor) for _, mark in marks]
    ax.plot(x, y, color=pen.color, linestyle=pen.dash, gid=f"{gid}.line.p{panel}")
    if is_guided:
        guide = {"linestyle": ":", "linewidth": look.line * 0.6, "alpha": 0.8}
        ax.plot([x[0], x[-1]], [y[-1]] * 2, color=pen.color, gid=f"{gid}.guide.p{panel}", **guide)
        band = [
            (place, max(mark.low, floor), max(mark.high, floor))
            for place, (_, mark) in zip(x, marks, strict=True)
            if mark.low is not None and mark.high is not None
        ]
        if band:
            ax.fill_between(
                *zip(*band, strict=True), color=pen.color, alpha=0.12, linewidth=0, gid=f"{gid}.range.p{panel}"
            )
    for place, height, (index, mark) in zip(x, y, marks, strict=True):
        marker = {"marker": pen.marker} if mark.y else {"marker": "v", "markerfacecolor": "none"}
        ax.plot([place], [height], color=pen.color, markersize=look.marker * 0.8, gid=data.gid(index), **marker)
    return Label(data.names[series], y[-1], pen.color, key_of(pen, look), gid)


def _predicted(series: int, row: Row, means: Mapping[str, Mapping[int, SeedMean]]) -> Iterator[Mark]:
    """Yield the norms before training that theory expects of the layers below the last one, from that one's norm.

    Theory predicts how a norm changes from layer to layer, not how large the loss's gradient is.
    """
    expected = row.prediction.gradient_norms if row.prediction else ()
    last = list(means.values())[-1].get(0) if means else None
    if last is None or not last.mean or len(expected) != len(means):
        return
    for layer, factor in zip(means, expected, strict=True):
        if factor * last.mean > 0:
            yield Mark(series, layer, factor * last.mean, kind=THEORY, note="epoch 0, mean-field theory")


def _draw_theory(
    ax: Axes, data: ChartData, panel: int, series: int, pen: Pen, places: Mapping[str, int], look: Look
) -> None:
    theory = list(data.in_panel(panel, THEORY, series))
    if not theory:
        return
    x, y = [places[str(mark.x)] for _, mark in theory], [mark.y for _, mark in theory]
    dashes = {"linestyle": (0, (3, 3)), "linewidth": look.line * 0.6}
    ax.plot(x, y, color=pen.color, gid=f"{data.series_gid(series)}.theory", **dashes)
    for place, (index, mark) in zip(x, theory, strict=True):
        ax.plot([place], [mark.y], "_", color=pen.color, markersize=look.marker * 1.6, gid=data.gid(index))


def _theory(marks: Sequence[Mark]) -> str:
    if not any(mark.kind == THEORY for mark in marks):
        return ""
    return (
        " Thin dashes: how mean-field theory expects the last layer's norm to change on its way down a network of "
        "infinitely wide layers at initialisation (arXiv:1611.01232)."
    )


def _is_guided(marks: Sequence[Mark]) -> bool:
    return len({mark.series for mark in marks}) <= MAX_GUIDED


def _guides(marks: Sequence[Mark]) -> str:
    if not _is_guided(marks):
        return ""
    return (
        ", band: their range; dotted: the last layer's norm, which all would have if the signal neither vanished nor "
        "exploded"
    )


def _note(epoch: int, one: SeedMean) -> str:
    zeros = f", 0 in {one.zeros} of them" if one.zeros else ""
    return f"epoch {epoch}, {one.n} {'seeds' if one.n > 1 else 'seed'}{zeros}"


plugin = GradientDepth()
