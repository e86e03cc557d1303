"""A table that stands by itself, with its sentences, as text, Markdown, CSV or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from actbench.errors import UsageError

FORMS = ("table", "markdown", "csv", "json")


@dataclass(frozen=True)
class FurtherTable:
    """One table.

    Args:
        title: Its subject.
        headings: Of the columns, the first of which names the row.
        rows: A text for each column.
        lines: The same rows as plain numbers by the names of the JSON, for CSV.
        sentences: What the table shows, one statement each.
        caption: What its figures mean, one statement each.
        limits: What it can't show, for its head.
        data: The content of the JSON.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    lines: Sequence[Mapping[str, Any]]
    sentences: Sequence[str]
    caption: Sequence[str]
    data: Mapping[str, Any]
    limits: Sequence[str] = ()

    def render(self, form: str, target: TextIO, decimal: str = "point") -> None:
        """Write it in one of ``FORMS``.

        Args:
            form: The format.
            target: The stream.
            decimal: The decimal sign of a CSV, ``point`` or ``comma``.

        Raises:
            UsageError: For another format.
        """
        if form == "table":
            self._as_text(target)
        elif form == "markdown":
            self._as_markdown(target)
        elif form == "csv":
            from actbench.analysis.reports.csv import write_lines

            write_lines(list(self.lines[0]), self.lines, target, "comma" if decimal == "comma" else "point")
        elif form == "json":
            target.write(json.dumps({"schema": 1, **self.data}, indent=2, allow_nan=False) + "\n")
        else:
            raise UsageError(f"this table is written as {', '.join(FORMS)}, not as {form}")

    def _as_text(self, target: TextIO) -> None:
        from rich.text import Text

        from actbench.analysis.reports.table import BULLET, grid
        from actbench.system.console import console_for
        from actbench.system.text import printable

        console = console_for(target)
        table = grid()
        for index, heading in enumerate(self.headings):
            table.add_column(Text(printable(heading)), justify="right" if index else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        console.print(Text(f"{printable(self.title)}\n", style="bold"))
        for limit in self.limits:
            console.print(Text(f"{printable(limit)}\n", style="yellow"))
        console.print(table)
        console.print(Text(f"\n{printable('; '.join(self.caption))}.\n", style="dim"))
        for sentence in self.sentences:
            first, *further = Text(console.shown(printable(sentence))).wrap(console, console.width - len(BULLET))
            console.print(Text(BULLET, style="dim") + first)
            for line in further:
                console.print(Text(" " * len(BULLET)) + line)

    def _as_markdown(self, target: TextIO) -> None:
        from actbench.analysis.reports.markdown import escaped, item

        def line(cells: Sequence[str]) -> str:
            return f"| {' | '.join(map(escaped, cells))} |"

        rule = "|".join(["", ":---", *["---:"] * (len(self.headings) - 1), ""])
        limits = [text for limit in self.limits for text in (f"**{escaped(limit)}**", "")]
        head = [f"### {escaped(self.title)}", "", *limits, line(self.headings), rule]
        caption = f"{escaped('; '.join(self.caption))}."
        lines = [*head, *map(line, self.rows), "", caption, "", *map(item, self.sentences)]
        target.write("\n".join(lines) + "\n")


def quantity_with_interval(value: str, ends: tuple[str, str] | None) -> str:
    """Return ``0.21 [0.09, 0.33]``, or the value alone where no interval is known."""
    return value if ends is None else f"{value} [{ends[0]}, {ends[1]}]"
