"""What every engine owes its caller, and what becomes of a worker that is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from actbench.execution.engines import Engine, Work
from actbench.schema.events import EpochDone, Failed, Finished
from actbench.schema.registry import load, names
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec

RUNTIME = Runtime(device="cpu")
HERE = os.getpid()


def cohorts(count: int) -> list[Cohort]:
    return [Cohort((RunSpec(seed=seed),)) for seed in range(count)]


def engine(name: str, jobs: int) -> Engine:
    made: Engine = load("engines", name)(jobs)
    return made


@pytest.mark.parametrize("name", names("engines"))
@pytest.mark.parametrize("jobs", [1, 2])
def test_every_cohort_is_worked_on_once(name: str, jobs: int) -> None:
    with engine(name, jobs) as working:
        events = list(working.execute(Work("engine_work:echo", RUNTIME), cohorts(5)))
    rows = [event for event in events if isinstance(event, EpochDone)]
    assert sorted(event.cohort.shared.seed for event in rows) == [0, 1, 2, 3, 4]
    assert len(events) == 10


@pytest.mark.slow
@pytest.mark.parametrize("name", names("engines"))
def test_an_engine_can_be_used_twice_and_with_nothing_to_do(name: str) -> None:
    with engine(name, 2) as working:
        assert list(working.execute(Work("engine_work:echo", RUNTIME), [])) == []
        assert len(list(working.execute(Work("engine_work:echo", RUNTIME), cohorts(1)))) == 2
        assert len(list(working.execute(Work("engine_work:echo", RUNTIME), cohorts(3)))) == 6


def test_the_pool_works_in_other_processes_of_one_thread() -> None:
    with engine("pool", 2) as working:
        events = list(working.execute(Work("engine_work:echo", RUNTIME), cohorts(6)))
    rows = [event.rows[0] for event in events if isinstance(event, EpochDone)]
    assert HERE not in {row["process"] for row in rows}
    assert len({row["process"] for row in rows}) <= 2
    assert {row["threads"] for row in rows} == {"1"}


def test_a_lost_worker_costs_its_own_cohort_and_no_other() -> None:
    with engine("pool", 1) as working:
        events = list(working.execute(Work("engine_work:dies_on_seed_one", RUNTIME), cohorts(4)))
    failed = [event for event in events if isinstance(event, Failed)]
    done = [event.cohort.shared.seed for event in events if isinstance(event, EpochDone)]
    assert [event.cohort.shared.seed for event in failed] == [1]
    assert "killed by signal 9" in failed[0].message
    assert sorted(done) == [0, 2, 3]


def test_a_message_that_can_t_be_read_costs_its_run_and_not_the_study() -> None:
    """The thread that listened to the worker died of it, and the pool waited for ever."""
    with engine("pool", 1) as working:
        events = list(working.execute(Work("engine_work:unreadable_on_seed_one", RUNTIME), cohorts(3)))
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert failed.cohort.shared.seed == 1
    assert "can't be read: AttributeError: the module of an event has no such class here" in failed.message
    assert [event.cohort.shared.seed for event in events if isinstance(event, EpochDone)] == [0, 2]


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
def test_leaving_the_pool_early_leaves_no_process_behind() -> None:
    with engine("pool", 2) as working:
        events = working.execute(Work("engine_work:echo", RUNTIME), cohorts(6))
        rows = [event.rows[0] for event in (next(events), next(events), next(events)) if isinstance(event, EpochDone)]
    for row in rows:
        with pytest.raises(ProcessLookupError):
            os.kill(row["process"], 0)


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
