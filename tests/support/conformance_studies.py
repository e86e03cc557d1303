"""What the tests of ``tests/conformance`` share: a study whose steps can be held, in a folder, and what is found there.

Tests wait for files, never for a time. A study's activation is a module of the folder, so that whichever process
computes it, on whichever machine of the cluster, finds the files that say what to do: hold, eat, raise, or hang.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from conformance_engines import EngineUnderTest
from forked_commands import Server
from processes import wait_until

from actbench.config import Study
from actbench.execution.runner import Runner
from actbench.schema.runtime import Cohort, Runtime
from actbench.system.processes import Process

STUDY = """\
study: shared
dataset: {name: digits, train_size: 200, test_size: 100}
model: {name: mlp, hidden: [16]}
activation: {name: held, path: 'held_parts:held'}
training: {epochs: 2, batch_size: 32}
seeds: 4
sweep:
  bias_init: [0.0, 0.01]
"""
RUNS = 8
STEPS = 12
"""Training steps of full batches that a cohort of ``STUDY`` takes: two epochs of 180 images."""

KINDS = """\
study: kinds
dataset: {name: digits, train_size: 200, test_size: 100}
training: {epochs: 6, batch_size: 32, patience: 1, keep_weights: last}
seeds: 2
cases:
  mlp: {model: {name: mlp, hidden: [16, 16]}, training.optimizer.lr: 0.3}
  cnn: {model: {name: cnn, channels: [4]}, training.optimizer.lr: 0.1}
  steep: {model: {name: mlp, hidden: [16, 16]}, training.optimizer.lr: 1.0e+12}
sweep:
  activation: [relu, prelu, {name: held, path: 'held_parts:held'}]
"""
"""Every kind of run: two models, a user's activation, learned parameters, runs that end early and runs that diverge."""

PARTS = '''\
"""A user's activations: tanh that is held, takes memory, raises or hangs in training, as files of its folder say."""

import json
import os
import time
from pathlib import Path

import torch

from actbench.system import cancellation
from actbench.system.processes import Process

FOLDER = Path({folder!r})
TESTS = Process(**{tests!r})
"""The process that runs the tests: when it has been killed, nobody lets go of a step, and no process may be left."""


def trains(z):
    return z.requires_grad and z.ndim == 3 and z.shape[1] == 32


def steps():
    """Count a step of this folder's study, whichever process takes it."""
    descriptor = os.open(FOLDER / "steps", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(descriptor, b".")
    os.close(descriptor)
    return (FOLDER / "steps").stat().st_size


def wait_a_moment():
    time.sleep(0.01)
    if TESTS.is_alive() is False:
        os._exit(1)


def asked_to(what, step):
    try:
        return step > int((FOLDER / what).read_text() or 0)
    except FileNotFoundError:
        return False


def take_memory(step):
    """Take up to 2 GB, and keep them until ``eat`` is gone, or this process."""
    taken = []
    while asked_to("eat", step):
        if len(taken) < 20:
            taken.append(bytearray(100 * 2**20))
        wait_a_moment()


def asked_to_stop():
    return cancellation.stop_requested() and not (FOLDER / "deaf").exists()


def note_this_process():
    """Say which process is held; the name appears with the content."""
    path = FOLDER / "held" / f"{{os.getpid()}}.json"
    path.parent.mkdir(exist_ok=True)
    path.with_suffix(".new").write_text(json.dumps(vars(Process.this())))
    path.with_suffix(".new").rename(path)


def held(z):
    """tanh; a step of training waits while ``hold`` says so, and until its process is to stop, unless ``deaf``.

    While ``hold trials`` is there, so does the first call, on a few numbers before anything is trained.
    """
    if not trains(z) and (FOLDER / "hold trials").exists():
        note_this_process()
        while (FOLDER / "hold trials").exists() and not asked_to_stop():
            wait_a_moment()
    if trains(z) and "NEVER_HELD" not in os.environ:
        step = steps()
        take_memory(step)
        if asked_to("hold", step) and not asked_to_stop():
            note_this_process()
        while asked_to("hold", step) and not asked_to_stop():
            wait_a_moment()
    return torch.tanh(z)


def hangs(z):
    """tanh; a step of training does not end while ``hang`` is there."""
    while trains(z) and (FOLDER / "hang").exists():
        wait_a_moment()
    return torch.tanh(z)


def raises(z):
    """tanh that raises in training while ``raise`` is there."""
    if trains(z) and (FOLDER / "raise").exists():
        raise ArithmeticError("out of order, says the user's code")
    return torch.tanh(z)
'''

KEPT = {"study.yaml", "spec.json", "metrics.jsonl", "result.json"}
"""Files that a finished study consists of, besides kept weights."""


