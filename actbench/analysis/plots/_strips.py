"""Small multiples within one pair of axes: a strip for each row of the table, in it a cell for each hidden layer.

Each cell has the epochs from left to right. All cells of a strip have one scale, so that layers can be compared along
it, and all strips have the same, so that rows can be compared below each other::

    100 % │ relu (bias_init=0)
          │ ▂▃▅▇   ▁▂▃▃   ▁▁▂▂
      0 % │ ────   ────   ────
    100 % │ elu (bias_init=0)
          │ ▁▁▁▁
      0 % │ ────   ────   ────
            h.0    h.1    h.2
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from actbench.analysis.plots._data import ChartData, Mark
from actbench.analysis.plots._names import shorten
from actbench.analysis.plots._style import INK, PALE, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_STRIPS = 6
"""As many rows as a page shows in full; the chart's table has all."""

MAX_CELLS = 10
"""As many layers as a column of a page has room for."""

MAX_EPOCHS = 31
"""More epochs than these are narrower than a hatch."""

BETWEEN_CELLS = 0.22
"""Of a cell's width."""

BETWEEN_STRIPS = 0.5
"""Of a strip's height: room for the row's name."""

STRIP_LINES = 4.4
"""Height of a strip in lines of text, without its name."""

AXES = 0.8
"""About the part of a figure's width that its axes have, before the layout is known."""

CHARACTER = 0.54
"""Mean width of a letter in DejaVu Sans, as a part of the font size."""


@dataclass(frozen=True)
class Strips:
    """Where the cells of one pair of axes lie.

    Args:
        rows: Series that have a strip, from the top.
        layers: Layers that have a cell, from the left.
        epochs: Epochs that have a slot in each cell, from the left.
        bottom: The value at a strip's lower edge.
        top: The value at its upper edge.
    """

    rows: tuple[int, ...]
    layers: tuple[str, ...]
    epochs: tuple[int, ...]
    bottom: float
    top: float

    @property
    def slot(self) -> float:
        """Return the width of an epoch."""
        return 1 / len(self.epochs)

    def has(self, mark: Mark, layer: str | None = None) -> bool:
        """Return whether a mark has a place in the picture, in the cell of a layer or in any."""
        is_in_layer = mark.row in self.layers if layer is None else mark.row == layer
        return is_in_layer and mark.series in self.rows and mark.x in self.epochs

    def left(self, mark: Mark) -> float:
        """Return the left edge of a mark's epoch."""
        return self.cell(str(mark.row)) + self.epochs.index(int(mark.x)) * self.slot

    def middle(self, mark: Mark) -> float:
        """Return the middle of a mark's epoch."""
        return self.left(mark) + self.slot / 2

    def cell(self, layer: str) -> float:
        """Return the left edge of a layer's cells."""
        return self.layers.index(layer) * (1 + BETWEEN_CELLS)

    def height(self, series: int, value: float) -> float:
        """Return the height at which a row has a value."""
        base = -self.rows.index(series) * (1 + BETWEEN_STRIPS)
        return base + (value - self.bottom) / (self.top - self.bottom)


def thinned(epochs: Sequence[int], most: int = MAX_EPOCHS) -> tuple[int, ...]:
    """Return all epochs, or the first, the last and some in between at equal distances.

    >>> thinned([0, 1, 2]), thinned(range(101), 5)
    ((0, 1, 2), (0, 25, 50, 75, 100))
    """
    if len(epochs) <= most:
        return tuple(epochs)
    return tuple(epochs[round(place * (len(epochs) - 1) / (most - 1))] for place in range(most))


def strips_height(strips: Strips, look: Look) -> float:
    """Return the inches of axes with these strips, with the names of the layers and a legend below them."""
    lines = len(strips.rows) * STRIP_LINES * (1 + BETWEEN_STRIPS) + 7
    return lines * look.font * 1.2 / 72 + upright_inches(strips.layers, look.widths[0] * AXES, look)


def frame(
    axes: Axes,
    data: ChartData,
    strips: Strips,
    ticks: Sequence[float],
    text: Callable[[float], str],
    look: Look,
    remarks: Mapping[int, str] | None = None,
    panel: int = 0,
) -> None:
    """Draw what all cells have: the floor of each, its scale, the names of rows and layers.

    Args:
        axes: Where the cells are drawn.
        data: With the names of the rows.
        strips: Where the cells lie.
        ticks: Values that are printed beside each strip.
        text: Returns a value as it is printed there.
        look: Sizes.
        remarks: Series -> words behind its name.
        panel: Whose axes they are.
    """
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    thin = {"solid_capstyle": "butt", "zorder": 0.5}
    ends: dict[tuple[int, str | None], float] = {}  # of a row's values in a layer
    for mark in (mark for _, mark in data.in_panel(panel) if strips.has(mark)):
        place = (mark.series, mark.row)
        ends[place] = max(strips.left(mark) + strips.slot, ends.get(place, 0.0))
    for series in strips.rows:
        for layer in strips.layers:
            left = strips.cell(layer)
            for tick in ticks:
                height = strips.height(series, tick)
                axes.plot([left, left + 1], [height] * 2, color=PALE, linewidth=look.line * 0.35, **thin)
            if (series, layer) in ends:  # the floor is as long as the row's values last
                floor, end = strips.height(series, strips.bottom), ends[series, layer]
                axes.plot([left, end], [floor] * 2, color=INK, linewidth=look.line * 0.6, **thin | {"zorder": 1.5})
        axes.text(
            0,
            strips.height(series, strips.top) + 0.08,
            _strip_name(data.names[series], (remarks or {}).get(series, ""), _inches(axes), look),
            va="bottom",
            fontsize=look.font * 0.95,
            gid=f"{data.series_gid(series)}.label",
        )
    places = [(strips.height(series, tick), text(tick)) for series in strips.rows for tick in ticks]
    axes.set_yticks([place for place, _ in places], [label for _, label in places])
    axes.tick_params(length=0)
    named = layer_ticks(axes, [strips.cell(layer) + 0.5 for layer in strips.layers], strips.layers, look)
    axes.set_xlim(-0.05, strips.cell(strips.layers[-1]) + 1.05)
    axes.set_ylim(strips.height(strips.rows[-1], strips.bottom) - 0.04, 1 + _room_on_top(axes, strips, look))
    first, last = strips.epochs[0], strips.epochs[-1]
    within = f"in each: epochs {first} to {last}" if last > first else f"at epoch {first}"
    axes.set_xlabel((", " if named == "layer" else "\n").join((named, within)))


