"""Ctrl-C and SIGTERM while a study runs: the first ends it in order, the second at once."""

from __future__ import annotations

import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import typer

SIGNALS = (signal.SIGINT, signal.SIGTERM)

GRACE = 0.5
"""A second signal within so many seconds of the first is the same one: it reached the process both by itself and with
its group, as from ``timeout`` or a wrapper that passes Ctrl-C on."""

ASKED = "stopping after this step; once more to stop at once"


class Interruption:
    """Waits for a signal.

    Attributes:
        asked: Whether there was one, and the runs at work were asked to save.
    """

    def __init__(self) -> None:
        """Nothing has come."""
        self.asked = False
        self._at = 0.0
        self._stop: Callable[[], None] | None = None
        self._say: Callable[[str], None] = _to_stderr

    @contextmanager
    def orderly(self, stop: Callable[[], None], say: Callable[[str], None]) -> Iterator[None]:
        """While the context lasts, the first signal calls ``stop`` and shows by ``say`` what happens."""
        self._stop, self._say = stop, say
        try:
            yield
        finally:
            self._stop = None

    def heed(self, number: int, frame: FrameType | None) -> None:
        """The signals' handler.

        Raises:
            KeyboardInterrupt: When all should end at once.
        """
        if self.asked and time.monotonic() - self._at < GRACE:
            return
        if self.asked or self._stop is None:
            raise KeyboardInterrupt
        self.asked, self._at = True, time.monotonic()
        self._stop()
        # In a thread, since whatever was interrupted may be in the middle of writing to the same stream.
        threading.Thread(target=self._say, args=(ASKED,), daemon=True).start()


@contextmanager
def interruption() -> Iterator[Interruption]:
    """Handle the signals while the context lasts; what ends at once says how to go on.

    Raises:
        typer.Exit: With code 130, when interrupted at once.
    """
    found = Interruption()
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():  # Python allows handlers in no other
        before = {number: signal.signal(number, found.heed) for number in SIGNALS}
    try:
        yield found
    except KeyboardInterrupt:
        _to_stderr(f"interrupted; what is finished is kept. {how_to_go_on()}")
        raise typer.Exit(130) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def how_to_go_on() -> str:
    """The command that was given, without ``--force``, which would begin anew."""
    return f"To go on:\n  {shlex.join([*_program(), *(word for word in sys.argv[1:] if word != '--force')])}"


def _program() -> list[str]:
    """The words by which this program was called, as short as they may be to find it again."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return [_found(Path(sys.executable)), "-m", "actbench"]
    return [_found(called)]


def _found(program: Path) -> str:
    """The bare name of a program that is found by it, else its path."""
    found = shutil.which(program.name)
    same = found is not None and program.exists() and Path(found).samefile(program)
    return program.name if same and Path(found or "").parent == program.parent else str(program)


def _to_stderr(text: str) -> None:
    typer.echo(text, err=True)
