"""Workers of the pool: lost ones, and signals that reach them. All engines are tested in ``tests/conformance``."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from pathlib import Path

import pytest
from processes import signal_process

from actbench.execution.engines import Engine, Work
from actbench.schema.cluster import ClusterOptions
from actbench.schema.events import EpochDone, Event, Failed
from actbench.schema.registry import load
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec

RUNTIME = Runtime(device="cpu")


def cohorts(count: int) -> list[Cohort]:
    return [Cohort((RunSpec(seed=seed),)) for seed in range(count)]


def engine(name: str, jobs: int) -> Engine:
    made: Engine = load("engines", name)(jobs, ClusterOptions())
    return made


def rows_of(events: Iterable[Event]) -> list[EpochDone]:
    return [event for event in events if isinstance(event, EpochDone)]


@pytest.mark.slow
def test_a_worker_that_is_lost_or_writes_nonsense_costs_its_own_cohort_and_no_other() -> None:
    """The thread that listened to a worker died of a message that it could not read, and the pool waited for ever."""
    with engine("pool", 1) as working:
        events = list(working.execute(Work("engine_work:dies_on_seed_one_unreadable_on_two", RUNTIME), cohorts(4)))
    one, two = [event for event in events if isinstance(event, Failed)]
    assert (one.cohort.shared.seed, two.cohort.shared.seed) == (1, 2)
    assert "killed by signal 9" in one.message
    assert "can't be read: AttributeError: the module of an event has no such class here" in two.message
    assert sorted(event.cohort.shared.seed for event in rows_of(events)) == [0, 3]


@pytest.mark.slow
def test_who_replaces_a_lost_worker_takes_its_number_and_with_it_its_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEETING", str(tmp_path))
    with engine("pool", 2) as working:
        events = list(working.execute(Work("engine_work:tells_its_number", RUNTIME), cohorts(4)))
    rows = [event.rows[0] for event in events if isinstance(event, EpochDone)]
    assert sorted(row["number"] for row in rows) == ["0", "0", "1", "1"]
    assert len({row["process"] for row in rows}) == 3, "one of the two was replaced"


@pytest.mark.slow
def test_workers_leave_the_signals_of_their_group_to_the_command() -> None:
    with engine("pool", 1) as working:
        workers = [worker.process for worker in getattr(working, "_workers", ())]
        server = getattr(working, "_server", None)
        for process in [*workers, *([server.process] if server else [])]:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal_process(process, number)
        assert len(rows_of(working.execute(Work("engine_work:echo", RUNTIME), cohorts(2)))) == 2
