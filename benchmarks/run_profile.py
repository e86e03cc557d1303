"""Where the time of a run goes: steps, evaluation, health and the rest, beside the products that each can't do without.

    python -m benchmarks.run_profile [--workload cifar10_cnn] [--precision bfloat16] [--data FOLDER]

One cohort is trained in this process on one thread, as a worker does; every part is measured in seconds of the thread,
so that what else runs on the machine counts only as far as it takes caches and memory away. "Its products" are the
matrix products or convolutions of the same sizes alone, measured right before and after.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from actbench.schema.events import Failed
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec
from actbench.system.worker_environment import ALLOCATOR, THREADS
from actbench.training import epoch_log, loop
from actbench.training.batches import Batch, Shuffled
from actbench.training.state import TrainState
from actbench.training.steps.choice import Stepper
from benchmarks import machine
from benchmarks.peers import products
from benchmarks.peers.actbench_sweep import study
from benchmarks.peers.program import PRECISIONS, Task
from benchmarks.turns import Spread
from benchmarks.workloads import WORKLOADS, Workload, sweep

OPENING, GATHERING, STEPS = "opening: data, initial weights", "gathering batches", "training steps"
EPOCH_0, VALIDATION, TEST = "epoch 0: loss", "validation", "test"
HEALTH, HISTOGRAMS, GRADIENTS = "health", "health with histograms", "gradients of layers"
STATISTICS, REST = "statistics for batch norm", "all else: records, diagnosis"
PARTS = (OPENING, GATHERING, STEPS, EPOCH_0, VALIDATION, TEST, HEALTH, HISTOGRAMS, GRADIENTS, STATISTICS, REST)
OUTSIDE = (EPOCH_0, VALIDATION, TEST, HEALTH, HISTOGRAMS, GRADIENTS, STATISTICS)
"""What is neither a step nor the opening: evaluation, health, epoch 0 and the test. By default epoch 0
takes its loss from the pass that measures health, and no time of its own."""

Clock = dict[str, float]


def main() -> int:
    given = _parser().parse_args()
    _as_a_worker()
    torch.set_num_threads(1)
    workload = WORKLOADS[given.workload]
    rounds = []
    for number in range(given.rounds + 1):  # the first warms up: libraries load, images are decoded
        epochs = 1 if not number else given.epochs
        before = products_of(workload, given)
        clock = profile(workload, given, epochs)
        after = products_of(workload, given)
        if number:
            rounds.append(clock | {key: (before[key] + after[key]) / 2 for key in before})
        print(f"round {number}: {sum(clock[part] for part in PARTS):.2f} s", file=sys.stderr)
    result = _described(workload, given, rounds)
    show(result)
    if given.output is not None:
        given.output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0


def _as_a_worker() -> None:
    """Start this program again with a worker's environment, which libraries read when they load."""
    if "GLIBC_TUNABLES" not in os.environ:
        glibc = ":".join(f"glibc.malloc.{name}={value}" for name, value in ALLOCATOR.items())
        own = os.environ | dict.fromkeys(THREADS, "1") | {"GLIBC_TUNABLES": glibc}
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.run_profile", *sys.argv[1:]], own)


def profile(workload: Workload, given: argparse.Namespace, epochs: int) -> Clock:
    """Train a cohort and return the seconds of the thread that each part took, in all."""
    cohort = Cohort(tuple(specs_of(workload, given, epochs)))
    clock: Clock = defaultdict(float)
    with _measured(clock):
        began = time.thread_time()
        for event in loop.run_cohort(cohort, Runtime(device="cpu", engine="inline", data_folder=given.data)):
            if isinstance(event, Failed):
                raise SystemExit(event.message)
        whole = time.thread_time() - began
    clock[REST] = whole - sum(clock[part] for part in PARTS)
    return dict(clock)


def specs_of(workload: Workload, given: argparse.Namespace, epochs: int) -> list[RunSpec]:
    """The sweep's first runs, equal activations side by side."""
    runs = sweep(given.runs)
    task = Task(workload, runs[:1], epochs, given.examples or workload.examples, 1, given.data, "cpu", False, None)
    text = study(replace(task, precision=given.precision))
    common = {key: text[key] for key in ("model", "weight_init", "training", "dataset")}
    found = [
        RunSpec.model_validate(common | {"activation": run.activation, "bias_init": run.bias, "seed": run.seed})
        for run in runs
    ]
    return sorted(found, key=lambda spec: spec.activation.label)


def products_of(workload: Workload, given: argparse.Namespace) -> Clock:
    """Return the seconds that the products alone take: of a step, and of passing forward one image."""
    dtype = torch.bfloat16 if given.precision == "bfloat16" else torch.float32
    steps = [step for step, _ in products.layers(workload, workload.batch_size, "cpu", dtype)]
    forwards = [step for step, _ in products.layers(workload, 250, "cpu", dtype, forward_only=True)]
    with torch.no_grad():
        return {"a step": _seconds(steps), "an image": _seconds(forwards) / 250}


