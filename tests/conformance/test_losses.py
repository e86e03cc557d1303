"""A worker, a node or the driver is lost midway, or a run hangs: the others end, and the same command finishes."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from conformance_engines import EngineUnderTest
from conformance_studies import RUNS, STEPS, STUDY, StudyFolder, kill, wait_until_ended


@pytest.mark.promises(lambda promises: promises.has_workers)
def test_runs_of_a_worker_that_is_killed_are_tried_again(
    engine: EngineUnderTest, study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    study.hold(after=STEPS + 2)
    command = study.start(engine)
    (worker,) = study.wait_until_held()
    assert worker.pid != command.pid
    kill(worker)
    study.release()
    assert command.end() == 0, command.said
    assert command.computed == RUNS
    assert study.records() == undisturbed
    assert study.left_over() == []
    assert not command.is_anything_left()


@pytest.mark.promises(lambda promises: promises.has_workers)
def test_a_run_that_was_alone_with_a_worker_that_is_killed_is_reported_or_tried_again(
    engine: EngineUnderTest, study: StudyFolder, undisturbed: dict[str, Any], inline: EngineUnderTest
) -> None:
    study.hold(after=STEPS + 2)
    command = study.start(engine, cohort_size=1)
    (worker,) = study.wait_until_held()
    kill(worker)
    study.release()
    fails = engine.promises.lone_run_of_lost_worker == "fails"
    assert command.end() == fails, command.said
    assert command.computed == RUNS - fails
    if fails:
        (error,) = study.runs.glob("*/error.txt")
        assert "killed by signal 9" in error.read_text()
        study.run(inline)
    assert study.records() == undisturbed
    assert study.left_over() == []


@pytest.mark.promises(lambda promises: promises.has_nodes)
def test_runs_of_a_node_that_is_lost_are_tried_again(
    engine: EngineUnderTest, study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    study.hold(after=STEPS + 2)
    command = study.start(engine, jobs=2, cohort_size=1)
    engine.kill_node(study.wait_until_held(2)[0])
    study.release()
    assert command.end() == 0, command.said
    assert study.records() == undisturbed
    assert study.left_over() == []


@pytest.mark.promises(lambda promises: promises.workers_of_lost_driver == "end")
def test_a_lost_driver_loses_nothing_that_is_finished_and_no_worker_outlives_it(
    engine: EngineUnderTest, study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    study.hold(after=STEPS + 2)
    command = study.start(engine)
    workers = study.wait_until_held()
    before = study.finished_files()
    assert before, "the first cohort"
    command.kill()
    assert command.end() == -signal.SIGKILL
    wait_until_ended(workers)
    study.release()
    again = study.run(engine)
    assert again.computed == RUNS - 2
    assert {path: study.finished_files()[path] for path in before} == before
    assert study.records() == undisturbed
    assert study.left_over() == []


@pytest.mark.promises(lambda promises: promises.workers_of_lost_driver == "go on")
def test_a_lost_driver_stops_nobody_and_the_same_command_waits_for_who_goes_on(
    engine: EngineUnderTest, study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    study.hold(after=STEPS + 2)
    command = study.start(engine)
    (worker,) = study.wait_until_held()
    command.kill()
    assert command.end() == -signal.SIGKILL
    again = study.start(engine)
    study.release()
    assert again.end() == 0, again.said
    wait_until_ended([worker])
    assert study.records() == undisturbed
    assert study.steps == RUNS // 2 * STEPS, "every step is taken once"
    assert study.left_over() == []


@pytest.mark.promises(lambda promises: promises.ends_hanging_runs)
def test_a_run_that_hangs_is_ended_and_fails_alone(engine: EngineUnderTest, study: StudyFolder) -> None:
    hanging = "sweep:\n  activation: [relu, {name: hanging, path: 'held_parts:hangs'}]"
    study.write(STUDY.replace("sweep:", hanging).replace("[0.0, 0.01]", "[0.0]").replace("seeds: 4", "seeds: 1"))
    (study.path / "hang").touch()
    command = study.run(engine, "--timeout", "4", cohort_size=1, code=1)
    assert "1 ok" in command.said
    (error,) = study.runs.glob("*/error.txt")
    assert "no step was finished for 4 s" in error.read_text()
    assert 'held_parts.py", line' in error.read_text(), "where it hangs"
    assert not command.is_anything_left()
    assert study.left_over() == [str(error.relative_to(study.path))]
