"""Dead units by layer and epoch: born dead, died since, and those that have just come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from actbench.analysis.plots import Chart
from actbench.analysis.plots._data import Axis, ChartData, Mark, Panel, baseline_activation, series_of
from actbench.analysis.plots._labels import Label, legend_below
from actbench.analysis.plots._layers import LayerRow, layer_means, layer_names
from actbench.analysis.plots._strips import MAX_CELLS, MAX_STRIPS, Strips, early_ends, frame, strips_height, thinned
from actbench.analysis.plots._style import INK, Look, pens
from actbench.analysis.table.result import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = {
    "born dead": "born dead, dead now",
    "died": "died since, dead now",
    "revived": "revived since the epoch before",
}
"""Kind of a mark -> its words in the legend; they are stacked in this order."""

TOPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Upper ends of the scale: the smallest that holds all shares."""

MAX_EMPTY = 3
"""With more rows than these, those without a dead unit are not drawn: the caption counts them."""


class DeadUnits(Chart):
    """Shares of each layer's units, stacked: the first two together are the dead ones."""

    title = "Dead units by layer and epoch"
    question = "Where and when do units die, were they dead from the start, and do they come back?"
    order = 30

    def collect(self, comparison: Comparison) -> ChartData | None:
        """Return three shares for each row, layer and epoch: means over seeds with the seeds' range."""
        found = [{kind: layer_means(row, SHARES[kind]) for kind in KINDS} for row in comparison.rows]
        layers = layer_names([kinds["born dead"] for kinds in found])
        marks = []
        for series, kinds in enumerate(found):
            for layer in layers:
                for epoch in kinds["born dead"].get(layer, {}):
                    for kind in KINDS if epoch else ["born dead"]:  # at epoch 0 none has died yet
                        one = kinds[kind][layer][epoch]
                        marks.append(Mark(series, epoch, one.mean, one.low, one.high, kind=kind, note=kind, row=layer))
        if not any(mark.x != 0 for mark in marks):
            return None
        data = ChartData(
            panels=(Panel("", Axis("epoch"), Axis("share of units", "health.dead_fraction")),),
            series=series_of(comparison),
            marks=tuple(marks),
            caption="",
            baseline=baseline_activation(comparison),
        )
        return replace(data, caption=_caption(comparison, data))

    def draw(self, data: ChartData, axes: Sequence[Axes], look: Look) -> None:
        """Draw a stack of bars for each epoch, those of a layer side by side."""
        from matplotlib.patches import Patch, Rectangle

        (ax,) = axes
        strips, drawn_with = strips_of(data), pens(data)
        fills = {(row, kind): _fill(kind, drawn_with[row].color) for row in strips.rows for kind in KINDS}
        floors: dict[tuple[int, str | None, Any], float] = {}
        for index, mark in enumerate(data.marks):
            place = (mark.series, mark.row, mark.x)
            low = floors.get(place, 0.0)
            high = floors[place] = low + (mark.y or 0.0)
            if not mark.y or not strips.has(mark):
                continue
            bottom = strips.height(mark.series, low)
            corner, height = (strips.left(mark), bottom), strips.height(mark.series, high) - bottom
            # Not ``add_patch``, which looks for the limits of the axes anew at each of thousands of bars.
            ax.add_artist(
                Rectangle(corner, strips.slot, height, zorder=1, gid=data.gid(index), **fills[mark.series, mark.kind])
            )
        frame(ax, data, strips, [strips.bottom, strips.top], lambda value: f"{100 * value:g} %", look, _remarks(data))
        ax.set_ylabel(data.panels[0].y.label)
        keys = [(words, Patch(**_fill(kind, INK)), kind.replace(" ", "_")) for kind, words in KINDS.items()]
        legend_below(ax, [Label(words, 0.0, INK, patch, f"key.{kind}") for words, patch, kind in keys])

    def height(self, data: ChartData, look: Look) -> float:
        """Return the inches that the strips need."""
        return strips_height(strips_of(data), look)


