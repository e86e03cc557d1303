"""Signals by name, as far as this system has them: Windows lacks most."""

from __future__ import annotations

import signal


def signals_here(*names: str) -> tuple[signal.Signals, ...]:
    """Return those of the named signals that this system has.

    >>> signals_here("SIGINT", "SIGNOTHING")
    (<Signals.SIGINT: 2>,)
    """
    return tuple(signal.Signals[name] for name in names if hasattr(signal, name))


ENDING = signals_here("SIGINT", "SIGTERM", "SIGHUP")
"""Signals that ask a command to end: Ctrl-C, ``kill``, the end of the terminal. They may reach a whole group."""
