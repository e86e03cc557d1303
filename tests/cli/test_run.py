"""``actbench run`` as a user meets it: a process with arguments, an exit code, two streams and a folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Done, Run, in_this_process
from processes import end_group, is_group_there, signal_group, wait_until

from actbench.nn.native import library as native

STUDY = """\
study: tiny
dataset: {name: digits, train_size: 200, test_size: 100}
model: {name: mlp, hidden: [16]}
training: {epochs: 2, batch_size: 32}
seeds: 2
sweep:
  activation: [relu, tanh]
"""


@pytest.fixture
def actbench(
    tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    """The command in this process, in an empty folder that holds study.yaml."""
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACTBENCH_DATA", str(data_folder))

    return in_this_process(monkeypatch, capfd)


INLINE = ("--engine", "inline")
"""The engine that needs no further process."""


def train(actbench: Run, *arguments: str) -> Done:
    return actbench("run", "study.yaml", *INLINE, *arguments)


def results(folder: Path, study: str = "tiny") -> dict[str, dict]:
    paths = sorted((folder / "results" / study / "runs").glob("*/result.json"))
    return {path.parent.name: json.loads(path.read_text()) for path in paths}


def numbers(result: dict) -> dict:
    """What must not depend on how a run was computed."""
    kept = {key: result[key] for key in ("spec", "outcome", "health", "digest", "message")}
    return kept | {"final": {key: value for key, value in result["final"].items() if key != "seconds"}}


def test_a_study_is_trained_stored_and_not_trained_again(actbench: Run, tmp_path: Path) -> None:
    done = actbench("run", "study.yaml", "-j", "1")  # with the default engine
    assert done.returncode == 0, done.stderr
    assert "4 ok" in done.stderr
    assert done.stdout == "", "results go to stdout, progress to stderr"
    assert "\x1b" not in done.stderr, "no cursor codes where there is no terminal"

    stored = results(tmp_path)
    assert len(stored) == 4
    for name, result in stored.items():
        lines = (tmp_path / "results/tiny/runs" / name / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == [0, 1, 2]
        assert result["final"]["test.accuracy"] > 0.5
        assert result["environment"]["argv"][1:] == ["run", "study.yaml", "-j", "1"]
        assert {"torch", "actbench", "python", "device", "threads", "data"} <= set(result["environment"])
    assert (tmp_path / "results/tiny/study.yaml").read_text() == STUDY

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("result.json")}
    again = actbench("run", "study.yaml", "-j", "1")
    assert again.returncode == 0
    assert "nothing to do, all 4 runs are finished" in again.stderr
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("result.json")}


def test_a_record_names_the_kernels_that_were_asked_for(actbench: Run, tmp_path: Path) -> None:
    assert train(actbench, "seeds=1", "--kernels", "torch").returncode == 0
    assert {result["environment"]["kernels"] for result in results(tmp_path).values()} == {"torch"}
    assert train(actbench, "seeds=1", "--force").returncode == 0
    assert {result["environment"]["kernels"] for result in results(tmp_path).values()} == {native.choose().kernels}


def test_native_kernels_without_a_compiler_are_a_mistake_and_nothing_is_trained(
    actbench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "nowhere/cc")
    done = actbench("run", "study.yaml", "-j", "1", "--kernels", "native")
    assert done.returncode == 2
    assert "actbench: --kernels native: CC names the compiler nowhere/cc, which is not there" in done.stderr
    assert "Traceback" not in done.stderr
    assert not results(tmp_path)
    native.remembered.cache_clear()
    done = actbench("run", "study.yaml", "-j", "1")
    assert done.returncode == 0, done.stderr
    assert {result["environment"]["kernels"] for result in results(tmp_path).values()} == {"torch"}


def test_more_seeds_run_only_the_new_ones(actbench: Run, tmp_path: Path) -> None:
    train(actbench, "seeds=1")
    first = {name: result["timing"] for name, result in results(tmp_path).items()}
    done = train(actbench, "seeds=3")
    assert "2 finished earlier" in done.stderr
    after = results(tmp_path)
    assert len(after) == 6
    assert {name: after[name]["timing"] for name in first} == first


@pytest.mark.parametrize(
    "how", [pytest.param(("-j", "2", "--cohort-size", "1"), marks=pytest.mark.slow), (*INLINE, "--cohort-size", "3")]
)
def test_how_a_run_is_computed_does_not_change_its_record(actbench: Run, tmp_path: Path, how: tuple[str, ...]) -> None:
    train(actbench, "bias_init=0,0.01")
    usual = {name: numbers(result) for name, result in results(tmp_path).items()}
    (tmp_path / "results").rename(tmp_path / "usual")
    assert actbench("run", "study.yaml", "bias_init=0,0.01", *how).returncode == 0
    assert {name: numbers(result) for name, result in results(tmp_path).items()} == usual
    assert len(usual) == 8


def test_a_dry_run_says_what_would_be_done_and_does_nothing(actbench: Run, tmp_path: Path) -> None:
    said = train(actbench, "--dry-run")
    assert said.returncode == 0
    assert "4: 0 done, 4 to do" in said.stdout
    assert not (tmp_path / "results").exists()
    train(actbench, "seeds=1")
    said = train(actbench, "--dry-run")
    assert "4: 2 done, 2 to do" in said.stdout
    assert "about" in said.stdout


def test_a_smoke_run_goes_to_its_own_folder(actbench: Run, tmp_path: Path) -> None:
    done = train(actbench, "--smoke", "seeds=4")
    assert done.returncode == 0, done.stderr
    assert len(results(tmp_path, "tiny-smoke")) == 4
    assert not results(tmp_path)


def test_a_run_that_diverges_is_recorded_and_the_study_goes_on(actbench: Run, tmp_path: Path) -> None:
    done = train(actbench, "activation=relu", "training.optimizer.lr=0.1,1e30")
    assert done.returncode == 0, done.stderr
    outcomes = [(r["spec"]["training"]["optimizer"]["lr"], r["outcome"]) for r in results(tmp_path).values()]
    assert sorted(set(outcomes)) == [(0.1, "ok"), (1e30, "diverged")]
    wild = next(result for result in results(tmp_path).values() if result["outcome"] == "diverged")
    assert wild["final"]["test.accuracy"] is None
    assert "since epoch" in wild["message"]
    table = actbench("compare", "results")
    assert table.returncode == 0
    assert "2 of 2 diverged" in table.stdout


def test_a_failing_run_fails_alone_and_is_run_again(actbench: Run, tmp_path: Path) -> None:
    broken = "activation=relu,{name: mine, path: 'broken_activation:raises_when_training'}"
    done = train(actbench, broken, "seeds=1")
    assert done.returncode == 1
    assert "out of order" in done.stderr
    (error,) = (tmp_path / "results").rglob("error.txt")
    assert "RuntimeError: out of order" in error.read_text()
    assert [result["spec"]["activation"]["name"] for result in results(tmp_path).values()] == ["relu"]
    assert "nothing to do" in train(actbench, broken, "seeds=1", "--retry", "none").stderr
    again = train(actbench, broken, "seeds=1")
    assert again.returncode == 1
    assert "1 finished earlier" in again.stderr


def test_force_runs_finished_runs_again(actbench: Run, tmp_path: Path) -> None:
    train(actbench, "seeds=1")
    first = results(tmp_path)
    assert "2 ok" in train(actbench, "seeds=1", "--force").stderr
    second = results(tmp_path)
    assert {name: numbers(result) for name, result in first.items()} == {name: numbers(r) for name, r in second.items()}
    assert {name: r["timing"] for name, r in first.items()} != {name: r["timing"] for name, r in second.items()}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("absent.yaml",), "absent.yaml"),
        (("study.yaml", "training.epohcs=3"), "did you mean 'training.epochs'?"),
        (("study.yaml", "activation=reluu"), "did you mean 'relu'?"),
        (("study.yaml", "model={name: cnn, channels: [4, 4, 4, 4]}", *INLINE), "leave nothing of a 8×8 image"),
        (("study.yaml", "dataset.train_size=5000", *INLINE), "5000"),
        (("study.yaml", "dataset={name: idx, root: nowhere}", *INLINE), "nowhere"),
        pytest.param(
            ("study.yaml", "dataset={name: mine, path: 'absent:load'}", "-j", "1"),
            "can't import 'absent'",
            marks=pytest.mark.slow,
        ),
        (
            ("study.yaml", "model.batch_norm=true", "training.batch_size=199", *INLINE),
            "batch norm needs two examples a step",
        ),
        (("study.yaml", "--device", "cuda:99"), "no device 'cuda:99' on this machine"),
        (("study.yaml", "--device", "abacus"), "unknown device 'abacus'"),
        (("study.yaml", "--engine", "poool"), "did you mean 'pool'?"),
        (("study.yaml", "--jobs", "none"), "neither auto nor a number"),
        (("study.yaml", "--results", "study.yaml"), "study.yaml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_gets_one_message_and_exit_code_2(actbench: Run, arguments: tuple[str, ...], told: str) -> None:
    done = actbench("run", *arguments)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr.replace("\n│ ", "")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(tmp_path: Path, data_folder: Path) -> None:
    """Of 6,000 runs, which take minutes, so that the study can't be over before."""
    (tmp_path / "study.yaml").write_text(STUDY)
    command = [sys.executable, "-m", "actbench", "run", "study.yaml", "seeds=3000", "-j", "1"]
    settings = os.environ | {"ACTBENCH_DATA": str(data_folder)}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=settings, start_new_session=True
    ) as running:
        try:
            wait_until(lambda: len(results(tmp_path)) >= 2, running)
            signal_group(running.pid, signal.SIGINT)
            _, said = running.communicate()
            assert not is_group_there(running), "no worker is left"
        finally:
            end_group(running)
    assert running.returncode == 130
    assert "actbench run study.yaml seeds=3000 -j 1" in said
    assert "Traceback" not in said
    assert 2 <= len(results(tmp_path)) < 6000


@pytest.mark.slow
def test_users_own_code_is_found_beside_the_config(actbench: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\n\n\ndef gate(z):\n    print('chatty')\n    return z * torch.sigmoid(z)\n"
    )
    done = actbench("run", "study.yaml", "activation={name: gate, path: 'mine:gate'}", "seeds=1", "--engine", "pool")
    assert done.returncode == 0, done.stderr
    assert "1 ok" in done.stderr
