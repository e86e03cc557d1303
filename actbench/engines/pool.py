"""Worker processes of one thread each, on this machine.

One thread a worker, because the barriers between the threads of small kernels cost more than a second thread gains, and
on a busy machine ten times more. A worker is a fresh interpreter that reads cohorts from its standard input and writes
events to its standard output (pickled; both ends are this program). Unlike ``multiprocessing``'s spawn it does not
import the caller's ``__main__``, so that ``actbench.run`` works from a notebook or a script without a guard; and an
end of file on its output tells exactly which cohort was lost with it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Self

from actbench.devices import WORKER
from actbench.engines import Work
from actbench.errors import WorkerLostError
from actbench.record import Event, Failed
from actbench.spec import Cohort

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Read by the numerical libraries when they load, so they are set before the worker starts."""

ALLOCATOR = {
    "hugetlb": "1",
    "mmap_threshold": str(2**30),
    "trim_threshold": str(2**32),
}
"""glibc's settings for a worker: memory in huge pages, and kept for the next step instead of given back and faulted in
again. Products into memory of 4 KB pages took half as long again (weight gradient 784 × 256: 620 against 394 µs)."""

DONE, LOST = "done", "lost"


@dataclass(eq=False)
class _Worker:
    """A process, and the cohort it is at."""

    process: subprocess.Popen[bytes]
    cohort: Cohort | None = None

    def send(self, work: Work, cohort: Cohort) -> None:
        """Hand over a cohort. If the process has just ended, its reader is about to report the loss."""
        self.cohort = cohort
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            pickle.dump((work, cohort), self.process.stdin)
            self.process.stdin.flush()

    def loss(self) -> str:
        """Why the process ended, in words."""
        code = self.process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        hint = "; out of memory? try fewer --jobs" if code == -9 else ""
        return f"the worker process {how} before it had finished{hint}"


class Pool:
    """``jobs`` workers, started when the pool is entered and kept until it is left."""

    parallel: ClassVar[bool] = True

    def __init__(self, jobs: int) -> None:
        """Nothing runs yet."""
        self._jobs = jobs
        self._started = 0
        self._workers: list[_Worker] = []
        self._inbox: queue.SimpleQueue[tuple[_Worker, Event | str]] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        """Start the workers; they import torch while the caller goes on."""
        for _ in range(self._jobs):
            self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every worker and wait for it: none is left behind."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            _close(worker.process)
        self._workers.clear()

    def execute(self, work: Work, cohorts: Iterable[Cohort]) -> Iterator[Event]:
        """Events as they come; cohorts are handed out in their order, each to the next free worker.

        Raises:
            WorkerLostError: When no worker is left, because each ended while it had nothing to do.
        """
        waiting = iter(cohorts)
        while True:
            for worker in self._workers:
                if worker.cohort is None and (cohort := next(waiting, None)) is not None:
                    worker.send(work, cohort)
            if all(worker.cohort is None for worker in self._workers):
                return
            worker, message = self._inbox.get()
            if message == LOST:
                yield from self._replace(worker)
            elif message == DONE:
                worker.cohort = None
            elif not isinstance(message, str):
                yield message

    def _replace(self, worker: _Worker) -> Iterator[Event]:
        """Report what was lost with a worker, and start another in its place; an idle one is not replaced.

        One that can't even start would be replaced for ever; one at work costs its cohort, so that comes to an end.
        """
        self._workers.remove(worker)
        reason = worker.loss()
        _close(worker.process)
        if worker.cohort is not None:
            self._start()
            yield Failed(worker.cohort, reason, "")
        elif not self._workers:
            raise WorkerLostError(reason)

    def _start(self) -> None:
        environment = os.environ | dict.fromkeys(THREADS, "1") | _allocator()
        environment |= {"PYTHONPATH": os.pathsep.join(sys.path), WORKER: str(self._started)}
        self._started += 1
        command = [sys.executable, "-m", "actbench.engines._worker"]
        with _deaf_to_ctrl_c():
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        worker = _Worker(process)
        self._workers.append(worker)
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()

    def _listen(self, worker: _Worker) -> None:
        """Pass on what a worker says until it ends; a message torn by its end is lost with it."""
        assert worker.process.stdout is not None
        try:
            while True:
                self._inbox.put((worker, pickle.load(worker.process.stdout)))
        except (EOFError, pickle.UnpicklingError, OSError, ValueError):
            self._inbox.put((worker, LOST))


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """A process started meanwhile ignores Ctrl-C from its first instruction: the parent decides what it means."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _allocator() -> dict[str, str]:
    """Other C libraries than glibc pass over the variable; what the user has set in it comes last and wins."""
    settings = ":".join(f"glibc.malloc.{name}={value}" for name, value in ALLOCATOR.items())
    own = os.environ.get("GLIBC_TUNABLES")
    return {"GLIBC_TUNABLES": f"{settings}:{own}" if own else settings}


def _close(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


plugin = Pool
