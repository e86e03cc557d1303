"""What every engine owes its caller, and what becomes of a worker that is lost."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from actbench.execution.engines import Engine, Work
from actbench.schema.cluster import ClusterOptions
from actbench.schema.events import EpochDone, Event, Failed, Finished
from actbench.schema.registry import load, names
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec

RUNTIME = Runtime(device="cpu")
HERE = os.getpid()


def cohorts(count: int) -> list[Cohort]:
    return [Cohort((RunSpec(seed=seed),)) for seed in range(count)]


def engine(name: str, jobs: int) -> Engine:
    made: Engine = load("engines", name)(jobs, ClusterOptions())
    return made


def rows_of(events: Iterable[Event]) -> list[EpochDone]:
    return [event for event in events if isinstance(event, EpochDone)]


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=pytest.mark.slow if one == "pool" else ()) for one in names("engines")]
)
def test_every_cohort_is_worked_on_once_however_often_an_engine_is_used(name: str) -> None:
    """Also with nothing to do, with fewer cohorts than jobs, and when it is left with some undone."""
    echo = Work("engine_work:echo", RUNTIME)
    with engine(name, 2) as working:
        assert list(working.execute(echo, [])) == []
        assert len(list(working.execute(echo, cohorts(1)))) == 2
        events = list(working.execute(echo, cohorts(5)))
        left = working.execute(echo, cohorts(6))
        rows = [*rows_of(events), *rows_of(next(left) for _ in range(3))]
    assert len(events) == 10
    assert sorted(event.cohort.shared.seed for event in rows_of(events)) == [0, 1, 2, 3, 4]
    processes = {event.rows[0]["process"] for event in rows}
    if name == "inline":
        assert processes == {HERE}
        return
    assert HERE not in processes
    assert 1 <= len(processes) <= 2
    assert {event.rows[0]["threads"] for event in rows} == {"1"}
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)  # none is left behind


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


@pytest.mark.parametrize("name", names("engines"))
def test_every_engine_gives_the_same_records(name: str, tmp_path: Path) -> None:
    specs = tuple(
        RunSpec.model_validate(
            {
                "dataset": {"name": "digits", "train_size": 100, "test_size": 50},
                "model": {"name": "mlp", "hidden": [12]},
                "activation": activation,
                "training": {"epochs": 1, "batch_size": 25},
            }
        )
        for activation in ("relu", "tanh")
    )
    runtime = Runtime(device="cpu", data_folder=tmp_path)
    with engine(name, 1) as working:
        events = list(working.execute(Work("actbench.training.loop:run_cohort", runtime), [Cohort(specs)]))
        alone = list(
            working.execute(Work("actbench.training.loop:run_cohort", runtime), [Cohort((spec,)) for spec in specs])
        )
    together = [event.record for event in events if isinstance(event, Finished)]
    single = [event.record for event in alone if isinstance(event, Finished)]
    for one, other in zip(together, single, strict=True):
        assert one.health == other.health
        assert {**one.final, "seconds": 0} == {**other.final, "seconds": 0}
