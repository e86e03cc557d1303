"""A LaTeX table for a paper: booktabs rules, numbers aligned at their points, what is best or tied with it in bold."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TextIO

from actbench.analysis.reports import _pairs
from actbench.analysis.reports._layout import Column, caption, columns
from actbench.analysis.table.extras import Pairs
from actbench.analysis.table.result import Comparison, Comparisons
from actbench.schema.metrics import METRICS

SPELLED = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "#": r"\#", "$": r"\$", "%": r"\%", "&": r"\&", "_": r"\_", "<": "$<$", ">": "$>$", "|": "$|$", '"': "''",
    "−": "$-$", "–": "--", "Δ": r"$\Delta$", "·": r"$\cdot$", "≤": r"$\le$", "≥": r"$\ge$", "±": r"$\pm$",
    "×": r"$\times$", "*": r"$\ast$", "…": r"\dots{}", "α": r"$\alpha$", "β": r"$\beta$", "δ": r"$\delta$",
}  # fmt: skip
"""What LaTeX would take for a command, or its standard fonts lack -> how to write it."""

NUMBER = re.compile(r"(?P<whole>[+−]?[\d,]*\d)(?P<fraction>\.\d+(?:e[+-]\d+)?)?(?P<rest>.*)", re.DOTALL)
"""A cell that begins with a number: what stands before the point, what after it, and what follows."""


class LatexReport:
    r"""One ``table`` a comparison; warnings stand above them as LaTeX comments.

    The preamble needs ``\usepackage{booktabs}``, nothing else.
    """

    def render(self, comparisons: Comparisons, target: TextIO) -> None:
        r"""Write the tables, to be put into a paper with ``\input``."""
        for warning in comparisons.warnings:
            target.write(f"% warning: {' '.join(warning.split())}\n")
        for comparison in comparisons.comparisons:
            target.write("\n".join(_table(comparison)) + "\n")
            if comparison.pairs is not None:
                target.write("\n".join(_pairs_table(comparison.pairs)) + "\n")
            if comparison.methods:
                target.write(f"\n{escaped(comparison.methods)}\n")


def _table(comparison: Comparison) -> Iterator[str]:
    # As few columns as there are: a page is narrower than a terminal.
    found = [column for column in columns(comparison, details=0) if column.title]  # without the column of marks
    yield from _float(found, [_best(comparison, column.title) for column in found], _caption(comparison))


def _pairs_table(pairs: Pairs) -> Iterator[str]:
    found = _pairs.columns(pairs)
    statements = (_pairs.title(pairs), *_pairs.remainder(pairs), _pairs.caption(pairs))
    yield from _float(found, [()] * len(found), escaped(f"{'; '.join(statements)}."))


def _float(found: Sequence[Column], bold: Sequence[Collection[int]], text: str) -> Iterator[str]:
    """A ``table`` of these columns, with the rows that are bold in each, and its caption."""
    heading, *rows = zip(*map(_column, found, bold), strict=True)
    yield r"\begin{table}"
    yield r"  \centering\small\setlength{\tabcolsep}{4pt}"
    yield f"  \\caption{{{text}}}"
    yield f"  \\begin{{tabular}}{{@{{}}{' '.join('r@{}l' if column.numeric else 'l' for column in found)}@{{}}}}"
    yield r"    \toprule"
    yield _line(heading)
    yield r"    \midrule"
    yield from map(_line, rows)
    yield r"    \bottomrule"
    yield r"  \end{tabular}"
    yield r"\end{table}"


def _caption(comparison: Comparison) -> str:
    """What the figures mean; ties are bold here, where the other formats mark them with =."""
    also = f"also bold in {comparison.metrics[0]}: "
    statements = [re.sub(r"^= ", also, statement) for statement in caption(comparison)]
    return escaped(f"{comparison.title}: {'; '.join((*statements, 'bold: the best mean'))}.")


def _line(cells: Iterable[str]) -> str:
    return f"    {' & '.join(cells)} \\\\"


def _column(column: Column, bold: Collection[int]) -> list[str]:
    """Heading and cells, each as one LaTeX column or, with numbers, as two that meet at the decimal point."""
    if not column.numeric:
        return [escaped(text) for text in (column.title, *column.cells)]
    in_percent = any(" %" in cell for cell in column.cells)
    heading = _spanning(f"{column.title} (%)" if in_percent else column.title)
    cells = [cell.replace(" %", "") for cell in column.cells]
    return [heading, *(_number(cell, bold=index in bold) for index, cell in enumerate(cells))]


def _number(cell: str, *, bold: bool) -> str:
    found = NUMBER.fullmatch(cell)
    if found is None:  # a word, such as baseline
        return _spanning(cell)
    parts = [escaped(found[name] or "") for name in ("whole", "fraction")]
    whole, fraction = (rf"\textbf{{{part}}}" if bold and part else part for part in parts)
    return f"{whole} & {fraction}{escaped(found['rest'])}"


def _spanning(text: str) -> str:
    return rf"\multicolumn{{2}}{{c}}{{{escaped(text)}}}"


def _best(comparison: Comparison, title: str) -> set[int]:
    """The rows to print bold in a metric's column: in the leading one all that are tied with the best."""
    higher = METRICS[title].higher_is_better if title in comparison.metrics else None
    if higher is None:
        return set()
    if title == comparison.metrics[0]:
        return {index for index, row in enumerate(comparison.rows) if row.tied}
    means = {index: row.metrics[title].mean for index, row in enumerate(comparison.rows)}
    known = {index: mean for index, mean in means.items() if mean is not None}
    return {index for index, mean in known.items() if mean == (max if higher else min)(known.values())}


def escaped(text: str) -> str:
    r"""Text that LaTeX prints as it is.

    >>> print(escaped("bias_init ≤ 5 %"))
    bias\_init $\le$ 5 \%
    """
    return "".join(SPELLED.get(letter, letter) for letter in text)


plugin = LatexReport()