def strips_of(data: ChartData) -> Strips:
    """Return the cells of those rows and layers that have the largest shares of dead units at any epoch."""
    dead: dict[tuple[int, str, float | str], float] = {}
    stacked: dict[tuple[int, str, float | str], float] = {}
    for mark in data.marks:
        place = (mark.series, str(mark.row), mark.x)
        stacked[place] = stacked.get(place, 0.0) + (mark.y or 0.0)
        if mark.kind != "revived":
            dead[place] = dead.get(place, 0.0) + (mark.y or 0.0)
    rows, layers = _largest(dead, 0, MAX_STRIPS), _largest(dead, 1, MAX_CELLS)
    if len(rows) > MAX_EMPTY:
        empty = {row for row in rows if not any(share for place, share in dead.items() if place[0] == row)}
        rows = [row for row in rows if row not in empty] or rows[:1]
    highest = max(share for (row, layer, _), share in stacked.items() if row in rows and layer in layers)
    # A rounding error above a top must not double the scale.
    top = next(top for top in TOPS if highest <= top + 1e-9)
    epochs = thinned(sorted({int(mark.x) for mark in data.marks}))
    return Strips(tuple(rows), tuple(layers), epochs, 0.0, top)


def _largest(dead: dict[tuple[int, str, float | str], float], part: int, most: int) -> list[Any]:
    """Return the rows or layers with the largest shares of dead units, at most so many, in their own order."""
    peaks: dict[Any, float] = {}
    for place, share in dead.items():
        peaks[place[part]] = max(share, peaks.get(place[part], 0.0))
    kept = sorted(peaks, key=lambda name: -peaks[name])[:most]
    return [name for name in peaks if name in kept]


def _known(layer: LayerRow) -> bool:
    """Return whether all counts are of the same units.

    Units with numbers that are not finite stand in no count of ``dead``, while ``lost`` counts them as they were
    before.
    """
    return not layer.get("not_finite") and all(layer.get(key) is not None for key in ("units", "dead", "lost"))


def _born_dead(layer: LayerRow) -> float | None:
    return (layer["dead"] - layer["lost"]) / layer["units"] if _known(layer) else None


def _died(layer: LayerRow) -> float | None:
    return layer["lost"] / layer["units"] if _known(layer) else None


def _revived(layer: LayerRow) -> float | None:
    return layer["revived"] / layer["units"] if _known(layer) else None


SHARES = {"born dead": _born_dead, "died": _died, "revived": _revived}
"""Kind of a mark -> its share of a layer's units. The record's ``died`` counts the deaths since the epoch before; all
that have died and are dead are its ``lost``."""


def _fill(kind: str, color: str) -> dict[str, Any]:
    """Return how an area is filled, so that a grey print tells the three apart."""
    from matplotlib.colors import to_rgba

    face = {"born dead": to_rgba(color), "died": (1.0, 1.0, 1.0, 0.0), "revived": (1.0, 1.0, 1.0, 0.0)}[kind]
    hatch = {"born dead": None, "died": "/////", "revived": "-----"}[kind]
    return {"facecolor": face, "edgecolor": color, "linewidth": 0, "hatch": hatch}


def _remarks(data: ChartData) -> dict[int, str]:
    """Return series -> words behind its name: that it ends early, or that its cells are empty for a good reason."""
    has_dead = {mark.series for mark in data.marks if mark.kind != "revived" and mark.y}
    return {mark.series: "no dead unit" for mark in data.marks if mark.series not in has_dead} | early_ends(data)


def _caption(comparison: Comparison, data: ChartData) -> str:
    strips = strips_of(data)
    slopes = {record.spec.health.dead_slope for row in comparison.rows for record in row.records}
    slope = f" above {next(iter(slopes)):g}" if len(slopes) == 1 else " above the run's `dead_slope`"
    rows, layers = {mark.series for mark in data.marks}, {mark.row for mark in data.marks}
    left = []
    if len(rows) > len(strips.rows):
        left.append(f"{len(rows) - len(strips.rows)} rows")
    if len(layers) > len(strips.layers):
        left.append(f"{len(layers) - len(strips.layers)} layers")
    epochs = {mark.x for mark in data.marks}
    return (
        "Shares of each layer's units, means over seeds, epochs from left to right within a layer. Full: dead at "
        "epoch 0 and dead now. Hatched: alive at epoch 0, dead now. Lined, and not dead: revived at that epoch, that "
        "is dead at the epoch before and alive now; a unit that stays alive is not shown at later epochs. "
        f"Dead: no slope{slope} on the probe. A row's areas end where a run's "
        "values end, as those of a diverged run do."
        + (f" Not drawn are the {' and '.join(left)} with the fewest dead units; the table has them." if left else "")
        + (f" {len(strips.epochs)} of {len(epochs)} epochs are drawn." if len(epochs) > len(strips.epochs) else "")
    )


plugin = DeadUnits()
