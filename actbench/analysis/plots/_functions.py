"""Draw activations: f and f′ with the region of dead units, the minimum, the kinks and the limits at infinity.

Not a chart of a comparison, so it isn't among those that ``plot`` lists: its numbers are those of functions, which the
caller hands over as plain arrays (``cli/function_curves.py`` computes them with torch).

    figure_of(drawn_functions(function_curves([resolve("activations", "elu")])))
"""

from __future__ import annotations

import textwrap
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from actbench.analysis.plots import Drawing
from actbench.analysis.plots._data import Axis, ChartData, Mark, Panel, Series
from actbench.analysis.plots._figures import Drawn
from actbench.analysis.plots._style import Look, Pen, pens

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FUNCTION, SLOPE = 0, 1
"""The two panels."""

STEEP = 3.0
"""Functions are drawn up to their values at ±3, or to half of the range of z: a line as long as the range, and even
more a square, would press what is worth seeing onto the axis."""

MIN_HEIGHT = (4.0, 3.0)
"""Values up to these are always drawn, of f and of f′."""

MAX_VALUES = 13
"""Values of a curve that are marked and listed; with a wider range only those at even z."""

BAR = 0.035
"""Height of one activation's bar of dead slopes, as a share of the panel."""

_TIED = "\N{NO-BREAK SPACE}"

MAX_REGIONS = 3
"""Of dead slopes in the legend; the table has all that are drawn."""


@dataclass(frozen=True)
class FunctionCurve:
    """An activation f on a range of z, and the facts about it.

    Args:
        name: Its label, as in tables.
        z: Where it is evaluated, ascending, the same for all curves of a picture except around their breaks.
        values: f(z); NaN where it is not a finite number.
        slopes: f′(z); NaN likewise.
        dead_slope: The slope at or below which a unit is counted as dead.
        dead: The intervals of z where |f′(z)| ≤ ``dead_slope``, which may begin at −∞ and end at ∞.
        breaks: Where f or f′ jumps, within the range.
        minimum: (z, f(z)) of the lowest point of a dip; None where f has none.
        limits: Of f for z → −∞ and z → ∞; None where it has no finite one.
        section: What is fixed where f is a function of several numbers, such as ``at v = 1``.
    """

    name: str
    z: Sequence[float]
    values: Sequence[float]
    slopes: Sequence[float]
    dead_slope: float
    dead: Sequence[tuple[float, float]]
    breaks: Sequence[float] = ()
    minimum: tuple[float, float] | None = None
    limits: tuple[float | None, float | None] = (None, None)
    section: str = ""

    def at(self, z: float) -> tuple[float, float]:
        """Return f and f′ at a z at which they were evaluated."""
        index = bisect_left(self.z, z)
        return self.values[index], self.slopes[index]

    def beside(self, place: float) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return f and f′ at the last z before a break, and at the first one after it."""
        after = bisect_left(self.z, place)
        left, right = ((self.values[one], self.slopes[one]) for one in (after - 1, after))
        return left, right

    def kind_of(self, place: float) -> str:
        """Return ``jump`` for a break at which f jumps, ``kink`` for one of f′ alone."""
        (left, _), (right, _) = self.beside(place)
        return "jump" if abs(right - left) > 1e-6 * max(1.0, abs(left), abs(right)) else "kink"


@dataclass(frozen=True)
class FunctionData(ChartData):
    """What the picture of some activations draws.

    Args:
        curves: One for each series.
    """

    curves: tuple[FunctionCurve, ...] = ()

    def listed(self, index: int) -> str:
        """Return an activation's name with its dead slopes, minimum, limits and kinks."""
        return _name_and_facts(self.curves[index], _facts(self.curves[index]))


