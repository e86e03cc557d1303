"""Names beside the lines they belong to, and a legend below the axes where they do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actbench.analysis.plots._style import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_NAME = 34
"""Characters of a name beside a line; longer ones end with an ellipsis, and the page's table has them whole."""


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


def shorten(text: str, most: int = MAX_NAME) -> str:
    """Return a name that fits beside a line.

    >>> shorten("leaky_relu(negative_slope=0.2)", 14)
    'leaky_relu(ne…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def label_ends(axes: Axes, labels: Sequence[Label], look: Look) -> None:
    """Write each name at the right end of its line, moved apart where ends are close; a legend where there is no room.

    Call it when the limits of the axes are set. The names stand right of the axes, so none lies over the data.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    rows, columns = spec.get_geometry()[:2] if (spec := axes.get_subplotspec()) else (1, 1)
    room = figure.get_size_inches()[1] / rows * 0.72 * 72 / (look.font * 1.15)  # lines of text that fit beside the axes
    if len(labels) > room or columns > 1:
        legend_below(axes, labels)
        return
    to_axes = axes.transData + axes.transAxes.inverted()
    placed = sorted(((float(to_axes.transform((1, one.y))[1]), one) for one in labels), key=lambda pair: pair[0])
    for height, one in zip(_apart([height for height, _ in placed], 1 / room), (one for _, one in placed), strict=True):
        axes.annotate(
            shorten(one.text),
            (1, height),
            xytext=(6, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            color=one.color,
            va="center",
            fontsize=look.font * 0.9,
            annotation_clip=False,
            gid=f"{one.gid}.label",
        )


def legend_below(axes: Axes, labels: Sequence[Label]) -> None:
    """Put one legend for the whole figure below its axes; further calls for the same figure add nothing."""
    figure = axes.get_figure()
    assert figure is not None
    if figure.legends:
        return
    width = figure.get_size_inches()[0] if hasattr(figure, "get_size_inches") else 7.0
    longest = max(len(shorten(one.text)) for one in labels)
    import matplotlib

    per_name = (longest * 0.6 + 4.5) * float(matplotlib.rcParams["legend.fontsize"]) / 72
    legend = figure.legend(
        [one.handle for one in labels],
        [shorten(one.text) for one in labels],
        loc="outside lower center",
        ncols=max(1, min(len(labels), int(width / per_name))),
        frameon=False,
    )
    for text, handle, one in zip(legend.get_texts(), legend.legend_handles, labels, strict=True):
        text.set_gid(f"{one.gid}.label")
        if handle is not None:
            handle.set_gid(f"{one.gid}.key")


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
