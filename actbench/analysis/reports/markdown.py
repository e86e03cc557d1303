"""Tables in GitHub's Markdown, for a CI job's summary, an issue or a README."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

from actbench.analysis.reports import _pairs, _text
from actbench.analysis.reports._layout import Column, caption, columns
from actbench.analysis.table.extras import Pairs
from actbench.analysis.table.result import Comparisons


class MarkdownReport:
    """One section a comparison, with everything that the terminal's widest table has."""

    def render(self, comparisons: Comparisons, target: TextIO) -> None:
        """Write a heading, a table and a caption a comparison, then the warnings as a list."""
        for comparison in comparisons.comparisons:
            lines = [
                f"### {_escaped(comparison.title)}",
                "",
                *_table(columns(comparison)),
                "",
                f"{_escaped('; '.join(caption(comparison)))}.",
                "",
            ]
            for sentences in (
                _text.verdicts(comparison.verdicts, comparisons.most_verdicts),
                [_text.expectation(one) for one in comparison.expectations],
            ):
                lines += [*(f"- {_escaped(sentence)}" for sentence in sentences), *([""] if sentences else [])]
            if comparison.pairs is not None:
                lines += _all_pairs(comparison.pairs)
            if comparison.methods:
                lines += [f"**Methods.** {_escaped(comparison.methods)}", ""]
            target.write("\n".join(lines) + "\n")
        for warning in comparisons.warnings:
            target.write(f"- **Warning:** {_escaped(warning)}\n")


def _table(found: Sequence[Column]) -> list[str]:
    return [
        _line(column.title for column in found),
        _line("---:" if column.numeric else ":---" for column in found),
        *(_line(cells) for cells in zip(*(column.cells for column in found), strict=True)),
    ]


def _all_pairs(pairs: Pairs) -> list[str]:
    statements = "; ".join((*_pairs.remainder(pairs), _pairs.caption(pairs)))
    return [
        f"#### {_escaped(_pairs.title(pairs))}",
        "",
        *_table(_pairs.columns(pairs)),
        "",
        f"{_escaped(statements)}.",
        "",
    ]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is: an activation may be called ``x * sigmoid(x)``."""
    for letter in ("\\", "|", "*", "_", "<", "`"):
        text = text.replace(letter, f"\\{letter}")
    return text


plugin = MarkdownReport()
