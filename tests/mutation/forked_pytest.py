"""Run pytest again and again, each time in a fork of one process that has imported what takes seconds.

    python tests/mutation/forked_pytest.py < requests > replies

One JSON object a line: a ``Request`` in, a ``Reply`` out. The code under test and the tests are imported in the fork,
so that each run sees the files as they are then.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import select
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import IO

LIBRARIES = (
    "pytest", "hypothesis", "xdist.plugin", "pytest_timeout", "pydantic", "yaml", "typer.testing", "numpy",
    "scipy.special", "scipy.stats", "matplotlib.figure", "torch",
)  # fmt: skip
"""Imported once."""

HUNG = "a hang"
"""What stands in the place of a test that failed where the limit of a run was over before one did."""

MAX_MEMORY = 16 * 2**30
"""Bytes that a run may hold: a mutant that asks for more fails by itself and leaves the machine alone."""


@dataclass(frozen=True)
class Request:
    """Ask for one run of pytest.

    Args:
        arguments: Of pytest.
        order: Test -> its rank; tests run in this order, those that are not named last.
        limit: Seconds after which the run is killed.
    """

    arguments: list[str]
    order: Mapping[str, int]
    limit: float


@dataclass(frozen=True)
class Reply:
    """Say how one run of pytest ended.

    Args:
        passed: Whether every test passed within the limit.
        failed: The first test that failed; ``HUNG`` where time was over before one did, which says little on a busy
            machine; empty where none did, as after an error at an import.
        seconds: Test -> its time, of those that ran to their end.
    """

    passed: bool
    failed: str
    seconds: Mapping[str, float]


class Recorder:
    """The pytest plugin that orders the tests, times them, and notes the first one that fails.

    Args:
        order: As in ``Request``.
    """

    def __init__(self, order: Mapping[str, int]) -> None:
        self._order = order
        self.failed = ""
        self.seconds: dict[str, float] = {}

    def pytest_collection_modifyitems(self, items: list[object]) -> None:
        """Sort the tests by their rank."""
        items.sort(key=lambda item: self._order.get(item.nodeid, len(self._order)))  # type: ignore[attr-defined]

    def pytest_runtest_logreport(self, report: object) -> None:
        """Note a failure, and the time of setup, call and teardown together."""
        name: str = report.nodeid  # type: ignore[attr-defined]
        self.seconds[name] = self.seconds.get(name, 0.0) + report.duration  # type: ignore[attr-defined]
        if report.failed and not self.failed:  # type: ignore[attr-defined]
            self.failed = name


def main() -> None:
    """Answer requests until there are no more."""
    sys.path.pop(0)  # the folder of this file, which the code under test does not see either
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(asdict(in_fork(Request(**json.loads(line))))), flush=True)


def in_fork(request: Request) -> Reply:
    """Run pytest in a fork; one that hangs, and whatever it has started in its session, is killed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.setsid()
        os.close(reading)
        with os.fdopen(writing, "w") as answer:
            _run(request, answer)
        os._exit(0)
    os.close(writing)
    try:
        with os.fdopen(reading) as answer:
            ended = bool(select.select([answer], [], [], request.limit)[0])
            text = answer.readline() if ended else ""
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    # Without an answer it hung, or something killed the process itself, such as a lack of memory.
    return Reply(**json.loads(text)) if text.endswith("\n") else Reply(False, "" if ended else HUNG, {})


def _run(request: Request, answer: IO[str]) -> None:
    import pytest

    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, MAX_MEMORY))
    for number in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), number)
    recorder = Recorder(request.order)
    code = pytest.main(request.arguments, plugins=[recorder])
    answer.write(json.dumps(asdict(Reply(code == pytest.ExitCode.OK, recorder.failed, recorder.seconds))) + "\n")
    answer.flush()


if __name__ == "__main__":
    main()