def early_ends(data: ChartData, panel: int = 0) -> dict[int, str]:
    """Return series -> a remark, for those whose values end before those of others do."""
    last: dict[int, int] = {}
    for _, mark in data.in_panel(panel):
        last[mark.series] = max(int(mark.x), last.get(mark.series, 0))
    return {series: f"ends at epoch {epoch}" for series, epoch in last.items() if epoch < max(last.values())}


def layer_ticks(axes: Axes, places: Sequence[float], layers: Sequence[str], look: Look) -> str:
    """Write the layers' names below the axes and return the label of the axis.

    Where there is no room for whole names, the beginning that all have in common moves into the label; where there is
    none for the rest either, the names stand upright, and where layers are many, not each has its name.
    """
    room = _inches(axes) * 72 / len(layers)
    label, names, is_upright = _fitting(layers, room, look)
    every = max(1, ceil(look.font * 1.3 / room)) if is_upright else 1
    axes.set_xticks(places[::every], names[::every], rotation=90 if is_upright else 0)
    return label


def upright_inches(layers: Sequence[str], width: float, look: Look) -> float:
    """Return the height that names of layers take in axes of so many inches, where they stand upright; else 0."""
    _, names, is_upright = _fitting(layers, width * 72 / len(layers), look)
    return max(map(len, names)) * CHARACTER * look.font * 0.9 / 72 if is_upright else 0.0


def _fitting(layers: Sequence[str], room: float, look: Look) -> tuple[str, list[str], bool]:
    """Return the label of the axis, the names below it, and whether they stand upright, with so many points a name."""
    label, names = "layer", [_end_of(layer) for layer in layers]
    prefix = _common_beginning(layers)
    if prefix and _is_wider(names, room, look):
        label, names = f"layer: {names[0]} to {names[-1]}", [_end_of(layer[len(prefix) :]) for layer in layers]
    return label, names, _is_wider(names, room, look)


def _is_wider(names: Sequence[str], room: float, look: Look) -> bool:
    return (max(map(len, names)) + 1) * CHARACTER * look.font * 0.9 > room


def _common_beginning(layers: Sequence[str]) -> str:
    """Return what all names have before their last dot, with the dot; empty where they differ in it.

    >>> _common_beginning(["hidden.0", "hidden.1"]), _common_beginning(["conv.0.0", "dense.0"])
    ('hidden.', '')
    """
    beginnings = {layer[: layer.rfind(".") + 1] for layer in layers}
    return beginnings.pop() if len(beginnings) == 1 and len(layers) > 1 else ""


def _strip_name(name: str, remark: str, inches: float, look: Look) -> str:
    """Return a row's name with a remark, the name shortened so that both fit above the strip."""
    behind = f" · {remark}" if remark else ""
    return shorten(name, max(12, int(inches * 72 / (look.font * 0.95 * CHARACTER)) - len(behind))) + behind


def _end_of(layer: str, most: int = 18) -> str:
    """Return a layer's name; of a long one the end, in which layers differ.

    >>> _end_of("encoder.blocks.11.mlp.activation", 12)
    '…activation'
    """
    return layer if len(layer) <= most else f"…{layer[1 - most :].lstrip('.')}"


def _room_on_top(axes: Axes, strips: Strips, look: Look) -> float:
    """Return the room for the first name, as a part of a strip; less in axes that are higher than the strips need."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    rows = spec.get_geometry()[0] if (spec := axes.get_subplotspec()) else 1
    height = float(figure.get_size_inches()[1]) / rows
    return BETWEEN_STRIPS * min(1.0, strips_height(strips, look) / height)


def slot_points(axes: Axes, strips: Strips) -> float:
    """Return about how many points wide an epoch will be."""
    return _inches(axes) * 72 / (len(strips.layers) * (1 + BETWEEN_CELLS)) * strips.slot


def _inches(axes: Axes) -> float:
    """Return about how wide the axes will be, before the layout is known."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    columns = spec.get_geometry()[1] if (spec := axes.get_subplotspec()) else 1
    return float(figure.get_size_inches()[0]) / columns * AXES
