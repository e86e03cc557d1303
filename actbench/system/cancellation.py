"""What goes on between two steps of a training: a sign of life to who waits for one, and the end if that was asked for.

Both are matters of the process: a worker has one training at a time, and so has the caller of the inline engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable

INTERVAL = 1.0
"""Seconds between two signs of life, at least."""


class Stopped(Exception):
    """The training was asked to stop, and stands between two steps."""


_asked = False  # a plain flag: it is set inside signal handlers, where a lock could already be held
_sign: Callable[[], None] | None = None
_next_sign = 0.0


def ask() -> None:
    """Let the training of this process stop after the step it is at; safe inside a signal handler."""
    global _asked
    _asked = True


def is_asked() -> bool:
    """Whether it was asked to."""
    return _asked


def forget() -> None:
    """Let trainings go on as if nobody had asked."""
    global _asked
    _asked = False


def report_to(sign: Callable[[], None] | None) -> None:
    """Call ``sign`` between steps from now on, at once and then once an ``INTERVAL`` at most; None for nobody."""
    global _sign, _next_sign
    _sign, _next_sign = sign, 0.0


def between_steps(*, may_stop: bool = True) -> None:
    """Call after every training step and every batch of an evaluation.

    Args:
        may_stop: Whether the training can be taken up again from here.

    Raises:
        Stopped: When it was asked to stop and may.
    """
    global _next_sign
    if _sign is not None:
        now = time.monotonic()
        if now >= _next_sign:
            _next_sign = now + INTERVAL
            _sign()
    if _asked and may_stop:
        raise Stopped
