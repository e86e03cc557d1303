"""Ctrl-C saves what is in training, and any engine goes on with it; a second one ends at once."""

from __future__ import annotations

from typing import Any

from conformance_engines import EngineUnderTest
from conformance_studies import RUNS, STEPS, StudyFolder, wait_until_ended
from processes import wait_until

ALWAYS_ANOTHER = "from actbench.cli import interruption\ninterruption.GRACE = 0"
"""Two signals are two, however soon the second comes."""


def interrupt(study: StudyFolder, engine: EngineUnderTest, *, jobs: int) -> None:
    """Begin a study, and press Ctrl-C once every job is in the middle of a cohort."""
    jobs = jobs if engine.promises.has_workers else 1
    study.hold(after=STEPS + 8)
    command = study.start(engine, jobs=jobs)
    workers = study.wait_until_held(jobs)
    command.interrupt()
    assert command.end() == 130, command.said
    wait_until_ended([worker for worker in workers if worker.pid != command.pid])
    assert "Traceback" not in command.said, command.said
    finished = len(study.records())
    assert f"{finished} ok, {2 * jobs} saved in training. To go on:" in command.said.replace("no run finished", "0 ok")
    assert command.to_go_on == ["actbench", *command.words]
    assert not command.is_anything_left()
    assert study.locks() == {}
    assert {path.rpartition(".")[2] for path in study.left_over()} == {"pt"}, "checkpoints, no locks"
    study.release()


def test_any_engine_goes_on_where_another_was_interrupted(
    pair: tuple[EngineUnderTest, EngineUnderTest], study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    first, second = pair
    interrupt(study, first, jobs=1)
    check_goes_on(study, second, undisturbed)


def test_the_first_ctrl_c_saves_and_the_same_command_goes_on(
    engine: EngineUnderTest, study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    interrupt(study, engine, jobs=2)
    check_goes_on(study, engine, undisturbed)


def check_goes_on(study: StudyFolder, engine: EngineUnderTest, undisturbed: dict[str, Any]) -> None:
    before = study.finished_files()
    command = study.run(engine)
    assert command.computed == RUNS - len([path for path in before if path.name == "result.json"])
    assert study.steps == RUNS // 2 * STEPS, "no step of a cohort is taken again"
    assert {path: study.finished_files()[path] for path in before} == before
    assert study.records() == undisturbed
    assert study.left_over() == []


def test_ctrl_c_before_anything_is_trained_ends_the_command(
    engine: EngineUnderTest, study: StudyFolder, undisturbed: dict[str, Any], inline: EngineUnderTest
) -> None:
    """While the user's code is tried on a few numbers."""
    (study.path / "hold trials").touch()
    command = study.start(engine)
    workers = study.wait_until_held()
    command.interrupt()
    assert command.end() == 130, command.said
    wait_until_ended([worker for worker in workers if worker.pid != command.pid])
    assert "Traceback" not in command.said, command.said
    assert command.to_go_on == ["actbench", *command.words]
    assert not command.is_anything_left()
    assert study.records() == {}
    assert study.locks() == {}
    (study.path / "hold trials").unlink()
    assert study.run(inline).computed == RUNS
    assert study.records() == undisturbed
    assert study.left_over() == []


def test_the_second_ctrl_c_ends_at_once_and_keeps_what_is_finished(
    engine: EngineUnderTest, study: StudyFolder, undisturbed: dict[str, Any], inline: EngineUnderTest
) -> None:
    study.hold(after=STEPS + 8)
    (study.path / "deaf").touch()
    command = study.start(engine, prelude=ALWAYS_ANOTHER)
    workers = study.wait_until_held()
    command.interrupt()
    wait_until(lambda: "once more to stop at once" in command.said)
    command.interrupt()
    assert command.end() == 130, command.said
    wait_until_ended([worker for worker in workers if worker.pid != command.pid])
    assert "interrupted; what is finished is kept" in command.said
    assert command.to_go_on == ["actbench", *command.words]
    assert "Traceback" not in command.said, command.said
    assert not command.is_anything_left()
    if engine.promises.workers_of_lost_driver == "end":  # else the next command removes their locks
        assert study.locks() == {}
    study.release()
    assert study.run(inline).computed == RUNS - 2
    assert study.records() == undisturbed
    assert study.left_over() == []