def _seconds(steps: Sequence[Callable[[], None]]) -> float:
    """Return the seconds of one call of each, as the median of stretches long enough to be told from noise."""
    for step in steps:
        step()
    began = time.thread_time()
    for step in steps:
        step()
    calls = max(1, round(0.15 / max(time.thread_time() - began, 1e-6)))
    found = []
    for _ in range(5):
        began = time.thread_time()
        for _ in range(calls):
            for step in steps:
                step()
        found.append((time.thread_time() - began) / calls)
    return Spread.of(found).median


@contextmanager
def _measured(clock: Clock) -> Iterator[None]:
    """Let the trainer's parts note their time while the context lasts."""

    def timed(function: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                clock[name(*arguments, **options)] += time.thread_time() - began

        return call

    def evaluated(forward: Any, images: Any, examples: Any, *_: Any, **__: Any) -> str:
        name = TEST if examples is images.test else VALIDATION if examples is images.val else EPOCH_0
        clock[f"{name}, images"] += len(examples)
        return name

    def stepper_of(state: TrainState, **options: Any) -> Stepper:
        return _TimedStepper(choose(state, **options), clock)

    def epoch(self: Shuffled, **options: Any) -> Iterator[Batch]:
        batches = draw(self, **options)
        while True:
            began = time.thread_time()
            batch = next(batches, None)
            clock[GATHERING] += time.thread_time() - began
            if batch is None:
                return
            yield batch

    @contextmanager
    def initial(*arguments: Any, **options: Any) -> Iterator[None]:
        began = time.thread_time()
        with statistics(*arguments, **options):
            clock[STATISTICS] += time.thread_time() - began
            yield

    choose, draw, statistics = loop.choose_stepper, Shuffled.epoch, epoch_log.initial_statistics
    opened = timed(TrainState.open, lambda *_: OPENING)
    health = timed(epoch_log.measure_unit_health, lambda *_, histograms, **__: HISTOGRAMS if histograms else HEALTH)
    with (
        mock.patch.object(TrainState, "open", opened),
        mock.patch.object(loop, "choose_stepper", stepper_of),
        mock.patch.object(Shuffled, "epoch", epoch),
        mock.patch.object(epoch_log, "evaluate", timed(epoch_log.evaluate, evaluated)),
        mock.patch.object(epoch_log, "measure_unit_health", health),
        mock.patch.object(
            epoch_log, "measure_gradients", timed(epoch_log.measure_gradients, lambda *_, **__: GRADIENTS)
        ),
        mock.patch.object(epoch_log, "initial_statistics", initial),
    ):
        yield


class _TimedStepper:
    """A stepper that notes the time of its calls."""

    def __init__(self, stepper: Stepper, clock: Clock) -> None:
        self._stepper, self._clock = stepper, clock

    @property
    def batches_per_call(self) -> int:
        return self._stepper.batches_per_call

    def __call__(self, state: TrainState, batches: Sequence[Batch]) -> None:
        began = time.thread_time()
        self._stepper(state, batches)
        self._clock[STEPS] += time.thread_time() - began


def show(result: dict[str, Any]) -> None:
    """Print the table of parts in milliseconds a run, with their shares and what their products alone would take."""
    print(f"{result['title']}\n")
    print("| part | ms a run | share | its products | ratio |\n| --- | ---: | ---: | ---: | ---: |")
    for row in result["rows"]:
        alone = row["products"]
        own = f"{1e3 * alone:.1f} | {row['ratio']['median']:.2f}" if alone else " | "
        print(f"| {row['part']} | {_range(row['seconds'], 1e3)} | {100 * row['share']['median']:.1f} % | {own} |")


def _range(spread: dict[str, float], factor: float) -> str:
    return f"{factor * spread['median']:.1f} [{factor * spread['low']:.1f}, {factor * spread['high']:.1f}]"


def _described(workload: Workload, given: argparse.Namespace, rounds: Sequence[Clock]) -> dict[str, Any]:
    rows = []
    for part in (*PARTS, "outside the steps"):
        members = OUTSIDE if part == "outside the steps" else (part,)
        seconds = [sum(one[name] for name in members) / given.runs for one in rounds]
        if not any(seconds):
            continue
        wholes = [sum(one[name] for name in PARTS) / given.runs for one in rounds]
        alone = [sum(one.get(f"{name}, images", 0) * one["an image"] for name in members) for one in rounds]
        if part == STEPS:
            steps = given.epochs * (given.examples or workload.examples) / workload.batch_size
            alone = [steps * one["a step"] for one in rounds]
        rows.append(
            {
                "part": part,
                "seconds": asdict(Spread.of(seconds)),
                "share": asdict(Spread.of([own / whole for own, whole in zip(seconds, wholes, strict=True)])),
                "products": Spread.of(alone).median,
                "ratio": asdict(Spread.of([own / one for own, one in zip(seconds, alone, strict=True)]))
                if all(alone)
                else None,
            }
        )
    where = machine.described("cpu")
    return {
        "title": f"{workload.name}, {given.precision}, {given.runs} runs, {given.epochs} epochs, n = {len(rounds)}, "
        f"one thread of {where['processor']}",
        "machine": where,
        "load": machine.load_average(),
        "rows": rows,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=sorted(WORKLOADS), default="mnist_mlp")
    parser.add_argument("--precision", choices=[one for one in PRECISIONS if one != "tf32"], default="float32")
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--examples", type=int, default=None, help="training examples [default: the workload's]")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, help="file for the figures")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
