"""A rich console that prints no control characters but its own, and no character that its stream lacks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from copy import copy
from itertools import accumulate
from typing import Any, TextIO

from rich.box import Box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Span, Text

from actbench.system.stand_ins import displayable, stand_ins
from actbench.system.text import printable_lines

MIN_WIDTH = 20
"""Columns; for a narrower terminal lines are laid out as for this width, and the terminal breaks them."""


PLAIN_WIDTH = 120
"""Letters a line in files, pipes and CI logs, which have no width of their own, unless ``COLUMNS`` sets one."""

ASCII_HEAD = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
"""A line below the headings and no other, as rich's ``SIMPLE_HEAD``."""


class PrintableConsole(Console):
    """Prints each text as it is: made printable, with no markup, emoji codes or highlighting in it.

    A ``Text`` is printed without that, so it must be made of printable text. Characters that the stream lacks have
    their stand-ins before anything is measured, also in the cells of tables.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, emoji=False, markup=False, **options)
        if self.width < MIN_WIDTH:
            self.width = MIN_WIDTH

    def render_str(self, text: str, **options: Any) -> Text:
        """Return text for the terminal; rich calls it for every string that it prints or measures."""
        return super().render_str(self.shown(printable_lines(text)), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Return the segments of anything that is printed; rich calls it for the parts of it too."""
        if not self._has_all:
            if isinstance(renderable, Text):
                renderable = self._shown_text(renderable)
            elif isinstance(renderable, Table):
                renderable = self._shown_table(renderable)
        return super().render(renderable, options)

    def shown(self, text: str) -> str:
        """Return the text as this console prints it: the same, but for characters that its stream lacks."""
        return text if text.isascii() or self._has_all else displayable(text, self.encoding)

    @property
    def _has_all(self) -> bool:
        return self.encoding.startswith("utf")

    def _shown_text(self, text: Text) -> Text:
        found = text.copy()
        if text.overflow == "ellipsis":
            found.overflow = "crop"  # rich would put … in place of the last letter, which is three letters here
        pieces = stand_ins(text.plain, self.encoding)
        ends = [0, *accumulate(map(len, pieces))]
        found.plain = "".join(pieces)
        found.spans = [Span(ends[span.start], ends[min(span.end, len(pieces))], span.style) for span in text.spans]
        return found

    def _shown_table(self, table: Table) -> Table:
        """Return the same table with stand-ins in its cells, and with lines of ASCII."""
        found = copy(table)
        found.box = ASCII_HEAD if table.box else None
        found.columns, found.rows = [column.copy() for column in table.columns], []
        for column in found.columns:
            column.header = self._shown_cell(column.header)
            if column.overflow == "ellipsis":
                column.overflow = "crop"
        cells = zip(*(column.cells for column in table.columns), strict=True)
        for row, own in zip(table.rows, cells, strict=True):
            found.add_row(*map(self._shown_cell, own), style=row.style, end_section=row.end_section)
        return found

    def _shown_cell(self, cell: RenderableType) -> RenderableType:
        return self._shown_text(cell) if isinstance(cell, Text) else cell


def has_unicode(console: Console) -> bool:
    """Return whether a console can show block and braille characters; the rest gets pictures in ASCII.

    A dumb terminal (``TERM=dumb``, as in an editor) has an encoding but mostly no such letters in its font.
    """
    if os.environ.get("TERM") == "dumb":
        return False
    try:
        "█⣿·│".encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def console_for(target: TextIO) -> PrintableConsole:
    """Return a rich console on ``target``: colours and the terminal's width only where there is a terminal.

    The variable ``COLUMNS`` sets the width of both.
    """
    columns = os.environ.get("COLUMNS", "")
    has_width = target.isatty() or (columns.isdecimal() and int(columns) > 0)
    return PrintableConsole(file=target, width=None if has_width else PLAIN_WIDTH)
