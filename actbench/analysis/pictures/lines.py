"""Curves in a field of characters: braille dots by plotille, or one letter a curve where a console has ASCII alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from sys import float_info

from rich.text import Text

MARKS = "abcd"
COLOURS = ("cyan", "yellow", "magenta", "green")
"""Letters and colours of curves; a console without colours has the letters."""

DOTS = (2, 4)
"""Braille dots beside and above each other in one character."""

MARK_EVERY = 16
"""Characters from one letter on a curve to the next."""

TURN = 3
"""Characters after which the letters of curves take turns where they meet, in ASCII."""


@dataclass(frozen=True)
class Line:
    """One curve.

    Args:
        points: (x, y) in the order in which they are joined; a y that is not finite, or None, interrupts the curve.
        mark: The letter that names it in the picture; empty for a curve that is alone.
        colour: One of rich's colours; empty for the terminal's own.
    """

    points: Sequence[tuple[float, float | None]]
    mark: str = ""
    colour: str = ""

    def pieces(self) -> Iterator[list[tuple[float, float]]]:
        """Yield the stretches between interruptions."""
        piece: list[tuple[float, float]] = []
        for x, y in self.points:
            if y is not None and isfinite(y):
                piece.append((x, y))
            elif piece:
                yield piece
                piece = []
        if piece:
            yield piece


@dataclass(frozen=True)
class Frame:
    """The field that curves are drawn in.

    Args:
        title: Stands above it.
        width: Characters, with the numbers beside the axis.
        height: Lines of the field, without title and lower axis.
        is_fraction: Whether the values are printed as percent.
        is_unicode: Whether it may use more than ASCII.
    """

    title: str
    width: int
    height: int = 10
    is_fraction: bool = False
    is_unicode: bool = True


def line_picture(lines: Sequence[Line], frame: Frame) -> list[Text]:
    """Return the curves as lines of text, each as wide as the frame; none where no curve has a finite value.

    The field reaches from the smallest to the largest x and y, which are printed at its ends. A dotted line marks zero
    inside it.
    """
    found = [point for line in lines for piece in line.pieces() for point in piece]
    if not found:
        return []
    left, right = _span([x for x, _ in found])
    bottom, top = _span([y for _, y in found])
    labels = [_number(value, frame) for value in (top, bottom)]
    zero = _row(0.0, bottom, top, frame.height) if bottom < 0 < top else None
    gutter = max(*map(len, labels), 2) + 1
    columns = frame.width - gutter - 1
    cells = _cells(lines, frame, columns, (left, right, bottom, top))
    for column in range(columns) if zero is not None else ():
        cells[zero or 0].setdefault(column, (("·" if frame.is_unicode else "."), "dim"))
    if left < 0 < right:
        column = round((columns - 1) * (0 - left) / (right - left))
        for row in cells:
            row.setdefault(column, ("·" if frame.is_unicode else ".", "dim"))
    wall, floor, corner = ("│", "─", "└") if frame.is_unicode else ("|", "-", "+")
    texts = [Text(frame.title[: frame.width].ljust(frame.width), style="bold")]
    for index, row in enumerate(cells):
        at_end = {0: labels[0], frame.height - 1: labels[1]}.get(index, "0" if index == zero else "")
        text = Text(f"{at_end.rjust(gutter - 1)} ").append(wall, style="dim")
        for column in range(columns):
            character, style = row.get(column, (" ", ""))
            text.append(character, style=style)
        texts.append(text)
    texts.append(Text(" " * gutter).append(corner + floor * columns, style="dim"))
    texts.append(Text(" " * (gutter + 1) + _below(left, right, columns)))
    return texts


def beside(pictures: Sequence[Sequence[Text]], width: int, gap: int = 2) -> list[Text]:
    """Return pictures beside each other where the width has room for all of them, else below each other."""
    shown = [picture for picture in pictures if picture]
    if sum(len(picture[0]) + gap for picture in shown) - gap > width:
        return [line for index, picture in enumerate(shown) for line in ([Text()] if index else []) + list(picture)]
    rows = zip(*shown, strict=True)
    return [Text(" " * gap).join(row) for row in rows]


def _cells(
    lines: Sequence[Line], frame: Frame, columns: int, ends: tuple[float, float, float, float]
) -> list[dict[int, tuple[str, str]]]:
    """Return row -> column -> (character, style), the uppermost row first, of the characters that a curve touches."""
    from plotille import Canvas

    left, right, bottom, top = ends
    # A dot is one unit of the canvas, so that every point falls on the dot that is computed here.
    wide, high = columns * DOTS[0], frame.height * DOTS[1]
    whole = Canvas(columns, frame.height, xmax=wide, ymax=high)
    rows: list[dict[int, tuple[str, str]]] = [{} for _ in range(frame.height)]
    for number, line in enumerate(lines):
        own = Canvas(columns, frame.height, xmax=wide, ymax=high)
        for piece in line.pieces():
            dots = [
                (
                    round((wide - 1) * (x - left) / (right - left)),
                    round((high - 1) * (y - bottom) / (top - bottom)),
                )
                for x, y in piece
            ]
            for start, end in zip(dots, dots[1:] or dots, strict=False):
                own.line(*start, *end)
                whole.line(*start, *end)
        start_at = MARK_EVERY // 2 + number * MARK_EVERY // max(len(lines), 1)
        for row, (mine, all_) in enumerate(zip(own.plot("\n").split("\n"), whole.plot("\n").split("\n"), strict=True)):
            for column, (dot, character) in enumerate(zip(mine, all_, strict=True)):
                if dot == "\u2800":
                    continue
                before = rows[row].get(column)
                if frame.is_unicode:
                    # An earlier curve's letter stays where the two meet, otherwise the last one would hide all.
                    is_marked = line.mark and (column - start_at) % MARK_EVERY == 0
                    is_free = is_marked or before is None or not before[0].isalpha()
                    shown = line.mark if is_marked else character
                else:  # the letters of curves that meet take turns
                    is_free = before is None or column // TURN % len(lines) == number
                    shown = line.mark or "*"
                if is_free:
                    rows[row][column] = (shown, line.colour)
    return rows


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the values, apart from each other even where all are equal."""
    low, high = min(values), max(values)
    if low < high:
        return low, high
    room = abs(low) if abs(low) >= float_info.min else 1.0  # half of the smallest number of all is 0
    return low - room / 2, high + room / 2


def _row(value: float, bottom: float, top: float, height: int) -> int:
    """Return the line, counted from above, in which a value lies."""
    dots = height * DOTS[1]
    return height - 1 - round((dots - 1) * (value - bottom) / (top - bottom)) // DOTS[1]


def _number(value: float, frame: Frame) -> str:
    return f"{100 * value:.3g} %" if frame.is_fraction else f"{value:.3g}"


def _below(left: float, right: float, columns: int) -> str:
    """Return the numbers below the axis: its ends, and zero where it lies well between them."""
    first, last = f"{left:.4g}", f"{right:.4g}"
    text = list(first.ljust(columns - len(last)) + last)
    if left < 0 < right:
        column = round((columns - 1) * (0 - left) / (right - left))
        if len(first) < column < columns - len(last) - 1:
            text[column] = "0"
    return "".join(text[:columns])
