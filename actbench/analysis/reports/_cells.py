"""One cell of a table that people read, and how each number of a comparison becomes one.

Formats differ in where they break a cell into lines, at which point they align it and whether they colour it or print
it bold. So a cell keeps its parts, and no format takes a finished text apart again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from actbench.analysis.judgements.formatting import NOTHING, interval, number, percents, signed, with_unit
from actbench.analysis.statistics import Interval
from actbench.analysis.table.result import Contrast, Reach, Row
from actbench.schema.metrics import METRICS, is_bounded
from actbench.system.text import printable

Tone = Literal["good", "bad", ""]
"""How a terminal may colour a cell."""

Role = Literal[
    "factor",
    "picked",
    "tie",
    "mean",
    "difference",
    "prediction",
    "chance",
    "shares",
    "wins",
    "n",
    "outcomes",
    "epochs",
    "dead",
    "parameters",
    "curve",
    "row",
    "p",
    "adjusted p",
    "pairs",
]
"""The kind of numbers or words in a column; ``row`` is a name in a table of pairs."""


@dataclass(frozen=True)
class Cell:
    """One cell, in the parts that formats lay out differently.

    In full: ``93.12 % [92.80, 93.44] *`` is value ``93.12``, unit ``%``, below ``("[92.80, 93.44]",)`` and mark ``*``.

    Args:
        value: A number, a word such as ``baseline``, or nothing.
        unit: Stands behind the value in the same line.
        below: An interval, a range or a count, each behind the value or in a line of its own below it.
        half_width: Half of the interval's width, as in ``93.12 ±0.32``, where its ends have no room; empty without one.
        mark: ``*`` for a significant difference; ends the last line.
        is_number: Whether the value is a number, to be aligned at its decimal point.
        tone: How a terminal may colour the cell.
        is_best: Whether a paper prints the value bold.
    """

    value: str
    unit: str = ""
    below: tuple[str, ...] = ()
    half_width: str = ""
    mark: str = ""
    is_number: bool = False
    tone: Tone = ""
    is_best: bool = False

    def text(self, separator: str = " ") -> str:
        r"""Return the whole cell, printable, in one line or with ``"\n"`` between the value and each part below it."""
        value = f"{self.value} {self.unit}" if self.unit else self.value
        text = separator.join(map(printable, (value, *self.below)))
        return f"{text} {self.mark}" if self.mark else text


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        title: The name of the metric or factor.
        cells: One a row.
        note: Stands in brackets behind the title or below it, such as the unit.
        is_flush_right: Whether the cells are flush right, as numbers are.
        role: What stands in it.
        metric: The metric of a mean, of a difference or of wins.
        short_title: A shorter title for narrow tables; empty where there is none.
    """

    title: str
    cells: tuple[Cell, ...]
    note: str = ""
    is_flush_right: bool = True
    role: Role = "mean"
    metric: str = ""
    short_title: str = ""

    @property
    def key(self) -> tuple[Role, str]:
        """Return by which a column is left out of a table: its role, with the metric where there is one a metric."""
        return self.role, self.metric

    def heading(self, separator: str = " ") -> str:
        """Return title and note, with the separator between them."""
        title = printable(self.title)
        return f"{title}{separator}({self.note})" if self.note else title


def quantity_cell(metric: str, value: float | None) -> Cell:
    """Return a value with its unit: ``93.12 %``."""
    if value is None:
        return Cell(NOTHING)
    digits, unit = with_unit(metric, value)
    return Cell(digits, unit, is_number=True)


