"""Handle Ctrl-C and SIGTERM while a study runs: the first ends it in order, the second at once."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer

from actbench.system.command_line import command_text

SIGNALS = (signal.SIGINT, signal.SIGTERM)

GRACE = 0.5
"""A second signal within so many seconds of the first is the same one: it reached the process both by itself and with
its group, as from ``timeout`` or a wrapper that passes Ctrl-C on."""

ASKED = "stopping after this step; once more to stop at once"


class Interruption:
    """The state of an interruption, and its signal handler.

    Attributes:
        asked: Whether a signal came, and the cohorts in training were asked to save themselves.
    """

    def __init__(self) -> None:
        self.asked = False
        self._at = 0.0
        self._stop: Callable[[], None] | None = None
        self._say: Callable[[str], None] = _to_stderr

    @contextmanager
    def orderly(self, stop: Callable[[], None], say: Callable[[str], None]) -> Iterator[None]:
        """While the context lasts, let the first signal call ``stop`` and report by ``say``."""
        self._stop, self._say = stop, say
        try:
            yield
        finally:
            self._stop = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal.

        Raises:
            KeyboardInterrupt: For the second signal, or while nothing is in training: all ends at once.
        """
        if self.asked and time.monotonic() - self._at < GRACE:
            return  # the same signal by its second way
        if self.asked or self._stop is None:
            raise KeyboardInterrupt
        self.asked, self._at = True, time.monotonic()
        self._stop()
        # In a thread, because the signal may have interrupted a write to the same stream, whose lock is held.
        threading.Thread(target=self._say, args=(ASKED,), daemon=True).start()


@contextmanager
def interruption() -> Iterator[Interruption]:
    """Handle the signals while the context lasts; when all ends at once, print the command that goes on.

    Raises:
        typer.Exit: With code 130, when interrupted at once.
    """
    found = Interruption()
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():  # Python allows handlers in no other
        before = {number: signal.signal(number, found.handle) for number in SIGNALS}
    try:
        yield found
    except KeyboardInterrupt:
        _to_stderr(f"interrupted; what is finished is kept. {how_to_go_on()}")
        raise typer.Exit(130) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def how_to_go_on() -> str:
    """Spell the command that was given, without ``--force``, which would begin anew."""
    return f"To go on:\n  {command_text(word for word in sys.argv[1:] if word != '--force')}"


def _to_stderr(text: str) -> None:
    typer.echo(text, err=True)
