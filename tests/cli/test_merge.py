"""``actbench merge``: what it prints, and how it ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from commands import Run, in_this_process
from factories import record, save

CONFIG = "study: demo\nactivation: relu\nseeds: 4\n"


@pytest.fixture
def actbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    for name, seeds in (("a", range(2)), ("b", range(1, 4))):
        save(tmp_path / name, [record(0.9, seed=seed) for seed in seeds], text=CONFIG)
    return in_this_process(monkeypatch, capfd)


def test_what_was_merged_is_said_in_a_line_and_the_next_command_below(actbench: Run) -> None:
    done = actbench("merge", "a", "b")
    assert (done.returncode, done.stderr) == (0, "status: actbench status results/demo\n")
    assert done.stdout == (
        "demo -> results/demo: 4 runs from 2 folders, 4 are finished there; 1 had been finished before, with the same "
        "numbers\n"
    )
    assert actbench("merge", "a").stdout == (
        "demo -> results/demo: 0 runs from 1 folder, 4 are finished there; 2 had been finished before, with the same "
        "numbers\n"
    )
    assert actbench("compare", "demo").returncode == 0


def test_other_numbers_are_counted(actbench: Run, tmp_path: Path) -> None:
    save(tmp_path / "c", [record(0.8, seed=0)], text=CONFIG)
    done = actbench("merge", "a", "c", "-o", "all")
    assert "1 had been finished before, 1 with other numbers" in done.stdout


def test_a_study_is_named_as_in_other_commands(actbench: Run) -> None:
    actbench("merge", "a")
    assert actbench("merge", "demo", "-o", "all").stdout.startswith("demo -> all/demo: 2 runs from 1 folder")
    assert actbench("merge", "demo", "-o", "results").stdout.startswith("demo -> results/demo: 0 runs from 0 folders")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "no results at nowhere: it does not exist"),
        (["a", "empty"], "no study in"),
        (["a/demo/runs"], "no study in"),
        ([], "name the folders or packed studies to merge"),
    ],
)
def test_bad_input_is_one_error_and_writes_nothing(actbench: Run, words: list[str], said: str) -> None:
    Path("empty").mkdir()
    done = actbench("merge", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.startswith("actbench: ")
    assert not Path("results").exists()


def test_a_target_that_is_a_file_is_one_error(actbench: Run) -> None:
    Path("results").write_text("")
    done = actbench("merge", "a")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "results" in done.stderr


def test_warnings_name_the_run_and_fail_nothing(actbench: Run) -> None:
    victim = min(Path("a/demo/runs").iterdir())
    os.replace(victim / "spec.json", victim / "spec.json.old")
    done = actbench("merge", "a", "-o", "all")
    assert done.returncode == 0
    assert done.stderr.startswith("warning: demo: ")
    assert victim.name in done.stderr
