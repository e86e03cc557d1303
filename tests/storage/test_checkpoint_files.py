"""A study that was left in the middle goes on from its checkpoints, whatever has become of those files meanwhile."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stopping_parts
from small_runs import DIGITS, numbers, spec

from actbench.analysis.run_list import list_runs
from actbench.cli.plan import plan_text
from actbench.cli.progress import PlainLines, StudyProgress
from actbench.config import Study
from actbench.errors import ResultsError
from actbench.execution.runner import Runner
from actbench.schema.checkpoint_header import CheckpointHeader, UnusableCheckpoint, checkpoint_name, parse_checkpoint
from actbench.schema.events import EpochDone, Event, Saved, Started
from actbench.schema.runtime import Cohort, Runtime
from actbench.storage.checkpoints import Checkpoints
from actbench.storage.locks import Locks
from actbench.storage.reading import read_results
from actbench.storage.status import study_statuses
from actbench.system import cancellation

STUDY = f"""\
study: long
dataset: {DIGITS}
model: {{name: mlp, hidden: [16]}}
training: {{epochs: 3, batch_size: 32, checkpoint_every: 1}}
activation: {{name: asks, path: 'stopping_parts:asks'}}
seeds: 2
sweep:
  bias_init: [0.0, 0.01, 0.1]
"""


@pytest.fixture(autouse=True)
def _unasked() -> Iterator[None]:
    cancellation.reset()
    yield
    cancellation.reset()


def runner(folder: Path, *, text: str = STUDY, force: bool = False, limit: int | None = None) -> Runner:
    runtime = Runtime(device="cpu", engine="inline", cohort_size=limit)
    return Runner(Study.from_text(text), folder, runtime, force=force)


def files(folder: Path) -> list[Path]:
    return sorted((folder / "long" / "checkpoints").glob("*"))


def result(folder: Path) -> dict[str, Any]:
    return {one.spec.run_id: numbers(one) for one in read_results(folder, curves=True)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    stopping_parts.begin(-1)
    for _ in runner(folder).run():
        pass
    assert files(folder) == [], "what is finished needs no checkpoint"
    assert len(result(folder)) == 6
    return result(folder)


def stopped_after(folder: Path, calls: int) -> list[Event]:
    stopping_parts.begin(calls)
    events, stopped = [], runner(folder)
    for event in stopped.run():
        events.append(event)
    stopping_parts.begin(-1)
    return events


def leave(folder: Path) -> Cohort:
    """A study that was left with its first cohort in the middle."""
    events = stopped_after(folder, 22)
    saved = [event for event in events if isinstance(event, Saved)]
    assert len(saved) == len(files(folder)) + 1 == 2
    assert len(result_folders(folder)) == 3
    return saved[-1].cohort


def result_folders(folder: Path) -> list[Path]:
    return sorted((folder / "long" / "runs").iterdir())


@pytest.mark.parametrize("limit", [None, 1, 2])
def test_a_study_goes_on_where_it_was_left_whatever_its_cohorts_are_now(
    tmp_path: Path, undisturbed: dict[str, Any], limit: int | None
) -> None:
    left = leave(tmp_path)
    again = runner(tmp_path, limit=limit)
    assert again.cohorts[0].specs == left.specs
    events = list(again.run())
    first = [event.rows[0]["epoch"] for event in events if isinstance(event, EpochDone) and event.cohort == left]
    assert first == [0, 1, 2, 3]
    calls = next(stopping_parts.calls)
    stopping_parts.begin(-1)
    list(runner(tmp_path, force=True, limit=limit).run())
    assert calls < next(stopping_parts.calls) - 10, "what was trained before is not trained again"
    assert result(tmp_path) == undisturbed
    assert files(tmp_path) == []


def test_the_status_says_from_which_epoch_the_paused_runs_go_on(tmp_path: Path) -> None:
    left = leave(tmp_path)
    (status,) = study_statuses(tmp_path)
    curve = runner(tmp_path).store.run_folder(left.shared) / "metrics.jsonl"
    epoch = len(curve.read_text().splitlines()) - 1
    assert epoch > 0
    names = {runner(tmp_path).store.run_id(spec) for spec in left.specs}
    assert {(one.run, one.epoch, one.epochs) for one in status.paused} == {(name, epoch, 3) for name in names}
    assert (status.stale, status.to_do) == ([], 3)
    listed = {run.run: (run.state, run.epoch) for run in list_runs(read_results(tmp_path)).runs}
    assert listed == dict.fromkeys(names, ("paused", epoch))
    assert runner(tmp_path).checkpoints.epoch_of(left) == epoch


def test_the_progress_of_a_resumed_study_counts_the_epochs_that_are_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the first line on: nothing falls back while the epochs before the checkpoint come once more."""
    left = leave(tmp_path)
    resumed = runner(tmp_path)
    (epoch,) = {resumed.resumed[spec.digest] for spec in left.specs}
    lines = PlainLines(resumed)
    assert capsys.readouterr().err.startswith(f"long: 6 of 6 runs to do (3 of them from epoch {epoch})")
    for event in runner(tmp_path).run():
        lines.update(event)
        if isinstance(event, EpochDone):
            break
    assert capsys.readouterr().err == "", "epoch 0 of a cohort that is further is no news"
    shutil.rmtree(tmp_path / "long")
    left = leave(tmp_path)
    resumed = runner(tmp_path)
    assert f"0 done, 6 to do (3 of them from epoch {epoch})" in plan_text(resumed, None)
    progress = StudyProgress(resumed)
    done = [progress.done]
    for event in resumed.run():
        progress.count(event)
        done.append(progress.done)
    assert done == sorted(done)
    assert (done[0], done[-1], progress.total) == (3 * (epoch + 1), 6 * 4, 6 * 4)
    assert runner(tmp_path, force=True).resumed == {}


