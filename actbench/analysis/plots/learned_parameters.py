"""Learned activation parameters over training: PReLU's slope, Swish's sharpness, in each layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import ceil, floor, log10
from typing import TYPE_CHECKING

from actbench.analysis.plots import Chart
from actbench.analysis.plots._data import Axis, ChartData, Mark, Panel, baseline_activation, series_of
from actbench.analysis.plots._layers import LayerRow, layer_means, layer_names
from actbench.analysis.plots._strips import (
    MAX_CELLS,
    MAX_STRIPS,
    Strips,
    early_ends,
    frame,
    slot_points,
    strips_height,
    thinned,
)
from actbench.analysis.plots._style import Look, pens
from actbench.analysis.table.result import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class LearnedParameters(Chart):
    """One panel for each parameter, with a strip for each row that learns it."""

    title = "Learned slopes and sharpness"
    question = "Where do activations move that learn their own parameters, and does it depend on the layer?"
    order = 100

    def collect(self, comparison: Comparison) -> ChartData | None:
        """Return a mean over seeds with the seeds' range for each parameter, row, layer and epoch."""
        parameters = sorted(
            {
                str(name)
                for row in comparison.rows
                for record in row.records
                for epoch in record.curves
                for layer in epoch.get("layers") or ()
                for name in layer.get("learned") or ()
            }
        )
        marks = [
            Mark(series, epoch, one.mean, one.low, one.high, panel, note=f"n = {one.n}", row=layer)
            for panel, name in enumerate(parameters)
            for series, row in enumerate(comparison.rows)
            for layer, epochs in layer_means(row, partial(_value, name)).items()
            for epoch, one in epochs.items()
        ]
        if not any(mark.x != 0 for mark in marks):
            return None
        drawn = [panel for panel in range(len(parameters)) if any(mark.panel == panel for mark in marks)]
        data = ChartData(
            panels=tuple(
                Panel(parameters[panel] if len(drawn) > 1 else "", Axis("epoch"), Axis(parameters[panel]))
                for panel in drawn
            ),
            series=series_of(comparison),
            marks=tuple(replace(mark, panel=drawn.index(mark.panel)) for mark in marks),
            caption="",
            baseline=baseline_activation(comparison),
        )
        return replace(data, caption=_caption(data))

    def draw(self, data: ChartData, axes: Sequence[Axes], look: Look) -> None:
        """Draw a line, the seeds' range and the start for each row and layer."""
        drawn_with = pens(data)
        for panel, ax in enumerate(axes):
            strips = strips_of(data, panel)
            for series in strips.rows:
                for layer in strips.layers:
                    own = data.in_panel(panel, series=series)
                    marks = [(index, mark) for index, mark in own if strips.has(mark, layer)]
                    if marks:
                        _draw_cell(ax, data, strips, marks, drawn_with[series].color, look)
            frame(ax, data, strips, _ticks(strips), _tick, look, early_ends(data, panel), panel)
            ax.set_ylabel(data.panels[panel].y.label)

    def height(self, data: ChartData, look: Look) -> float:
        """Return the inches that the panel with the most strips needs."""
        return max(strips_height(strips_of(data, panel), look) for panel in range(len(data.panels)))


def strips_of(data: ChartData, panel: int) -> Strips:
    """Return the cells of those rows of which a parameter moved furthest, and of layers at equal distances in depth."""
    marks = [mark for _, mark in data.in_panel(panel)]
    rows = list(dict.fromkeys(mark.series for mark in marks))
    moved = {series: _moved([mark for mark in marks if mark.series == series]) for series in rows}
    kept = sorted(rows, key=lambda series: -moved[series])[:MAX_STRIPS]
    layers = layer_names([{str(mark.row): None for mark in marks if mark.series == series} for series in rows])
    cells = thinned(range(len(layers)), MAX_CELLS)
    drawn = [mark for mark in marks if mark.series in kept and layers.index(str(mark.row)) in cells]
    bottom, top = _scale([value for mark in drawn for value in (mark.y, mark.low, mark.high) if value is not None])
    return Strips(
        tuple(series for series in rows if series in kept),
        tuple(layers[cell] for cell in cells),
        thinned(sorted({int(mark.x) for mark in marks})),
        bottom,
        top,
    )


