"""Tables in GitHub's Markdown, for a CI job's summary, an issue or a README."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TextIO

from actbench.analysis.judgements.headline import headline
from actbench.analysis.reports import _sentences
from actbench.analysis.reports._cells import Column
from actbench.analysis.reports._columns import columns, has_range, pair_columns
from actbench.analysis.table.result import Comparisons
from actbench.system.text import printable

_SPECIAL = re.compile(r"[\\|*_<`&~$#]|](?=[(\[:])|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""Characters that begin or end something: code, emphasis, HTML, entities, formulas, headings; links and bare addresses.

A square bracket is left alone elsewhere, since every interval stands in two.
"""

_BLOCK = re.compile(r"\A(\d+(?=[.)](?:\s|\Z))|(?=[-+=>\[]))")
"""How a text begins that would be a list, a quotation, a line below a heading or a box to tick."""


class MarkdownReport:
    """One section per comparison, with everything that the terminal's widest table has."""

    def render(self, comparisons: Comparisons, target: TextIO) -> None:
        """Write a heading, a headline, a table and a caption per comparison, then the warnings as a list."""
        for comparison in comparisons.comparisons:
            found = columns(comparison)
            caption = _sentences.caption(comparison, _sentences.Shown(has_range=has_range(found)))
            title = f"### {escaped(comparison.title)}"
            first = " ".join(headline(comparison, with_open_verdict=False))
            lines = _section(title, found, caption, headline=first, limits=comparison.limits)
            for sentences in _sentences.lists(comparison, comparisons):
                items = (f"{item(one)}{_command(comparison.commands.get(one))}" for one in sentences)
                lines += [*items, *([""] if sentences else [])]
            if (pairs := comparison.pairs) is not None:
                title = f"#### {escaped(_sentences.pairs_title(pairs))}"
                lines += _section(title, pair_columns(pairs), _sentences.pairs_caption(pairs))
            if comparison.methods:
                lines += [f"**Methods.** {escaped(comparison.methods)}", ""]
            target.write("\n".join(lines) + "\n")
        for warning in comparisons.warnings:
            target.write(f"- **Warning:** {escaped(warning)}\n")


def _section(
    title: str, found: Sequence[Column], caption: Sequence[str], *, headline: str = "", limits: Sequence[str] = ()
) -> list[str]:
    rows = zip(*(column.cells for column in found), strict=True)
    return [
        title,
        "",
        *([_paragraph(headline), ""] if headline else []),
        *(line for limit in limits for line in (f"**{escaped(limit)}**", "")),
        _line(column.heading() for column in found),
        _line("---:" if column.is_flush_right else ":---" for column in found),
        *(_line(cell.text() for cell in row) for row in rows),
        "",
        escaped(_sentences.one_sentence(caption)),
        "",
    ]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(escaped, cells))} |"


def _command(command: str | None) -> str:
    """Return a command as code to stand behind its sentence, between more backticks than it holds; empty for None."""
    if command is None:
        return ""
    ticks = "`"
    while ticks in command:
        ticks += "`"
    return f": {ticks} {command} {ticks}" if len(ticks) > 1 else f": `{command}`"


def escaped(text: str) -> str:
    r"""Return text that Markdown shows as it is, made printable: an activation may be called ``x * sigmoid(x)``.

    >>> print(escaped("![x](http://a.b) <b> [0.1, 0.2]"))
    ![x\](http\://a.b) \<b> [0.1, 0.2]
    """
    return _SPECIAL.sub(r"\\\g<0>", printable(text))


def _paragraph(text: str) -> str:
    """Return a sentence that begins no list, quotation or heading, no matter which name it begins with."""
    return _BLOCK.sub(r"\1\\", escaped(text.lstrip()))


def item(text: str) -> str:
    """Return a sentence as an item of a list, no matter how it begins."""
    return f"- {_paragraph(text)}"


plugin = MarkdownReport()
