"""A comparison as an Excel workbook: cells, runs and notes as sheets, with numbers as numbers."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from actbench.analysis.frames import table_of_runs
from actbench.analysis.judgements.headline import headline
from actbench.analysis.reports import _sentences
from actbench.analysis.reports.csv import lines_of
from actbench.analysis.table.result import Comparisons
from actbench.errors import UsageError
from actbench.schema.record import RunRecord
from actbench.system.text import printable

if TYPE_CHECKING:
    from xlsxwriter import Workbook

MAX_LETTERS = 32_767
"""A cell of a workbook holds no more."""

MAX_WIDTH = 40
"""Of a column, in letters: longer texts go on behind the next column, or are cut."""

CREATED = datetime(2000, 1, 1)
"""In every workbook, so that the same results give the same bytes."""


def workbook(comparisons: Comparisons, records: Sequence[RunRecord]) -> bytes:
    """Return an .xlsx file with the sheets ``cells``, ``runs``, ``notes``, and ``pairs`` where these were asked for.

    The columns of ``cells`` and ``pairs`` are those of ``compare --format csv``, those of ``runs`` are those of
    ``records.to_frame()``. Texts are stored as texts, whatever they begin with, so no name is ever computed.

    Args:
        comparisons: The tables.
        records: The runs behind them.

    Raises:
        UsageError: When XlsxWriter is not installed.
    """
    try:
        from xlsxwriter import Workbook
    except ModuleNotFoundError as error:
        if error.name != "xlsxwriter":
            raise
        raise UsageError(
            "an .xlsx file needs XlsxWriter, which is not installed: pip install 'activation-bench[spreadsheet]'; "
            "-o FILE.csv needs nothing more"
        ) from error
    target = io.BytesIO()
    book = Workbook(target, {"in_memory": True})
    book.set_properties({"created": CREATED})
    rows = replace(comparisons, comparisons=tuple(replace(one, pairs=None) for one in comparisons.comparisons))
    _add_sheet(book, "cells", *lines_of(rows))
    if any(one.pairs is not None for one in comparisons.comparisons):
        _add_sheet(book, "pairs", *lines_of(comparisons))
    columns = table_of_runs(records).columns
    runs = (dict(zip(columns, line, strict=True)) for line in zip(*columns.values(), strict=True))
    _add_sheet(book, "runs", list(columns), runs)
    _add_sheet(book, "notes", ["table", "kind", "text"], _notes(comparisons))
    book.close()
    return target.getvalue()


def _add_sheet(book: Workbook, name: str, header: Sequence[str], lines: Iterable[Mapping[str, Any]]) -> None:
    """Add a sheet with a header in bold that stays in sight, and a filter in each of its fields."""
    sheet = book.add_worksheet(name)
    bold = book.add_format({"bold": True})
    widths = [len(title) for title in header]
    last = 0
    for column, title in enumerate(header):
        sheet.write_string(0, column, _text(title), bold)
    for last, line in enumerate(lines, 1):
        for column, title in enumerate(header):
            value = line.get(title)
            if isinstance(value, bool):  # before the numbers, which it is one of
                sheet.write_boolean(last, column, value)
            elif isinstance(value, (int, float)):
                sheet.write_number(last, column, value)
            elif value not in (None, ""):
                text = _text(value)
                sheet.write_string(last, column, text)
                widths[column] = max(widths[column], min(len(text), MAX_WIDTH))
    for column, width in enumerate(widths):
        sheet.set_column(column, column, width + 2)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, last, len(header) - 1)


def _notes(comparisons: Comparisons) -> Iterator[dict[str, str]]:
    """Yield what stands around the tables, one sentence or paragraph a line."""
    for one in comparisons.comparisons:
        verdicts, expectations = _sentences.lists(one, comparisons)
        texts = {
            "headline": headline(one, with_open_verdict=False),
            "limit": one.limits,
            "caption": _sentences.caption(one),
            "verdict": verdicts,
            "hypothesis": expectations,
            "methods": [one.methods] if one.methods else [],
        }
        for kind, own in texts.items():
            yield from ({"table": one.title, "kind": kind, "text": text} for text in own)
    yield from ({"table": "", "kind": "warning", "text": text} for text in comparisons.warnings)


def _text(value: Any) -> str:
    return printable(" ".join(value) if isinstance(value, list) else str(value))[:MAX_LETTERS]
