"""Signals by name, as far as this system has them: Windows lacks most."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


def signals_here(*names: str) -> tuple[signal.Signals, ...]:
    """Return those of the named signals that this system has.

    >>> signals_here("SIGINT", "SIGNOTHING")
    (<Signals.SIGINT: 2>,)
    """
    return tuple(signal.Signals[name] for name in names if hasattr(signal, name))


ENDING = signals_here("SIGINT", "SIGTERM", "SIGHUP")
"""Signals that ask a command to end: Ctrl-C, ``kill``, the end of the terminal. They may reach a whole group."""

HAS_POSIX = hasattr(signal, "pthread_sigmask")
"""Whether signals can be blocked, and a child keep a descriptor that is open."""


@contextlib.contextmanager
def ending_blocked() -> Iterator[None]:
    """While the context lasts, block the signals that a worker ignores, where that is possible.

    Ctrl-C may come before a new process has told Python to ignore it. So it is born with the signals blocked, which a
    child inherits; the worker ignores them first and unblocks them then.
    """
    if not HAS_POSIX:
        yield
        return
    blocked_before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked_before)
