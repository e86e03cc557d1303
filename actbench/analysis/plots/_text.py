"""Text as it is: no name is read as a formula, and powers of ten need none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WRAPPED = re.compile(r"\$\\mathdefault\{(.*)\}\$")
_POWER = re.compile(r"\^\{([^{}]*)\}")
_RAISED = str.maketrans("-−0123456789", "⁻⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def literal(axes: Iterable[Axes]) -> None:
    r"""Let every text of the axes stand as it is, after a chart was drawn and within ``drawing``.

    matplotlib reads a text between two dollar signs as a formula: a name ``$\frac$`` would be refused, ``$x$`` changed.
    Its own labels of logarithmic axes are such formulas, so these are written with raised digits instead.
    """
    from matplotlib.text import Text
    from matplotlib.ticker import Formatter, LogFormatter

    class Literal(Formatter):  # type: ignore[misc]  # mypy skips matplotlib
        """What another formatter writes, without a formula."""

        def __init__(self, own: Formatter) -> None:
            self.own = own

        def set_axis(self, axis: object) -> None:
            super().set_axis(axis)
            self.own.set_axis(axis)

        def set_locs(self, locs: object) -> None:
            self.own.set_locs(locs)

        def __call__(self, x: float, pos: int | None = None) -> str:
            return without_formula(self.own(x, pos))

    for ax in axes:
        for axis in (ax.xaxis, ax.yaxis):
            if isinstance(axis.get_major_formatter(), LogFormatter):
                axis.set_major_formatter(Literal(axis.get_major_formatter()))
            if isinstance(axis.get_minor_formatter(), LogFormatter):
                axis.set_minor_formatter(Literal(axis.get_minor_formatter()))
            axis.get_ticklabels(which="both")  # makes them now; others are made as these are
        for text in ax.findobj(Text):
            text.set_parse_math(False)


def without_formula(text: str) -> str:
    r"""Return a label of a logarithmic axis in plain letters.

    >>> without_formula(r"$\mathdefault{10^{-5}}$"), without_formula(r"$\mathdefault{2\times10^{12}}$")
    ('10⁻⁵', '2×10¹²')
    """
    found = _WRAPPED.fullmatch(text)
    if found is None:
        return text
    plain = _POWER.sub(lambda power: power[1].translate(_RAISED), found[1])
    return plain.replace(r"\times", "×")
