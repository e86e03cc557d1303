"""What the tests of faults share: a small study, a user's faulty parts, the command, and what a refusal looks like."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Done, Run, in_this_process

STUDY = """\
study: faults
dataset: {name: digits, train_size: 200, test_size: 100}
model: {name: mlp, hidden: [16]}
training: {epochs: 1, batch_size: 32}
seeds: 2
sweep:
  activation: [relu, tanh]
"""

PARTS = '''\
"""A user's own parts, all of them faulty."""
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch


def wrong_shape(z):
    return z[..., :1]


def leaves(z):
    if z.requires_grad:
        sys.exit(3)
    return torch.tanh(z)


def not_a_number(z):
    return z * torch.where(torch.tensor(z.requires_grad), float("nan"), 1.0)


def data(folder):
    images = np.full((20, 8, 8), np.nan)
    return images, np.arange(20) % 2, images, np.arange(20) % 2


def kill_this_process():
    """As a lack of memory does; but never the process that runs the tests."""
    assert os.environ.get("ACTBENCH_TEST_PROCESS") != str(os.getpid())
    os.kill(os.getpid(), signal.SIGKILL)


def killed_once():
    """Ends this process, as a lack of memory does, and no later one; says whether anything had been stored before."""
    if not Path("killed").exists():
        Path("killed").write_text("in training" if Path("results/faults").exists() else "before training")
        kill_this_process()


def fatal_data(folder):
    killed_once()
    images = np.arange(40 * 64, dtype=np.uint8).reshape(40, 8, 8)
    return images, np.arange(40) % 2, images, np.arange(40) % 2


def fatal_once(classes):
    killed_once()
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, classes))


def fatal_always(classes):
    kill_this_process()
'''


def command_in(folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """The command in this process, in a folder with study.yaml and faulty_parts.py."""
    (folder / "study.yaml").write_text(STUDY)
    (folder / "faulty_parts.py").write_text(PARTS)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("ACTBENCH_DATA", str(data))
    monkeypatch.setenv("ACTBENCH_RUN_PRODUCTS", "default")

    command = in_this_process(monkeypatch, capfd)

    def run(*arguments: str) -> Done:
        monkeypatch.delitem(sys.modules, "faulty_parts", raising=False)
        return command(*arguments)

    return run


def train(actbench: Run, *arguments: str) -> Done:
    return actbench("run", "study.yaml", "--engine", "inline", "--cohort-size", "1", *arguments)


def program(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "actbench", *arguments]


def results(folder: Path) -> dict[str, tuple[int, bytes]]:
    paths = sorted(folder.glob("results/*/runs/*/result.json"))
    return {path.parent.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def check_refused(done: Done | subprocess.CompletedProcess[str], *told: str, code: int = 2) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for words in told:
        assert words in done.stderr


def limited(kind: int, most: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (most, most))
