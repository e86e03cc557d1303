"""Between two steps of a training: stop if that was requested, and send a heartbeat to the process that waits for one.

Both are kept once a process: a worker has one training at a time, and so has the caller of the inline engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable

HEARTBEAT_SECONDS = 1.0
"""Least time between two heartbeats."""


class Stopped(Exception):
    """The training was requested to stop, and stands between two steps."""


_requested = False  # a plain flag: it is set inside signal handlers, where a lock could already be held
_heartbeat: Callable[[], None] | None = None
_next_heartbeat = 0.0


def request_stop() -> None:
    """Let the training of this process stop after the step that it is at; safe inside a signal handler."""
    global _requested
    _requested = True


def stop_requested() -> bool:
    """Return whether the training of this process was requested to stop."""
    return _requested


def reset() -> None:
    """Withdraw the request, so that later trainings go on."""
    global _requested
    _requested = False


def send_heartbeats(heartbeat: Callable[[], None] | None) -> None:
    """Call ``heartbeat`` between steps from now on, at once, then once in ``HEARTBEAT_SECONDS``; None: never."""
    global _heartbeat, _next_heartbeat
    _heartbeat, _next_heartbeat = heartbeat, 0.0


def between_steps(*, may_stop: bool = True) -> None:
    """Send a heartbeat if one is due, and stop if requested; called after each training step and evaluated batch.

    Args:
        may_stop: Whether the training can be resumed from here.

    Raises:
        Stopped: When the training was requested to stop and may.
    """
    global _next_heartbeat
    if _heartbeat is not None:
        now = time.monotonic()
        if now >= _next_heartbeat:
            _next_heartbeat = now + HEARTBEAT_SECONDS
            _heartbeat()
    if _requested and may_stop:
        raise Stopped
