"""Two factors as a map: the leading metric and the share of dead units, a cell for each row of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actbench.analysis.judgements.formatting import NOTHING, number, p_value, signed, unit_of_difference
from actbench.analysis.judgements.lost_runs import lost_of
from actbench.analysis.plots import Chart
from actbench.analysis.plots._data import Axis, ChartData, Mark, Panel, Series
from actbench.analysis.plots._labels import Label, legend_below
from actbench.analysis.plots._names import shorten, shorten_apart
from actbench.analysis.plots._style import GROUND, INK, PALE, Look
from actbench.analysis.table.factors import Value, show, show_all
from actbench.analysis.table.result import DEAD_FRACTION, Comparison, Contrast, Row
from actbench.schema.metrics import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

USUAL = ("activation", "bias_init")
"""The factors of the map where both vary."""

COLORS = "cividis"
"""Even steps of lightness, alike to the colour-blind, a scale of grey in print (Nuñez, Anderton and Renslow, 2018)."""

DARK, LIGHT = "#000000", "#ffffff"
"""Of what stands in a cell. They are not the ink and the ground, in whose place the page puts those of its dark mode:
a cell keeps its colour there."""

MAX_BESIDE = 6
"""With more columns the two maps stand one below the other."""

MAX_ROW_NAME, MAX_COLUMN_NAME = 30, 22


class FactorMaps(Chart):
    """Activation and hidden bias, or the first two factors that vary."""

    title = "Maps of two factors"
    question = "Which combination of two factors is best, and which has dead units?"
    order = 60

    def collect(self, comparison: Comparison) -> ChartData | None:
        """Return a cell for each row of the table and each metric; None where fewer than two factors vary."""
        grid = _map_of(comparison)
        if grid is None:
            return None
        metrics = _metrics(comparison)
        marks = [
            _cell(comparison, grid, (down, across), metric, (series, panel))
            for series, down in enumerate(grid.values(0))
            for across in grid.values(1)
            for panel, metric in enumerate(metrics)
        ]
        fixed = f", {show_all(grid.fixed)}" if grid.fixed else ""
        return ChartData(
            panels=tuple(Panel(f"{metric}{fixed}", Axis(grid.across), Axis(metric, metric)) for metric in metrics),
            series=tuple(Series(grid.name(down), {grid.down: down}) for down in grid.values(0)),
            marks=tuple(marks),
            caption=_caption(comparison, grid, metrics),
            columns=2 if len(grid.values(1)) <= MAX_BESIDE else 1,
        )

    def draw(self, data: ChartData, axes: Sequence[Axes], look: Look) -> None:
        """Draw a coloured cell with its value for each mark; the darker, the worse."""
        is_judged = _is_judged(data)
        for panel, ax in enumerate(axes):
            marks = list(data.in_panel(panel))
            across = list(dict.fromkeys(str(mark.x) for _, mark in marks))
            down = list(dict.fromkeys(str(mark.row) for _, mark in marks))
            size = _map_axes(ax, data, panel, (down, across), look)
            values = [mark.y for _, mark in marks if mark.y is not None]
            for index, mark in marks:
                shade = None
                if mark.y is not None:
                    shade = (mark.y - min(values)) / (max(values) - min(values)) if max(values) > min(values) else 0.5
                    if is_judged and not METRICS[data.panels[panel].y.metric].higher_is_better:
                        shade = 1 - shade
                place = (across.index(str(mark.x)), down.index(str(mark.row)))
                _draw_cell(ax, data, index, place, shade, size, look)
        if labels := _names(data, is_judged):
            legend_below(axes[0], labels)

    def height(self, data: ChartData, look: Look) -> float:
        """Return the inches of one map: its rows, the names of its columns, a title and its part of the legend."""
        rows = len({mark.row for mark in data.marks})
        longest = max(len(shorten(str(mark.x), MAX_COLUMN_NAME)) for mark in data.marks)
        tilted = longest * 0.45 if longest > 5 else 0.0
        points = rows * (2.9 if _has_two_lines(data) else 1.9) + (11 if data.columns == 2 else 8.5) + tilted
        return points * look.font / 72


@dataclass(frozen=True)
class _Map:
    """The two factors of a map, and the rows that are in it.

    Args:
        down: The factor of the map's rows.
        across: The factor of its columns.
        fixed: Other factors that vary, at the value of the rows that are shown.
        cells: (value of ``down``, value of ``across``) -> row of the table.
    """

    down: str
    across: str
    fixed: Mapping[str, Value]
    cells: Mapping[tuple[Value, Value], Row]

    def values(self, which: int) -> list[Value]:
        """Return the values of ``down`` (0) or ``across`` (1): numbers by size, the rest in the table's order."""
        found = list(dict.fromkeys(key[which] for key in self.cells))
        return sorted(found, key=lambda one: (0, float(one)) if isinstance(one, (int, float)) else (1, 0.0))

    def name(self, down: Value) -> str:
        """Return the name of one of the map's rows: an activation, or another factor with its value."""
        return show(down) if self.down == "activation" else show_all({self.down: down})


