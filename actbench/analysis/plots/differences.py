"""Estimation plot: each row's paired differences to the baseline, every seed a dot, the interval beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from actbench.analysis.judgements.formatting import p_value
from actbench.analysis.plots import Chart
from actbench.analysis.plots._data import Axis, ChartData, Mark, Panel, baseline_activation, series_of
from actbench.analysis.plots._style import INK, Look, pens
from actbench.analysis.table.factors import row_name
from actbench.analysis.table.result import Comparison, Contrast

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Differences(Chart):
    """The differences of the leading metric, row − baseline, in the order of the table."""

    title = "Differences to the baseline"
    question = "How much better or worse is each row than the baseline, and how sure is that?"
    order = 10

    def collect(self, comparison: Comparison) -> ChartData | None:
        """Return each row's mean difference with its interval, and each seed's difference."""
        metric = comparison.metrics[0]
        marks: list[Mark] = []
        for series, row in enumerate(comparison.rows):
            contrast = row.vs_baseline.get(metric)
            if contrast is None or contrast.difference.difference is None:
                continue
            found, name = contrast.difference, row_name(row.factors)
            marks.append(Mark(series, name, found.difference, found.low, found.high, note=_note(contrast)))
            marks += [
                Mark(series, name, value, kind="seed", note=f"pair {place} of {len(contrast.values)}")
                for place, value in enumerate(contrast.values, start=1)
            ]
        if not marks:
            return None
        baseline = row_name(comparison.baseline or {})
        level = f"{100 * (1 - comparison.alpha):g} %"
        return ChartData(
            panels=(Panel("", Axis(""), Axis(f"{metric}: row − baseline", metric, differences=1)),),
            series=series_of(comparison),
            marks=tuple(marks),
            caption=f"{metric}, row − baseline ({baseline}), paired by seed. Small dots: the seeds; large dot and "
            f"line: their mean with its {level} interval. Filled: p < {comparison.alpha:g} after adjusting for all "
            "differences of the table; hollow: not so.",
            baseline=baseline_activation(comparison),
        )

    def draw(self, data: ChartData, axes: Sequence[Axes], look: Look) -> None:
        """Draw the first row on top, its seeds a little below its mean."""
        from matplotlib.ticker import FuncFormatter

        (ax,), (panel,) = axes, data.panels
        drawn_with = pens(data)
        rows = list(dict.fromkeys(mark.series for mark in data.marks))
        heights = {series: -place for place, series in enumerate(rows)}
        ax.axvline(0, color=INK, linewidth=look.line * 0.8)
        for index, mark in enumerate(data.marks):
            pen, y = drawn_with[mark.series], heights[mark.series]
            if mark.kind == "seed":
                style = {"color": pen.color, "alpha": 0.55, "markersize": look.marker * 0.55, "markeredgewidth": 0}
                ax.plot([mark.y], [y - 0.26], "o", gid=data.gid(index), **style)
                continue
            if mark.low is not None and mark.high is not None:
                ends = [mark.low, mark.high]
                ax.plot(
                    ends, [y, y], color=pen.color, solid_capstyle="butt", gid=f"{data.series_gid(mark.series)}.interval"
                )
            face = pen.color if "shown" in mark.note and "not shown" not in mark.note else "none"
            ax.plot(
                [mark.y], [y], "o", color=pen.color, markerfacecolor=face, markersize=look.marker, gid=data.gid(index)
            )
        ax.set_yticks(list(heights.values()), [data.names[one] for one in rows])
        ax.set_ylim(-len(rows) + 0.4, 0.6)
        ax.tick_params(axis="y", length=0)
        ax.grid(visible=False, axis="y")
        if panel.y.is_fraction:
            ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: points(value)))
        label = f"{panel.y.label} (points)" if panel.y.is_fraction else panel.y.label
        ax.set_xlabel(_fitting(label, ax, [data.names[one] for one in rows], look))

    def height(self, data: ChartData, look: Look) -> float:
        """Return the inches that a figure needs for its rows."""
        return (1.6 + 1.9 * len({mark.series for mark in data.marks})) * look.font * 1.2 / 72 + 4 * look.font / 72


def _fitting(label: str, ax: Axes, names: Sequence[str], look: Look) -> str:
    """Return the axis' label in two lines where the names beside the axes leave too little room for one."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    beside = max(map(len, names), default=0)
    room = figure.get_size_inches()[0] * 72 / (look.font * 0.56) - beside  # in characters
    return label if len(label) <= room else label.replace(": ", ":\n", 1)


def points(value: float) -> str:
    """Return a difference of fractions in percentage points, for a tick.

    >>> points(-0.005), points(0.0), points(0.01)
    ('−0.5', '0', '+1')
    """
    return f"{100 * value:+.3g}".replace("-", "−") if value else "0"


def _note(contrast: Contrast) -> str:
    found = contrast.difference
    verdict = "difference shown" if contrast.significant else "difference not shown"
    adjusted = "" if contrast.p_adjusted is None else f", adjusted p {p_value(contrast.p_adjusted)}"
    return f"{verdict}: {found.n_pairs} pairs{adjusted}, better in {found.wins}"


plugin = Differences()
