"""An engine that trains nothing: its workers are times at which cohorts end, and its runs end with prepared records.

So the driver (locks, files, records) is measured alone, with as many workers as one likes. It is handed to a runner
by ``runner.engine``, and is in no list of engines.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from actbench.execution.engines import Work
from actbench.execution.runner import TRAIN
from actbench.schema.cluster import ClusterOptions
from actbench.schema.events import EpochDone, Event, Finished, Started
from actbench.schema.record import RunRecord
from actbench.schema.runtime import Cohort
from benchmarks.scaling import requests

HAND_OUT, BEGIN, ROW, FINISH = "hand out", "begin", "row", "finish"
"""What the driver does, each once a run: find and lock it; open its folder; append an epoch's row; store its result."""

Moment = tuple[float, float, int, int]


@dataclass
class Clock:
    """What the driver took for its events.

    Args:
        wall: Part -> seconds.
        cpu: Part -> seconds of the driver's thread.
        counts: Part -> how many runs it was done for.
        requests: Part -> requests to the file system that read, and that write, where ``requests`` counts them.
    """

    wall: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    counts: Counter[str] = field(default_factory=Counter)
    requests: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    def add(self, part: str, began: Moment, runs: int) -> None:
        """Note that a part, begun at a moment, was done for so many runs."""
        now = self.now()
        self.wall[part] += now[0] - began[0]
        self.cpu[part] += now[1] - began[1]
        self.requests[part][0] += now[2] - began[2]
        self.requests[part][1] += now[3] - began[3]
        self.counts[part] += runs

    @staticmethod
    def now() -> Moment:
        """Return the time, that of this thread, and the requests so far."""
        return time.perf_counter(), time.thread_time(), *requests.counted()


class Emulated:
    """Workers that only wait: a cohort ends so many seconds after it was handed out.

    Attributes:
        template: A record of a real run, with its curve, from which those of all runs are made.
        seconds: How long a cohort takes; 0 to see how fast the driver is.
        clock: What the driver took.
    """

    parallel: ClassVar[bool] = True
    delegates: ClassVar[bool] = False
    options: ClassVar[type[ClusterOptions]] = ClusterOptions
    template: ClassVar[RunRecord]
    seconds: ClassVar[float] = 0.0
    clock: ClassVar[Clock]

    def __init__(self, jobs: int, options: ClusterOptions) -> None:
        self._jobs = jobs

    @classmethod
    def of(cls, template: RunRecord, seconds: float = 0.0) -> type[Emulated]:
        """Return an engine for one measurement."""
        return type("Emulated", (cls,), {"template": template, "seconds": seconds, "clock": Clock()})

    def __enter__(self) -> Self:
        """Start nothing."""
        return self

    def __exit__(self, *_: object) -> None:
        """End nothing."""

    def stop(self) -> None:
        """Never called: a measurement is not interrupted but killed."""

    def execute(self, work: Work, cohorts: Iterable[Cohort]) -> Iterator[Event]:
        """Yield what workers would: a start, a row an epoch spread over the seconds, and the ends of the runs."""
        if work.path != TRAIN:
            return
        waiting, free, clock = iter(cohorts), self._jobs, self.clock
        pause = self.seconds / max(1, len(self.template.curves))
        due: list[tuple[float, int, Iterator[Event]]] = []
        number = 0
        while True:
            while free:
                began = clock.now()
                cohort = next(waiting, None)
                if cohort is None:
                    break
                clock.add(HAND_OUT, began, len(cohort.specs))
                number, free = number + 1, free - 1
                heapq.heappush(due, (time.perf_counter(), number, self._events(cohort)))
            if not due:
                return
            at, own, events = heapq.heappop(due)
            if (wait := at - time.perf_counter()) > 0:
                time.sleep(wait)
            event = next(events)
            part = {Started: BEGIN, EpochDone: ROW, Finished: FINISH}[type(event)]
            runs = 1 if isinstance(event, Finished) else len(event.cohort.specs)  # type: ignore[union-attr]
            began = clock.now()
            yield event  # the runner stores it before it asks for the next one
            clock.add(part, began, runs)
            if not isinstance(event, Finished):
                is_last = isinstance(event, EpochDone) and event.rows[0] is self.template.curves[-1]
                heapq.heappush(due, (at if is_last else at + pause, own, events))
                continue
            for event in events:
                began = clock.now()
                yield event
                clock.add(FINISH, began, 1)
            free += 1

    def _events(self, cohort: Cohort) -> Iterator[Event]:
        yield Started(cohort)
        for row in self.template.curves:
            yield EpochDone(cohort, [row] * len(cohort.specs))
        for spec in cohort.specs:
            yield Finished(replace(self.template, spec=spec))