def mean_cell(metric: str, found: Interval, *, is_best: bool = False) -> Cell:
    """Return a mean with its interval; a bounded share has its range instead.

    >>> mean_cell("test.accuracy", Interval(0.9, 0.88, 0.92, 0.01, 0.89, 0.91, 5)).text()
    '90.00 % [88.00, 92.00]'
    >>> mean_cell("health.dead_fraction", Interval(0.02, None, None, 0.01, 0.01, 0.03, 5)).text()
    '2.00 % (1.00–3.00)'
    """
    cell = replace(quantity_cell(metric, found.mean), is_best=is_best)
    low, high = (found.min, found.max) if is_bounded(metric) else (found.low, found.high)
    if low is None or high is None or low == high:  # constant values are a point
        return cell
    if is_bounded(metric):
        return replace(cell, below=(f"({number(metric, low)}–{number(metric, high)})",))
    return replace(cell, below=(interval(metric, (low, high)),), half_width=number(metric, (high - low) / 2))


def difference_cell(metric: str, contrast: Contrast) -> Cell:
    """Return a difference to the baseline: ``+0.42 [+0.12, +0.72] *``, the star for an adjusted p below alpha.

    Its tone is good or bad only where it is significant and the metric has a better direction.
    """
    found, higher = contrast.difference, METRICS[metric].higher_is_better
    if found.difference is None:
        return Cell(NOTHING)
    tone: Tone = ""
    if contrast.significant and higher is not None:
        tone = "good" if (found.difference > 0) == higher else "bad"
    if found.note == "identical":
        return Cell("identical", tone=tone)
    below: tuple[str, ...] = ()
    half_width = ""
    if found.low is not None and found.high is not None and found.low != found.high:
        below = (interval(metric, (found.low, found.high), differences=1),)
        half_width = number(metric, (found.high - found.low) / 2)
    return Cell(
        signed(metric, found.difference),
        below=below,
        half_width=half_width,
        mark="*" if contrast.significant else "",
        is_number=True,
        tone=tone,
    )


def wins_cell(contrast: Contrast) -> Cell:
    """Return in how many pairs the row is the better one: ``9 of 10``."""
    return Cell(str(contrast.difference.wins), f"of {contrast.difference.n_pairs}", is_number=True)


def prediction_cell(metric: str, ends: tuple[float, float] | None) -> Cell:
    """Return the interval of one further run: ``[91.92, 94.31]``; a dash where there is none.

    >>> prediction_cell("test.accuracy", (0.9192, 0.9431)).text()
    '[91.92, 94.31]'
    """
    return Cell(NOTHING if ends is None or ends[0] == ends[1] else interval(metric, ends))


def chance_cell(contrast: Contrast) -> Cell:
    """Return the chance to be better on a new seed: ``80 % [28, 99]``; a dash below three pairs."""
    if contrast.new_seed is None:
        return Cell(NOTHING)
    better = contrast.new_seed.better
    value, _, ends = percents(better.share, (better.low, better.high)).split(" ", 2)
    return Cell(value, "%", below=(ends,), is_number=True)


def shares_cell(contrast: Contrast) -> Cell:
    """Return the chances to be worse, the same and better, given delta: ``20 / 20 / 60 %``."""
    found = None if contrast.new_seed is None else contrast.new_seed.within
    if found is None:
        return Cell(NOTHING)
    return Cell(f"{' / '.join(f'{100 * one.share:.0f}' for one in found)} %")


def outcomes_cell(row: Row) -> Cell:
    """Return how many runs went wrong, and the Wilson interval of that share: ``2 of 10 diverged [6–51 %]``.

    Empty when every run is ``ok``.
    """
    if row.failure_rate is None:
        return Cell("")
    (outcome, count), *others = [(outcome, n) for outcome, n in row.outcomes.items() if n and outcome != "ok"]
    words = ", ".join((outcome, *(f"{n} {other}" for other, n in others)))
    low, high = row.failure_rate
    return Cell(f"{count} of {row.runs}", below=(words, f"[{100 * low:.0f}–{100 * high:.0f} %]"), tone="bad")


def reach_cell(found: Reach) -> Cell:
    """Return a row's speed of convergence: ``3.4 (4 of 5)``; a dash when no seed got there."""
    count = (f"({found.reached} of {found.n})",)
    if found.epochs is None:
        return Cell(NOTHING, below=count)
    return Cell(f"{found.epochs:.1f}", below=count, is_number=True)
