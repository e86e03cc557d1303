"""What dead processes leave in a study's folder goes, and nothing goes that a living process may need."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from left_locks import DEAD, leave

from actbench.errors import ResultsError
from actbench.storage.leftovers import remove_leftovers
from actbench.storage.locks import Locks
from actbench.system.processes import Process

HALF = "0123456789abcdef"
TOKEN = "a" * 16
ELSEWHERE = replace(Process.this(), host="elsewhere")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "runs" / "relu-0").mkdir(parents=True)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path


@pytest.fixture
def run(study: Path) -> Path:
    return study / "runs" / "relu-0"


def files(study: Path) -> set[str]:
    return {str(path.relative_to(study)) for path in study.rglob("*") if path.is_file()}


def half_written(study: Path, run: Path) -> list[Path]:
    """Every file of a study as ``write_atomically`` begins it."""
    names = ("spec.json", "metrics.jsonl", "result.json", "error.txt")
    paths = [study / f".study.yaml.{HALF}", study / "checkpoints" / f".{'0' * 64}.pt.{HALF}"]
    paths += [run / f".{name}.{HALF}" for name in names]
    for path in paths:
        path.write_text("half of it")
    return paths


def test_everything_that_the_dead_have_left_goes(study: Path, run: Path) -> None:
    half_written(study, run)
    (run / f".claim.json.{TOKEN}").write_text("half of it")
    leave(run, DEAD, TOKEN)
    leave(run, DEAD, "b" * 16, f"claim.json.{TOKEN}")
    leave(study / "runs" / "of-an-earlier-config", DEAD, "c" * 16, f"claim.json.{'d' * 16}")
    (run / "claim.json.torn").write_text("")
    leave(study, DEAD, TOKEN, f"heartbeat-{TOKEN}")
    remove_leftovers(study)
    assert files(study) == set()


def test_what_is_not_left_over_stays(study: Path, run: Path) -> None:
    kept = [study / "study.yaml", study / f".notes.txt.{HALF}", run / "result.json", run / ".DS_Store"]
    kept += [study / "checkpoints" / f"{'0' * 64}.pt", study / "runs" / "notes.txt"]
    kept += [
        study / ".study.yaml.bad",
        run / ".result.json.0",
        study / "claim.json",
        study / "checkpoints" / "claim.json",
    ]
    for path in kept:
        path.write_text("kept")
    (study / "runs" / "nowhere").symlink_to(study / "absent")
    leave(run, DEAD)
    remove_leftovers(study)
    assert files(study) == {str(path.relative_to(study)) for path in kept}


def test_a_heartbeat_that_was_being_written_goes(study: Path) -> None:
    (study / f".heartbeat-{TOKEN}.{HALF}").write_text("")
    remove_leftovers(study)
    assert files(study) == set()


def test_a_run_that_is_a_link_to_a_folder_is_cleared_too(study: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    leave(elsewhere, DEAD)
    (study / "runs" / "linked").symlink_to(elsewhere)
    remove_leftovers(study)
    assert list(elsewhere.iterdir()) == []


def test_what_can_not_be_read_keeps_nothing_else_from_being_cleared(study: Path, run: Path) -> None:
    (study / "runs" / "foreign" / "claim.json").mkdir(parents=True)
    leave(run, DEAD)
    with pytest.raises(ResultsError, match="foreign"):
        remove_leftovers(study)
    assert files(study) == set()


def test_of_several_folders_that_can_t_be_cleared_the_first_is_reported(study: Path) -> None:
    for name in ("b", "a", "c"):
        (study / "runs" / name / "claim.json").mkdir(parents=True)
    with pytest.raises(ResultsError, match=r"runs/a\b"):
        remove_leftovers(study)


def test_a_study_in_the_root_of_a_short_path_is_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ck").mkdir()
    (tmp_path / "ck" / "claim.json").write_text("")
    monkeypatch.chdir(tmp_path)
    remove_leftovers(Path("ck"))
    assert files(tmp_path) == {"ck/claim.json"}


@pytest.mark.parametrize("process", [Process.this(), ELSEWHERE], ids=["here", "elsewhere"])
def test_what_a_living_process_has_or_may_be_writing_stays(study: Path, run: Path, process: Process) -> None:
    half_written(study, run)
    leave(run, process, TOKEN)
    leave(run, process, TOKEN, f"claim.json.{'b' * 16}")
    (run / f"claim.json.{'c' * 16}").write_text("")  # created, and about to be written
    leave(study, process, TOKEN, f"heartbeat-{TOKEN}")
    before = files(study)
    remove_leftovers(study)
    assert files(study) == before
    (study / f"heartbeat-{TOKEN}").unlink()
    if process is ELSEWHERE:
        remove_leftovers(study)
        assert files(study) == set()


def test_a_stopped_heartbeat_of_another_machine_frees_what_it_stood_for(study: Path, run: Path) -> None:
    half_written(study, run)
    leave(run, ELSEWHERE, TOKEN)
    os.utime(leave(study, ELSEWHERE, TOKEN, f"heartbeat-{TOKEN}"), (time.time() - 61,) * 2)
    remove_leftovers(study)
    assert files(study) == set()


def test_a_run_that_a_living_process_has_is_spared_and_others_are_not(study: Path, run: Path) -> None:
    half_written(study, run)
    other = study / "runs" / "relu-1"
    with Locks(study) as others:
        others.take(other)
        (other / f".result.json.{HALF}").write_text("half of it")
        remove_leftovers(study)
        assert [path.name for path in run.iterdir()] == []
        assert {path.name for path in other.iterdir()} == {"claim.json", f".result.json.{HALF}"}
        assert (study / f".study.yaml.{HALF}").exists()


def test_where_nothing_is_left_nothing_is_written(study: Path, run: Path) -> None:
    (run / "result.json").write_text("{}")
    before = {path: path.stat().st_mtime_ns for path in (study, study / "runs", run, study / "checkpoints")}
    remove_leftovers(study)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    remove_leftovers(study / "absent")
    assert not (study / "absent").exists()


def test_what_this_process_could_not_remove_does_not_count_as_its_own_for_ever(study: Path, run: Path) -> None:
    with Locks(study) as mine:
        mine.take(run)
        kept = (run / "claim.json").read_bytes()
    (run / "claim.json").write_bytes(kept)  # as if the disk had been too full to give it back
    with Locks(study) as later:
        assert later.take(run).succeeded
    assert files(study) == set()


CLEARING = """\
import sys
from pathlib import Path
from actbench.storage.leftovers import remove_leftovers


