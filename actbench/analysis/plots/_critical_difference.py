"""The critical-difference picture: rows on an axis of mean ranks, a bar over those that are not told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actbench.analysis.plots._style import INK, PALE, Look, drawing
from actbench.analysis.plots._text import literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from actbench.analysis.further.across import Across


def picture(found: Across, look: Look) -> Figure:
    """Draw the mean ranks of rows across blocks, the best at the left.

    The names stand in two columns below the axis, the better half at the left, each at the end of a line to its rank.
    """
    from matplotlib.figure import Figure

    count, bars = len(found.rows), len(found.groups)
    half = -(-count // 2)
    with drawing(look):
        height = (3.5 + 1.6 * half + 0.7 * bars) * look.font * 1.2 / 72
        figure = Figure(figsize=(look.widths[1], height), layout="constrained")
        ax = figure.subplots()
        low, high = 1.0, float(max(count, 2))
        margin = 0.35 * (high - low)
        ax.set_xlim(low - margin, high + margin)
        depth = bars * 0.5 + half + 0.5
        ax.set_ylim(-depth, 0.4)
        ax.set_axis_off()
        ax.plot([low, high], [0, 0], color=INK, linewidth=look.line)
        for tick in range(1, int(high) + 1):
            ax.plot([tick, tick], [0, 0.12], color=INK, linewidth=look.line)
            ax.text(tick, 0.18, str(tick), ha="center", va="bottom")
        for place, group in enumerate(found.groups):
            ends = [found.mean_ranks[index] for index in (group[0], group[-1])]
            level = -0.3 - 0.5 * place
            ax.plot(ends, [level, level], color=INK, linewidth=look.line * 3.5, solid_capstyle="round")
        for index, name in enumerate(found.rows):
            rank, is_left = found.mean_ranks[index], index < half
            y = -0.5 * bars - 0.6 - (index if is_left else count - 1 - index)
            edge = low - 0.05 * (high - low) if is_left else high + 0.05 * (high - low)
            ax.plot([rank, rank, edge], [0, y, y], color=PALE if index != found.baseline else INK, linewidth=look.line)
            ax.plot([rank], [0], "o", color=INK, markersize=look.marker)
            label = f"{name}  {rank:.2f}" if is_left else f"{rank:.2f}  {name}"
            ax.text(edge, y, f" {label} ", ha="right" if is_left else "left", va="center")
        ax.set_title(f"Mean rank of {found.metric} across {len(found.blocks)} values of {found.factor}, 1 is best")
        literal(figure.axes)
        return figure
