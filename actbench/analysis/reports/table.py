"""The terminal's tables: as much as its width has room for, coloured where it can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from actbench.analysis.judgements.headline import headline
from actbench.analysis.reports import _sentences
from actbench.analysis.reports._cells import Column
from actbench.analysis.reports._columns import columns, has_range, pair_columns
from actbench.analysis.reports._curves import WIDTH, CurveReader, curve_columns
from actbench.analysis.reports._layout import GAP, Form, Layout, beside, full_width, lay_out, left_out_names
from actbench.analysis.table.result import Comparison, Comparisons
from actbench.system.console import PrintableConsole, console_for, has_unicode
from actbench.system.text import printable

STYLES = {"good": "green", "bad": "red", "": ""}
BULLET = "· "
WORDS = "words: actbench explain WORD"
"""Below the tables, where a reader looks who has met a word that the captions take for granted."""


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
            found = columns(comparison)
            layout = lay_out(found, console.width, console.shown)
            meanings: list[str] = []
            if self._curves is not None and layout.is_full:
                layout, meanings = _with_curves(console, comparison, layout, self._curves)
            caption = [*_sentences.caption(comparison, _shown_parts(found, layout)), *meanings]
            _print_table(
                console,
                comparison.title,
                layout,
                caption,
                headline=" ".join(headline(comparison, with_open_verdict=False)),
                limits=comparison.limits,
                note=_left_out(found, layout, console),
            )
            for sentences in _sentences.lists(comparison, comparisons):
                _print_list(console, sentences, comparison.commands)
            if (pairs := comparison.pairs) is not None:
                found = pair_columns(pairs)
                layout = lay_out(found, console.width, console.shown)
                caption = _sentences.pairs_caption(pairs, is_brief=layout.plan.form is Form.BRIEF)
                note = _left_out(found, layout, console)
                _print_table(console, _sentences.pairs_title(pairs), layout, caption, note=note)
            if comparison.methods:
                console.print(Text.assemble(("Methods. ", "bold"), printable(comparison.methods), "\n"))
        if comparisons.comparisons:
            console.print(Text(f"{WORDS}\n", style="dim"))
        for warning in comparisons.warnings:
            console.print(Text.assemble(("warning: ", "yellow"), printable(warning)))


def _shown_parts(found: Sequence[Column], layout: Layout) -> _sentences.Shown:
    """Return what a layout has of a table, as its caption needs to know."""
    return _sentences.Shown(
        has_range=has_range(layout.columns),
        is_brief=layout.plan.form is Form.BRIEF,
        left_out={column.role for column in found} - {column.role for column in layout.columns},
        renamed=layout.renamed,
    )


def _left_out(found: Sequence[Column], layout: Layout, console: PrintableConsole) -> str:
    """Return which columns have no room, and where they are; empty where all have."""
    names = left_out_names(found, layout)
    return _sentences.left_out(names, full_width(found, console.shown)) if names else ""


def _with_curves(
    console: PrintableConsole, comparison: Comparison, layout: Layout, read: CurveReader
) -> tuple[Layout, list[str]]:
    """Return the full layout with as many columns of curves as there is room for besides, and what they mean.

    Curves are read only where one column would fit.
    """
    if console.width - layout.width < GAP + WIDTH:
        return layout, []
    meanings = []
    for one in curve_columns(comparison, read, is_unicode=has_unicode(console)):
        wider = beside(layout, one.column)
        if wider.width > console.width:
            break
        layout = wider
        meanings.append(one.meaning)
    return layout, meanings


def _print_table(
    console: PrintableConsole,
    title: str,
    layout: Layout,
    caption: Sequence[str],
    *,
    headline: str = "",
    limits: Sequence[str] = (),
    note: str = "",
) -> None:
    """Print a table below its title, its headline and its limits, above its caption and the columns it leaves out."""
    table = grid()
    shown = [
        _aligned(texts, width, is_flush_right=column.is_flush_right)
        for column, texts, width in zip(layout.columns, layout.texts, layout.widths, strict=True)
    ]
    for heading, *_ in shown:
        table.add_column(Text(heading), overflow="fold")
    cells = [
        [Text(text, style=STYLES[cell.tone]) for text, cell in zip(own, column.cells, strict=True)]
        for (_, *own), column in zip(shown, layout.columns, strict=True)
    ]
    for row in zip(*cells, strict=True):
        table.add_row(*row)
    console.print(Text(f"{printable(title)}\n", style="bold"))
    if headline:
        console.print(Text(f"{printable(headline)}\n"))
    for limit in limits:
        console.print(Text(f"{printable(limit)}\n", style="yellow"))
    console.print(table)
    for text in (_sentences.one_sentence(caption), *([note] if note else [])):
        console.print(Text(f"\n{printable(text)}", style="dim"))
    console.print()


def _aligned(texts: Sequence[str], width: int, *, is_flush_right: bool) -> list[str]:
    """Return each line of a column's texts flush right, as spaces; rich would strip those that hold room for a mark."""
    if not is_flush_right:
        return list(texts)
    return ["\n".join(f"{' ' * (width - cell_len(line))}{line}" for line in text.split("\n")) for text in texts]


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


def grid() -> Table:
    """Return an empty table in this project's style: a line below the headings, two spaces between columns."""
    return Table(box=SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False, collapse_padding=True)


plugin = TableReport()
