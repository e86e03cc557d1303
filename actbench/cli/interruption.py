"""Handle Ctrl-C, SIGTERM and SIGHUP while a study runs: the first signal ends it in order, the second at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import typer

from actbench.cli.output import print_note
from actbench.system.command_line import command_text
from actbench.system.signals import ENDING, signals_here

HANGUP = signals_here("SIGHUP")
"""The signal of the end of the terminal; none where the system has no such signal."""

GRACE = 0.5
"""A second signal within so many seconds of the first is the same one: it reached the process both by itself and with
its group, as from ``timeout`` or a wrapper that passes Ctrl-C on."""

ASKED = "stopping after this step; once more to stop at once"


FORCE_VARIABLE, RETRY_VARIABLE = "ACTBENCH_RUN_FORCE", "ACTBENCH_RUN_RETRY"
"""The variables in place of ``--force`` and ``--retry``; they also hold for the command that goes on."""

SHARD_VARIABLE = "ACTBENCH_RUN_SHARD"
"""The variable in place of ``--shard``. The command that goes on names the shard, since it is read in the log of a job
and given in another shell."""

OFF = ("", "0", "false", "f", "no", "n", "off")
"""Values of a flag's variable that leave the flag off."""


class Interruption:
    """The state of an interruption, and its signal handler.

    Attributes:
        asked: Whether a signal came, and the cohorts in training were asked to save themselves.
        exit_code: By convention 128 and the number of the signal: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.
    """

    def __init__(self) -> None:
        self.asked = False
        self.exit_code = 128 + signal.SIGINT
        self._at = 0.0
        self._stop: Callable[[], None] | None = None
        self._say: Callable[[str], None] = print_note

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
        if number in HANGUP and self.asked:
            return  # the system, the shell and the session each send one, and nobody is there to be impatient
        if self.asked and time.monotonic() - self._at < GRACE:
            return  # the same signal by its second way
        self.exit_code = 128 + number
        if self.asked or self._stop is None:
            raise KeyboardInterrupt
        self.asked, self._at = True, time.monotonic()
        self._stop()
        # In a thread, because the signal may have interrupted a write to the same stream, whose lock is held.
        with suppress(RuntimeError):  # no more threads: the end of the command reports it as well
            threading.Thread(target=self._say, args=(ASKED,), daemon=True).start()


@contextmanager
def interruption(*, at_hangup: bool = True) -> Iterator[Interruption]:
    """Handle the signals while the context lasts; when all ends at once, print the command that goes on.

    SIGHUP stays ignored where it was, as by ``nohup``.

    Args:
        at_hangup: Whether the end of the terminal ends what is under way in order. Else it ends this process alone.

    Raises:
        typer.Exit: With the exit code of the signal, when interrupted at once.
    """
    found = Interruption()
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():  # Python allows handlers in no other
        handled = [
            one for one in ENDING if one not in HANGUP or (at_hangup and signal.getsignal(one) != signal.SIG_IGN)
        ]
        before = {number: signal.signal(number, found.handle) for number in handled}
    try:
        yield found
    except KeyboardInterrupt:
        print_note(f"interrupted; what is finished is kept. {how_to_go_on()}")
        raise typer.Exit(found.exit_code) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def how_to_go_on() -> str:
    """Spell the command that goes on: the one that was given, without what would train anew what has just finished.

    That is ``--force``, and ``--retry all`` for runs that have collapsed or diverged again. Earlier results that had
    not been replaced yet are then kept, so a sentence says what was left out.
    """
    kept, left_out = _without_repeats(sys.argv[1:])
    if "--retry" not in kept and os.environ.get(RETRY_VARIABLE) == "all":
        kept += ["--retry", "failed"]
    if (shard := os.environ.get(SHARD_VARIABLE)) and not any(word.partition("=")[0] == "--shard" for word in kept):
        kept += ["--shard", shard]
    lines = [f"To go on:\n  {command_text(kept)}"]
    if left_out:
        options = " and ".join(left_out)
        lines.append(
            f"Without {options}, which would also train again what has just finished; earlier results that were not "
            "replaced yet stay."
        )
    if os.environ.get(FORCE_VARIABLE, "").lower() not in OFF:
        lines.append(f"First unset {FORCE_VARIABLE}, which would train all of it anew.")
    return "\n".join(lines)


def _without_repeats(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return a command's words without ``--force`` and ``--retry all``, and those of them that were there."""
    kept: list[str] = []
    left_out: dict[str, None] = {}
    rest = iter(words)
    for word in rest:
        if word == "--force":
            left_out["--force"] = None
        elif word.partition("=")[0] == "--retry":
            value = word.partition("=")[2] if "=" in word else next(rest, "")
            if value == "all":
                left_out["--retry all"] = None
            else:
                kept += ["--retry", value]
        else:
            kept.append(word)
    return kept, list(left_out)