def drawn_functions(curves: Sequence[FunctionCurve], *, baseline: str = "") -> Drawn:
    """Return the picture of some activations, ready for ``figure_of``.

    Args:
        curves: One an activation, on the same range of z.
        baseline: The name of the one that is drawn in ink; give it, and all activations of a comparison, for the
            colours of the comparison's charts.
    """
    marks = [mark for series, curve in enumerate(curves) for mark in _marks(series, curve)]
    slope = _number(curves[0].dead_slope)
    where = "grey" if len(curves) == 1 else "bars at the foot, one an activation"
    data = FunctionData(
        panels=(Panel("", Axis("z"), Axis("f(z)")), Panel("", Axis("z"), Axis("f′(z)"))),
        series=tuple(Series(curve.name, {"activation": curve.name}) for curve in curves),
        marks=tuple(marks),
        caption=f"The function and its derivative. |f′(z)| ≤ {slope} ({where}): a unit whose inputs all lie there is "
        "dead. Cross: lowest point of a dip; diamond: kink or jump; dotted: finite limit.",
        baseline=baseline,
        columns=2,
        curves=tuple(curves),
    )
    return Drawn("functions", Functions(), data)


class Functions(Drawing):
    """f and f′ of some activations."""

    title = "Activations"
    question = "Which functions are compared, and where is their slope too small to learn?"

    def draw(self, data: ChartData, axes: Sequence[Axes], look: Look) -> None:
        """Draw each function and its derivative, with what is worth knowing about it in the legend."""
        assert isinstance(data, FunctionData)
        drawn_with = pens(data)
        for panel, ax in enumerate(axes):
            for series, pen in enumerate(drawn_with):
                _draw_curve(ax, panel, data, series, pen)
            _limit(ax, panel, data)
            _draw_dead(ax, panel, data, drawn_with, look)
            for index, mark in data.in_panel(panel):
                _draw_mark(ax, mark, data.gid(index), drawn_with[mark.series], look)
            ax.set_xlabel(data.panels[panel].x.label)
            ax.set_ylabel(data.panels[panel].y.label)
        _legend(axes[0], data, drawn_with, look)

    def height(self, data: ChartData, look: Look) -> float:
        """Return the inches of a panel, with room for the legend."""
        assert isinstance(data, FunctionData)
        lines = sum(text.count("\n") + 1 for text in _legend_texts(data, look.widths[data.columns - 1], look))
        return look.height + lines * look.font * 0.9 * 1.35 / 72


def _marks(series: int, curve: FunctionCurve) -> Iterator[Mark]:
    """Yield the facts, and f and f′ at whole z."""
    if curve.minimum is not None:
        z, value = curve.minimum
        yield Mark(series, z, value, kind="minimum", note="lowest point of a dip")
    for place in curve.breaks:
        left, right = curve.beside(place)
        note = f"{curve.kind_of(place)}: f′ from {_number(left[SLOPE])} to {_number(right[SLOPE])}"
        middle = round((left[FUNCTION] + right[FUNCTION]) / 2, 8)  # both were evaluated 1e-9 beside it
        yield Mark(series, place, middle, kind="break", note=note)
    for end, limit in zip(("−∞", "∞"), curve.limits, strict=True):
        if limit is not None:
            yield Mark(series, f"→ {end}", limit, kind="limit", note="limit")
    for low, high in _dead_in_view(curve):
        note = f"|f′| ≤ {_number(curve.dead_slope)}"
        yield Mark(series, _region(low, high), None, panel=SLOPE, kind="dead", note=note)
    step = 1 if 2 * max(map(abs, curve.z)) < MAX_VALUES else 2
    for panel in (FUNCTION, SLOPE):
        for z in curve.z:
            value = curve.at(z)[panel]
            if z % step == 0 and isfinite(value):
                yield Mark(series, z, value, panel=panel, kind="value")


def _dead_in_view(curve: FunctionCurve) -> list[tuple[float, float]]:
    """Return the dead slopes within the range of z; those of a sine go on beyond it, as far as they are looked for."""
    reach = max(map(abs, curve.z))
    return [(low, high) for low, high in curve.dead if low < reach and high > -reach]


