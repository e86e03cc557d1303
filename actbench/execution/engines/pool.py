"""Worker processes of one thread each, on this machine.

One thread a worker, because the barriers between the threads of small kernels cost more than a second thread gains, and
on a busy machine ten times more. A worker is a fresh interpreter that reads cohorts from its standard input and writes
events to its standard output (pickled; both ends are this program). Unlike ``multiprocessing``'s spawn it does not
import the caller's ``__main__``, so that ``actbench.run`` works from a notebook or a script without a guard; and an
end of file on its output tells exactly which cohort was lost with it.

A worker that is lost, or hangs and is ended, does not cost its whole cohort: what had not ended is halved and tried
again, until the run that did it is alone.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import ClassVar, Self

from actbench.errors import WorkerLostError
from actbench.execution.engines import Work
from actbench.execution.engines._process import Worker, start
from actbench.schema.events import Event, Failed
from actbench.schema.runtime import Cohort

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Read by the numerical libraries when they load, so they are set before the worker starts."""

ALLOCATOR = {
    "hugetlb": "1",
    "mmap_threshold": str(2**30),
    "trim_threshold": str(2**32),
}
"""glibc's settings for a worker: memory in huge pages, and kept for the next step instead of given back and faulted in
again. Products into memory of 4 KB pages took half as long again (weight gradient 784 × 256: 620 against 394 µs)."""

DONE, LOST, BEAT, STOP, WAKE = "done", "lost", "beat", "stop", "wake"
"""Between the pool and its workers, and between the pool's own threads."""

TO_THE_PARENT = (signal.SIGINT, signal.SIGTERM)
"""Signals that a whole group may get and that only the parent heeds."""

TELL_WHERE = signal.SIGUSR1
"""Makes a worker write where it is, whatever it is at."""

TICK = 1.0
"""Seconds between two looks at the workers. What passes beyond it is not counted as their silence: then this process
stood still itself (stopped by Ctrl-Z, a machine asleep), and they most likely with it."""


class Pool:
    """``jobs`` workers, started when the pool is entered and kept until it is left."""

    parallel: ClassVar[bool] = True

    def __init__(self, jobs: int) -> None:
        """Nothing runs yet."""
        self._jobs = jobs
        self._workers: list[Worker] = []
        self._inbox: queue.SimpleQueue[tuple[Worker | None, Event | str]] = queue.SimpleQueue()
        self._again: deque[Cohort] = deque()
        self._stopping = False
        self._looked = time.monotonic()

    def __enter__(self) -> Self:
        """Start the workers; they import torch while the caller goes on."""
        for number in range(self._jobs):
            self._start(number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every worker and wait for it: none is left behind."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.close()
        self._workers.clear()

    def stop(self) -> None:
        """Hand out nothing more and let those at work save; safe inside a signal handler, as this queue is."""
        self._stopping = True
        self._inbox.put((None, WAKE))

    def execute(self, work: Work, cohorts: Iterable[Cohort]) -> Iterator[Event]:
        """Events as they come; cohorts are handed out in their order, each to the next free worker.

        Raises:
            WorkerLostError: When no worker is left, because each ended while it had nothing to do.
        """
        waiting = iter(cohorts)
        while True:
            self._hand_out(work, waiting)
            if all(worker.cohort is None for worker in self._workers):
                return
            worker, message = self._next()
            if worker is None:
                continue
            if message == LOST:
                yield from self._replace(worker)
            elif message == DONE:
                worker.cohort = None
            elif not isinstance(message, str):
                worker.note(message)
                yield message

    def _hand_out(self, work: Work, waiting: Iterator[Cohort]) -> None:
        """Give every idle worker a cohort; when stopping, tell those at work."""
        for worker in self._workers:
            if self._stopping:
                if worker.cohort is not None and not worker.told:
                    worker.told = True
                    worker.say(STOP)
            elif worker.cohort is None:
                cohort = self._again.popleft() if self._again else next(waiting, None)
                if cohort is not None:
                    worker.begin(work, cohort)

    def _next(self) -> tuple[Worker | None, Event | str]:
        """The next message, if one comes within a tick; meanwhile the silence of those at work is counted."""
        try:
            worker, message = self._inbox.get(timeout=TICK)
        except queue.Empty:
            worker, message = None, WAKE
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, TICK), now
        for other in self._workers:
            if other.silent is not None:
                other.silent += passed
        if worker is not None and (message == BEAT or worker.silent is not None):
            worker.silent = 0.0
        for other in self._workers:
            if other.cohort is not None and other.hangs:
                other.silent = None  # once is enough: its end is reported as any loss is
                other.end_where_it_hangs(TELL_WHERE)
        return worker, message

    def _replace(self, worker: Worker) -> Iterator[Event]:
        """Report or try again what was lost with a worker, and start another in its place; an idle one is not replaced.

        One that can't even start would be replaced for ever; one at work costs a half of its cohort, so that comes to
        an end.
        """
        self._workers.remove(worker)
        reason, where = worker.loss()
        worker.close()
        if worker.cohort is None:
            if not self._workers:
                raise WorkerLostError(reason)
            return
        if not self._stopping:
            self._start(worker.number)  # which GPU it computes on goes by its number
        if len(worker.left) > 1:
            self._again.extend(Cohort(worker.left).halves())
        elif worker.left:
            yield Failed(Cohort(worker.left), reason, where)

    def _start(self, number: int) -> None:
        environment = os.environ | dict.fromkeys(THREADS, "1") | _allocator()
        environment |= {"PYTHONPATH": os.pathsep.join(sys.path)}
        with _held_back():
            worker = start([sys.executable, "-m", "actbench.execution.engines._worker"], number, environment)
        self._workers.append(worker)
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()

    def _listen(self, worker: Worker) -> None:
        """Pass on what a worker says until it ends; a message torn by its end is lost with it."""
        assert worker.process.stdout is not None
        try:
            while True:
                self._inbox.put((worker, pickle.load(worker.process.stdout)))
        except (EOFError, pickle.UnpicklingError, OSError, ValueError):
            self._inbox.put((worker, LOST))


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """A process started meanwhile is born with the parent's signals blocked, until it has said that it ignores them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TO_THE_PARENT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _allocator() -> dict[str, str]:
    """Other C libraries than glibc pass over the variable; what the user has set in it comes last and wins."""
    settings = ":".join(f"glibc.malloc.{name}={value}" for name, value in ALLOCATOR.items())
    own = os.environ.get("GLIBC_TUNABLES")
    return {"GLIBC_TUNABLES": f"{settings}:{own}" if own else settings}


plugin = Pool