def _draw_cell(
    ax: Axes, data: ChartData, strips: Strips, marks: Sequence[tuple[int, Mark]], color: str, look: Look
) -> None:
    """Draw one row's parameter in one layer."""
    series, layer = marks[0][1].series, marks[0][1].row
    gid = data.series_gid(series)
    x = [strips.middle(mark) for _, mark in marks]
    y = [strips.height(series, mark.y) for _, mark in marks if mark.y is not None]
    left = strips.cell(str(layer))
    ax.plot([left, left + 1], [y[0]] * 2, ":", color=color, linewidth=look.line * 0.7, gid=f"{gid}.start.{layer}")
    ax.plot(x, y, color=color, gid=f"{gid}.line.{layer}")
    band = [
        (place, strips.height(series, mark.low), strips.height(series, mark.high))
        for place, (_, mark) in zip(x, marks, strict=True)
        if mark.low is not None and mark.high is not None
    ]
    if band:
        ax.fill_between(*zip(*band, strict=True), color=color, alpha=0.18, linewidth=0, gid=f"{gid}.range.{layer}")
    size = min(look.marker * 0.5, 0.7 * slot_points(ax, strips))
    for place, height, (index, _) in zip(x, y, marks, strict=True):
        ax.plot([place], [height], "o", color=color, markersize=size, gid=data.gid(index))


def _value(name: str, layer: LayerRow) -> float | None:
    return (layer.get("learned") or {}).get(name)


def _moved(marks: Sequence[Mark]) -> float:
    """Return how far any layer's mean moved from its first value."""
    first: dict[str | None, float] = {}
    for mark in marks:
        first.setdefault(mark.row, mark.y or 0.0)
    return max(abs((mark.y or 0.0) - first[mark.row]) for mark in marks)


def _scale(values: Sequence[float]) -> tuple[float, float]:
    """Return round ends of a scale that hold all values.

    >>> _scale([0.25, 0.11, -0.02]), _scale([1.0])
    ((-0.05, 0.25), (0.5, 1.5))
    """
    low, high = min(values), max(values)
    if low == high:
        low, high = low - max(abs(low) / 2, 1e-9), high + max(abs(high) / 2, 1e-9)
        return low, high
    step = _round_step((high - low) / 3)
    return round(floor(low / step + 1e-9) * step, 12), round(ceil(high / step - 1e-9) * step, 12)


def _round_step(rough: float) -> float:
    """Return 1, 2 or 5 times a power of ten, the largest that is not above.

    >>> [_round_step(rough) for rough in (0.09, 0.13, 4.0)]
    [0.05, 0.1, 2.0]
    """
    power = 10.0 ** floor(log10(rough))
    return next(part * power for part in (5.0, 2.0, 1.0) if part * power <= rough * (1 + 1e-9))


def _ticks(strips: Strips) -> list[float]:
    """Return both ends of the scale, and 0 where it lies well between them."""
    part = -strips.bottom / (strips.top - strips.bottom)
    return [strips.bottom, *([0.0] if 0.2 < part < 0.8 else []), strips.top]


def _tick(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def _caption(data: ChartData) -> str:
    left = []
    for panel, one in enumerate(data.panels):
        strips, marks = strips_of(data, panel), [mark for _, mark in data.in_panel(panel)]
        rows, layers = len({mark.series for mark in marks}), len({mark.row for mark in marks})
        if rows > len(strips.rows):
            left.append(f"{rows - len(strips.rows)} rows of which {one.y.label} moved least")
        if layers > len(strips.layers):
            left.append(f"{layers - len(strips.layers)} layers in between")
    return (
        "Line: mean over seeds; band: their range; dotted: where it started. Epochs from left to right within a layer. "
        "Where each unit has a parameter of its own, a run's value is the mean over the layer's units. A line ends "
        "where a run's values end, as those of a diverged run do."
        + (f" Not drawn: {'; '.join(dict.fromkeys(left))}; the table has them." if left else "")
    )


plugin = LearnedParameters()
