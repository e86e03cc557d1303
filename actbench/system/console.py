"""A rich console that prints no control characters but its own."""

from __future__ import annotations

import os
from typing import Any

from rich.console import Console
from rich.text import Text

from actbench.system.text import printable_lines

MIN_WIDTH = 20
"""Columns; for a narrower terminal lines are laid out as for this width, and the terminal breaks them."""


class PrintableConsole(Console):
    """Prints each text as it is: made printable, with no markup, emoji codes or highlighting in it.

    A ``Text`` is printed without that, so it must be made of printable text.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, emoji=False, markup=False, **options)
        if self.width < MIN_WIDTH:
            self.width = MIN_WIDTH

    def render_str(self, text: str, **options: Any) -> Text:
        """Return text for the terminal; rich calls it for every string that it prints or measures."""
        return super().render_str(printable_lines(text), **options)


def has_unicode(console: Console) -> bool:
    """Return whether a console can show block and braille characters; the rest gets pictures in ASCII.

    A dumb terminal (``TERM=dumb``, as in an editor) has an encoding but mostly no such letters in its font.
    """
    if os.environ.get("TERM") == "dumb":
        return False
    try:
        "█⣿·│".encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