def _draw_curve(ax: Axes, panel: int, data: FunctionData, series: int, pen: Pen) -> None:
    """Draw a curve, interrupted where f or f′ jumps and where it is no finite number."""
    import numpy as np

    curve = data.curves[series]
    z = np.asarray(curve.z, dtype=float)
    y = np.asarray(curve.slopes if panel == SLOPE else curve.values, dtype=float)
    cuts = np.searchsorted(z, curve.breaks)
    z, y = np.insert(z, cuts, curve.breaks), np.insert(y, cuts, np.nan)
    ax.plot(z, y, color=pen.color, linestyle=pen.dash, gid=f"{data.series_gid(series)}.line.p{panel}")


def _limit(ax: Axes, panel: int, data: FunctionData) -> None:
    """Set the limits of the axes: all of the curves but what is high, and room for the bars of dead slopes."""
    from matplotlib.ticker import MaxNLocator

    reach = max(max(map(abs, curve.z)) for curve in data.curves)
    points = [
        (z, y)
        for curve in data.curves
        for z, y in zip(curve.z, curve.slopes if panel == SLOPE else curve.values, strict=True)
        if isfinite(y)
    ]
    near = [abs(y) for z, y in points if abs(z) <= STEEP]
    most = max([MIN_HEIGHT[panel], reach / 2 if panel == FUNCTION else 0.0, *near])
    low = max(min((y for _, y in points), default=0.0), -most)
    high = min(max((y for _, y in points), default=1.0), most)
    if low == high:
        low, high = low - 0.5, high + 0.5
    margin = 0.06 * (high - low)
    low, high = low - margin, high + margin
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylim(low, high)
    ax.set_xlim(-1.02 * reach, 1.02 * reach)
    if panel == SLOPE and len(data.curves) > 1:
        share = BAR * (len(data.curves) + 1)
        ticks = [tick for tick in ax.get_yticks() if low <= tick <= high]  # none beside the bars, which have no height
        ax.set_ylim(low - (high - low) * share / (1 - share), high)
        ax.set_yticks(ticks)


def _draw_dead(ax: Axes, panel: int, data: FunctionData, drawn_with: Sequence[Pen], look: Look) -> None:
    """Shade where the slope is dead: both panels for one activation, a bar for each of several at the foot of f′."""
    count = len(data.curves)
    if panel == FUNCTION and count > 1:
        return
    low, high = ax.get_xlim()
    marks = [(index, mark) for index, mark in data.in_panel(SLOPE, "dead")]
    for series, curve in enumerate(data.curves):
        own = [index for index, mark in marks if mark.series == series]
        foot, top = (0.0, 1.0) if count == 1 else (BAR * (count - series - 0.35), BAR * (count - series + 0.35))
        for index, (begin, end) in zip(own, _dead_in_view(curve), strict=True):
            # One that is narrower than a pixel, as around the minimum of a dip, is seen by its edge.
            is_narrow = end - begin < (high - low) / 100
            ax.axvspan(
                max(begin, low),
                min(end, high),
                foot,
                top,
                color=drawn_with[series].color,
                alpha=0.16 if count == 1 and not is_narrow else 0.75,
                linewidth=look.line * 0.4 if is_narrow else 0,
                gid=data.gid(index) if panel == SLOPE else f"{data.series_gid(series)}.dead.p{panel}",
            )


def _draw_mark(ax: Axes, mark: Mark, gid: str, pen: Pen, look: Look) -> None:
    if mark.kind == "limit":
        assert mark.y is not None
        side = (0.0, 0.5) if "−" in str(mark.x) else (0.5, 1.0)
        ax.axhline(mark.y, *side, color=pen.color, linestyle=":", linewidth=look.line * 0.8, gid=gid)
    elif mark.kind != "dead":
        style = {"minimum": "x", "break": "d", "value": pen.marker}[mark.kind]
        size = look.marker * {"minimum": 1.4, "break": 1.3, "value": 0.6}[mark.kind]
        face = "none" if mark.kind == "break" else pen.color
        ax.plot([mark.x], [mark.y], style, color=pen.color, markerfacecolor=face, markersize=size, gid=gid)


