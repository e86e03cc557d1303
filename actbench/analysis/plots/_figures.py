"""From a chart's name to a figure, and from a figure to a file."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from actbench.analysis.plots import Drawing, NetworkChart
from actbench.analysis.plots._data import ChartData
from actbench.analysis.plots._landscapes import View
from actbench.analysis.plots._predictions import Predict, with_predictions
from actbench.analysis.plots._style import LOOKS, Look, drawing, look_named
from actbench.analysis.plots._text import literal
from actbench.analysis.table.result import Comparison
from actbench.errors import UsageError
from actbench.schema.registry import load, names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")

_NO_DATE = {
    "svg": {"Date": None, "Creator": "actbench"},
    "pdf": {"CreationDate": None},
    "png": {"Software": "actbench"},
}
"""Metadata by format: the same bytes for the same results, whenever they are drawn."""


@dataclass(frozen=True)
class Drawn:
    """A chart of one comparison, or another picture, with its numbers.

    Args:
        name: As ``plot --chart`` has it.
        chart: Title, question and drawing.
        data: What is drawn.
    """

    name: str
    chart: Drawing
    data: ChartData


def charts_of(
    comparison: Comparison, chosen: Sequence[str] = (), *, predict: Predict | None = None, view: View | None = None
) -> list[Drawn]:
    """Return the charts for which a comparison has data, in their order.

    Args:
        comparison: With its rows' records, and their curves.
        chosen: Names of charts; empty for all.
        predict: What theory expects of a run's network, for the charts that draw it; asked only where one of them has
            data. None for charts without it.
        view: What a run's network does to its inputs, for charts of networks, which are drawn only where chosen.

    Raises:
        UnknownNameError: For a chart that does not exist.
        UsageError: When a chart of networks is chosen and no run has kept one.
    """
    found = [(name, load("charts", name)) for name in chosen or names("charts")]
    if not chosen:
        found.sort(key=lambda one: one[1].order)
    collected = []
    predicted: Comparison | None = None
    for name, chart in found:
        data = chart.collect(comparison)
        if chosen and view is not None and isinstance(chart, NetworkChart):
            data = chart.collect_networks(comparison, view)
        if data is not None and chart.uses_predictions and predict is not None:
            predicted = predicted or with_predictions(comparison, predict)
            data = chart.collect(predicted)
        if data is not None:
            collected.append(Drawn(name, chart, data))
    return collected


def draw_chart(
    name: str,
    comparison: Comparison,
    *,
    axes: Axes | Sequence[Axes] = (),
    style: str = "paper",
    columns: int = 2,
    predict: Predict | None = None,
    view: View | None = None,
) -> Figure:
    """Draw one chart of a comparison.

    Args:
        name: See ``actbench list charts``.
        comparison: One of ``compare``'s, made of records that were read with their curves.
        axes: The caller's own, one for each panel, also as an array of ``subplots``; empty for a new figure.
        style: Sizes: ``paper``, ``slides`` or ``screen``.
        columns: 1 or 2 columns of a page, for a new figure.
        predict: As ``charts_of`` has it.
        view: As ``charts_of`` has it; ``actbench.cli.landscapes`` has one.

    Returns:
        The figure that was drawn on.

    Raises:
        UnknownNameError: For a chart or a style that does not exist.
        UsageError: When the runs have no data for it, or the axes are not as many as the chart has panels.
    """
    import numpy as np

    look, drawn = look_named(style), charts_of(comparison, [name], predict=predict, view=view)
    if not drawn:
        raise UsageError(f"chart '{name}': these runs have no data for it. It answers: {load('charts', name).question}")
    own = [*np.ravel(np.asarray(axes, dtype=object))]
    figure = figure_of(drawn[0], axes=own, look=look, columns=columns)
    if not own:
        # A notebook knows how to show figures of pyplot only. This is found by its name, and ignored where pyplot is.
        figure._repr_png_ = partial(image_bytes, figure, "png", look)
    return figure


def figure_of(
    drawn: Drawn,
    *,
    axes: Sequence[Axes] = (),
    look: Look = LOOKS["paper"],
    columns: int = 2,
    height: float | None = None,
) -> Figure:
    """Draw a chart whose data is at hand, into a new figure or the caller's axes; ``height`` is that of the figure."""
    panels = len(drawn.data.panels)
    if axes and len(axes) != panels:
        raise UsageError(f"chart '{drawn.name}' has {panels} panels: give as many axes, not {len(axes)}")
    with drawing(look):
        if axes:
            drawn.chart.draw(drawn.data, axes, look)
            literal(axes)
            root = axes[0].get_figure(root=True)
            assert root is not None
            return root
        across = min(drawn.data.columns, panels) if columns == 2 else 1
        down = -(-panels // across)
        width = look.widths[columns - 1]
        wide = replace(look, widths=(width, width))
        needed = drawn.chart.height(drawn.data, wide) * down + drawn.chart.below(drawn.data, wide)
        size = (width, height or needed)
        from matplotlib.figure import Figure  # not pyplot, which keeps every figure

        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(down, across, squeeze=False).ravel()
        for spare in grid[panels:]:
            spare.remove()
        drawn.chart.draw(drawn.data, list(grid[:panels]), look)
        literal(figure.axes)
        return figure


def image_bytes(figure: Figure, form: str, look: Look) -> bytes:
    """Return a figure as the content of a png, svg or pdf file."""
    target = io.BytesIO()
    with drawing(look), _laid_out(figure, form):
        figure.savefig(target, format=form, metadata=_NO_DATE[form])
    return target.getvalue()


@contextmanager
def _laid_out(figure: Figure, form: str) -> Iterator[None]:
    """Lay a figure out as ``savefig`` would, and put its layout engine aside meanwhile.

    matplotlib draws a figure that has one twice: first with nothing rendered, only so that it is laid out.
    """
    import matplotlib
    from matplotlib.backend_bases import get_registered_canvas_class

    engine, canvas, dpi = figure.get_layout_engine(), figure.canvas, figure.get_dpi()
    if engine is None:
        yield
        return
    try:
        get_registered_canvas_class(form)(figure)  # becomes the figure's: its renderer measures the texts
        figure.set_dpi(matplotlib.rcParams["savefig.dpi"])
        engine.execute(figure)
        figure.set_layout_engine(None)  # not "none", which is an engine, too
        yield
    finally:
        figure.set_layout_engine(engine)
        figure.set_canvas(canvas)
        figure.set_dpi(dpi)


def format_of(path: Path) -> str:
    """Return the format that a file's ending names.

    Raises:
        UsageError: For another ending.
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        raise UsageError(f"can't draw into '{path}': its name has to end with .{', .'.join(FORMATS)}")
    return form