def test_a_refused_checkpoint_takes_the_epochs_off_again(tmp_path: Path) -> None:
    leave(tmp_path)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-50])
    resumed = runner(tmp_path)
    progress = StudyProgress(resumed)
    before = progress.done
    events = resumed.run()
    while not isinstance(event := next(events), Started):
        pass
    progress.count(event)
    assert before > 0
    assert progress.done == 0


def test_a_run_whose_checkpoint_is_damaged_or_holds_a_finished_run_is_stale(tmp_path: Path) -> None:
    left = leave(tmp_path)
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(b"\x00" * 100)
    (status,) = study_statuses(tmp_path)
    assert (len(status.stale), status.paused) == (3, [])
    path.write_bytes(whole)
    shutil.rmtree(runner(tmp_path).store.run_folder(left.shared))
    (status,) = study_statuses(tmp_path)
    assert (len(status.stale), status.paused) == (2, [])


def test_a_checkpoint_of_an_earlier_version_names_no_epoch(tmp_path: Path) -> None:
    leave(tmp_path)
    (path,) = files(tmp_path)
    line, _, rest = path.read_bytes().partition(b"\n")
    header = {key: value for key, value in json.loads(line).items() if key != "epoch"}
    path.write_bytes(json.dumps(header).encode() + b"\n" + rest)
    (status,) = study_statuses(tmp_path)
    assert [one.epoch for one in status.paused] == [None] * 3


def test_the_curve_is_that_of_the_resumed_run_while_it_goes_on(tmp_path: Path) -> None:
    left = leave(tmp_path)
    curve = runner(tmp_path).store.run_folder(left.shared) / "metrics.jsonl"
    curve.write_text(curve.read_text() + '{"epoch": 7}\n{"ep')
    for event in runner(tmp_path).run():
        if isinstance(event, EpochDone) and event.cohort == left:
            epoch = event.rows[0]["epoch"]
            assert curve.read_text().count("\n") == epoch + 1


def test_a_damaged_checkpoint_is_named_and_the_result_is_right(
    tmp_path: Path, undisturbed: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    leave(tmp_path)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-50])
    with caplog.at_level(logging.WARNING):
        list(runner(tmp_path).run())
    assert [path.name in message and "damaged" in message for message in caplog.messages] == [True]
    assert result(tmp_path) == undisturbed
    assert files(tmp_path) == []


