"""Print this package's warnings so that no text in them steers a terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from actbench.system.text import printable_lines


@contextmanager
def printable_log() -> Iterator[None]:
    """While the context lasts, print this package's warnings on ``sys.stderr``, one or more printable lines each."""
    handler, log = logging.StreamHandler(), logging.getLogger("actbench")
    handler.setFormatter(_Printable("%(message)s"))
    handler.setLevel(logging.WARNING)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


class _Printable(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text that steers no terminal."""
        return printable_lines(super().format(record))
