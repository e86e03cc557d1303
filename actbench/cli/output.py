"""Shared by the commands: reading ``KEY=VALUE`` options, printing, spelling a duration.

Every line of every command leaves through ``print_result`` or ``print_note``, or through the console of
``analysis.reports.table``: there and nowhere else text is made printable.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, redirect_stdout
from typing import Any, TextIO

from actbench.errors import UsageError
from actbench.system.stand_ins import displayable
from actbench.system.text import printable_lines


def listed(texts: Sequence[str] | None) -> list[str]:
    """Split comma lists, given once or several times, into names.

    >>> listed(["a,b", "c"])
    ['a', 'b', 'c']
    """
    return [name.strip() for text in texts or () for name in text.split(",") if name.strip()]


def pairs(option: str, texts: Sequence[str] | None) -> dict[str, Any]:
    """Read ``KEY=VALUE,…`` with each value as YAML; commas within brackets separate nothing.

    >>> pairs("--where", ["activation=elu(alpha=0.2,x=1),bias_init=1e-2"])
    {'activation': 'elu(alpha=0.2,x=1)', 'bias_init': 0.01}

    Raises:
        UsageError: For a part that is not ``KEY=VALUE``, or a key that is given twice.
    """
    from actbench.config.overrides import parse_settings
    from actbench.errors import ConfigError

    try:
        return parse_settings(texts or ())
    except ConfigError as error:
        raise UsageError(f"{option}: {error.messages}") from error


def print_result(text: str) -> None:
    """Print lines on standard output."""
    print(shown_on(sys.stdout, text))


def print_note(text: str) -> None:
    """Print lines on standard error: progress, warnings, errors."""
    print(shown_on(sys.stderr, text), file=sys.stderr, flush=True)


def shown_on(stream: TextIO, text: str) -> str:
    """Return lines as a stream shows them, which may be longer: printable, with stand-ins for what it lacks."""
    return displayable(printable_lines(text), stream.encoding or "utf-8")


def user_output_on_stderr() -> AbstractContextManager[object]:
    """Send what is printed meanwhile to standard error, as a worker does: results alone are on standard output.

    It goes around each use of a user's own code, which may print.
    """
    return redirect_stdout(sys.stderr)


def is_live(stream: TextIO) -> bool:
    """Return whether a display may move the cursor there: on a terminal that can, outside of a CI job."""
    return stream.isatty() and os.environ.get("CI") != "true" and os.environ.get("TERM") != "dumb"


def as_json(content: Any) -> str:
    """Return JSON for other programs, in ASCII, so that no pipe can spoil it."""
    import json

    return json.dumps(content, indent=2, allow_nan=False)


def filled(text: str, first: str = "", others: str = "", *, widest: int | None = None) -> list[str]:
    """Return a text in lines that a terminal has room for, cut at spaces alone; at least 40 letters each.

    Args:
        text: The text, whose own line breaks count as spaces.
        first: Before its first line.
        others: Before each further line.
        widest: The most letters of a line; None for as many as there is room for.
    """
    import shutil
    import textwrap

    room = shutil.get_terminal_size().columns
    width = max(min(room, widest or room), 40)
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=others, break_on_hyphens=False, break_long_words=False
    )


def rough_duration(seconds: float) -> str:
    """Spell an estimated time to two figures.

    >>> rough_duration(0.4), rough_duration(38.4), rough_duration(200), rough_duration(8000), rough_duration(200_000)
    ('about 1 s', 'about 38 s', 'about 3.3 min', 'about 2.2 h', 'about 56 h')
    """
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            amount = seconds / size
            return f"about {amount:.{0 if amount >= 10 else 1}f} {unit}"
    return f"about {max(1, round(seconds))} s"
