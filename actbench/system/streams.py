"""Standard streams that no program depends on: printing never fails, even where nobody reads or nothing can be written.

A reader may have gone (``actbench compare | head -1``), a disk be full, a stream have been closed by the caller
(``2>&-``). None of that may end a training, or make a finished run a failed one. So a write that fails is remembered
and the text dropped; the command line reports at its end what was lost.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from actbench.system.stand_ins import ERRORS

STDIN, STDOUT, STDERR = 0, 1, 2

_GONE = (errno.EPIPE,) if os.name == "posix" else (errno.EPIPE, errno.EINVAL)
"""How a system reports a pipe that nobody reads; Windows has the second way too."""


@dataclass(frozen=True)
class StandardStreams:
    """The standard streams while ``unfailing_streams`` lasts.

    Args:
        out: The descriptor below ``sys.stdout``; None where that is no file, as in a notebook.
        err: The same for ``sys.stderr``.
    """

    out: _Descriptor | None
    err: _Descriptor | None

    @property
    def lost(self) -> OSError | None:
        """Why some of the results could not be written; None also when their reader has only seen enough."""
        return None if self.out is None or self.reader_left else self.out.error

    @property
    def reader_left(self) -> bool:
        """Whether the reader of the results went before it had all of them, as ``head`` does."""
        return self.out is not None and self.out.error is not None and self.out.error.errno in _GONE


@contextmanager
def unfailing_streams() -> Iterator[StandardStreams]:
    """While the context lasts, ``sys.stdout`` and ``sys.stderr`` take any text and never raise OSError."""
    closed = _occupy_closed_descriptors()
    before = sys.stdout, sys.stderr
    out, sys.stdout = _unfailing(sys.stdout, STDOUT, is_closed=STDOUT in closed)
    err, sys.stderr = _unfailing(sys.stderr, STDERR, is_closed=STDERR in closed)
    try:
        yield StandardStreams(out, err)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def are_open() -> bool:
    """Return whether the descriptors of all standard streams are open."""
    try:
        for number in (STDIN, STDOUT, STDERR):
            os.fstat(number)
    except OSError:
        return False
    return True


class _Descriptor(io.FileIO):
    """Writes to a descriptor that somebody else closes; after the first failure it drops everything.

    Args:
        number: The descriptor.
        is_closed: Whether the caller had closed it, so that writing to it fails.

    Attributes:
        error: Why it could not be written to; None as long as that has not happened.
    """

    def __init__(self, number: int, *, is_closed: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self.error: OSError | None = None
        self._is_closed = is_closed

    def write(self, content: object) -> int:
        """Write the bytes, or drop them; return their number in any case."""
        length = memoryview(content).nbytes  # type: ignore[arg-type]
        if self.error is None:
            try:
                if self._is_closed:
                    raise OSError(errno.EBADF, "standard output is closed")
                while (written := super().write(content)) is None:  # type: ignore[arg-type]
                    select.select((), (self,), ())  # some other program has set the terminal to non-blocking
                return written
            except OSError as error:
                self.error = error
        return length


def _unfailing(stream: TextIO | None, number: int, *, is_closed: bool) -> tuple[_Descriptor | None, TextIO]:
    """Return an unfailing stream with the encoding of another, and its descriptor; None and the other if it has none.

    Args:
        stream: The standard stream; None where Python found its descriptor closed.
        number: The descriptor that it should have.
        is_closed: Whether that was closed.
    """
    encoding, number_found = "utf-8", number
    if stream is not None and os.name == "nt" and stream.isatty() and isinstance(stream, io.TextIOWrapper):
        # Python writes to a console of Windows in UTF-16; bytes in the descriptor would be read by its code page.
        stream.reconfigure(errors=ERRORS)
        return None, stream
    if stream is not None:
        try:
            stream.flush()
            number_found = stream.fileno()
        except (OSError, ValueError):  # a stream without a descriptor, as that of a notebook
            return None, stream
        encoding = stream.encoding
    descriptor = _Descriptor(number_found, is_closed=is_closed)
    text = io.TextIOWrapper(
        io.BufferedWriter(descriptor),
        encoding=encoding,
        errors=ERRORS,
        line_buffering=number == STDERR or descriptor.isatty(),
    )
    return descriptor, text


def _occupy_closed_descriptors() -> set[int]:
    """Open the null device in place of each standard stream that is closed, and return the numbers of those.

    A file that is opened later would be given the number, and get what this process, a library or a child prints there.
    """
    occupied = set[int]()
    while (number := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        os.set_inheritable(number, True)  # the workers print there, too
        occupied.add(number)
    os.close(number)
    return occupied
