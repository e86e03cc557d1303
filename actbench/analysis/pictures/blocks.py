"""A row of bars, one character a number: ``▁▂▅█``, or ``1258`` where a console has ASCII alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite

LEVELS = 8
BLOCKS, DIGITS = "▁▂▃▄▅▆▇█", "12345678"
"""The bars of levels 1 to 8."""

NONE, ASCII_NONE = "·", "."
"""Level 0: a share that is exactly zero, which the lowest bar would make look like a little."""


@dataclass(frozen=True)
class Scale:
    """The values of the lowest and the highest bar.

    Args:
        low: Lower end of the lowest bar.
        high: Upper end of the highest bar.
        has_none: Whether 0 has a mark of its own below the lowest bar, as shares of units do.
    """

    low: float
    high: float
    has_none: bool = False

    def level(self, value: float | None) -> int | None:
        """Return the bar of a value, 1 to 8, each an eighth of the scale; 0 for none, None without a finite value.

        >>> [Scale(0.0, 1.0).level(value) for value in (0.0, 0.5, 1.0, None)]
        [1, 5, 8, None]
        >>> Scale(0.0, 1.0, has_none=True).level(0.0)
        0
        """
        if value is None or not isfinite(value):
            return None
        if self.has_none and value == 0:
            return 0
        if self.high <= self.low:
            return 1
        share = (value - self.low) / (self.high - self.low)
        return min(max(1 + int(LEVELS * share), 1), LEVELS)


def scale_of(values: Iterable[float | None], *, has_none: bool = False) -> Scale | None:
    """Return the scale from the smallest value, or from 0 where that has a mark, to the largest; None without any."""
    finite = [value for value in values if value is not None and isfinite(value)]
    if not finite:
        return None
    return Scale(0.0 if has_none else min(finite), max(finite), has_none)


def bars(values: Sequence[float | None], scale: Scale, *, is_unicode: bool) -> str:
    """Return one character a value, a blank where there is none.

    >>> bars([0.0, None, 1.0, 0.5], Scale(0.0, 1.0), is_unicode=True), bars([0.0, 1.0], Scale(0, 1), is_unicode=False)
    ('▁ █▅', '18')
    """
    row = (NONE + BLOCKS) if is_unicode else (ASCII_NONE + DIGITS)
    levels = map(scale.level, values)
    return "".join(" " if level is None else row[level] for level in levels)


def spread_indices(count: int, most: int) -> list[int]:
    """Return indices of at most so many of ``count`` things, at equal distances, the first and the last among them.

    >>> spread_indices(100, 5), spread_indices(3, 5)
    ([0, 25, 50, 74, 99], [0, 1, 2])
    """
    if count <= most:
        return list(range(count))
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]
