"""Decision regions and hinges: what trained networks make of the plane, or of a line, and where their units bend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

from actbench.analysis.judgements.formatting import MINUS, NOTHING, quantity
from actbench.analysis.leading_metric import ACCURACY, EXPLAINED
from actbench.analysis.plots import NetworkChart
from actbench.analysis.plots._data import Axis, ChartData, Mark, Panel, series_of
from actbench.analysis.plots._labels import Label, legend_below, legend_inches
from actbench.analysis.plots._landscapes import Landscape, View, crossings
from actbench.analysis.plots._names import shorten
from actbench.analysis.plots._style import DASHES, INK, OKABE_ITO, Look
from actbench.analysis.table.factors import row_name
from actbench.analysis.table.result import Comparison
from actbench.errors import UsageError
from actbench.schema.record import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_PANELS = 6
"""One for each row; ``--where`` chooses others."""

MAX_HINGES = 150
"""Units of a panel whose hinges are drawn; more are a grey area."""

GREY = "#8f8f96"
"""Of dead units."""

LANE = 0.035
"""Height of a layer's lane of hinges below a curve, as a share of the axes."""


@dataclass(frozen=True, eq=False)
class BoundaryData(ChartData):
    """What the chart draws.

    Args:
        landscapes: The network of each panel.
    """

    _: KW_ONLY
    landscapes: tuple[Landscape, ...] = ()


class Boundary(NetworkChart):
    """One run's decision regions or fitted curve, and the hinge of each unit, for each row."""

    title = "Decision regions and hinges"
    question = "What has the network made of its input space, where does each unit bend, and which units are dead?"
    order = 130

    def collect_networks(self, comparison: Comparison, view: View) -> ChartData | None:
        """Return a panel for each row, of its first seed with a kept network.

        Raises:
            UsageError: When no row has one, with the reason of the first run.
        """
        panels, marks = list[Panel](), list[Mark]()
        landscapes, refusals = list[Landscape](), list[UsageError]()
        for series, row in enumerate(comparison.rows):
            if len(panels) == MAX_PANELS:
                break
            record, found = _first(row.records, view, refusals)
            if record is None or found is None:
                continue
            axes = Axis("x₁"), Axis("x₂")
            if len(found.axes) == 1:
                axes = Axis("x"), Axis("output")
            panels.append(Panel(_title(shorten(row_name(row.factors)), record, found), *axes))
            landscapes.append(found)
            marks += _hinges(series, len(panels) - 1, found)
        if not panels:
            if refusals:
                raise refusals[0]
            return None
        return BoundaryData(
            panels=tuple(panels),
            series=series_of(comparison),
            marks=tuple(marks),
            caption=_caption(landscapes, left_out=len(comparison.rows) - len(panels)),
            columns=2,
            landscapes=tuple(landscapes),
        )

    def draw(self, data: ChartData, axes: Sequence[Axes], look: Look) -> None:
        """Draw regions, examples and hinges; dead units in grey."""
        assert isinstance(data, BoundaryData)
        for panel, (ax, found) in enumerate(zip(axes, data.landscapes, strict=True)):
            ax.set_title(data.panels[panel].title, fontsize=look.font * 0.9)
            ax.set_xlabel(data.panels[panel].x.label)
            ax.set_ylabel(data.panels[panel].y.label)
            ax.grid(visible=False)
            drawn = [(index, mark) for index, mark in data.in_panel(panel) if mark.y is not None]
            if len(found.axes) == 1:
                _draw_curve(ax, found, look)
                _draw_ticks(ax, data, found, drawn, look)
            else:
                _draw_regions(ax, found, look)
                _draw_lines(ax, data, found, drawn, look)
        legend_below(axes[0], _names(data, look))

    def height(self, data: ChartData, look: Look) -> float:
        """Return the inches of a panel: a plane is about as high as it is wide."""
        assert isinstance(data, BoundaryData)
        across = min(data.columns, len(data.panels)) if look.widths[1] > look.widths[0] * 1.01 else 1
        width = min(look.widths) / max(across, min(2, len(data.panels)))
        return max(look.height, 0.85 * width) if len(data.landscapes[0].axes) == 2 else look.height * 1.1

    def below(self, data: ChartData, look: Look) -> float:
        """Return the inches of the legend."""
        assert isinstance(data, BoundaryData)
        return legend_inches([label.text for label in _names(data, look)], look)