def pause(event, arguments):
    if event == "os.remove" and str(arguments[0]).endswith("/claim.json"):
        print("clearing", flush=True)
        sys.stdin.readline()


sys.addaudithook(pause)
remove_leftovers(Path(sys.argv[1]))
"""
"""Waits for a line before it removes a dead process's lock."""


def test_who_begins_while_others_clear_keeps_them_from_nothing(study: Path, run: Path) -> None:
    """Two that cleared at the same moment took each other for writers, and left half-written files behind."""
    half_written(study, run)
    leave(run, DEAD, TOKEN)
    command = [sys.executable, "-c", CLEARING, str(study)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "clearing\n"
        with Locks(study):
            process.communicate("\n")
            assert {Path(name).name.partition("-")[0] for name in files(study)} == {"heartbeat"}
    assert process.returncode == 0
    assert files(study) == set()


def test_a_lock_that_a_living_process_is_about_to_make_stays(study: Path, run: Path) -> None:
    with Locks(study):
        (heartbeat,) = study.glob("heartbeat-*")
        token = heartbeat.name.partition("-")[2]
        (run / f".claim.json.{token}").write_text("half of it")
        (run / f".claim.json.{HALF}").write_text("half of it")
        remove_leftovers(study)
        assert {path.name for path in run.iterdir()} == {f".claim.json.{token}"}
