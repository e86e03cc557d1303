"""The terminal's tables: as much as its width has room for, coloured where it can be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from actbench.comparison.result import Comparison, Comparisons
from actbench.reports import _text
from actbench.reports._layout import Column, caption, columns

PLAIN_WIDTH = 120
"""Letters a line in files, pipes and CI logs, which have no width of their own."""

STYLES = {"good": "green", "bad": "red", "": ""}
MOST_DETAILS = 3
BULLET = "· "
GAP = 2
"""Spaces between columns."""

COUNT = re.compile(r"^(\d+ of \d+) (?=[a-z])")
"""How many runs went wrong, before the word for it."""


class TableReport:
    """Tables drawn with rich; colours and the terminal's width only when the target is one."""

    def render(self, comparisons: Comparisons, target: TextIO) -> None:
        """Write one table a comparison, each followed by what its figures mean, then the warnings."""
        console = console_for(target)
        for comparison in comparisons.comparisons:
            console.print(Text(f"{comparison.title}\n", style="bold"))
            console.print(_table(_that_fit(comparison, console.width)))
            console.print(Text(f"\n{'; '.join(caption(comparison))}.\n", style="dim"))
            for sentences in (
                _text.verdicts(comparison.verdicts, comparisons.most_verdicts),
                [_text.expectation(one) for one in comparison.expectations],
            ):
                _print_list(console, sentences)
        for warning in comparisons.warnings:
            console.print(Text.assemble(("warning: ", "yellow"), warning))


def _print_list(console: Console, sentences: Sequence[str]) -> None:
    """One sentence a line, its further lines indented; an empty line behind them."""
    if not sentences:
        return
    for sentence in sentences:
        for index, line in enumerate(Text(sentence).wrap(console, console.width - len(BULLET))):
            line.rstrip()
            console.print(Text(" " * len(BULLET) if index else BULLET, style="dim") + line)
    console.print()


def console_for(target: TextIO) -> Console:
    """Rich on ``target``: colours and the terminal's width only where there is a terminal."""
    width = None if target.isatty() else PLAIN_WIDTH
    return Console(file=target, width=width, highlight=False, emoji=False, markup=False)


def grid() -> Table:
    """An empty table in this project's style: a line below the headings, two spaces between columns."""
    return Table(box=SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False, collapse_padding=True)


def _that_fit(comparison: Comparison, width: int) -> list[Column]:
    """As much as there is room for; in a narrow terminal, intervals go below their means."""
    flat = [columns(comparison, details=details) for details in range(MOST_DETAILS, -1, -1)]
    layouts = [*flat, *(_stacked(layout) for layout in flat[-2:])]
    for layout in layouts:
        if sum(column.width + GAP for column in layout) - GAP <= width:
            return layout
    return layouts[-1]


def _stacked(layout: list[Column]) -> list[Column]:
    return [
        replace(
            column,
            title=column.title.replace(" (", "\n("),
            cells=[COUNT.sub(r"\1\n", cell.replace(" [", "\n[")) for cell in column.cells],
        )
        for column in layout
    ]


def _table(found: list[Column]) -> Table:
    table = grid()
    for column in found:
        table.add_column(Text(column.title), justify="right" if column.numeric else "left", overflow="fold")
    for index in range(len(found[0].cells)):
        table.add_row(*(_cell(column, index) for column in found))
    return table


def _cell(column: Column, index: int) -> Text:
    return Text(column.cells[index], style=STYLES[column.tones[index]] if column.tones else "")


plugin = TableReport()