def _map_of(comparison: Comparison) -> _Map | None:
    """Return the map of the two usual factors, or of the first two that vary; None where fewer do."""
    rows = comparison.rows
    varying = [key for key in comparison.factors if len({row.factors[key] for row in rows}) > 1]
    if len(varying) < 2:
        return None
    down, across = USUAL if set(USUAL) <= set(varying) else varying[:2]
    # The others stand at the baseline's value, or at the best row's where the baseline leaves it open.
    best = {**rows[0].factors, **(comparison.best or {}), **(comparison.baseline or {})}
    fixed = {key: best[key] for key in varying if key not in (down, across)}
    shown = [row for row in rows if fixed.items() <= row.factors.items()]
    cells = {(row.factors[down], row.factors[across]): row for row in shown}
    found = _Map(down, across, fixed, cells)
    return found if all(len(found.values(which)) > 1 for which in (0, 1)) else None


def _metrics(comparison: Comparison) -> tuple[str, ...]:
    """Return the leading metric and the share of dead units, or what leads beside that share."""
    others = [name for name in comparison.metrics if name != DEAD_FRACTION]
    first = (comparison.metrics[0], *others[:1]) if comparison.metrics[0] == DEAD_FRACTION else others[:1]
    return tuple(dict.fromkeys((*first, DEAD_FRACTION)))


def _cell(
    comparison: Comparison, grid: _Map, place: tuple[Value, Value], metric: str, series_and_panel: tuple[int, int]
) -> Mark:
    """Return a cell, whose kind has a word for each thing drawn: ``shown``, ``baseline``, ``lost``, ``empty``."""
    (series, panel), row = series_and_panel, grid.cells.get(place)
    down, across = grid.name(place[0]), show(place[1])
    if row is None:
        return Mark(series, across, None, panel=panel, kind="cell empty", note="no runs", row=down)
    kinds, notes, mean = ["cell"], [], row.metrics[metric]
    lost = [record for record in row.records if record.final.get(metric) is None]
    if row.lost[metric]:
        kinds.append("lost")
        notes.append(lost_of(lost, row.runs))
    notes.append(f"n = {mean.n}")
    if comparison.is_baseline(row.factors):
        kinds.append("baseline")
        notes.append("baseline")
    elif contrast := row.vs_baseline.get(metric):
        if contrast.significant:
            kinds.append("shown")
        notes.append(_difference(metric, contrast))
    notes += [show_all(grid.fixed)] if grid.fixed else []
    return Mark(series, across, mean.mean, mean.low, mean.high, panel, " ".join(kinds), "; ".join(notes), down)


def _difference(metric: str, contrast: Contrast) -> str:
    """Return the difference to the baseline in words."""
    found = contrast.difference.difference
    if found is None:
        return "no pairs with the baseline"
    amount = f"{signed(metric, found)} {unit_of_difference(metric)}".rstrip()
    adjusted = "" if contrast.p_adjusted is None else f", adjusted p {p_value(contrast.p_adjusted)}"
    return f"difference {'' if contrast.significant else 'not '}shown: {amount}{adjusted}"


def _caption(comparison: Comparison, grid: _Map, metrics: Sequence[str]) -> str:
    judged = [metric for metric in metrics if any(metric in row.vs_baseline for row in grid.cells.values())]
    sentences = [f"Means over seeds of {' and of '.join(metrics)}, by {grid.down} and {grid.across}"]
    if grid.fixed:
        fixed = f"At {show_all(grid.fixed)} only; for other values choose them with --where"
        sentences.append(fixed)
    if comparison.averaged:
        sentences.append(f"Averaged over {', '.join(comparison.averaged)}, seed by seed")
    if comparison.dead:
        sentences.append(f"Dead: {comparison.dead}")
    if judged:
        sentences.append(
            f"Star and border: difference to the baseline shown, p < {comparison.alpha:g} after adjusting for all "
            "differences of the table; dashed border: the baseline"
        )
        if missing := [metric for metric in metrics if metric not in judged]:
            sentences.append(f"{missing[0]} was not compared to the baseline: name it with --metric for its stars")
    return ". ".join(sentences) + "."


def _is_judged(data: ChartData) -> bool:
    """Return whether each map's metric has a better direction."""
    return all(METRICS[panel.y.metric].higher_is_better is not None for panel in data.panels)


def _has_two_lines(data: ChartData) -> bool:
    return any("lost" in mark.kind or "empty" in mark.kind for mark in data.marks)


def _text(mark: Mark, metric: str) -> str:
    """Return what a cell has printed in it: the value, a star, how many runs are lost."""
    if "empty" in mark.kind:
        return "no\nruns"
    lost = [f"{mark.note.split()[0]} lost"] if "lost" in mark.kind else []
    star = "*" if "shown" in mark.kind else ""
    value = [] if mark.y is None else [f"{number(metric, mark.y)}{star}"]
    return "\n".join((*value, *lost)) or NOTHING


