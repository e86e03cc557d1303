"""A worker process as the pool sees it: what it is at, how long it has been silent, and why it ended."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from typing import IO, Any

from actbench.execution.engines import Work
from actbench.schema.events import Event, Failed, Finished
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec
from actbench.system.devices import WORKER


@dataclass(eq=False)
class Worker:
    """A process, and the cohort it is at.

    Args:
        process: It.
        place: The file that it writes to where it hangs or has crashed.
        number: Which of the pool's workers it is, counted from 0; the one that replaces it takes the same.
        cohort: What it is at; None while it is idle.
        limit: Seconds that it may be silent for; 0 for no limit.
        silent: Seconds since it was last heard of; None until its first step, for loading data takes its time.
        told: Whether it has been told to stop.
    """

    process: subprocess.Popen[bytes]
    place: IO[bytes]
    number: int
    cohort: Cohort | None = None
    limit: float = 0.0
    silent: float | None = None
    told: bool = False
    _ended: set[str] = field(default_factory=set)
    _hung: bool = False

    def begin(self, work: Work, cohort: Cohort) -> None:
        """Hand over a cohort. If the process has just ended, its reader is about to report the loss."""
        self.cohort, self.limit, self.silent = Cohort(cohort.specs), work.runtime.timeout, None
        self._ended.clear()
        self.say((work, cohort))

    def say(self, message: Any) -> None:
        """Write to its input."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            pickle.dump(message, self.process.stdin)
            self.process.stdin.flush()

    def note(self, event: Event) -> None:
        """Remember which runs have ended."""
        if isinstance(event, Finished):
            self._ended.add(event.record.spec.digest)
        elif isinstance(event, Failed):
            self._ended |= {spec.digest for spec in event.cohort.specs}

    @property
    def left(self) -> tuple[RunSpec, ...]:
        """Its runs that have not ended."""
        return () if self.cohort is None else tuple(s for s in self.cohort.specs if s.digest not in self._ended)

    @property
    def hangs(self) -> bool:
        """Whether it has been silent for longer than it may."""
        return bool(self.limit) and self.silent is not None and self.silent > self.limit

    def end_where_it_hangs(self, signal: int) -> None:
        """Let it write where it is, which ``signal`` makes it do whatever it is at, and kill it."""
        self._hung = True
        self.process.send_signal(signal)
        patience = time.monotonic() + 1
        while not os.fstat(self.place.fileno()).st_size and time.monotonic() < patience:
            time.sleep(0.01)
        time.sleep(0.05)  # the rest of the lines
        self.process.kill()

    def loss(self) -> tuple[str, str]:
        """Why the process ended, in words, and where it was, if that is known."""
        code = self.process.wait()
        self.place.seek(0)
        where = self.place.read().decode(errors="replace")
        if self._hung:
            return f"no step was finished for {self.limit:g} s, so the worker process was ended (--timeout)", where
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        hint = "; out of memory? try fewer --jobs" if code == -9 else ""
        return f"the worker process {how} before it had finished{hint}", where

    def close(self) -> None:
        """Wait for its end and let go of all that belongs to it."""
        self.process.wait()
        self.place.close()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def start(command: list[str], number: int, environment: dict[str, str]) -> Worker:
    """Start a process that finds its number in its environment and the descriptor of its place as the last argument."""
    place = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
    process = subprocess.Popen(
        [*command, str(place.fileno())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment | {WORKER: str(number)},
        pass_fds=[place.fileno()],
    )
    return Worker(process, place, number)
