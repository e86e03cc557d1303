"""Places of a config's parts: characters of a file, or an argument of the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from actbench.errors import Problem
from actbench.system.text import printable

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # the breaks that YAML's own line count knows
_BEHIND_FILES = 1_000_000  # a rank beyond that of any file
_MAX_EXCERPT = 120  # characters; a config may be one long line


@dataclass(frozen=True)
class SourceText:
    """A text that a config is read from.

    Args:
        name: As problems name it: the file as the user gave it, or ``<text>``.
        text: The whole of it.
        rank: Sorts the problems of several files: 0 for the config itself, 1 for its base and so on.
    """

    name: str
    text: str
    rank: int = 0

    @cached_property
    def lines(self) -> list[str]:
        """The text's lines, without their ends."""
        return _LINE_BREAK.split(self.text)


@dataclass(frozen=True)
class Span:
    """The characters from one position in a source up to another; lines and columns count from 0.

    Args:
        source: The text.
        start: Line and column of the first character.
        end: Line and column after the last character.
        is_running_on: Whether it is a text without quotes that YAML has put together from several lines.
    """

    source: SourceText
    start: tuple[int, int]
    end: tuple[int, int]
    is_running_on: bool = False

    @classmethod
    def at_index(cls, source: SourceText, index: int) -> Span:
        """Return the single character at an index of the source's text."""
        before = SourceText(source.name, source.text[:index]).lines
        line, column = len(before) - 1, len(before[-1])
        return cls(source, (line, column), (line, column + 1))

    @property
    def is_one_line(self) -> bool:
        """Whether one line of carets can underline all of it."""
        return self.start[0] == self.end[0]

    def problem(self, message: str) -> Problem:
        """Return a problem at this place, with the source line underlined."""
        line, column = self.start
        return Problem(
            printable(message),
            place=printable(f"{self.source.name}:{line + 1}:{column + 1}"),
            excerpt=self._excerpt(),
            order=(self.source.rank, line, column),
            file=self.source.name,
            position=(line + 1, column + 1),
        )

    def _excerpt(self) -> str:
        """The first line, and below it blanks up to the span and a caret for each of the span's characters."""
        (line, column), lines = self.start, self.source.lines
        text = lines[line] if line < len(lines) else ""
        end = self.end[1] if self.is_one_line else len(text.rstrip())
        # of a long line, a window around the span
        first = max(0, column - _MAX_EXCERPT // 2) if len(text) > _MAX_EXCERPT else 0
        shown = text[first : first + _MAX_EXCERPT].rstrip()
        # a tab stays a tab, since nobody knows how wide the terminal draws it
        blank = "".join("\t" if letter == "\t" else " " for letter in text[first:column])
        carets = min(max(1, end - column), max(1, len(shown) - len(blank)))
        # one for one, unlike ``printable``: the carets must stay below their characters
        shown = "".join(letter if letter.isprintable() or letter == "\t" else "\ufffd" for letter in shown)
        return f"  {shown}\n  {blank}{'^' * carets}" if shown else ""


@dataclass(frozen=True)
class Argument:
    """A ``KEY=VALUE`` from the command line.

    Args:
        text: As the user typed it.
        position: Its number among the arguments, from 0.
    """

    text: str
    position: int
    is_one_line = True

    def problem(self, message: str) -> Problem:
        """Return a problem with this argument."""
        place = f"command line: '{self.text}'"
        return Problem(printable(message), place=printable(place), order=(_BEHIND_FILES, self.position, 0))


Place = Span | Argument
