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

from actbench.analysis.reports import _pairs, _text
from actbench.analysis.reports._layout import Column, caption, columns
from actbench.analysis.table.extras import Pairs
from actbench.analysis.table.result import Comparison, Comparisons

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
            console.print(_table(_that_fit(_layouts(comparison), console.width)))
            console.print(Text(f"\n{'; '.join(caption(comparison))}.\n", style="dim"))
            for sentences in (
                _text.verdicts(comparison.verdicts, comparisons.most_verdicts),
                [_text.expectation(one) for one in comparison.expectations],
            ):
                _print_list(console, sentences)
            if comparison.pairs is not None:
                _print_pairs(console, comparison.pairs)
            if comparison.methods:
                console.print(Text.assemble(("Methods. ", "bold"), comparison.methods, "\n"))
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


def _print_pairs(console: Console, pairs: Pairs) -> None:
    flat = _pairs.columns(pairs)
    console.print(Text(f"{_pairs.title(pairs)}\n", style="bold"))
    console.print(_table(_that_fit([flat, _stacked(flat), _stacked(_named_in_two_lines(flat))], console.width)))
    console.print(Text(f"\n{'; '.join((*_pairs.remainder(pairs), _pairs.caption(pairs)))}.\n", style="dim"))


def console_for(target: TextIO) -> Console:
    """Rich on ``target``: colours and the terminal's width only where there is a terminal."""
    width = None if target.isatty() else PLAIN_WIDTH
    return Console(file=target, width=width, highlight=False, emoji=False, markup=False)


def grid() -> Table:
    """An empty table in this project's style: a line below the headings, two spaces between columns."""
    return Table(box=SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False, collapse_padding=True)


def _layouts(comparison: Comparison) -> list[list[Column]]:
    """From all details to the fewest; in a narrow terminal, intervals go below their means."""
    flat = [columns(comparison, details=details) for details in range(MOST_DETAILS, -1, -1)]
    return [*flat, *(_stacked(layout) for layout in flat[-2:])]


def _that_fit(layouts: Sequence[list[Column]], width: int) -> list[Column]:
    """The first that there is room for, otherwise the last."""
    for layout in layouts:
        if sum(column.width + GAP for column in layout) - GAP <= width:
            return layout
    return layouts[-1]


def _stacked(layout: list[Column]) -> list[Column]:
    """Intervals, ranges and units stand in a second line."""
    return [
        replace(
            column,
            title=column.title.replace(" (", "\n("),
            cells=[COUNT.sub(r"\1\n", _broken(cell, " [", *[" ("] * column.numeric)) for cell in column.cells],
        )
        for column in layout
    ]


def _named_in_two_lines(layout: list[Column]) -> list[Column]:
    """Of a row's name, what stands in brackets goes below the rest."""
    return [replace(column, cells=[_broken(cell, " (") for cell in column.cells]) for column in layout]


def _broken(cell: str, *beginnings: str) -> str:
    for beginning in beginnings:
        cell = cell.replace(beginning, f"\n{beginning.strip()}")
    return cell


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
