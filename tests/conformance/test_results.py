"""Whatever an engine computes is what inline computes, and what can't be computed is said in the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conformance_engines import ENGINES, EngineUnderTest
from conformance_studies import KINDS, RUNS, STUDY, StudyFolder
from forked_commands import Server

from actbench.schema.registry import names


@pytest.fixture(scope="session")
def every_kind(forking: Server, tmp_path_factory: pytest.TempPathFactory, inline: EngineUnderTest) -> dict[str, Any]:
    """What runs of every kind report, each trained alone by inline."""
    folder = StudyFolder(forking, tmp_path_factory.mktemp("kinds"), KINDS)
    folder.run(inline, cohort_size=1)
    found = folder.records()
    assert {record["outcome"] for record in found.values()} >= {"ok", "diverged"}
    assert any((record["final"].get("epochs_trained") or 6) < 6 for record in found.values()), "patience ends some"
    assert any(record["weights"] for record in found.values())
    return found


def test_every_engine_is_described() -> None:
    assert {engine.engine for engine in ENGINES.values()} == set(names("engines"))


def test_every_kind_of_run_reports_what_it_reports_alone(
    engine: EngineUnderTest, server: Server, tmp_path: Path, every_kind: dict[str, Any]
) -> None:
    """To the last bit: metrics, health, curves, kept weights, digests and ids of the runs."""
    study = StudyFolder(server, tmp_path, KINDS)
    study.run(engine, jobs=2, cohort_size=4)
    assert study.records() == every_kind
    assert study.left_over() == []


def test_runs_that_raise_fail_alone_and_are_run_again(engine: EngineUnderTest, study: StudyFolder) -> None:
    study.write(
        STUDY.replace("sweep:", "sweep:\n  activation: [relu, {name: faulty, path: 'held_parts:raises'}, tanh]")
    )
    (study.path / "raise").touch()
    command = study.run(engine, cohort_size=1, jobs=2, code=1)
    errors = {path.parent.name: path.read_text() for path in study.runs.glob("*/error.txt")}
    assert len(study.records()) == 2 * RUNS
    assert len(errors) == RUNS
    assert all("faulty" in run for run in errors)
    for text in errors.values():
        assert "out of order, says the user's code" in text.partition("\n")[0]
        assert "Traceback (most recent call last)" in text
        assert 'held_parts.py", line' in text
    assert f"{2 * RUNS} ok" in command.said
    assert f"{RUNS} failed" in command.said

    before = study.finished_files()
    (study.path / "raise").unlink()
    study.run(engine)
    assert len(study.records()) == 3 * RUNS
    assert {path: study.finished_files()[path] for path in before} == before, "what had finished is not run again"
    assert study.left_over() == []


UNUSABLE = {
    "data": (
        "dataset: {name: digits, train_size: 200, test_size: 100}",
        "dataset: {name: idx, root: nowhere}",
        "nowhere",
    ),
    "module": ("held_parts:held", "no_such_module:held", "no_such_module"),
    "attribute": ("held_parts:held", "held_parts:absent", "absent"),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_what_is_not_there_ends_the_command_with_one_sentence(
    engine: EngineUnderTest, study: StudyFolder, what: str
) -> None:
    was, becomes, named = UNUSABLE[what]
    assert was in STUDY
    study.write(STUDY.replace(was, becomes))
    check_refused(study, engine, named)


def test_a_device_that_is_not_there_ends_the_command_with_one_sentence(
    engine: EngineUnderTest, study: StudyFolder
) -> None:
    check_refused(study, engine, "cuda:63", "--device", "cuda:63")


def check_refused(study: StudyFolder, engine: EngineUnderTest, named: str, *options: str) -> None:
    sentences = [line for line in study.run(engine, *options, code=2).said.splitlines() if " runs to do" not in line]
    assert len(sentences) == 1, sentences
    assert sentences[0].startswith("actbench: ")
    assert named in sentences[0]
    assert not list(study.path.glob("results/*")), "nothing is stored"


def test_runs_are_begun_in_the_order_of_the_plan(engine: EngineUnderTest, study: StudyFolder) -> None:
    """Seeds outermost, so that a study that is interrupted is a balanced comparison."""
    planned = [spec.run_id for cohort in study.planned(cohort_size=2) for spec in cohort.specs]
    study.run(engine, cohort_size=2)
    begun = [(study.runs / run / "spec.json").stat().st_mtime_ns for run in planned]
    assert len(planned) == RUNS
    assert begun == sorted(begun)


SESSION = """\
from pathlib import Path

import torch

from actbench.config import Study
from actbench.execution.runner import Runner
from actbench.schema.events import Finished
from actbench.schema.runtime import Runtime


def made(slope):
    def leaky(z):
        return torch.where(z > 0, z, slope * z)
    return leaky


study = Study(
    study="session",
    dataset={{"name": "digits", "train_size": 100, "test_size": 50}},
    model={{"name": "mlp", "hidden": [8]}},
    training={{"epochs": 1, "batch_size": 32}},
    seeds=2,
    sweep={{"activation": [made(0.25), "leaky_relu(negative_slope=0.25)"]}},
)
runtime = Runtime(device="cpu", engine={engine!r}, jobs=1, cluster={cluster!r})
events = list(Runner(study, Path("results"), runtime).run())
assert len([event for event in events if isinstance(event, Finished)]) == 4, events
"""


REFUSED = """\
import os, runpy, sys
from actbench.errors import UsageError
try:
    runpy.run_path('session.py', run_name='__main__')
except UsageError as error:
    print(error, file=sys.stderr, flush=True)
    os._exit(0)
os._exit(1)
"""


@pytest.mark.promises(lambda promises: promises.takes_session_functions)
def test_functions_of_a_session_reach_those_who_compute_them(
    engine: EngineUnderTest, server: Server, tmp_path: Path, inline: EngineUnderTest
) -> None:
    """A function without a module, as in a notebook: the numbers are those of inline."""
    found = {}
    for one in (engine, inline):
        folder = tmp_path / one.name / "here"
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / "session.py").write_text(SESSION.format(engine=one.engine, cluster=dict(one.cluster())))
            prelude = "import os, runpy\nrunpy.run_path('session.py', run_name='__main__')\nos._exit(0)"
            assert server.do(folder, prelude=prelude, **one.settings()) == 0, (folder / "stderr").read_text()
        found[one.name] = StudyFolder(server, folder).records()
    assert len(found[engine.name]) == 4
    assert found[engine.name] == found[inline.name]


@pytest.mark.promises(lambda promises: not promises.takes_session_functions)
def test_functions_of_a_session_that_could_not_be_carried_are_refused_before_anything_is_stored(
    engine: EngineUnderTest, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "session.py").write_text(SESSION.format(engine=engine.engine, cluster=dict(engine.cluster())))
    assert server.do(tmp_path, prelude=REFUSED, **engine.settings()) == 0, (tmp_path / "stderr").read_text()
    said = (tmp_path / "stderr").read_text()
    assert "leaky" in said, "the function is named"
    assert "put them into a module" in said
    assert not list(tmp_path.glob("results/*/runs/*"))
