"""A table with more columns than a line has room for, as several tables that all begin with its first column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from actbench.system.text import printable

if TYPE_CHECKING:
    from actbench.system.console import PrintableConsole

GAP = 2
"""Spaces between columns."""


def print_columns(
    console: PrintableConsole, heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = True
) -> None:
    """Print a table whose heads are never cut: broken at ``_`` or ``.`` where that suffices, else in several tables.

    Args:
        console: It knows the width.
        heads: A head for each column.
        rows: A cell for each column.
        numbers: Whether all columns but the first are flush right.
    """
    from rich.text import Text

    from actbench.analysis.reports._wrapping import narrowest, width_of, wrapped
    from actbench.analysis.reports.table import grid

    lines = [[console.shown(printable(cell)) for cell in row] for row in rows]
    cells = list(zip(*lines, strict=True))
    longest = [max((width_of(cell) for cell in column), default=0) for column in cells]
    shown = [console.shown(printable(head)) for head in heads]
    whole = [max(own, width_of(head)) for own, head in zip(longest, shown, strict=True)]
    broken = [max(own, narrowest(head)) for own, head in zip(longest, shown, strict=True)]
    widths = broken if _needed(broken) <= console.width < _needed(whole) else whole
    for index, part in enumerate(_parts(widths, console.width)):
        if index:
            console.print()
        table = grid()
        for column in part:
            head = "\n".join(wrapped(shown[column], widths[column]))
            table.add_column(Text(head), justify="right" if numbers and column else "left", overflow="fold")
        for row in lines:
            table.add_row(*(Text(row[column]) for column in part))
        console.print(table)


def _needed(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _parts(widths: Sequence[int], room: int) -> list[list[int]]:
    """Return the columns of each table: the first one, and as many of the others as a line has room for.

    >>> _parts([8, 5, 5, 5, 5], 22), _parts([8, 30], 22)
    ([[0, 1, 2], [0, 3, 4]], [[0, 1]])
    """
    parts = [[0]]
    for column in range(1, len(widths)):
        own = parts[-1]
        if len(own) > 1 and _needed([widths[one] for one in (*own, column)]) > room:
            own = [0]
            parts.append(own)
        own.append(column)
    return parts
