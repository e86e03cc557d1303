"""Worker processes of one thread each, on this machine.

One thread a worker, because the barriers between the threads of small kernels cost more than a second thread gains, and
on a busy machine ten times more. A worker reads cohorts from its standard input and writes events to its standard
output (drawn in ``_process``). Unlike one of ``multiprocessing`` it shares nothing with the caller: not its
``__main__``, so that ``actbench.run`` works from a notebook or a script without a guard, and not its threads. The end
of its output identifies exactly the cohort that was lost with it.

A worker that is lost, or hangs and is killed, does not cost its whole cohort: the runs that had not ended are halved
and tried again, until the run that did it is alone.
"""

from __future__ import annotations

import pickle
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import ClassVar, Self

from actbench.errors import UsageError, WorkerLostError
from actbench.execution.engines import ThisMachine, Work
from actbench.execution.engines._process import BEAT, DONE, SERVER, STOP, Worker, fork, start
from actbench.schema.cluster import ClusterOptions
from actbench.schema.events import Event, Failed
from actbench.schema.runtime import Cohort
from actbench.system import fork_server
from actbench.system.fork_server import Forked, ForkServer
from actbench.system.worker_environment import worker_environment

LOST, WAKE, READY, UNSTARTED = "lost", "wake", "ready", "unstarted"
"""In the inbox besides the workers' messages: a worker's output ended; ``stop`` was called; a worker was forked, or
could not be."""

TICK = 1.0
"""Seconds between two looks at the workers."""


