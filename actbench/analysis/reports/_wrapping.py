"""Break names and heads into lines at places where a reader would: at spaces, else at ``.``, ``_``, ``(``, ``,``."""

from __future__ import annotations

import re

from rich.cells import cell_len, chop_cells

_PLACES = re.compile(r"(?<=[\w)][._])(?=[^\W\d_])|(?<=\w)(?=\()|(?<=,)(?=.)")
"""Within a word: behind a point or an underscore before a letter, before a bracket, behind a comma.

So ``0.25`` and ``1e-05`` stay whole, and ``elu(alpha=0.2)`` becomes ``elu`` and ``(alpha=0.2)``.
"""

_LAST_PLACES = re.compile(r"(?<==)(?=.)")
"""Where the others are not enough: behind an equals sign."""


def wrapped(text: str, width: int) -> list[str]:
    """Return a text in lines of at most so many columns of a terminal; its own line breaks are kept.

    A word moves to the next line as a whole where it fits there. Only where no place to break it is near enough, it is
    cut anywhere.

    >>> wrapped("test.accuracy (%)", 9), wrapped("elu(alpha=0.2)", 12)
    (['test.', 'accuracy', '(%)'], ['elu', '(alpha=0.2)'])
    >>> wrapped("max(0.01 * x, x) + sigmoid(1.7 * x)", 16)
    ['max(0.01 * x, x)', '+ sigmoid(1.7 *', 'x)']
    """
    return [line for own in text.split("\n") for line in _filled(own, width)]


def narrowest(text: str) -> int:
    """Return the fewest columns in which a text has no word cut but at a place for it.

    >>> narrowest("test.accuracy (%)"), narrowest("elu(alpha=0.2)"), narrowest("")
    (8, 11, 0)
    """
    return max(cell_len(part) for word in text.split() or [""] for part in _PLACES.split(word))


def width_of(text: str) -> int:
    r"""Return the columns that the widest line of a text takes.

    >>> width_of("ab\nabc"), width_of("猫")
    (3, 2)
    """
    return max(map(cell_len, text.split("\n")))


def _filled(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if cell_len(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        *full, line = _broken(word, width)
        lines += full
    return [*lines, line]


def _broken(word: str, width: int) -> list[str]:
    """Return a word in as few lines as its places to break allow."""
    lines = [""]
    for part in _PLACES.split(word):
        for piece in [part] if cell_len(part) <= width else _LAST_PLACES.split(part):
            if cell_len(lines[-1] + piece) <= width:
                lines[-1] += piece
            else:
                lines += [piece] if cell_len(piece) <= width else chop_cells(piece, width)
    return [line for line in lines if line] or [""]
