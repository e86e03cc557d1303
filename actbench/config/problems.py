"""What is wrong, and where it stands: in a file (line and column) or in a command-line argument."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from actbench.errors import ConfigError, Problem

Path = tuple[str | int, ...]
"""The way to a value through mappings (keys) and lists (positions); ``()`` is the whole config."""

UNKNOWN_KEY = "unknown key"
"""How a message about a key begins; the caret then points at the key, for any other message at the value."""

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # the breaks that YAML's own line count knows
_WIDEST_EXCERPT = 120  # characters; a config may be one long line


@dataclass(frozen=True)
class Fault:
    """Something wrong at a path, not yet located.

    Args:
        path: Where in the content.
        message: What is wrong and what to do, one sentence.
    """

    path: Path
    message: str


@dataclass(frozen=True)
class Source:
    """A text that a config is read from.

    Args:
        name: As problems name it: the file as the user gave it, or ``<text>``.
        text: The whole of it.
    """

    name: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        """The text's lines, without their ends."""
        return _LINE_BREAK.split(self.text)


@dataclass(frozen=True)
class Span:
    """From one place in a source up to another; lines and columns count from 0.

    Args:
        source: The text.
        start: Line and column of the first character.
        end: Line and column after the last character.
    """

    source: Source
    start: tuple[int, int]
    end: tuple[int, int]

    @property
    def order(self) -> tuple[int, int, int]:
        """Sorts problems as they stand in the file."""
        return (0, *self.start)

    @property
    def is_one_line(self) -> bool:
        """Whether one caret line can underline all of it."""
        return self.start[0] == self.end[0]

    def problem(self, message: str) -> Problem:
        """The message with this place and the source line, underlined."""
        line, column = self.start
        where = f"{self.source.name}:{line + 1}:{column + 1}"
        return Problem(printable(message), printable(where), self._excerpt())

    def _excerpt(self) -> str:
        (line, column), lines = self.start, self.source.lines
        text = lines[line] if line < len(lines) else ""
        end = self.end[1] if self.is_one_line else len(text.rstrip())
        first = max(0, column - _WIDEST_EXCERPT // 2) if len(text) > _WIDEST_EXCERPT else 0
        shown = text[first : first + _WIDEST_EXCERPT].rstrip()
        blank = "".join("\t" if letter == "\t" else " " for letter in text[first:column])
        carets = min(max(1, end - column), max(1, len(shown) - len(blank)))
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

    @property
    def order(self) -> tuple[int, int, int]:
        """Sorts problems with arguments behind those in the file, in the arguments' order."""
        return (1, self.position, 0)

    def problem(self, message: str) -> Problem:
        """The message with the argument that caused it."""
        return Problem(printable(message), printable(f"command line: '{self.text}'"))


Spot = Span | Argument


def printable(text: str) -> str:
    """The text on one line, without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


@dataclass(frozen=True)
class Finding:
    """A message and the spot it is about."""

    spot: Spot
    message: str


def rejection(findings: Iterable[Finding]) -> ConfigError:
    """One error with every finding once, in file order, then those from the command line."""
    ordered = sorted(dict.fromkeys(findings), key=lambda finding: finding.spot.order)
    return ConfigError(finding.spot.problem(finding.message) for finding in ordered)
