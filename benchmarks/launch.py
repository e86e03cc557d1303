"""One measurement: start a peer's processes on the cores they are given, let them train at once, read what they say."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.peers.program import READY, UNUSABLE
from benchmarks.workloads import ACTIVATIONS

ROOT = Path(__file__).parents[1]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Read by the numerical libraries when they load."""


class UnusableError(Exception):
    """A peer lacks its library or its data: it is left out, by name."""


class BrokenPeerError(Exception):
    """A peer's program failed."""


@dataclass(frozen=True)
class Setting:
    """A peer and how it gets the cores.

    Args:
        name: As shown.
        program: A module of ``benchmarks.peers``.
        processes: Started together, each with its own runs.
        threads: Of each process; for actbench its workers.
        needs: The module that must be installed.
        options: Further arguments of the program.
    """

    name: str
    program: str
    processes: int
    threads: int
    needs: str = "torch"
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """What one measurement gave.

    Args:
        name: The setting's.
        seconds: Training of one run: the slowest process, over the runs of all processes.
        training_seconds: The same without evaluation, which only actbench does meanwhile.
        whole_seconds: From start to end of the processes, imports included, over the same runs.
        runs: Of all processes.
        accuracies: Run -> test accuracy.
        said: The processes' own lines.
    """

    name: str
    seconds: float
    training_seconds: float
    whole_seconds: float
    runs: int
    accuracies: Mapping[str, float]
    said: Sequence[Mapping[str, Any]]

    def program_seconds(self, runs: int) -> float:
        """Return the seconds from the program's start to its end if it trained so many runs.

        For other numbers of runs than were measured: all that surrounds training once, and training as often as the
        process with most runs has to. What compiles does so once for each activation of a process's runs. That every
        further run is tested too is left out.
        """
        processes = len(self.said)
        own, share = self.runs // processes, -(-runs // processes)
        if own == share:
            return self.whole_seconds * self.runs
        training, compiling = self.seconds * self.runs, max(one.get("compile_seconds", 0.0) for one in self.said)
        activations = max(one.get("compiled_activations", 1) for one in self.said)
        compiled_later = compiling / activations * min(share, len(ACTIVATIONS))
        return self.whole_seconds * self.runs - training - compiling + training / own * share + compiled_later


def measure(setting: Setting, arguments: Sequence[str], *, runs: int, cores: Sequence[int]) -> Measured:
    """Train ``runs`` runs in each process of the setting.

    Args:
        setting: Who.
        arguments: The workload, its size and the data, as arguments of the program.
        runs: For each process; the first process has the sweep's first ones, the next those that follow.
        cores: Processors to use; several processes get one each.

    Raises:
        UnusableError: When a library or the data is absent.
        BrokenPeerError: When a process fails.
    """
    if find_spec(setting.needs) is None:
        raise UnusableError(f"{setting.needs} is not installed")
    began = time.perf_counter()
    running: list[_Process] = []
    try:
        for index in range(setting.processes):
            own = [cores[index % len(cores)]] if setting.processes > 1 else list(cores)
            given = [*arguments, "--runs", str(runs), "--first", str(index * runs)]
            running.append(_Process(setting, given, own))
        if setting.processes > 1:
            for process in running:
                process.until_ready()
            for process in running:
                process.go()
        said = [process.result() for process in running]
        elapsed = time.perf_counter() - began
    finally:
        for process in running:
            process.end()
    total = runs * setting.processes
    whole = said[0].get("command_seconds", elapsed)
    return Measured(
        name=setting.name,
        seconds=max(one["seconds"] for one in said) / total,
        training_seconds=max(one.get("training_seconds", one["seconds"]) for one in said) / total,
        whole_seconds=whole / total,
        runs=total,
        accuracies={run: value for one in said for run, value in one["accuracies"].items()},
        said=said,
    )


class _Process:
    """One process of a setting; its standard error goes to a file, so that no full pipe can stop it."""

    def __init__(self, setting: Setting, arguments: Sequence[str], cores: Sequence[int]) -> None:
        """Start it."""
        self._setting = setting
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  closed in ``end``
        wait = ["--wait"] if setting.processes > 1 else []
        threads = ["--threads", str(setting.threads)]
        program = [sys.executable, "-m", f"benchmarks.peers.{setting.program}"]
        self._process = subprocess.Popen(
            [*program, *arguments, *threads, *wait, *setting.options],
            cwd=ROOT,
            env=os.environ | dict.fromkeys(THREADS, str(setting.threads)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            preexec_fn=bound_to(cores),
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout

    def until_ready(self) -> None:
        """Wait until all but training is done."""
        if self._output.readline().strip() != READY:
            self._fail()

    def go(self) -> None:
        """Let it train."""
        with contextlib.suppress(BrokenPipeError):  # it has just ended; ``result`` says why
            self._input.write("go\n")
            self._input.flush()

    def result(self) -> Mapping[str, Any]:
        """Its last line, once it has ended."""
        lines = self._output.read().splitlines()
        if self._process.wait() or not lines:
            self._fail()
        content: Mapping[str, Any] = json.loads(lines[-1])
        return content

    def end(self) -> None:
        """Leave nothing behind."""
        self._process.kill()  # has ended already, but when another process failed
        self._process.wait()
        for stream in (self._input, self._output, self._errors):
            stream.close()

    def _fail(self) -> None:
        code = self._process.wait()
        self._errors.seek(0)
        text = self._errors.read().strip()
        if code == UNUSABLE:
            raise UnusableError(text.splitlines()[-1] if text else "no reason given")
        raise BrokenPeerError(f"{self._setting.name} ended with exit code {code}:\n{text}")


def processors() -> list[int]:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def bound_to(cores: Sequence[int]) -> Callable[[], None] | None:
    """Done in the new process before its program starts; None where a process can't be bound to processors."""
    return partial(os.sched_setaffinity, 0, cores) if hasattr(os, "sched_setaffinity") else None
