"""The terminal's tables: as much as its width has room for, coloured where it can be."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from actbench.analysis.reports import _sentences
from actbench.analysis.reports._cells import Column
from actbench.analysis.reports._columns import MAX_DETAILS, columns, has_range, pair_columns
from actbench.analysis.reports._curves import WIDTH, CurveReader, curve_columns
from actbench.analysis.table.result import Comparison, Comparisons, Pairs
from actbench.system.console import PrintableConsole, has_unicode
from actbench.system.text import printable

PLAIN_WIDTH = 120
"""Letters a line in files, pipes and CI logs, which have no width of their own, unless ``COLUMNS`` sets one."""

STYLES = {"good": "green", "bad": "red", "": ""}
BULLET = "· "
GAP = 2
"""Spaces between columns."""


@dataclass(frozen=True)
class TableLayout:
    """One way to lay out a table.

    Args:
        columns: The columns that it shows.
        is_stacked: Whether intervals, ranges and units stand in a line of their own, below means and titles.
    """

    columns: Sequence[Column]
    is_stacked: bool = False

    def texts(self) -> list[list[str]]:
        """Return each column's heading and cells as they are printed."""
        separator = "\n" if self.is_stacked else " "
        return [
            [column.heading(separator), *(cell.text(separator) for cell in column.cells)] for column in self.columns
        ]

    def width(self, console: PrintableConsole) -> int:
        """Return the number of letters that a line needs on a console."""
        texts = [console.shown("\n".join(own)) for own in self.texts()]
        widths = [max(map(len, text.split("\n"))) for text in texts]
        return sum(widths) + GAP * (len(widths) - 1)


class TableReport:
    """Tables drawn with rich; colours and the terminal's width only when the target is one.

    Args:
        curves: How to read a run's curve, which is drawn in the last columns where there is room for them; None to
            leave them out.
    """

    def __init__(self, curves: CurveReader | None = None) -> None:
        self._curves = curves

    def render(self, comparisons: Comparisons, target: TextIO) -> None:
        """Write one table per comparison, each followed by what its figures mean, then the warnings."""
        console = console_for(target)
        for comparison in comparisons.comparisons:
            layouts = _layouts(comparison)
            layout = _fitting(console, layouts)
            caption = _sentences.caption(comparison, with_range=has_range(layout.columns))
            if self._curves is not None and layout is layouts[0]:
                layout, meanings = _with_curves(console, comparison, layout, self._curves)
                caption += meanings
            _print_table(console, comparison.title, layout, caption, limits=comparison.limits)
            for sentences in _sentences.lists(comparison, comparisons):
                _print_list(console, sentences, comparison.commands)
            if (pairs := comparison.pairs) is not None:
                layout = _fitting(console, _pair_layouts(pairs))
                _print_table(console, _sentences.pairs_title(pairs), layout, _sentences.pairs_caption(pairs))
            if comparison.methods:
                console.print(Text.assemble(("Methods. ", "bold"), printable(comparison.methods), "\n"))
        for warning in comparisons.warnings:
            console.print(Text.assemble(("warning: ", "yellow"), printable(warning)))


def _layouts(comparison: Comparison) -> list[TableLayout]:
    """Return layouts from the widest to the narrowest: fewer and fewer details, then intervals below their means."""
    flat = [columns(comparison, details=details) for details in range(MAX_DETAILS, -1, -1)]
    return [*map(TableLayout, flat), *(TableLayout(found, is_stacked=True) for found in flat[-2:])]


def _with_curves(
    console: PrintableConsole, comparison: Comparison, layout: TableLayout, read: CurveReader
) -> tuple[TableLayout, list[str]]:
    """Return the widest layout with as many columns of curves as there is room for besides, and what they mean.

    Curves are read only where one column would fit.
    """
    if console.width - layout.width(console) < GAP + WIDTH:
        return layout, []
    meanings = []
    for one in curve_columns(comparison, read, is_unicode=has_unicode(console)):
        wider = TableLayout([*layout.columns, one.column])
        if wider.width(console) > console.width:
            break
        layout = wider
        meanings.append(one.meaning)
    return layout, meanings


def _pair_layouts(pairs: Pairs) -> list[TableLayout]:
    found = pair_columns(pairs)
    split = pair_columns(pairs, with_split_names=True)
    return [TableLayout(found), TableLayout(found, is_stacked=True), TableLayout(split, is_stacked=True)]


def _fitting(console: PrintableConsole, layouts: Sequence[TableLayout]) -> TableLayout:
    """Return the first layout that there is room for, otherwise the last."""
    return next((one for one in layouts if one.width(console) <= console.width), layouts[-1])


def _print_table(
    console: PrintableConsole, title: str, layout: TableLayout, caption: Sequence[str], limits: Sequence[str] = ()
) -> None:
    """Print a table below its title and its limits, above its caption."""
    table = grid()
    texts = layout.texts()
    for column, (heading, *_) in zip(layout.columns, texts, strict=True):
        table.add_column(Text(heading), justify="right" if column.is_flush_right else "left", overflow="fold")
    cells = [
        [Text(text, style=STYLES[cell.tone]) for text, cell in zip(own, column.cells, strict=True)]
        for (_, *own), column in zip(texts, layout.columns, strict=True)
    ]
    for row in zip(*cells, strict=True):
        table.add_row(*row)
    console.print(Text(f"{printable(title)}\n", style="bold"))
    for limit in limits:
        console.print(Text(f"{printable(limit)}\n", style="yellow"))
    console.print(table)
    console.print(Text(f"\n{printable(_sentences.one_sentence(caption))}\n", style="dim"))


def _print_list(console: PrintableConsole, sentences: Sequence[str], commands: Mapping[str, str]) -> None:
    """Print one sentence per line, its further lines indented, and an empty line behind them.

    A command stands on a line of its own below its sentence, never broken, so that it can be copied.
    """
    if not sentences:
        return
    for sentence in sentences:
        text = f"{sentence}:" if sentence in commands else sentence
        for index, line in enumerate(Text(console.shown(printable(text))).wrap(console, console.width - len(BULLET))):
            line.rstrip()
            console.print(Text(" " * len(BULLET) if index else BULLET, style="dim") + line)
        if sentence in commands:
            console.print(Text(" " * len(BULLET) + printable(commands[sentence])), soft_wrap=True)
    console.print()


def console_for(target: TextIO) -> PrintableConsole:
    """Return a rich console on ``target``: colours and the terminal's width only where there is a terminal.

    The variable ``COLUMNS`` sets the width of both.
    """
    columns = os.environ.get("COLUMNS", "")
    has_width = target.isatty() or (columns.isdecimal() and int(columns) > 0)
    return PrintableConsole(file=target, width=None if has_width else PLAIN_WIDTH)


def grid() -> Table:
    """Return an empty table in this project's style: a line below the headings, two spaces between columns."""
    return Table(box=SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False, collapse_padding=True)


plugin = TableReport()