def _first(
    records: Sequence[RunRecord], view: View, refusals: list[UsageError]
) -> tuple[RunRecord | None, Landscape | None]:
    """Return the run of the smallest seed that has a landscape; add to ``refusals`` why others have none."""
    for record in sorted(records, key=lambda one: one.spec.seed):
        if record.outcome == "failed":
            continue
        try:
            return record, view(record)
        except UsageError as error:
            refusals.append(error)
    return None, None


def _title(name: str, record: RunRecord, found: Landscape) -> str:
    metric = ACCURACY if found.classes else EXPLAINED
    value = record.final.get(metric)
    if value is None:
        quality = "no value"
    elif found.classes:
        quality = f"accuracy {quantity(metric, value)}"
    else:
        quality = f"R² {value:.3f}".replace("-", MINUS)
    facts = f"seed {record.spec.seed} · {quality} · {found.dead} of {found.units} dead"
    return f"{name}\n{facts}" if name else facts


def _hinges(series: int, panel: int, found: Landscape) -> Iterator[Mark]:
    """Yield a mark for each unit, at the place of its hinge that lies next to the middle of all its places."""
    import numpy as np

    for layer in found.layers:
        for unit, is_dead in enumerate(layer.dead.tolist()):
            places = crossings(found, layer.z[..., unit])
            note = f"{layer.name}, unit {unit}{', dead' if is_dead else ''}"
            if not len(places):
                yield Mark(
                    series, NOTHING, None, panel=panel, kind=layer.name, note=f"{note}: no hinge in this picture"
                )
                continue
            if len(found.axes) == 1:
                for (place,) in places:
                    at = float(np.interp(place, found.axes[0], found.outputs[:, 0]))
                    yield Mark(series, float(place), at, panel=panel, kind=layer.name, note=note)
                continue
            middle = places[np.argmin(((places - places.mean(0)) ** 2).sum(1))]
            yield Mark(series, float(middle[0]), float(middle[1]), panel=panel, kind=layer.name, note=note)


def _unit(mark: Mark) -> int:
    return int(mark.note.partition(", unit ")[2].split(",")[0].split(":")[0])


def _is_dead(mark: Mark) -> bool:
    return ", dead" in mark.note


def _dash(found: Landscape, layer: str) -> Any:
    names = [one.name for one in found.layers]
    return DASHES[names.index(layer) % len(DASHES)]


def _draw_regions(ax: Axes, found: Landscape, look: Look) -> None:
    """Colour each place by the class of its largest output, and draw the training examples."""
    import numpy as np

    x, y = found.axes
    for label in range(len(found.classes)):
        others = np.delete(found.outputs, label, 2).max(2)
        margin = found.outputs[..., label] - others
        color = OKABE_ITO[label % len(OKABE_ITO)]
        if margin.max() > 0:
            ax.contourf(x, y, margin, levels=[0, max(float(margin.max()), 1e-30)], colors=[color], alpha=0.22)
        if margin.min() < 0 < margin.max():
            ax.contour(x, y, margin, levels=[0], colors=[INK], linewidths=look.line * 1.1)
        own = found.points[found.targets == label]
        style = {"color": color, "alpha": 0.75, "markeredgewidth": 0}
        ax.plot(*own.T, "os^D"[label % 4], markersize=look.marker * 0.55, **style)
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])


def _draw_lines(ax: Axes, data: ChartData, found: Landscape, drawn: Sequence[tuple[int, Mark]], look: Look) -> None:
    """Draw the places at which each unit's pre-activation is 0."""
    x, y = found.axes
    layers = {layer.name: layer for layer in found.layers}
    for index, mark in drawn[:MAX_HINGES]:
        z = layers[mark.kind].z[..., _unit(mark)]
        dead = _is_dead(mark)
        lines = ax.contour(
            x,
            y,
            z,
            levels=[0],
            colors=[GREY if dead else INK],
            linewidths=look.line * (0.9 if dead else 0.55),
            linestyles=[_dash(found, mark.kind)],
            alpha=0.9 if dead else 0.55,
        )
        lines.set_gid(data.gid(index))


