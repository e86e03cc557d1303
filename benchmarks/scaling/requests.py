"""Count this process's requests to a file system: what a network file system answers, each with a round trip."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

CHANGING = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.utime")
"""Python's audit events of operations that change a folder."""

LISTING = ("os.listdir", "os.scandir")

reads = writes = 0
"""Requests so far. Opening a file counts twice, as reading or writing its content is a request too."""


def count() -> None:
    """Begin to count, for as long as the process lives; every operation gets slower, so nothing is timed meanwhile."""
    sys.addaudithook(_audited)
    os.stat = _counted(os.stat)  # no audit event; pathlib and os.path call it by this name


def counted() -> tuple[int, int]:
    """Return (reads, writes) so far."""
    return reads, writes


def _audited(event: str, given: tuple[Any, ...]) -> None:
    global reads, writes
    if event in CHANGING:
        writes += 1
    elif event in LISTING:
        reads += 1
    elif event == "open" and isinstance(given[2], int):
        if given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            writes += 2
        else:
            reads += 2


def _counted(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*given: Any, **options: Any) -> Any:
        global reads
        reads += 1
        return function(*given, **options)

    return call
