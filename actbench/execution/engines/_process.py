"""A worker process as the pool sees it, and the messages between the two (pickled; both ends are this program).

    pool                                       worker
     │  stdin:  (Work, Cohort)  ─────────────▶  │  idle until now
     │  ◀─────────────  stdout: Started         │
     │  ◀─────────────  stdout: BEAT            │  at the first step, then once a second at most
     │  ◀─────────────  stdout: EpochDone …     │  any event
     │  stdin:  STOP  ───────────────────────▶  │  ends after this step
     │  ◀─────────────  stdout: Saved           │
     │  ◀─────────────  stdout: DONE            │  idle again
     │  end of stdin  ───────────────────────▶  │  ends at once, also in the middle of a step
     │  ◀─────────────  end of stdout           │  lost: killed, crashed, or ended

The traceback of a crash or a hang goes to a file that both have open, because the pipes may be full or torn then.

On Linux without a GPU a worker is a fork of a process that has imported torch and is fit to be forked
(``system.fork_server``); elsewhere, and where that process is lost, a program that is started anew. What it does with
signals and descriptors needs POSIX; without it, as on Windows, a worker is in a process group of its own, so that
Ctrl-C does not reach it, and leaves no traceback.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import IO, Any

from actbench.execution.engines import Work
from actbench.execution.engines._held_cohort import HeldCohort
from actbench.schema.runtime import Cohort
from actbench.system.devices import WORKER
from actbench.system.fork_server import Forked, ForkServer
from actbench.system.signals import HAS_POSIX, ending_blocked, signals_here

DONE, BEAT, STOP = "done", "beat", "stop"

PROGRAM, SERVER = "actbench.execution.engines._worker", "actbench.execution.engines._fork_server"
"""The programs of a worker that is started anew, and of the process that forks workers."""

DUMP_TRACEBACK = signals_here("SIGUSR1")
"""The signal that makes a worker write its traceback, also in the middle of a step; none where there is no such one."""

END = 1.0
"""Seconds that a process may take from the end of its output to its own."""

_OWN_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # Windows alone has it, and passes Ctrl-C on otherwise


@dataclass(eq=False)
class Worker(HeldCohort):
    """A process and the cohort that it computes.

    Args:
        process: The process.
        trace_file: The file to which it writes its traceback when it hangs or crashes.
        number: Its number among the pool's workers, from 0; the one that replaces it takes the same.
        limit: Seconds for which it may be silent; 0 for no limit.
        silent: Seconds since the last sign of life; None before the first step of a cohort, because loading data takes
            its time.
        told_to_stop: Whether it has been sent ``STOP``.
        has_begun: Whether a message has come from it.
        is_ready: Whether the process is known to have been started, so that it may be handed a cohort.
    """

    process: subprocess.Popen[bytes] | Forked
    trace_file: IO[bytes]
    number: int
    limit: float = 0.0
    silent: float | None = None
    told_to_stop: bool = False
    has_begun: bool = False
    is_ready: bool = False
    _hung: bool = False
    _unreadable: str = ""

    def hand_over(self, work: Work, cohort: Cohort) -> None:
        """Give an idle worker a cohort. If the process has just ended, its listener is about to report the loss."""
        self.hold(cohort)  # after a loss the rest of the cohort starts from the beginning
        self.limit, self.silent = work.runtime.timeout, None
        self.send((work, cohort))

    def send(self, message: Any) -> None:
        """Write to the worker's input."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # a pipe whose other end is gone: Windows has several errors for it
            pickle.dump(message, self.process.stdin)
            self.process.stdin.flush()

    @property
    def hangs(self) -> bool:
        """Return whether the process has been silent for longer than the limit."""
        return bool(self.limit) and self.silent is not None and self.silent > self.limit

    def kill_with_traceback(self) -> None:
        """Let the worker write its traceback, then kill it."""
        self._hung = True
        for number in DUMP_TRACEBACK:
            self.process.send_signal(number)
            patience = time.monotonic() + 1  # a process that is stopped or waits for a disk never answers
            while not os.fstat(self.trace_file.fileno()).st_size and time.monotonic() < patience:
                time.sleep(0.01)
            time.sleep(0.05)  # the rest of the lines
        self.process.kill()

    def kill_unreadable(self, error: Exception) -> None:
        """Kill a worker of which a message can't be read: where the next one begins is not known."""
        # The end of a worker tears its last message, and has a cause of its own. Its output is closed a moment before
        # it has ended: killed then, it would be taken for one that the system has killed for lack of memory.
        if isinstance(error, EOFError) or "truncated" in str(error):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(END)
        else:
            self._unreadable = f"{type(error).__name__}: {error}"
        self.process.kill()

    def cause_of_loss(self) -> tuple[str, str]:
        """Return why the process ended, in a sentence, and its last traceback if it wrote one."""
        code = self.process.wait()
        self.trace_file.seek(0)
        traceback = self.trace_file.read().decode(errors="replace")
        if self._hung:
            return f"no step was finished for {self.limit:g} s, so the worker process was ended (--timeout)", traceback
        if self._unreadable:
            return f"a message of the worker process can't be read: {self._unreadable}", traceback
        if code is None:  # the process that forked it was killed as well, most likely for the same reason
            how = "ended for an unknown reason"
        else:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        # The kernel's out-of-memory killer sends SIGKILL, and hardly anybody else does.
        remedy = "ask Slurm for more, or try fewer --jobs" if "SLURM_JOB_ID" in os.environ else "try fewer --jobs"
        hint = f"; out of memory? {remedy}" if code is None or -code in signals_here("SIGKILL") else ""
        if not self.has_begun:
            hint += "; it had not even begun: --engine inline computes without worker processes"
        return f"the worker process {how} before it had finished{hint}", traceback

    def close(self) -> None:
        """Wait for the process to end, and close its pipes and its file."""
        self.process.wait()
        self.trace_file.close()
        if isinstance(self.process, Forked):
            self.process.close()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def start(number: int, environment: dict[str, str]) -> Worker:
    """Start a worker; it finds its number in its environment, and its trace file's descriptor as the last argument.

    Raises:
        OSError: When the system allows no more processes or open files.
    """
    trace_file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker, or below
    passed = [trace_file.fileno()] if HAS_POSIX else []
    try:
        with ending_blocked():
            process = subprocess.Popen(
                [sys.executable, "-m", PROGRAM, *map(str, passed)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment | {WORKER: str(number)},
                pass_fds=passed,
                creationflags=_OWN_GROUP,
            )
    except BaseException:
        trace_file.close()
        raise
    return Worker(process, trace_file, number, is_ready=True)


def fork(number: int, server: ForkServer) -> Worker:
    """Ask the server for a worker, which is ready when the server says so.

    Raises:
        OSError: When the server has ended, or the system allows no more open files.
    """
    trace_file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker, or below
    try:
        return Worker(server.fork(number, trace_file.fileno()), trace_file, number)
    except BaseException:
        trace_file.close()
        raise