@dataclass(frozen=True)
class Command:
    """A command under way, or one that has ended.

    Args:
        server: What started it.
        folder: Where it runs.
        words: The words after ``actbench``.
        pid: Its process.
        streams: What the names of its streams' files end in.
    """

    server: Server
    folder: Path
    words: Sequence[str]
    pid: int
    streams: str

    def end(self) -> int:
        """Wait for its end; returns its exit code, or minus the signal."""
        return self.server.end(self.pid)

    def interrupt(self) -> None:
        """Press Ctrl-C: the command gets SIGINT, and so does all that it has started in its terminal."""
        self.server.signal(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """End the command's own process, and nothing that it has started."""
        self.server.signal_alone(self.pid, signal.SIGKILL)

    @property
    def said(self) -> str:
        """What it has written to standard error."""
        return (self.folder / f"stderr{self.streams}").read_text()

    @property
    def to_go_on(self) -> list[str]:
        """The command that it has printed last, as a shell would read it."""
        return shlex.split(self.said.rstrip().splitlines()[-1])

    @property
    def computed(self) -> int:
        """The runs that it has finished, as its summary says."""
        found = re.search(r": (\d+) ok\b.* in [\d.]+ s", self.said)
        return int(found[1]) if found else 0

    def is_anything_left(self) -> bool:
        """Whether any process is left of its group, after its end."""
        return self.server.is_group_there(self.pid)


class StudyFolder:
    """A folder with ``study.yaml`` and the module of its activations, in which commands run one study.

    Args:
        server: Starts commands.
        path: The folder, empty.
        text: The study.
    """

    def __init__(self, server: Server, path: Path, text: str = STUDY) -> None:
        self.server, self.path = server, path
        self.write(text)
        (path / "held_parts.py").write_text(PARTS.format(folder=str(path), tests=vars(Process.this())))
        self._started = 0

    def write(self, text: str) -> None:
        (self.path / "study.yaml").write_text(text)

    # What commands do

    def start(
        self,
        engine: EngineUnderTest,
        *options: str,
        jobs: int = 1,
        cohort_size: int = 2,
        prelude: str = "",
        **settings: str,
    ) -> Command:
        """Start ``actbench run study.yaml`` on an engine."""
        self._started += 1
        streams = f"-{self._started}"
        words = (
            "run",
            "study.yaml",
            "--device",
            "cpu",
            "--cohort-size",
            str(cohort_size),
            *engine.options(jobs),
            *options,
        )
        settings = {"ACTBENCH_RUN_PRODUCTS": "default", **engine.settings(), **settings}
        pid = self.server.start(self.path, *words, prelude=prelude, streams=streams, **settings)
        return Command(self.server, self.path, words, pid, streams)

    def run(self, engine: EngineUnderTest, *options: str, code: int = 0, **further: Any) -> Command:
        """Run it to its end, which has to have this exit code."""
        command = self.start(engine, *options, **further)
        found = command.end()
        assert found == code, command.said
        assert "Traceback" not in command.said, command.said
        return command

    def hold(self, after: int = 0) -> None:
        """Let every step of training wait from now on, once so many of them have been taken, by whichever process."""
        (self.path / "hold").write_text(str(after))

    def eat(self, after: int = 0) -> None:
        """Let every step of training take memory from now on, once so many of them have been taken."""
        (self.path / "eat").write_text(str(after))

    def release(self) -> None:
        (self.path / "hold").unlink()

    @property
    def steps(self) -> int:
        """The training steps of full batches that have been taken, all in all."""
        return (self.path / "steps").stat().st_size

    def wait_until_held(self, processes: int = 1) -> list[Process]:
        """Return the processes that hold a step, once there are so many."""

        def held() -> list[Process]:
            found = [Process(**json.loads(path.read_text())) for path in (self.path / "held").glob("*.json")]
            return found if len(found) >= processes else []

        found: list[Process] = wait_until(held)
        return found

    def planned(self, *, cohort_size: int) -> list[Cohort]:
        """Return the cohorts in the order in which one worker takes them, as ``actbench plan`` has it."""
        runtime = Runtime(device="cpu", engine="inline", cohort_size=cohort_size)
        return Runner(Study.from_yaml(self.path / "study.yaml"), self.path / "results", runtime).cohorts

    # What is found

    @property
    def runs(self) -> Path:
        (found,) = (self.path / "results").glob("*/runs")
        return found

    def locks(self) -> dict[str, Process]:
        """Run id -> the process that has locked it."""
        found = {}
        for path in (self.path / "results").glob("*/runs/*/claim.json"):
            try:
                found[path.parent.name] = Process(**json.loads(path.read_text())["process"])
            except (FileNotFoundError, json.JSONDecodeError):  # released, or written, in this moment
                continue
        return found

    def records(self) -> dict[str, Any]:
        """What every run reports, with its curve and the sum of its weights, but for the clock and the machine."""
        return {path.parent.name: _record(path) for path in sorted(self.path.glob("results/*/runs/*/result.json"))}

    def finished_files(self) -> dict[Path, tuple[int, bytes]]:
        """The files of the finished runs, each with the time of its last change."""
        runs = [path.parent for path in self.path.glob("results/*/runs/*/result.json")]
        files = [path for run in runs for path in run.iterdir() if path.name in KEPT]
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    def left_over(self) -> list[str]:
        """Files of the results that no finished study consists of."""
        return [
            str(path.relative_to(self.path))
            for path in (self.path / "results").rglob("*")
            if path.is_file() and path.name not in KEPT and path.suffix != ".safetensors"
        ]


def _record(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text())
    for decided_by_the_machine in ("environment", "timing"):
        del content[decided_by_the_machine]
    content["final"].pop("seconds", None)
    rows = list(map(json.loads, (path.parent / "metrics.jsonl").read_text().splitlines()))
    for row in rows:
        row.pop("seconds", None)
    weights = {file.name: sha256(file.read_bytes()).hexdigest() for file in path.parent.glob("*.safetensors")}
    return {**content, "curve": rows, "weights": weights, "spec file": (path.parent / "spec.json").read_text()}


def kill(worker: Process) -> None:
    """Kill a process that computes a study of a test, and wait for its end.

    It noted itself in the test's folder with the time of its start, so that a later process with its id, which is a
    stranger's, is not mistaken for it.
    """
    assert worker.is_alive(), f"{worker} has ended"
    assert worker.pid not in (os.getpid(), os.getppid(), 1)
    os.kill(worker.pid, signal.SIGKILL)
    wait_until_ended([worker])


def wait_until_ended(workers: Sequence[Process]) -> None:
    wait_until(lambda: not any(worker.is_alive() for worker in workers))
