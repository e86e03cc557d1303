"""How charts look: sizes for paper, slides and the page; colours that the colour-blind and a grey print tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from actbench.analysis.plots._data import ChartData
from actbench.errors import UnknownNameError

INK, PALE, GROUND = "#1b1b1e", "#c9c9cf", "#fdfdfe"
"""Text and axes, grid, background. No other colour has these values, so that the page can put its own, which follow
light and dark, in their place."""

OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8f6bb3", "#7a7a00")
"""Okabe and Ito's colours (Color Universal Design, 2008), the darkest first.

Ink stands for their black. The last two are ours: their yellow has too little contrast on white.
"""

DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "-",
    (0, (5, 2)),
    (0, (1.2, 1.4)),
    (0, (6, 2, 1.2, 2)),
    (0, (9, 1.5, 3, 1.5)),
    (0, (1.2, 4)),
    (0, (6, 1.6, 1.2, 1.6, 1.2, 1.6)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES = ("", "///", "|||", "\\\\\\", "xxx", "+++")


@dataclass(frozen=True)
class Look:
    """Sizes of one use.

    Args:
        name: As ``plot --style`` has it.
        widths: Inches of a figure of one column and of two.
        height: Inches of a panel.
        font: Points of the text.
        line: Points of a line's width.
        marker: Points of a marker's size.
    """

    name: str
    widths: tuple[float, float]
    height: float
    font: float
    line: float
    marker: float


LOOKS = {
    look.name: look
    for look in (
        Look("paper", (3.35, 6.9), 2.3, 8, 1.1, 3.5),  # the columns of a two-column page
        Look("slides", (6.4, 12.8), 4.6, 17, 2.4, 8),  # half and whole of a 13.3 × 7.5 inch slide
        Look("screen", (7.2, 7.2), 3.2, 10, 1.5, 5),  # of the page: the browser scales it
    )
}


def look_named(name: str) -> Look:
    """Return a look by its name.

    Raises:
        UnknownNameError: With the nearest name.
    """
    if name not in LOOKS:
        raise UnknownNameError("style", name, LOOKS)
    return LOOKS[name]


@dataclass(frozen=True)
class Pen:
    """How one series is drawn; no two series of a chart share all three up to 8 × 7 of them.

    Args:
        color: Of its activation.
        dash: Of the other factors' values.
        marker: Of its activation, so that scatter plots do without colour.
        hatch: For bars and areas.
    """

    color: str
    dash: str | tuple[int, tuple[float, ...]]
    marker: str
    hatch: str


def pens(data: ChartData) -> list[Pen]:
    """Return a pen for each series: a colour for each activation, a dash for each combination of the other factors.

    The baseline's activation is drawn in ink, so that the others are seen against it.
    """
    series, baseline = data.series, data.baseline
    activations = list(dict.fromkeys(one.activation for one in series))
    others = [tuple(value for key, value in one.factors.items() if key != "activation") for one in series]
    dashes = list(dict.fromkeys(sorted(others, key=repr)))
    colored = [name for name in sorted(activations) if name != baseline]
    found = []
    for one, rest in zip(series, others, strict=True):
        is_baseline = one.activation == baseline
        place = -1 if is_baseline else colored.index(one.activation)
        # With more activations than colours a colour comes back with the next dash.
        dash = dashes.index(rest) + max(place, 0) // len(OKABE_ITO)
        found.append(
            Pen(
                INK if is_baseline else OKABE_ITO[place % len(OKABE_ITO)],
                DASHES[dash % len(DASHES)],
                MARKERS[(place + 1 + max(place, 0) // len(OKABE_ITO)) % len(MARKERS)],  # never again with its colour
                HATCHES[dashes.index(rest) % len(HATCHES)],
            )
        )
    return found


@contextmanager
def drawing(look: Look) -> Iterator[None]:
    """Set matplotlib's defaults for one drawing, and put the caller's back."""
    import matplotlib

    settings = {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
        "font.size": look.font,
        "axes.titlesize": look.font * 1.05,
        "axes.labelsize": look.font,
        "xtick.labelsize": look.font * 0.9,
        "ytick.labelsize": look.font * 0.9,
        "legend.fontsize": look.font * 0.9,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "axes.titlecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.facecolor": GROUND,
        "figure.facecolor": GROUND,
        "savefig.facecolor": GROUND,
        "grid.color": PALE,
        "grid.linewidth": look.line * 0.35,
        "axes.linewidth": look.line * 0.6,
        "lines.linewidth": look.line,
        "lines.markersize": look.marker,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": True,
        "text.parse_math": False,  # a name between dollar signs is no formula
        "svg.fonttype": "none",  # text stays text: small files, searchable, read aloud
        "svg.hashsalt": "actbench",  # the same bytes for the same results
        "pdf.fonttype": 42,  # TrueType, which journals ask for
        "ps.fonttype": 42,
        "figure.dpi": 100,
        "savefig.dpi": 200,
        "figure.autolayout": False,  # each figure says how it is laid out
        "figure.constrained_layout.use": False,
        "path.simplify": True,
    }
    with matplotlib.rc_context(settings):
        yield
