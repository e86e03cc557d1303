"""A LaTeX table for a paper: booktabs rules, numbers aligned at their points, what is best or tied with it in bold."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TextIO

from actbench.analysis.judgements.headline import headline
from actbench.analysis.reports import _sentences
from actbench.analysis.reports._cells import Cell, Column
from actbench.analysis.reports._columns import columns, essential, has_range, pair_columns
from actbench.analysis.table.result import Comparisons
from actbench.system.text import printable

GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "µ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho",
    "σ": "sigma", "ς": "varsigma", "τ": "tau", "υ": "upsilon", "φ": "varphi", "χ": "chi", "ψ": "psi", "ω": "omega",
    "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Υ": "Upsilon",
    "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega", "ϕ": "phi", "ϵ": "epsilon",
}  # fmt: skip
"""Greek letter -> its command; both micro sign and mu are one letter to LaTeX."""

SYMBOLS = {
    "≤": "le", "≥": "ge", "≠": "ne", "≈": "approx", "≡": "equiv", "±": "pm", "×": "times", "÷": "div", "·": "cdot",
    "∞": "infty", "√": "surd", "∂": "partial", "∇": "nabla", "∑": "sum", "∏": "prod", "∫": "int", "∈": "in",
    "→": "rightarrow", "←": "leftarrow", "↑": "uparrow", "↓": "downarrow", "′": "prime", "¬": "neg",
}  # fmt: skip
"""Symbol -> its command."""

RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))

SPELLED = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "#": r"\#", "$": r"\$", "%": r"\%", "&": r"\&", "_": r"\_", "<": "$<$", ">": "$>$", "|": "$|$", '"': "''",
    "−": "$-$", "–": "--", "—": "---", "*": r"$\ast$", "…": r"\dots{}", "‘": "`", "’": "'", "“": "``", "”": "''",
    "`": r"\textasciigrave{}",
    "½": r"$\frac{1}{2}$", "¼": r"$\frac{1}{4}$", "¾": r"$\frac{3}{4}$", "°": r"$^\circ$",
    **{letter: f"$\\{command}$" for letter, command in {**GREEK, **SYMBOLS}.items()},
    **{letter: f"$^{{{plain}}}$" for letter, plain in RAISED.items()},
    **{letter: f"$_{{{plain}}}$" for letter, plain in LOWERED.items()},
}  # fmt: skip
"""Letter that LaTeX takes for a command or that its standard fonts lack -> how to write it."""

ACCENTED = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿ")
"""Letters beyond ASCII that pdfLaTeX writes as they are, with its standard fonts and encoding."""


MAX_ROWS_ON_A_PAGE = 29
"""A page of a paper has room for no more rows beside a caption and notes."""

_HYPHENS = re.compile("-(?=-)")


class LatexReport:
    r"""One ``table`` a comparison, a ``longtable`` from 30 rows on; warnings stand above them as LaTeX comments.

    The preamble needs ``\usepackage{booktabs}``, and ``\usepackage{longtable}`` for long tables. Letters that pdfLaTeX
    can't write, such as Chinese ones in a name, are kept, and a comment names them.
    """

    def render(self, comparisons: Comparisons, target: TextIO) -> None:
        r"""Write the tables, to be put into a paper with ``\input``."""
        for warning in comparisons.all_warnings:
            target.write(f"% warning: {printable(warning)}\n")
        text = io.StringIO()
        self._write_tables(comparisons, text)
        if foreign := unwritable(text.getvalue()):
            remedy = "compile with XeLaTeX or LuaLaTeX and a font that has them, or use other names"
            target.write(f"% warning: pdfLaTeX can't write {foreign}: {remedy}\n")
        target.write(text.getvalue())

    def _write_tables(self, comparisons: Comparisons, target: TextIO) -> None:
        for comparison in comparisons.comparisons:
            # As few columns as there are, since a page is narrower than a terminal; ties are bold instead of marked.
            found = essential(columns(comparison, with_ties=False))
            shown = _sentences.Shown(has_range=has_range(found))
            statements = _sentences.caption(comparison, shown, tie_mark=f"also bold in {comparison.metrics[0]}:")
            is_bold = any(cell.is_best for column in found for cell in column.cells)
            first, *rest = headline(comparison, with_open_verdict=False)
            meanings = (*comparison.limits, *statements, *(["bold: the best mean"] if is_bold else []))
            notes = " ".join((*rest, _sentences.one_sentence(meanings)))
            target.write("\n".join(_table(found, comparison.title, first, notes)) + "\n")
            if (pairs := comparison.pairs) is not None:
                title = _sentences.pairs_title(pairs)
                notes = _sentences.one_sentence(_sentences.pairs_caption(pairs))
                target.write("\n".join(_table(pair_columns(pairs), title, f"{title}.", notes)) + "\n")
            if comparison.methods:
                target.write(f"\n{escaped(comparison.methods)}\n")


def _table(found: Sequence[Column], title: str, caption: str, notes: str) -> Iterator[str]:
    """Write these columns as a ``table``, or as a ``longtable`` where a page has no room for so many rows.

    Args:
        found: The columns.
        title: For the list of tables.
        caption: One sentence.
        notes: What the figures mean, below the table: captions are short.
    """
    heading, *rows = zip(*map(_column, found), strict=True)
    # A column of numbers is two for LaTeX, flush right and flush left, which meet at the decimal point.
    alignment = f"@{{}}{' '.join('r@{}l' if column.is_flush_right else 'l' for column in found)}@{{}}"
    # The braces keep a bracket in the title from ending the argument.
    words = f"\\caption[{{{escaped(title)}}}]{{{escaped(caption)}}}"
    is_long = len(rows) > MAX_ROWS_ON_A_PAGE
    if is_long:
        span = sum(2 if column.is_flush_right else 1 for column in found)
        yield from _long(heading, rows, alignment, words, span)
    else:
        yield from _float(heading, rows, alignment, words)
    lines = escaped(notes)
    yield (
        rf"\noindent{{\footnotesize {lines}\par}}"
        if is_long
        else (rf"  \par\smallskip\begin{{minipage}}{{\linewidth}}\footnotesize {lines}\end{{minipage}}")
    )
    if not is_long:
        yield r"\end{table}"


def _float(heading: Sequence[str], rows: Sequence[Sequence[str]], alignment: str, caption: str) -> Iterator[str]:
    """Write a ``table`` without its end."""
    yield r"\begin{table}"
    yield r"  \centering\small\setlength{\tabcolsep}{4pt}"
    yield f"  {caption}"
    yield f"  \\begin{{tabular}}{{{alignment}}}"
    yield r"    \toprule"
    yield _line(heading)
    yield r"    \midrule"
    yield from map(_line, rows)
    yield r"    \bottomrule"
    yield r"  \end{tabular}"


def _long(
    heading: Sequence[str], rows: Sequence[Sequence[str]], alignment: str, caption: str, span: int
) -> Iterator[str]:
    """Write a ``longtable``, which repeats its heading on each page."""
    yield r"% the next table needs \usepackage{longtable} besides booktabs"
    yield r"\begingroup\small\setlength{\tabcolsep}{4pt}"
    yield f"\\begin{{longtable}}{{{alignment}}}"
    yield rf"    {caption} \\"
    yield from (r"    \toprule", _line(heading), r"    \midrule", r"    \endfirsthead")
    yield rf"    \multicolumn{{{span}}}{{@{{}}l@{{}}}}{{\tablename~\thetable, continued}} \\"
    yield from (r"    \toprule", _line(heading), r"    \midrule", r"    \endhead")
    yield from (r"    \bottomrule", r"    \endfoot")
    yield from map(_line, rows)
    yield r"\end{longtable}"
    yield r"\endgroup"


def _line(cells: Iterable[str]) -> str:
    line = " & ".join(cells)
    # A bracket behind the row above would be taken for an option of its \\.
    return f"    {'{}' if line.startswith('[') else ''}{line} \\\\"


def _column(column: Column) -> list[str]:
    """Return heading and cells; percent signs move from the cells to the heading."""
    if not column.is_flush_right:
        return [escaped(column.heading()), *(escaped(cell.text()) for cell in column.cells)]
    in_percent = any(cell.unit == "%" for cell in column.cells)
    heading = _spanning(f"{column.heading()} (%)" if in_percent else column.heading())
    return [heading, *(_number(replace(cell, unit="") if in_percent else cell) for cell in column.cells)]


def _number(cell: Cell) -> str:
    """Return a number as two LaTeX columns, and a word such as ``baseline`` as one across both."""
    if not cell.is_number:
        return _spanning(cell.text())
    # 93.12 is split at its point, and 1e+10, which has none, at its exponent.
    split = next((index for index, letter in enumerate(cell.value) if letter in ".e"), len(cell.value))
    parts = [escaped(part) for part in (cell.value[:split], cell.value[split:])]
    whole, fraction = (rf"\textbf{{{part}}}" if cell.is_best and part else part for part in parts)
    return f"{whole} & {fraction}{escaped(cell.text().removeprefix(cell.value))}"


def _spanning(text: str) -> str:
    return rf"\multicolumn{{2}}{{c}}{{{escaped(text)}}}"


def escaped(text: str) -> str:
    r"""Return text that LaTeX prints as it is.

    >>> print(escaped("bias_init ≤ 5 %"))
    bias\_init $\le$ 5 \%
    """
    # Two hyphens would be joined into a dash, before the letters are spelled of which some are dashes.
    parts = _HYPHENS.split(printable(text))
    return "-{}".join("".join(SPELLED.get(letter, letter) for letter in part) for part in parts)


def unwritable(text: str) -> str:
    """Return the letters of a LaTeX text that pdfLaTeX rejects, each once: ``猫 (U+732B)``."""
    found = dict.fromkeys(letter for letter in text if not letter.isascii() and letter not in ACCENTED)
    return ", ".join(f"{letter} (U+{ord(letter):04X})" for letter in found)


plugin = LatexReport()