class Pool(ThisMachine):
    """``jobs`` workers, started when the pool is entered and kept until it is left.

    Args:
        jobs: Their number.
        options: Empty: there is no cluster.
        may_fork: Whether workers may be forks of a process that has imported torch, which pays for more than one.
        environment: Variables of the workers besides those that every worker has.
    """

    parallel: ClassVar[bool] = True
    delegates: ClassVar[bool] = False
    options: ClassVar[type[ClusterOptions]] = ClusterOptions

    def __init__(
        self,
        jobs: int,
        options: ClusterOptions,
        *,
        may_fork: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._jobs, self._may_fork, self._environment = jobs, may_fork, environment or {}
        self._workers: list[Worker] = []
        self._server: ForkServer | None = None
        self._inbox: queue.SimpleQueue[tuple[Worker | None, Event | str]] = queue.SimpleQueue()
        self._again: deque[Cohort] = deque()
        self._stopping = False
        self._last_look = time.monotonic()

    def __enter__(self) -> Self:
        """Start the workers, or the process that forks them; torch is imported while the caller goes on.

        Raises:
            UsageError: When the system allows no more processes, threads or open files.
        """
        try:
            if self._may_fork and fork_server.can_fork():
                with suppress(OSError):  # the workers are started instead, or it is said why they can't be
                    self._server = fork_server.take(SERVER)
            for number in range(self._jobs):
                self._start(number)
        except BaseException:
            self._end_workers()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill every worker and wait for its end."""
        self._end_workers()

    def _end_workers(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.close()
        if self._server is not None:
            # A fork that the server has not reported yet ends with its input, which has just been closed.
            fork_server.give_back(self._server, is_idle=all(worker.is_ready for worker in self._workers))
            self._server = None
        self._workers.clear()

    def stop(self) -> None:
        """Hand out nothing more and let those at work save; safe inside a signal handler, as this queue is."""
        self._stopping = True
        self._inbox.put((None, WAKE))

    def execute(self, work: Work, cohorts: Iterable[Cohort]) -> Iterator[Event]:
        """Yield events as they come; cohorts are handed out in their order, each to the next free worker.

        Raises:
            WorkerLostError: When no worker is left, because each ended while it had nothing to do.
            UsageError: When the system does not allow another worker in the place of a lost one.
        """
        waiting, work = iter(cohorts), work.for_worker()
        while True:
            for worker in self._workers:
                if self._stopping:
                    if worker.cohort is not None and not worker.told_to_stop:
                        worker.told_to_stop = True
                        worker.send(STOP)
                elif worker.cohort is None and worker.is_ready:
                    # Taken only now, since a cohort that has been taken is locked against other processes.
                    cohort = self._again.popleft() if self._again else next(waiting, None)
                    if cohort is not None:
                        worker.hand_over(work, cohort)
            is_starting = not self._stopping and not all(worker.is_ready for worker in self._workers)
            if not is_starting and all(worker.cohort is None for worker in self._workers):
                return
            yield from self._answered(*self._next())

    def _answered(self, sender: Worker | None, message: Event | str) -> Iterator[Event]:
        """Do what a message asks for, and yield it if it is an event."""
        if sender is None:
            return
        if message == LOST:
            yield from self._replace(sender)
        elif message == READY:
            sender.is_ready = True
        elif message == UNSTARTED:
            self._workers.remove(sender)
            sender.close()
            self._start(sender.number, may_fork=False)
        elif message == DONE:
            sender.cohort = None
        elif not isinstance(message, str):
            sender.note_ended(message)
            yield message

    def _next(self) -> tuple[Worker | None, Event | str]:
        """Return the next message, or none after a tick; count the silence of the workers, and kill those that hang."""
        try:
            sender, message = self._inbox.get(timeout=TICK)
        except queue.Empty:
            sender, message = None, WAKE
        # Silence is counted in ticks, not read off a clock: if more than a tick has passed, this process stood still
        # itself (Ctrl-Z, a machine asleep), and the workers most likely with it. That is not their silence.
        now = time.monotonic()
        passed, self._last_look = min(now - self._last_look, TICK), now
        for worker in self._workers:
            if worker.silent is not None:
                worker.silent += passed
        if sender is not None and message not in (LOST, READY, UNSTARTED):
            sender.has_begun = True
        # The first beat starts the count, any message afterwards restarts it.
        if sender is not None and (message == BEAT or sender.silent is not None):
            sender.silent = 0.0
        for worker in self._workers:
            if worker.cohort is not None and worker.hangs:
                worker.silent = None  # killed once; its end is reported as any other loss
                worker.kill_with_traceback()
        return sender, message

    def _replace(self, worker: Worker) -> Iterator[Event]:
        """Start another worker in place of a lost one, and try its unfinished runs again in halves.

        A single run is not tried again: it fails, with the reason. So a run that kills its worker costs at most log₂ of
        its cohort in workers. An idle worker is not replaced, because one that can't even start would be replaced for
        ever.
        """
        self._workers.remove(worker)
        reason, traceback = worker.cause_of_loss()
        worker.close()
        if worker.cohort is None:
            if not self._workers:
                raise WorkerLostError(reason)
            return
        if not self._stopping:
            self._start(worker.number)  # the number decides on which GPU it computes
        if len(worker.unfinished) > 1:
            self._again.extend(Cohort(worker.unfinished).halves())
        elif worker.unfinished:
            yield Failed(Cohort(worker.unfinished), reason, traceback)

    def _start(self, number: int, *, may_fork: bool = True) -> None:
        try:
            worker = self._forked(number) if may_fork else None
            if worker is None:
                worker = start(number, {**worker_environment(), **self._environment})
            self._workers.append(worker)
            threading.Thread(target=self._listen, args=(worker,), daemon=True).start()
        except (OSError, RuntimeError) as error:  # RuntimeError: no more threads
            raise UsageError(
                f"can't start worker {number + 1} of {self._jobs}: {getattr(error, 'strerror', None) or error}; raise "
                "the limits of this user (ulimit -n for files, -u for processes and threads), or take fewer --jobs"
            ) from error

    def _forked(self, number: int) -> Worker | None:
        """Ask for a fork; None where nothing forks, or no more."""
        if self._server is not None:
            with suppress(OSError):
                return fork(number, self._server)
        return None

    def _listen(self, worker: Worker) -> None:
        """Put a worker's messages into the inbox until its output ends; a message torn by its end is lost with it.

        Whatever goes wrong, the loss is reported: the pool would wait for ever for a worker that nobody listens to.
        """
        assert worker.process.stdout is not None
        if not worker.is_ready:
            started = isinstance(worker.process, Forked) and worker.process.await_start()
            self._inbox.put((worker, READY if started else UNSTARTED))
            if not started:
                return
        try:
            while True:
                self._inbox.put((worker, pickle.load(worker.process.stdout)))
        except Exception as error:
            worker.kill_unreadable(error)
            self._inbox.put((worker, LOST))


plugin = Pool
