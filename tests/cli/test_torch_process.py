"""Calls in a process of its own: the same results, every error reported once, no process left behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from actbench.cli.function_curves import function_curves
from actbench.cli.theory import prediction
from actbench.cli.torch_process import TorchProcess
from actbench.errors import UsageError, WorkerLostError
from actbench.schema.components import resolve
from actbench.schema.registry import load
from actbench.schema.spec import RunSpec


@pytest.fixture(scope="module")
def started() -> Iterator[TorchProcess]:
    """A process that was started."""
    with TorchProcess() as process:
        process.start()
        yield process


def test_calls_are_made_in_another_process_once_it_is_started(started: TorchProcess) -> None:
    with TorchProcess() as idle:
        assert idle.call(os.getpid) == os.getpid()
    assert started.call(os.getpid) != os.getpid()


def test_theory_and_functions_are_those_of_this_process(started: TorchProcess) -> None:
    spec = RunSpec.model_validate({"model": {"name": "mlp", "hidden": [8, 8, 8]}, "activation": "gelu"})
    assert started.call(prediction, spec) == prediction(spec)
    components = [resolve("activations", name) for name in ("relu", "prelu", "tanh")]
    assert repr(started.call(function_curves, components)) == repr(function_curves(components))  # NaN differs from NaN


def test_errors_are_those_of_the_function_and_the_next_call_is_answered(started: TorchProcess) -> None:
    with pytest.raises(UsageError, match="signal_depth"):
        started.call(load, "charts", "signal_dept")
    with pytest.raises(RuntimeError, match="invalid literal for int"):
        started.call(int, "seven")
    assert started.call(abs, -3) == 3


def test_what_a_call_prints_is_not_taken_for_an_answer(started: TorchProcess) -> None:
    assert started.call(os.write, 1, b"printed by a call\n") == 18
    assert started.call(abs, -3) == 3


@pytest.mark.parametrize(
    ("end", "how"), [((os._exit, 7), "ended with exit code 7"), ((os.abort,), "was killed by signal 6")]
)
def test_a_lost_process_is_reported_and_nothing_is_computed_instead(end: tuple[object, ...], how: str) -> None:
    with TorchProcess() as process:
        process.start()
        with pytest.raises(WorkerLostError, match=how):
            process.call(*end)
        with pytest.raises(WorkerLostError, match=how):
            process.call(abs, -3)


def test_an_interruption_ends_the_process() -> None:
    found = []

    def interrupted() -> None:
        with TorchProcess() as process:
            process.start()
            found.append(process.call(os.getpid))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(ChildProcessError):  # it ended and was waited for
        os.waitpid(found[0], os.WNOHANG)


def test_calls_are_made_here_where_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with TorchProcess() as process:
        process.start()
        assert process.call(os.getpid) == os.getpid()