def _draw_curve(ax: Axes, found: Landscape, look: Look) -> None:
    """Draw the training examples, what is to be learned, and what the network gives."""
    (x,) = found.axes
    ax.plot(found.points[:, 0], found.targets, ".", color=OKABE_ITO[0], alpha=0.35, markersize=look.marker * 0.5)
    if found.curve is not None:
        ax.plot(x, found.curve, color=OKABE_ITO[0], linestyle=DASHES[1], linewidth=look.line)
    ax.plot(x, found.outputs[:, 0], color=OKABE_ITO[1], linewidth=look.line * 1.2)
    ax.set_xlim(x[0], x[-1])


def _draw_ticks(ax: Axes, data: ChartData, found: Landscape, drawn: Sequence[tuple[int, Mark]], look: Look) -> None:
    """Draw each unit's hinges as ticks below the curve, a lane for each layer, the first one lowest."""
    low, high = ax.get_ylim()
    lanes = LANE * (len(found.layers) + 1)
    ax.set_ylim(low - (high - low) * lanes / (1 - lanes), high)
    names = [layer.name for layer in found.layers]
    for index, mark in drawn[:MAX_HINGES]:
        lane = LANE * (names.index(mark.kind) + 0.4)
        color = GREY if _is_dead(mark) else INK
        ax.plot(
            [mark.x, mark.x],
            [lane, lane + 0.7 * LANE],
            color=color,
            linewidth=look.line * 0.8,
            transform=ax.get_xaxis_transform(),
            gid=data.gid(index),
        )


def _names(data: BoundaryData, look: Look) -> list[Label]:
    """Return the names of the legend."""
    from matplotlib.lines import Line2D

    first = data.landscapes[0]
    found: list[tuple[str, dict[str, Any]]] = []
    if first.classes:
        for label, name in enumerate(first.classes[: len(OKABE_ITO)]):
            marker = {"marker": "os^D"[label % 4], "linestyle": "none", "markersize": look.marker}
            found.append((f"class {name}", {"color": OKABE_ITO[label], **marker}))
        dashes = {layer.name: _dash(one, layer.name) for one in data.landscapes for layer in one.layers}
        for name, dash in list(dashes.items())[: len(DASHES)]:
            found.append((f"hinge, {name}", {"color": INK, "linestyle": dash, "linewidth": look.line * 0.7}))
    else:
        found.append(("network", {"color": OKABE_ITO[1]}))
        if first.curve is not None:
            found.append(("to be learned", {"color": OKABE_ITO[0], "linestyle": DASHES[1]}))
        tick = {"marker": "|", "linestyle": "none", "markersize": look.marker * 1.6}
        found.append(("hinge of a unit, a lane a layer", {"color": INK, **tick}))
    if any(_is_dead(mark) and mark.y is not None for mark in data.marks):
        found.append(("hinge of a dead unit", {"color": GREY, "linewidth": look.line * 1.4}))
    return [Label(text, 0.0, style["color"], Line2D([], [], **style), f"k{k}") for k, (text, style) in enumerate(found)]


def _caption(landscapes: Sequence[Landscape], *, left_out: int) -> str:
    text = "One run of each row, its smallest seed with a kept network. "
    if landscapes[0].classes:
        text += "Colour: the class of the largest output, and training examples; thick: where two classes meet. Thin: "
        text += "the hinge of each unit, where its pre-activation is 0, in ReLU networks the bend."
    else:
        text += "Dots: training examples. Ticks: the hinges of each unit, where its pre-activation is 0, in ReLU "
        text += "networks the bends; a lane for each hidden layer, the first one lowest."
    text += " Grey: dead units, by the run's own definition; most have no hinge among the data."
    most = max(sum(len(layer.dead) for layer in one.layers) for one in landscapes)
    if most > MAX_HINGES:
        text += f" Of each panel at most {MAX_HINGES} hinges are drawn."
    if left_out > 0:
        text += f" {left_out} further rows; --where chooses others."
    return text


plugin = Boundary()
