"""An engine locks a cohort only when it can work on it, so that another process, of any engine, may share the study."""

from __future__ import annotations

from typing import Any

from conformance_engines import EngineUnderTest
from conformance_studies import RUNS, STEPS, StudyFolder
from processes import wait_until


def test_a_cohort_is_locked_only_when_it_can_be_worked_on(
    engine: EngineUnderTest, study: StudyFolder, undisturbed: dict[str, Any], inline: EngineUnderTest
) -> None:
    """A second process, which is never held, takes all that the first has not locked."""
    study.hold()
    command = study.start(engine, cohort_size=1)
    study.wait_until_held()
    at_work = 1 + engine.promises.cohorts_ahead
    wait_until(lambda: len(study.locks()) == at_work)
    other = study.run(inline, NEVER_HELD="1")
    assert other.computed == RUNS - at_work
    assert len(study.locks()) == at_work
    study.release()
    assert command.end() == 0, command.said
    assert command.computed == at_work
    assert study.records() == undisturbed
    assert study.left_over() == []


def test_two_engines_at_once_compute_every_run_once(
    pair: tuple[EngineUnderTest, EngineUnderTest], study: StudyFolder, undisturbed: dict[str, Any]
) -> None:
    study.hold()
    commands = [study.start(one, cohort_size=1) for one in pair]
    wait_until(lambda: len(set(study.locks().values())) == 2)
    study.release()
    for command in commands:
        assert command.end() == 0, command.said
    computed = [command.computed for command in commands]
    assert min(computed) >= 1
    assert sum(computed) == RUNS
    assert study.steps == RUNS * STEPS
    assert study.records() == undisturbed
    assert study.left_over() == []