def _map_axes(ax: Axes, data: ChartData, panel: int, names: tuple[list[str], list[str]], look: Look) -> float:
    """Set ticks, title and limits; return the points of the text that fits into each cell."""
    down, across = names
    figure = ax.get_figure(root=True)
    assert figure is not None
    spec = ax.get_subplotspec()
    rows, columns = spec.get_geometry()[:2] if spec else (1, 1)
    is_first = spec is None or spec.colspan.start == 0
    width, height = (float(inches) * 72 for inches in figure.get_size_inches())
    most = min(MAX_ROW_NAME, int(0.45 * width / (0.58 * look.font)))
    named = max(len(shorten(one, most)) for one in down) * 0.58 * look.font
    room = max((width - named) / columns - 2 * look.font, width / columns / 4)  # points of a map's width
    tall = max(height / rows - (9 if columns > 1 else 7) * look.font, height / rows / 3)
    cell = room / len(across), tall / len(down)
    ax.set_xlim(-0.5, len(across) - 0.5)
    ax.set_ylim(len(down) - 0.5, -0.5)
    shown = shorten_apart(across, MAX_COLUMN_NAME)
    is_tilted = max(map(len, shown)) * 0.6 * look.font > cell[0]
    tilt: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if is_tilted else {}
    ax.set_xticks(range(len(across)), shown, **tilt)
    ax.set_yticks(range(len(down)), shorten_apart(down, most) if is_first else [""] * len(down))
    ax.set_xlabel(data.panels[panel].x.label)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    metric = data.panels[panel].y.metric
    title, _, fixed = data.panels[panel].title.partition(", ")
    unit = {"fraction": " (%)", "seconds": " (s)", "nats": " (nats)"}.get(METRICS[metric].unit, "")
    # A title that is wider than its map ends where the map ends; below each other there is room left of it.
    titles, letter = [one for one in (f"{title}{unit}", fixed) if one], 0.6 * look.font
    is_wide = max(map(len, titles)) * letter > room and columns == 1
    fit = int((width if is_wide else room) / letter)
    ax.set_title("\n".join(shorten(one, fit) for one in titles), loc="right" if is_wide else "center")
    lines = [_text(mark, metric).split("\n") for _, mark in data.in_panel(panel)]
    longest = max(len(line) for text in lines for line in text)
    return min(look.font * 0.9, 0.86 * cell[0] / (0.62 * longest), 0.8 * cell[1] / (1.2 * max(map(len, lines))))


def _draw_cell(
    ax: Axes, data: ChartData, index: int, place: tuple[int, int], shade: float | None, size: float, look: Look
) -> None:
    """Draw a cell, its text and its border; ``shade`` is 0 for the darkest and None for a cell without a value."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    mark = data.marks[index]
    gid, (x, y) = data.series_gid(mark.series), place
    face: Any = "none" if shade is None else colormaps[COLORS](shade)
    ink = INK if shade is None else text_color(face)
    style = {"hatch": "////", "edgecolor": PALE} if shade is None else {"edgecolor": GROUND}
    whole = Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=face, linewidth=look.line, gid=data.gid(index), **style)
    ax.add_patch(whole)
    if "shown" in mark.kind or "baseline" in mark.kind:
        line = {"linewidth": look.line, "linestyle": "-" if "shown" in mark.kind else (0, (3, 2))}
        name = f"{gid}.border{index}"
        ax.add_patch(Rectangle((x - 0.44, y - 0.39), 0.88, 0.78, facecolor="none", edgecolor=ink, gid=name, **line))
    text = _text(mark, data.panels[mark.panel].y.metric)
    box = {"facecolor": GROUND, "edgecolor": "none", "pad": 0.5} if shade is None else None
    at = {"ha": "center", "va": "center", "fontsize": size, "linespacing": 1.1}
    ax.text(x, y, text, color=ink, bbox=box, gid=f"{gid}.text{index}", **at)


def text_color(face: Sequence[float]) -> str:
    """Return black or white, whichever has more contrast on a colour, by the relative luminance of WCAG 2.

    >>> text_color((1.0, 1.0, 0.0)), text_color((0.0, 0.0, 0.5))
    ('#000000', '#ffffff')
    """
    return DARK if luminance(face) > 0.179 else LIGHT  # where both have a contrast of 4.58


def luminance(color: Sequence[float]) -> float:
    """Return the relative luminance of an sRGB colour, 0 for black and 1 for white."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _names(data: ChartData, is_judged: bool) -> list[Label]:
    """Return the legend: what dark means, and the borders that there are."""
    from matplotlib import colormaps
    from matplotlib.patches import Patch

    kinds = " ".join(mark.kind for mark in data.marks)
    dark = Patch(facecolor=colormaps[COLORS](0.05), edgecolor="none")
    labels = []
    if any(mark.y is not None for mark in data.marks):
        labels.append(Label("darker: worse" if is_judged else "darker: lower", 0.0, INK, dark, "dark"))
    if "shown" in kinds:
        labels.append(Label("* difference to baseline shown", 0.0, INK, Patch(facecolor="none", edgecolor=INK), "star"))
    if "baseline" in kinds:
        border = Patch(facecolor="none", edgecolor=INK, linestyle=(0, (3, 2)))
        labels.append(Label("baseline", 0.0, INK, border, "baseline"))
    return labels


plugin = FactorMaps()