def test_one_whose_first_line_is_damaged_is_named_too(
    tmp_path: Path, undisturbed: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    leave(tmp_path)
    (path,) = files(tmp_path)
    path.write_bytes(b"\x00" * 100)
    with caplog.at_level(logging.WARNING):
        list(runner(tmp_path).run())
    assert [path.name in message and "damaged" in message for message in caplog.messages] == [True]
    assert result(tmp_path) == undisturbed
    assert files(tmp_path) == []


def test_one_that_the_worker_refuses_is_named(
    tmp_path: Path, undisturbed: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    leave(tmp_path)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"torch": "', b'"torch": "0', 1))
    with caplog.at_level(logging.WARNING):
        list(runner(tmp_path).run())
    assert [path.name in message and "computed with torch 0" in message for message in caplog.messages] == [True]
    assert result(tmp_path) == undisturbed


def test_force_ignores_and_removes_checkpoints(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    left = leave(tmp_path)
    events = runner(tmp_path, force=True).run()
    assert isinstance(next(events), Started)
    assert files(tmp_path) == []
    told = next(events)
    assert isinstance(told, EpochDone)
    assert told.rows[0]["epoch"] == 0
    list(events)
    assert result(tmp_path) == undisturbed
    assert left.specs


def test_what_another_process_has_is_not_taken_from_it(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    left = leave(tmp_path)
    mine = runner(tmp_path)
    with Locks(mine.store.folder) as others:
        others.take(mine.store.run_folder(left.specs[0]))
        events = list(runner(tmp_path).run())
        assert left.specs[0] not in [
            spec for event in events if isinstance(event, Started) for spec in event.cohort.specs
        ]
    list(runner(tmp_path).run())
    assert result(tmp_path) == undisturbed
    assert files(tmp_path) == []


def test_a_checkpoint_of_finished_runs_goes(tmp_path: Path) -> None:
    leave(tmp_path)
    (path,) = files(tmp_path)
    kept = path.read_bytes()
    list(runner(tmp_path).run())
    path.write_bytes(kept)
    assert list(runner(tmp_path).run()) == []
    assert files(tmp_path) == []


def test_a_checkpoint_of_runs_that_the_study_lacks_now_stays_until_they_have_ended(tmp_path: Path) -> None:
    """A smaller sweep, or the same one without ``--until``, must not cost what a larger one has trained."""
    leave(tmp_path)
    smaller = STUDY.replace("[0.0, 0.01, 0.1]", "[0.3]")
    assert list(runner(tmp_path, text=smaller).run())
    assert len(files(tmp_path)) == 1
    assert list(runner(tmp_path, text=smaller).run()) == []
    assert len(files(tmp_path)) == 1
    (checkpoint,) = files(tmp_path)
    content = checkpoint.read_bytes()
    assert list(runner(tmp_path).run())
    assert files(tmp_path) == []
    checkpoint.write_bytes(content)
    assert list(runner(tmp_path, text=smaller).run()) == []
    assert files(tmp_path) == [], "all its runs have ended"


def test_a_checkpoint_that_vanishes_before_its_runs_begin_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    leave(tmp_path)
    late = runner(tmp_path)
    for path in files(tmp_path):
        path.unlink()
    list(late.run())
    assert "another process has removed it" in caplog.text


def test_a_checkpoint_that_is_half_written_is_never_seen(tmp_path: Path) -> None:
    cohort = Cohort((spec(),))
    kept = Checkpoints(tmp_path)
    header = CheckpointHeader((cohort.shared.digest,), "cpu", "2", "default", "data", "0" * 64)
    kept.write(cohort, header.line() + b"first")
    (tmp_path / "checkpoints").chmod(0o700)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [checkpoint_name(cohort.specs)]
    with pytest.raises(UnusableCheckpoint, match="checksum"):
        parse_checkpoint((tmp_path / "checkpoints" / checkpoint_name(cohort.specs)).read_bytes())


KILLED_WHILE_SAVING = """\
import os, signal, sys
from pathlib import Path

from actbench.analysis.run_list import list_runs
from actbench.config import Study
from actbench.execution.runner import Runner
from actbench.schema.runtime import Runtime


def kill_before_the_name(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith(".pt"):
        os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(kill_before_the_name)
folder, text = sys.argv[1:]
list(Runner(Study.from_text(text), Path(folder), Runtime(device="cpu", engine="inline")).run())
"""
WITHOUT_SAVING = STUDY.replace("checkpoint_every: 1", "checkpoint_every: null")


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a process leaves it that is killed when it has written a checkpoint and not yet named it."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-c", KILLED_WHILE_SAVING, str(folder), STUDY]
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=os.environ | paths, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return folder


def left_by_a_kill(killed: Path, folder: Path) -> Path:
    """The file without its name, in a copy of the study."""
    shutil.copytree(killed, folder, dirs_exist_ok=True)
    (left,) = files(folder)
    assert left.name.startswith(".")
    return left


@pytest.mark.slow
def test_what_a_kill_left_of_a_checkpoint_goes_even_if_nothing_is_saved_again(
    tmp_path: Path, killed: Path, undisturbed: dict[str, Any]
) -> None:
    left = left_by_a_kill(killed, tmp_path)
    events = list(runner(tmp_path, text=WITHOUT_SAVING).run())
    assert not [event for event in events if isinstance(event, Saved)]
    assert not left.exists()
    assert result(tmp_path) == undisturbed


@pytest.mark.slow
def test_what_a_living_process_may_be_writing_is_left_alone(tmp_path: Path, killed: Path) -> None:
    left = left_by_a_kill(killed, tmp_path)
    study = tmp_path / "long"
    with Locks(study) as others:
        others.take(study / "runs" / "of-another-config")
        list(runner(tmp_path, text=WITHOUT_SAVING).run())
        assert left.exists()
    assert list(runner(tmp_path, text=WITHOUT_SAVING).run()) == []
    assert not left.exists(), "also when there is nothing to do"


def test_a_place_that_can_t_be_written_is_an_error_and_no_warning(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("in the way")
    with pytest.raises(ResultsError, match="can't write"):
        Checkpoints(tmp_path).write(Cohort((spec(),)), b"state")


def state(cohort: Cohort) -> bytes:
    digests = tuple(one.digest for one in cohort.specs)
    return CheckpointHeader(digests, "cpu", "2", "default", "data", "0" * 64).line()


def test_the_checkpoint_of_a_larger_cohort_goes_whatever_its_name_and_others_stay(tmp_path: Path) -> None:
    pairs = [Cohort((spec(seed=seed), spec(seed=seed + 1))) for seed in range(0, 40, 2)]
    first = {checkpoint_name(pair.specs) < checkpoint_name(pair.specs[:1]) for pair in pairs}
    assert first == {True, False}, "the names are sorted in both ways"
    kept = Checkpoints(tmp_path)
    for pair in pairs:
        kept.write(pair, state(pair))
    for pair in pairs:
        kept.write(Cohort(pair.specs[:1]), state(Cohort(pair.specs[:1])))
        kept.write(Cohort(pair.specs[:1]), state(Cohort(pair.specs[:1])))
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {
        checkpoint_name(pair.specs[:1]) for pair in pairs
    }


def test_a_smaller_cohort_replaces_the_checkpoint_of_the_larger_one(tmp_path: Path) -> None:
    kept, specs = Checkpoints(tmp_path), tuple(spec(seed=seed) for seed in range(4))
    for cohort in (Cohort(specs), *Cohort(specs).halves()):
        header = CheckpointHeader(tuple(one.digest for one in cohort.specs), "cpu", "2", "default", "data", "0" * 64)
        kept.write(cohort, header.line())
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {checkpoint_name(half.specs) for half in Cohort(specs).halves()}
