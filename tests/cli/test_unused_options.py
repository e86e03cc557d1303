"""An option that nothing would come of is refused when somebody gives it, and never when it is a default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from commands import in_this_process

STUDY = """\
study: tiny
dataset: {name: digits, train_size: 200, test_size: 100}
model: {name: mlp, hidden: [8]}
training: {epochs: 1, batch_size: 32}
seeds: 1
"""

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """``actbench … study.yaml`` in an empty folder: its exit code and standard error."""
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)

    actbench = in_this_process(monkeypatch, capfd)

    def run(name: str, *options: str) -> tuple[int, str]:
        done = actbench(name, "study.yaml", *options)
        return done.returncode, done.stderr

    return run


INLINE = ("--engine", "inline", "--device", "cpu")
REFUSED = [
    ((*INLINE, "--timeout", "60"), "--timeout has no effect: engine 'inline' computes in this process alone", "pool"),
    ((*INLINE, "-j", "2"), "--jobs has no effect: engine 'inline' computes in this process alone", "--engine pool"),
]


@pytest.mark.parametrize(("options", "told", "remedy"), REFUSED, ids=lambda value: " ".join(value[-2:]))
def test_an_option_without_effect_is_refused_in_one_line(
    command: Command, tmp_path: Path, options: tuple[str, ...], told: str, remedy: str
) -> None:
    code, said = command("run", *options)
    assert code == 2
    assert said.startswith(f"actbench: {told}")
    assert remedy in said
    assert said.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a device that is not the CPU")
def test_the_library_of_a_cpus_products_is_refused_for_a_gpu(command: Command) -> None:
    code, said = command("run", "--device", "cuda", "--products", "default")
    assert (code, said.count("\n")) == (2, 1)
    assert "--products has no effect: it is for the CPU, and this is cuda; take --device cpu" in said
    code, said = command("run", "--device", "cuda", "--kernels", "torch")
    assert (code, "--kernels has no effect: it is for the CPU, and this is cuda" in said) == (2, True)


def test_a_variable_without_effect_is_refused_by_its_name(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTBENCH_RUN_TIMEOUT", "60")
    code, said = command("run", *INLINE)
    assert code == 2
    assert said.startswith("actbench: ACTBENCH_RUN_TIMEOUT has no effect: engine 'inline'")
    assert said.endswith("or unset it\n")


def test_plan_refuses_what_run_would_refuse(command: Command) -> None:
    code, said = command("plan", *INLINE, "-j", "2")
    assert (code, "--jobs has no effect" in said) == (2, True)


@pytest.mark.parametrize(
    "options",
    [
        INLINE,
        (*INLINE, "--timeout", "0"),
        (*INLINE, "-j", "1"),
        (*INLINE, "-j", "auto"),
        ("--timeout", "60", "-j", "2", "--no-capture"),
    ],
    ids=" ".join,
)
def test_defaults_and_what_asks_for_nothing_are_no_mistake(command: Command, options: tuple[str, ...]) -> None:
    assert command("run", "--dry-run", *options) == (0, "")
