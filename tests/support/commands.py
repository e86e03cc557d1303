"""``actbench`` in this process: its exit code and both streams; torch is imported once for all tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from actbench import cli
from actbench.system import environment


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


def in_this_process(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], program: str = "actbench"
) -> Run:
    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", [program, *arguments])
        environment.describe_command.cache_clear()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0, *capfd.readouterr())

    return run
