"""Names beside the lines they belong to, and a legend below the axes where they do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actbench.analysis.plots._names import shorten
from actbench.analysis.plots._style import Look, Pen

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


KEY = 3.0
"""Letters' heights of a legend's piece of line: in a shorter one the marker hides the gap between two dashes."""


@dataclass(frozen=True)
class Label:
    """A name and the line that it belongs to.

    Args:
        text: The name.
        y: Where the line ends, in the axes' data.
        color: Of the line.
        handle: The artist that a legend shows.
        gid: Of the series.
    """

    text: str
    y: float
    color: str
    handle: Any
    gid: str


def label_ends(axes: Axes, labels: Sequence[Label], look: Look) -> None:
    """Write each name at the right end of its line, moved apart where ends are close; a legend where there is no room.

    Call it when the limits of the axes are set. The names stand right of the axes, so none lies over the data.
    """
    if not fit_beside(axes, [one.text for one in labels], look):
        legend_below(axes, labels)
        return
    from matplotlib.transforms import Affine2D, ScaledTranslation

    figure = axes.get_figure(root=True)
    assert figure is not None
    room = _lines_beside(axes, look)
    to_axes = axes.transData + axes.transAxes.inverted()
    placed = sorted(((float(to_axes.transform((1, one.y))[1]), one) for one in labels), key=lambda pair: pair[0])
    for height, one in zip(_apart([height for height, _ in placed], 1 / room), (one for _, one in placed), strict=True):
        # A piece of the line joins it to its name where colours are not seen; its unit is a letter's height.
        letters = Affine2D().scale(look.font / 72) + figure.dpi_scale_trans
        beside = letters + ScaledTranslation(1, height, axes.transAxes)
        style = {"color": one.color, "linestyle": one.handle.get_linestyle(), "marker": one.handle.get_marker()}
        style |= {"markersize": look.marker, "markevery": [1], "transform": beside, "clip_on": False}
        axes.plot([0.6, 1.5, 2.4], [0, 0, 0], gid=f"{one.gid}.key", **style)
        axes.annotate(
            shorten(one.text),
            (1, height),
            xytext=(2.9 * look.font, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            color=one.color,
            va="center",
            fontsize=look.font * 0.9,
            annotation_clip=False,
            gid=f"{one.gid}.label",
        )


def key_of(pen: Pen, look: Look) -> Line2D:
    """Return the piece of line that a legend shows of a series: its colour, dash and marker, to know it by each."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=pen.color, linestyle=pen.dash, marker=pen.marker, markersize=look.marker)


def fit_beside(axes: Axes, names: Sequence[str], look: Look) -> bool:
    """Return whether names have room beside the axes: enough lines, and less than 0.42 of the figure's width."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    is_alone = not (spec := axes.get_subplotspec()) or spec.get_geometry()[1] == 1
    longest = max((len(shorten(name)) * 0.5 for name in names), default=0) + 2.9  # letters
    is_narrow = longest * look.font / 72 < 0.42 * figure.get_size_inches()[0]
    return is_alone and is_narrow and len(names) <= _lines_beside(axes, look)


def _lines_beside(axes: Axes, look: Look) -> float:
    """Return how many lines of text fit beside the axes."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    rows = spec.get_geometry()[0] if (spec := axes.get_subplotspec()) else 1
    return float(figure.get_size_inches()[1] / rows * 0.72 * 72 / (look.font * 1.15))


def legend_below(axes: Axes, labels: Sequence[Label]) -> None:
    """Put one legend for the whole figure below its axes; further calls for the same figure add nothing."""
    figure = axes.get_figure()
    assert figure is not None
    if figure.legends:
        return
    width = figure.get_size_inches()[0] if hasattr(figure, "get_size_inches") else 7.0
    legend = figure.legend(
        [one.handle for one in labels],
        [shorten(one.text) for one in labels],
        loc="outside lower center",
        ncols=_legend_columns([one.text for one in labels], width, _legend_font()),
        frameon=False,
        handlelength=KEY,
    )
    for text, handle, one in zip(legend.get_texts(), legend.legend_handles, labels, strict=True):
        text.set_gid(f"{one.gid}.label")
        if handle is not None:
            handle.set_gid(f"{one.gid}.key")


def legend_inches(names: Sequence[str], look: Look) -> float:
    """Return the inches that ``legend_below`` needs for these names in a figure of the look's width."""
    lines = -(-len(names) // _legend_columns(names, look.widths[0], look.font * 0.9))
    return (lines + 1) * look.font * 0.9 * 1.45 / 72


def _legend_columns(names: Sequence[str], width: float, font: float) -> int:
    per_name = (max(len(shorten(name)) for name in names) * 0.6 + KEY + 2.5) * font / 72
    return max(1, min(len(names), int(width / per_name)))


def _legend_font() -> float:
    import matplotlib

    return float(matplotlib.rcParams["legend.fontsize"])


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """Return sorted heights moved so that neighbours are at least ``gap`` apart and all lie within 0 … 1.

    >>> [round(height, 2) for height in _apart([0.5, 0.5, 0.9], 0.1)]
    [0.45, 0.55, 0.9]
    """
    blocks: list[tuple[float, int]] = []  # a block's centre and its number of names, which stand gap apart
    for height in heights:
        blocks.append((height, 1))
        while len(blocks) > 1:
            (low, below), (high, above) = blocks[-2:]
            if high - low >= gap * (below + above) / 2:
                break
            blocks[-2:] = [((low * below + high * above) / (below + above), below + above)]
    found = [center + gap * (place - (count - 1) / 2) for center, count in blocks for place in range(count)]
    for index in range(1, len(found)):  # from the floor up, then from the ceiling down
        found[index] = max(found[index], found[index - 1] + gap)
    if found and found[0] < 0:
        found = [max(height, gap * index) for index, height in enumerate(found)]
    if found and found[-1] > 1:
        found = [min(height, 1 - gap * (len(found) - 1 - index)) for index, height in enumerate(found)]
    return found
