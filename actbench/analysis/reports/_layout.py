"""A comparison as columns of text, the same for every format that people read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actbench.analysis.judgements.formatting import unit_of_difference
from actbench.analysis.reports import _text
from actbench.analysis.table.factors import show, show_all
from actbench.analysis.table.result import DEAD, Comparison, Row, is_bounded
from actbench.schema.metrics import METRICS

Tone = str
"""``good``, ``bad`` or empty: how a cell may be coloured."""


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        title: Its heading; may have two lines.
        cells: One text a row.
        tones: One tone a row; empty for none at all.
        numeric: Whether the cells are flush right.
    """

    title: str
    cells: Sequence[str]
    tones: Sequence[Tone] = ()
    numeric: bool = True

    @property
    def width(self) -> int:
        """Letters that the widest cell or heading needs."""
        return max(len(line) for text in (self.title, *self.cells) for line in text.split("\n"))


def columns(comparison: Comparison, *, details: int = 3) -> list[Column]:
    """The table's columns.

    Args:
        comparison: What to lay out.
        details: What there is room for: 3 everything, 2 no parameters, 1 nor the range of dead units, 0 nor the wins.
    """
    rows = comparison.rows
    tuned = comparison.tuned.factors if comparison.tuned else ()
    names = _text.short_names((*comparison.factors, *tuned))
    found = [Column(names[key], [show(row.factors[key]) for row in rows], numeric=False) for key in comparison.factors]
    found += [Column(f"picked {names[key]}", [show(row.picked[key]) for row in rows], numeric=False) for key in tuned]
    if marks := _ties(rows):
        found.append(Column("", marks))
    for metric in comparison.metrics:
        found.append(Column(metric, [_text.mean(metric, row.metrics[metric]) for row in rows]))
        if any(row.vs_baseline for row in rows):
            found += _versus(comparison, metric, with_wins=details > 0)
    found.append(Column("n", [str(row.metrics[comparison.metrics[0]].n) for row in rows]))
    if any(_text.outcomes(row) for row in rows):
        texts = [_text.outcomes(row) for row in rows]
        found.append(Column("outcomes", texts, ["bad" if text else "" for text in texts], numeric=False))
    found += _reach(rows)
    if DEAD not in comparison.metrics:
        found.append(Column("dead", [_dead(row, with_range=details > 1) for row in rows]))
    if details > 2 and _common_parameters(comparison) is None:
        found.append(Column("parameters", [_parameters(row) for row in rows]))
    return found


def caption(comparison: Comparison) -> list[str]:
    """What the table's figures mean, one statement each."""
    lines = [f"mean{_interval_in_words(comparison)} over n seeds, best first"]
    if _ties(comparison.rows):
        lines.append(f"= not distinguishable from the best{_where_hidden(comparison)}")
    if any(row.vs_baseline for row in comparison.rows) and comparison.baseline is not None:
        matched = [key for key in comparison.factors if key not in comparison.baseline]
        lines += [
            f"Δ = row − baseline ({show_all(comparison.baseline)}{_with_equal(matched)}), paired by seed",
            f"* p < {comparison.alpha:g}, {_adjustment(comparison)}",
        ]
    if any(is_bounded(metric) for metric in comparison.metrics):
        lines.append("health shares: mean (range), p by sign-flip")
    lines += _reach_in_words(comparison.rows)
    if comparison.tuned:
        lines.append(f"picked: the value with the row's best mean {comparison.tuned.by}")
    lines.append(f"dead: mean share (range) of hidden units with {comparison.dead}")
    if any(row.failure_rate for row in comparison.rows):
        lines.append("outcomes: Wilson interval of the share that went wrong")
    if comparison.averaged:
        lines.append(f"averaged over {', '.join(comparison.averaged)}")
    parameters = _common_parameters(comparison)
    return [*lines, f"{parameters} parameters each"] if parameters else lines


def _ties(rows: Sequence[Row]) -> list[str]:
    """A mark for each row that can't be told from the best; nothing when only the best itself can't."""
    marks = ["=" if row.tied else "" for row in rows]
    return marks if sum(map(bool, marks)) > 1 else []


def _where_hidden(comparison: Comparison) -> str:
    """Which row is the best, when it is not the one on top."""
    if comparison.best is None or comparison.rows[0].factors == comparison.best:
        return ""
    return f" ({show_all(comparison.best)}, not shown)"


def _adjustment(comparison: Comparison) -> str:
    """How p is adjusted and over how many differences; hidden rows belong to them."""
    families = dict.fromkeys(comparison.families.values())
    names = " or ".join(dict.fromkeys(f"{family.method}-adjusted" for family in families))
    sizes = " or ".join(dict.fromkeys(str(family.size) for family in families))
    return f"{names} over all differences of a column ({sizes})"


def _versus(comparison: Comparison, metric: str, *, with_wins: bool) -> list[Column]:
    contrasts = [row.vs_baseline.get(metric) for row in comparison.rows]
    blank = ["baseline" if comparison.is_baseline(row) else _text.NOTHING for row in comparison.rows]
    texts = [_text.difference(metric, one) if one else empty for one, empty in zip(contrasts, blank, strict=True)]
    higher = METRICS[metric].higher_is_better
    tones = [
        "" if one is None or not one.significant or higher is None or one.difference.difference is None
        else "good" if (one.difference.difference > 0) == higher
        else "bad"
        for one in contrasts
    ]  # fmt: skip
    found = [Column(f"Δ baseline ({unit_of_difference(metric)})", texts, tones)]
    if with_wins:
        title = "higher in" if higher is None else "better in"
        found.append(Column(title, [_text.wins(one) if one else "" for one in contrasts]))
    return found


def _reach(rows: Sequence[Row]) -> list[Column]:
    """Speed of convergence, when it was asked for."""
    found = [row.reach for row in rows if row.reach is not None]
    return [Column(_text.reach_title(found[0]), list(map(_text.reach, found)))] if found else []


def _reach_in_words(rows: Sequence[Row]) -> list[str]:
    found = [row.reach for row in rows if row.reach is not None]
    return [_text.reach_in_words(found[0])] if found else []


def _interval_in_words(comparison: Comparison) -> str:
    """Empty when no cell has an interval: too few seeds, or shares alone."""
    if all(row.metrics[metric].low is None for row in comparison.rows for metric in comparison.metrics):
        return ""  # then no difference has one either
    return f" [{100 * (1 - comparison.alpha):g} % Student-t interval]"


def _with_equal(matched: Sequence[str]) -> str:
    return f" with equal {', '.join(matched)}" if matched else ""


def _dead(row: Row, *, with_range: bool) -> str:
    interval = row.metrics[DEAD]
    return _text.mean(DEAD, interval) if with_range else _text.quantity(DEAD, interval.mean)


def _parameters(row: Row) -> str:
    return _text.quantity("parameters", row.metrics["parameters"].mean)


def _common_parameters(comparison: Comparison) -> str | None:
    """The number of parameters, when all rows agree on it."""
    found = {_parameters(row) for row in comparison.rows if row.metrics["parameters"].n}
    return found.pop() if len(found) == 1 else None
