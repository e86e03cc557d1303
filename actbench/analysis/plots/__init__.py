"""Charts of a comparison: one file a chart, each with a ``plugin`` that follows the ``Chart`` protocol.

A chart has two halves. ``collect`` lists the numbers to draw as marks: a point with its interval, a cell, a line's
vertex. ``draw`` gives each mark its place. The page prints the same marks as the chart's table and as the text under
the pointer, and the tests hold them to ``compare --format json``, so that no number is computed for a picture alone.

    figure = draw_chart("differences", comparison)              # a matplotlib Figure of its own
    draw_chart("differences", comparison, axes=[your_axes])     # or into yours

matplotlib is imported when something is drawn, never when a chart is only listed. **To add a chart**, add a file here
and a test that what it draws equals the JSON.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from actbench.analysis.plots._data import ChartData
from actbench.analysis.plots._landscapes import View
from actbench.analysis.plots._style import Look
from actbench.analysis.table.result import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Drawing(ABC):
    """A picture of numbers that are at hand, which answers one question."""

    title: ClassVar[str]
    """A heading of a few words."""

    question: ClassVar[str]
    """The question that the picture answers, as a reader would ask it."""

    @abstractmethod
    def draw(self, data: ChartData, axes: Sequence[Axes], look: Look) -> None:
        """Draw the marks, each under its ``gid``, on one pair of axes for each of ``data.panels``."""

    def height(self, data: ChartData, look: Look) -> float:
        """Return the inches of a panel; a chart of rows gives each of them room.

        Args:
            data: What is drawn.
            look: Sizes; both of its widths are that of the figure.
        """
        return look.height

    def below(self, data: ChartData, look: Look) -> float:
        """Return the inches that a figure needs once, below its panels: those of a long legend.

        Args:
            data: What is drawn.
            look: Sizes; both of its widths are that of the figure.
        """
        return 0.0


class Chart(Drawing):
    """A picture of a comparison."""

    order: ClassVar[int]
    """Its place among the charts of a page; the smallest comes first."""

    uses_predictions: ClassVar[bool] = False
    """Whether it draws what theory expects, too, so that a caller who can predict should be asked."""

    @abstractmethod
    def collect(self, comparison: Comparison) -> ChartData | None:
        """Return what is drawn of a comparison; None where its runs have no such numbers."""


class NetworkChart(Chart):
    """A picture of kept networks, drawn only where it is asked for by name: torch has to make them again."""

    def collect(self, comparison: Comparison) -> ChartData | None:
        """Return None: the numbers of a comparison are not enough."""
        return None

    @abstractmethod
    def collect_networks(self, comparison: Comparison, view: View) -> ChartData | None:
        """Return what is drawn of the networks that the comparison's runs have kept.

        Args:
            comparison: With its rows' records.
            view: Finds what a run's network does to its inputs.

        Raises:
            UsageError: When no run has kept a network that can be drawn.
        """
