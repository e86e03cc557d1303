"""What the programs share and no measurement depends on: the command line, a stopwatch, one line of JSON."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.workloads import WORKLOADS, Run, Workload, sweep

BEGAN = time.perf_counter()
"""The program's first lines; the interpreter's own start, some hundredths of a second, is before it."""

PRECISIONS = ("float32", "tf32", "bfloat16")

READY = "ready"
UNUSABLE = 2
"""Exit code of a program that lacks its data or its library: left out, not failed."""


@dataclass(frozen=True)
class Task:
    """What to train, and where.

    Args:
        runs: One after another.
        examples: Training examples an epoch.
        threads: Threads of the library; for actbench its worker processes.
        wait: Say ``ready`` when all but training is done, and begin at a line of standard input. So that processes
            that are measured together train at the same time.
        cohort_size: For actbench: most runs that train together; None for its own choice.
        precision: ``float32``, ``tf32`` (a GPU's products from inputs of ten bits) or ``bfloat16``.
    """

    workload: Workload
    runs: tuple[Run, ...]
    epochs: int
    examples: int
    threads: int
    data: Path
    device: str
    wait: bool
    cohort_size: int | None
    precision: str = "float32"


def task(description: str | None, argv: Sequence[str] | None = None) -> Task:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=sorted(WORKLOADS), default="mnist_mlp")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="index of the first run in the sweep")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--examples", type=int, default=None, help="training examples [default: the workload's]")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path, required=True, help="folder as torchvision lays it out, or of images")
    parser.add_argument("--seed", type=int, default=0, help="of the sweep's first runs")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cohort-size", type=int, default=None)
    parser.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0])
    parser.add_argument("--wait", action="store_true")
    given = parser.parse_args(argv)
    workload = WORKLOADS[given.workload]
    return Task(
        workload=workload,
        runs=sweep(given.runs, first=given.first, seed=given.seed),
        epochs=given.epochs,
        examples=given.examples or workload.examples,
        threads=given.threads,
        data=given.data,
        device=given.device,
        wait=given.wait,
        cohort_size=given.cohort_size,
        precision=given.precision,
    )


class Stopwatch:
    """Adds up the seconds of training."""

    def __init__(self, task: Task) -> None:
        """Nothing measured yet."""
        self.seconds = 0.0
        self._waits, self._device = task.wait, task.device

    @contextmanager
    def training(self) -> Iterator[None]:
        """Measure what happens in the context, the device's pending work included."""
        if self._waits:
            print(READY, flush=True)
            sys.stdin.readline()
            self._waits = False
        began = time.perf_counter()
        yield
        if self._device != "cpu":
            import torch

            torch.cuda.synchronize()
        self.seconds += time.perf_counter() - began


def report(
    task: Task,
    seconds: float,
    accuracies: Sequence[float] | Mapping[str, float],
    libraries: Sequence[str],
    **more: Any,
) -> Mapping[str, Any]:
    """Print the program's one line.

    Args:
        task: What was trained.
        seconds: Wall clock of training alone.
        accuracies: Share of correct test examples after the last epoch, one a run; empty where nothing is learned. A
            mapping, run -> share, where some have none.
        libraries: Distributions whose versions matter.
        more: Further fields.
    """
    if not isinstance(accuracies, Mapping):
        accuracies = {run.label: value for run, value in zip(task.runs, accuracies, strict=False)}
    content = {
        "workload": task.workload.name,
        "runs": len(task.runs),
        "epochs": task.epochs,
        "examples": task.examples,
        "threads": task.threads,
        "device": task.device,
        "seconds": seconds,
        "total_seconds": time.perf_counter() - BEGAN,
        "accuracies": accuracies,
        "versions": {name: metadata.version(name) for name in libraries},
        **more,
    }
    print(json.dumps(content), flush=True)
    return content


def refuse(message: str) -> NoReturn:
    """End the program because it lacks what it needs."""
    print(message, file=sys.stderr)
    raise SystemExit(UNUSABLE)
