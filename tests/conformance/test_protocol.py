"""What an engine owes its caller in one process, whatever work it is handed (``Engine`` in ``execution/engines``)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import pytest
from conformance_engines import EngineUnderTest
from processes import wait_until

from actbench.execution.engines import Work
from actbench.schema.events import EpochDone, Event, Failed, Finished, Saved, Started
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec

pytestmark = pytest.mark.promises(lambda promises: promises.does_any_work)

RUNTIME = Runtime(device="cpu")


def cohorts(count: int, taken: list[int] | None = None) -> Iterator[Cohort]:
    """Yield cohorts of one run; the seed of each is noted when it is taken."""
    for seed in range(count):
        if taken is not None:
            taken.append(seed)
        yield Cohort((RunSpec(seed=seed),))


def rows_of(events: Iterable[Event]) -> list[EpochDone]:
    return [event for event in events if isinstance(event, EpochDone)]


def is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_every_cohort_is_worked_on_once_however_often_an_engine_is_used(engine: EngineUnderTest) -> None:
    """Also with nothing to do, with fewer cohorts than jobs, and when it is left with some undone."""
    echo = Work("engine_work:echo", RUNTIME)
    with engine.made(2) as working:
        assert list(working.execute(echo, [])) == []
        assert len(list(working.execute(echo, cohorts(1)))) == 2
        events = list(working.execute(echo, cohorts(5)))
        left = working.execute(echo, cohorts(6))
        rows = [*rows_of(events), *rows_of(next(left) for _ in range(3))]
    assert len(events) == 10
    assert sorted(event.cohort.shared.seed for event in rows_of(events)) == [0, 1, 2, 3, 4]
    processes = {event.rows[0]["process"] for event in rows}
    assert {event.rows[0]["threads"] for event in rows} == {"1"}
    if not engine.promises.has_workers:
        assert processes == {os.getpid()}
        return
    assert os.getpid() not in processes
    assert 1 <= len(processes) <= 2
    wait_until(lambda: not any(map(is_there, processes)))  # none is left behind


def test_an_engine_takes_a_cohort_only_when_it_can_work_on_it(engine: EngineUnderTest) -> None:
    taken: list[int] = []
    with engine.made(1) as working:
        events = working.execute(Work("engine_work:nothing", RUNTIME), cohorts(6, taken))
        for count, event in enumerate(events, start=1):
            assert isinstance(event, Started)
            assert event.cohort.shared.seed == count - 1, "in their order"
            assert count <= len(taken) <= count + engine.promises.cohorts_ahead
    assert taken == list(range(6))


def test_an_engine_that_is_stopped_saves_what_it_is_at_and_takes_nothing_else(engine: EngineUnderTest) -> None:
    taken: list[int] = []
    events: list[Event] = []
    with engine.made(1) as working:
        for event in working.execute(Work("engine_work:steps", RUNTIME), cohorts(6, taken)):
            events.append(event)
            if len(rows_of(events)) == 5:
                working.stop()
    begun = [event.cohort.shared.seed for event in events if isinstance(event, Started)]
    saved = [event.cohort.shared.seed for event in events if isinstance(event, Saved)]
    assert saved == begun == [0]
    assert len(taken) <= 1 + engine.promises.cohorts_ahead
    assert not [event for event in events if isinstance(event, (Failed, Finished))]
