"""The pool where Python lacks what POSIX has, as on Windows: the names are taken away from real processes.

It is no Windows: paths, pipes and the ends of processes are still those of this system.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from actbench.storage.reading import read_results
from actbench.system.files import read_file, read_input

PARTS = Path(__file__).parents[1] / "support"

WITHOUT = """\
import faulthandler, os, select, signal

for module, names in {
    signal: "SIGHUP SIGUSR1 SIGUSR2 SIGPIPE SIGCHLD SIGALRM SIGQUIT SIG_BLOCK SIG_SETMASK SIG_UNBLOCK pthread_sigmask",
    os: "set_blocking fork forkpty killpg setsid getpgid sched_getaffinity mkfifo",
    faulthandler: "register unregister",
    select: "poll epoll",
}.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
"""
"""Imported by Python at the start of each process, also of the workers. What libraries here need of their own, and have
otherwise on Windows, stays: SIGKILL for ``subprocess``, getuid for ``getpass``, O_NONBLOCK for ``filelock`` …"""

STUDY = """\
study: portable
dataset: {name: digits, train_size: 200, test_size: 100}
model: {name: mlp, hidden: [8]}
training: {epochs: 2, batch_size: 64}
seeds: 2
sweep: {activation: [relu, tanh]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "sitecustomize.py").write_text(WITHOUT)
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


def python(folder: Path, data: Path, *words: str, without: bool = True) -> subprocess.CompletedProcess[str]:
    shim = [str(folder / "without")] if without else []
    settings = {
        "PYTHONPATH": os.pathsep.join([*shim, str(PARTS), *filter(None, sys.path)]),
        "ACTBENCH_DATA": str(data),
        "ACTBENCH_RUN_PRODUCTS": "default",
    }
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=os.environ | settings, capture_output=True, text=True, check=False
    )


def outcomes(results: Path) -> dict[str, tuple[str, Any]]:
    return {one.spec.digest: (one.outcome, one.final.get("test.loss")) for one in read_results(results)}


def test_the_names_are_gone(folder: Path, tmp_path: Path) -> None:
    found = python(folder, tmp_path, "-c", "import os, signal; print(hasattr(signal, 'SIGHUP'), hasattr(os, 'fork'))")
    assert found.stdout == "False False\n"


def test_files_are_read_without_the_flag_for_pipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("content")
    monkeypatch.delattr(os, "O_NONBLOCK")
    assert read_file(tmp_path / "file") == b"content"
    assert read_input(tmp_path / "file", 3) == b"con"


@pytest.mark.slow
def test_the_pool_gives_the_same_numbers_without_posix(folder: Path, data_folder: Path) -> None:
    for results, without in (("here", False), ("there", True)):
        words = ("-m", "actbench", "run", "study.yaml", "-o", results, "-j", "2", "--device", "cpu")
        done = python(folder, data_folder, *words, without=without)
        assert done.returncode == 0, done.stderr
        assert "4 ok" in done.stderr
    found = outcomes(folder / "there")
    assert found == outcomes(folder / "here")
    assert [outcome for outcome, _ in found.values()] == ["ok"] * 4
    for words in (("status", "there"), ("compare", "there"), ("plan", "study.yaml"), ("doctor",), ("show", "relu")):
        done = python(folder, data_folder, "-m", "actbench", *words)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_step_that_hangs_is_ended_without_posix(folder: Path, data_folder: Path) -> None:
    (folder / "hang").touch()
    activation = "activation={name: hangs, path: 'stopping_parts:hangs'}"
    words = (
        "run",
        "study.yaml",
        "sweep={}",
        activation,
        "training.batch_size=32",
        "seeds=1",
        "-j",
        "1",
        "--timeout",
        "2",
        "--device",
        "cpu",
    )
    done = python(folder, data_folder, "-m", "actbench", *words)
    assert done.returncode == 1, done.stderr
    assert "no step was finished for 2 s, so the worker process was ended (--timeout)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_workers_that_can_t_start_name_the_engine_that_needs_none(folder: Path, data_folder: Path) -> None:
    broken = "import sys\nif 'actbench.execution.engines.' in ' '.join(sys.orig_argv):\n    sys.exit(3)\n"
    (folder / "without" / "sitecustomize.py").write_text(broken)
    words = ("run", "study.yaml", "sweep={}", "seeds=1", "-j", "1", "--device", "cpu")
    done = python(folder, data_folder, "-m", "actbench", *words)
    assert done.returncode == 1
    assert "the worker process ended with exit code" in done.stderr
    assert "it had not even begun: --engine inline computes without worker processes" in done.stderr