def _legend(ax: Axes, data: FunctionData, drawn_with: Sequence[Pen], look: Look) -> None:
    """Name each line below the axes, with the facts in numbers, where they hide nothing."""
    from matplotlib.lines import Line2D

    size = look.marker * 0.8
    handles = [
        Line2D([], [], color=pen.color, linestyle=pen.dash, marker=pen.marker, markersize=size) for pen in drawn_with
    ]
    figure = ax.get_figure()
    assert figure is not None
    width = figure.get_size_inches()[0] if hasattr(figure, "get_size_inches") else look.widths[0]
    texts = _legend_texts(data, float(width), look)
    legend = figure.legend(handles, texts, loc="outside lower center", ncols=1, frameon=False, alignment="left")
    for series, (text, handle) in enumerate(zip(legend.get_texts(), legend.legend_handles, strict=True)):
        text.set_gid(f"{data.series_gid(series)}.label")
        if handle is not None:
            handle.set_gid(f"{data.series_gid(series)}.key")


def _legend_texts(data: FunctionData, width: float, look: Look) -> list[str]:
    """Return a name with its facts for each series, wrapped to a figure of so many inches."""
    characters = max(24, int((width * 72 / (look.font * 0.9) - 5) / 0.6))
    wrapped = []
    for curve in data.curves:
        # Lines break between facts, and within a fact only if it is longer than a line.
        text = _name_and_facts(curve, [fact.replace(" ", _TIED) for fact in _facts(curve)])
        wrapped.append(textwrap.fill(text, characters, subsequent_indent="   ").replace(_TIED, " "))
    return wrapped


def _name_and_facts(curve: FunctionCurve, facts: Sequence[str]) -> str:
    name = f"{curve.name} {curve.section}".rstrip()
    return f"{name}: {'; '.join(facts)}" if facts else name


def _facts(curve: FunctionCurve) -> list[str]:
    """Return the facts of a legend: dead slopes, minimum, limits, kinks."""
    regions = [_region(low, high) for low, high in curve.dead]
    more = f" and {len(regions) - MAX_REGIONS} more" if len(regions) > MAX_REGIONS else ""
    parts = [f"|f′| ≤ {_number(curve.dead_slope)} for z {', '.join(regions[:MAX_REGIONS])}{more}"] if regions else []
    if curve.minimum is not None:
        parts.append(f"minimum {_number(curve.minimum[1])} at z = {_number(curve.minimum[0])}")
    for end, limit in zip(("−∞", "∞"), curve.limits, strict=True):
        if limit is not None:
            parts.append(f"f → {_number(limit)} for z → {end}")
    for kind in ("kink", "jump"):
        places = [place for place in curve.breaks if curve.kind_of(place) == kind]
        if places:
            shown = ", ".join(map(_number, places[:MAX_REGIONS]))
            parts.append(f"{kind} at {shown}{', …' if len(places) > MAX_REGIONS else ''}")
    return parts


def _region(low: float, high: float) -> str:
    """Return an interval of z in words.

    >>> _region(float("-inf"), 0.0), _region(-0.754, -0.7495), _region(float("-inf"), float("inf"))
    ('≤ 0', '−0.754 … −0.7495', 'anywhere')
    """
    if isfinite(low) and isfinite(high):
        return f"{_number(low)} … {_number(high)}"
    if isfinite(high):
        return f"≤ {_number(high)}"
    return f"≥ {_number(low)}" if isfinite(low) else "anywhere"


def _number(value: float) -> str:
    """Return a number to four figures.

    >>> _number(-0.169971), _number(1e-3), _number(-0.0)
    ('−0.17', '0.001', '0')
    """
    return f"{value + 0.0:.4g}".replace("-", "−")
