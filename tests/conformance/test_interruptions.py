"""Ctrl-C saves what is in training, and any engine goes on with it; a second one ends at once."""

from __future__ import annotations

from typing import Any

import pytest
from conformance_engines import EngineUnderTest
from conformance_studies import RUNS, STEPS, Command, StudyFolder, wait_until_ended
from processes import wait_until

ALWAYS_ANOTHER = "from actbench.cli import interruption\ninterruption.GRACE = 0"
"""Two signals are two, however soon the second comes."""


def interrupt(study: StudyFolder, engine: EngineUnderTest) -> Command:
    """Begin a study, and press Ctrl-C in the second cohort's second epoch."""
    study.hold(after=STEPS + 8)
    command = study.start(engine)
    workers = study.wait_until_held()
    command.interrupt()
    assert command.end() == 130, command.said
    wait_until_ended([worker for worker in workers if worker.pid != command.pid])
    assert "Traceback" not in command.said
    assert "To go on:" in command.said
    assert "2 ok, 2 saved in training" in command.said
    assert not command.is_anything_left()
    assert study.locks() == {}
    assert {path.rpartition(".")[2] for path in study.left_over()} == {"pt"}, "a checkpoint, no lock"
    study.release()
    return command


@pytest.mark.both_ways
def test_any_engine_goes_on_where_another_was_interrupted(
    pair: tuple[EngineUnderTest, EngineUnderTest], study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    first, second = pair
    interrupt(study, first)
    check_goes_on(study, second, undisturbed)


def test_the_first_ctrl_c_saves_and_the_same_command_goes_on(
    engine: EngineUnderTest, study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    interrupt(study, engine)
    check_goes_on(study, engine, undisturbed)


def check_goes_on(study: StudyFolder, engine: EngineUnderTest, undisturbed: dict[str, Any]) -> None:
    before = study.finished_files()
    (study.path / "steps").unlink()
    command = study.run(engine)
    assert command.computed == RUNS - 2
    # Each later cohort takes all of its steps, the one that was saved only those that it had not taken.
    assert (study.path / "steps").stat().st_size == (RUNS // 2 - 2) * STEPS + STEPS - 9
    assert {path: study.finished_files()[path] for path in before} == before
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
    assert "Traceback" not in command.said
    assert not command.is_anything_left()
    assert study.locks() == {}
    study.release()
    assert study.run(inline).computed == RUNS - 2
    assert study.records() == undisturbed
    assert study.left_over() == []
