"""Tables of a comparison as HTML for a notebook's output: no script, no colours of its own, no fetch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from actbench.analysis.judgements.headline import headline
from actbench.analysis.reports import _sentences
from actbench.analysis.reports._cells import Cell, Column
from actbench.analysis.reports._columns import columns
from actbench.analysis.table.result import Comparison, Comparisons
from actbench.system.text import printable

_NOT_TYPESET = "tex2jax_ignore mathjax_ignore"
"""Classes by which MathJax, in any version, leaves a name between dollar signs alone."""


def html_of(comparisons: Comparisons) -> str:
    """Return all tables, each below its headline, and the warnings.

    Colours and fonts are those of the notebook around, so that it fits a light and a dark one.
    """
    parts = [_table(comparison, comparisons) for comparison in comparisons.comparisons]
    warnings = _paragraphs(f"warning: {text}" for text in comparisons.warnings)
    return f'<div class="{_NOT_TYPESET}">{"".join(parts)}{warnings}</div>'


def _table(comparison: Comparison, comparisons: Comparisons) -> str:
    found = columns(comparison)
    heads = "".join(_cell("th", column, column.heading()) for column in found)
    rows = "".join(f"<tr>{_row(found, cells)}</tr>" for cells in zip(*(one.cells for one in found), strict=True))
    verdicts, expectations = _sentences.lists(comparison, comparisons)
    caption = _sentences.one_sentence(_sentences.caption(comparison))
    return (
        f"<p><b>{_text(comparison.title)}</b></p>"
        f"{_paragraphs((*headline(comparison), *comparison.limits))}"
        f'<table style="color:inherit;border-collapse:collapse"><thead>'
        f"<tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        f"{_list(verdicts)}{_list(expectations)}"
        f"<details><summary>How to read it</summary><p>{_text(caption)}</p></details>"
    )


def _row(found: Sequence[Column], cells: Sequence[Cell]) -> str:
    return "".join(_cell("td", column, cell.text()) for column, cell in zip(found, cells, strict=True))


def _cell(tag: str, column: Column, text: str) -> str:
    side = "right" if column.is_flush_right else "left"
    style = f"text-align:{side};vertical-align:top;padding:.15em .6em" + (
        ";border-bottom:1px solid" if tag == "th" else ""
    )
    return f'<{tag} style="{style}">{_text(text)}</{tag}>'


def _paragraphs(texts: Iterable[str]) -> str:
    return "".join(f"<p>{_text(text)}</p>" for text in texts)


def _list(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{_text(one)}</li>' for one in sentences)}</ul>" if sentences else ""


def _text(text: str) -> str:
    return escape(printable(text))
