"""Work for engines that trains nothing, found by workers under this module's name."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

from processes import kill_this_process

from actbench.schema.events import EpochDone, Event, Saved, Started
from actbench.schema.runtime import Cohort, Runtime
from actbench.system import cancellation
from actbench.system.devices import WORKER


def echo(cohort: Cohort, runtime: Runtime) -> Iterator[Event]:
    """Work that trains nothing: says that it began, and one row with the process that it ran in."""
    print("whatever a user's code prints must not get between the events")
    yield Started(cohort)
    yield EpochDone(cohort, [{"epoch": 0, "process": os.getpid(), "threads": os.environ.get("OMP_NUM_THREADS")}])


def tells_its_number(cohort: Cohort, runtime: Runtime) -> Iterator[Event]:
    """Two at a time meet before either goes on, so that no worker gets both; the one that has seed 1 is killed."""
    meeting = Path(os.environ["MEETING"])
    (meeting / str(cohort.shared.seed)).touch()
    other = meeting / str(cohort.shared.seed ^ 1)
    while not other.exists():
        time.sleep(0.01)
    yield EpochDone(cohort, [{"number": os.environ[WORKER], "process": os.getpid()}])
    if cohort.shared.seed == 1:
        kill_this_process()


def _fails_to_arrive() -> None:
    raise AttributeError("the module of an event has no such class here")


class Unreadable:
    """Can be sent, and not be read by another process."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return _fails_to_arrive, ()


def dies_on_seed_one_unreadable_on_two(cohort: Cohort, runtime: Runtime) -> Iterator[Event]:
    yield Started(cohort)
    if cohort.shared.seed == 1:
        kill_this_process()
    yield EpochDone(cohort, [{"epoch": Unreadable() if cohort.shared.seed == 2 else 0}])


def nothing(cohort: Cohort, runtime: Runtime) -> Iterator[Event]:
    yield Started(cohort)


def steps(cohort: Cohort, runtime: Runtime) -> Iterator[Event]:
    """Work that makes a step every 20 ms and saves when it is stopped."""
    yield Started(cohort)
    for epoch in itertools.count():
        time.sleep(0.02)
        try:
            cancellation.between_steps()
        except cancellation.Stopped:
            yield Saved(cohort, b"state")
            return
        yield EpochDone(cohort, [{"epoch": epoch}] * len(cohort.specs))


LONG_TEXT = "0123456789abcdef" * 20_000
"""Longer than any reply may be."""


def says_where_its_dataset_is(cohort: Cohort, runtime: Runtime) -> Iterator[Event]:
    """Say which file holds the dataset on this machine, in an event that is longer than a reply may be."""
    (path,) = runtime.handed_over.values()
    yield EpochDone(cohort, [{"file": str(path), "bytes": path.stat().st_size, "text": LONG_TEXT}])
