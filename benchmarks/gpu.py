"""Runs on a GPU: cohorts beside one network at a time, torch.func ensembles and a tight loop; and how equal they are.

    python -m benchmarks.gpu [--quick] [--data FOLDER] [--images FOLDER] [--part mlp] [--precision tf32]

Prints each figure as it is there and writes ``benchmarks/results/gpu-<card>-<date>.json`` after every part, so that an
interrupted measurement keeps what it had. Parts: ``mlp`` and ``cnn`` (against peers, in turn), ``equality`` (a run
among others and alone, captured steps and ordinary ones), ``sizes`` (cohorts of 1 to 128 runs), ``command`` (the whole
of ``actbench run``). All take six to seven minutes on an H200. The method: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from actbench import RunRecord
from actbench.schema.events import Failed, Finished
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec
from actbench.training import numerics
from actbench.training.evaluation import evaluate
from actbench.training.loop import run_cohort
from actbench.training.state import TrainState
from actbench.training.steps.choice import choose_stepper
from benchmarks import machine
from benchmarks.launch import measure, processors
from benchmarks.peers import in_memory, tight_loop, vmap_ensemble
from benchmarks.peers.actbench_sweep import study
from benchmarks.peers.examples import Arrays, arrays
from benchmarks.peers.networks import accuracy, computing_in, test_batches
from benchmarks.peers.program import PRECISIONS, Task
from benchmarks.settings import subject
from benchmarks.turns import Spread, disagreement, order, ratios
from benchmarks.workloads import CIFAR10_CNN, MNIST_MLP, Run, Workload, sweep

RESULTS = Path(__file__).parent / "results"
SUBJECT = "cohort, captured"
PARTS = ("mlp", "cnn", "equality", "sizes", "command")
TESTED = 10_000
"""Test images of both datasets."""

SIZES = (1, 4, 16, 32, 64, 128)


@dataclass(frozen=True)
class Size:
    """How much is trained.

    Args:
        runs: Of the cohort.
        alone: Of these, how many each method that trains one run at a time trains; its seconds are a run's.
        ensembles: Of the six activations, how many torch.func trains.
        epochs: Passes over the training examples.
        examples: Training examples an epoch.
        rounds: Measurements of each method.
    """

    runs: int
    alone: int
    ensembles: int
    epochs: int
    examples: int
    rounds: int


FULL = {
    "mnist_mlp": Size(runs=60, alone=3, ensembles=1, epochs=2, examples=54_000, rounds=2),
    "cifar10_cnn": Size(runs=16, alone=2, ensembles=1, epochs=1, examples=18_000, rounds=2),
}
QUICK = {
    "mnist_mlp": Size(runs=12, alone=2, ensembles=1, epochs=1, examples=600, rounds=1),
    "cifar10_cnn": Size(runs=3, alone=1, ensembles=1, epochs=1, examples=200, rounds=1),
}


@dataclass(frozen=True)
class Took:
    """One measurement of one method.

    Args:
        seconds: Of a run.
        steps: Seconds of a run's training steps alone.
        runs: How many were trained.
        accuracies: Run -> test accuracy, of those that have not diverged.
        peak: Most bytes of the device in use.
        more: Further figures.
    """

    name: str
    seconds: float
    steps: float
    runs: int
    accuracies: Mapping[str, float]
    peak: int
    more: dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """What all parts are given."""

    device: str
    data: Path
    images: Path
    sizes: dict[str, Size]
    precisions: Sequence[str]
    compiled: bool
    full: bool

    def task(self, workload: Workload, precision: str, runs: Sequence[Run]) -> Task:
        """The workload as the peers are given it."""
        size = self.sizes[workload.name]
        return Task(
            workload=workload,
            runs=tuple(runs),
            epochs=size.epochs,
            examples=size.examples,
            threads=1,
            data=self.data if workload is MNIST_MLP else self.images,
            device=self.device,
            wait=False,
            cohort_size=None,
            precision=precision,
        )

    def specs(self, task: Task) -> list[RunSpec]:
        """The same runs for actbench, equal activations side by side."""
        text = study(replace(task, runs=task.runs[:1]))
        common = {key: text[key] for key in ("model", "weight_init", "training")}
        common["dataset"] = text["dataset"] | {"max_examples": max(task.examples, TESTED if self.full else 0)}
        found = [
            RunSpec.model_validate(common | {"activation": run.activation, "bias_init": run.bias, "seed": run.seed})
            for run in task.runs
        ]
        return sorted(found, key=lambda spec: spec.activation.label)

    def runtime(self, *, capture: bool = True) -> Runtime:
        """In this process."""
        return Runtime(device=self.device, engine="inline", data_folder=self.data, capture=capture)


def main() -> int:
    given = _parser().parse_args()
    bench = Bench(
        given.device,
        given.data,
        given.images or given.data,
        QUICK if given.quick else FULL,
        given.precision or (PRECISIONS if given.device != "cpu" else ("float32", "bfloat16")),
        not given.no_compile,
        not given.quick,
    )
    result = _described(given)
    path = given.output / f"gpu-{_slug(result['machine']['device'])}-{datetime.date.today().isoformat()}.json"
    parts: dict[str, Callable[[Bench], Any]] = {
        "mlp": lambda bench: against_peers(bench, MNIST_MLP),
        "cnn": lambda bench: against_peers(bench, CIFAR10_CNN),
        "equality": equality,
        "sizes": sizes,
        "command": command,
    }
    failed = False
    for name in given.part or PARTS:
        began = time.perf_counter()
        print(f"== {name}", flush=True)
        try:
            result[name] = parts[name](bench)
        except Exception as error:  # the other parts still count
            traceback.print_exc()
            result[name], failed = {"failed": f"{type(error).__name__}: {error}"}, True
        print(f"== {name} took {time.perf_counter() - began:.1f} s", flush=True)
        given.output.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"written: {path.name}", file=sys.stderr)
    return int(failed)


# ---- against peers -------------------------------------------------------------------------------------------------


def against_peers(bench: Bench, workload: Workload) -> list[dict[str, Any]]:
    """Every method in turn with the cohort, in each precision."""
    data = arrays(bench.task(workload, "float32", sweep(1)))
    return [_in_precision(bench, workload, data, precision) for precision in bench.precisions]


def _in_precision(bench: Bench, workload: Workload, data: Arrays, precision: str) -> dict[str, Any]:
    size = bench.sizes[workload.name]
    task = bench.task(workload, precision, sweep(size.runs))
    images, labels = tight_loop.on_device(task, data.train_images, data.train_labels)
    plain = torch.from_numpy(data.train_images).to(task.device)
    test = test_batches(data)[: None if bench.full else 1]
    methods: dict[str, Callable[[], Took]] = {
        SUBJECT: lambda: _cohort(bench, task, SUBJECT, capture=True),
        "cohort, not captured": lambda: _cohort(bench, task, "cohort, not captured", capture=False),
        "actbench, one by one": lambda: _one_by_one(bench, task),
        "torch.func ensemble": lambda: _ensembles(bench, task, plain, labels, test),
        "tight loop": lambda: _tight(bench, task, images, labels, test, compiled=False),
        "tensors in memory": lambda: _in_memory(bench, task, plain, labels, test),
    }
    if bench.compiled:
        methods["tight loop, compiled"] = lambda: _tight(bench, task, images, labels, test, compiled=True)
    return {"workload": workload.name, "precision": precision, "size": asdict(size)} | _in_turn(methods, size)


def _in_turn(methods: dict[str, Callable[[], Took]], size: Size) -> dict[str, Any]:
    taken: list[Took] = []
    left_out: dict[str, str] = {}
    methods[SUBJECT]()  # decodes the images, loads libraries, chooses kernels
    for name in order(SUBJECT, [name for name in methods if name != SUBJECT], rounds=size.rounds, together=3):
        if name in left_out:
            continue
        try:
            taken.append(methods[name]())
        except Exception as error:
            if name == SUBJECT:
                raise
            traceback.print_exc()
            left_out[name] = f"{type(error).__name__}: {error}"[:300]
            _release()
            continue
        one = taken[-1]
        print(
            f"{one.name}: {1e3 * one.seconds:.1f} ms a run, steps {1e3 * one.steps:.1f}, n = {one.runs}, accuracy "
            f"{fmean(one.accuracies.values()):.4f}, peak {one.peak / 2**20:.0f} MiB {one.more or ''}",
            flush=True,
        )
    return {"rows": _rows(taken), "left_out": left_out, "measurements": [asdict(one) for one in taken]}


def _rows(taken: Sequence[Took]) -> list[dict[str, Any]]:
    """Each method: seconds a run, and as a ratio to the cohort's, whole and steps alone."""
    whole, steps = (
        ratios(SUBJECT, [(one.name, getattr(one, what) if one.name == SUBJECT else one.seconds) for one in taken])
        for what in ("seconds", "steps")
    )
    rows = []
    for name in dict.fromkeys(one.name for one in taken):
        mine = [one for one in taken if one.name == name]
        row: dict[str, Any] = {
            "name": name,
            "runs": mine[0].runs,
            "n": len(mine),
            "seconds": asdict(Spread.of([one.seconds for one in mine])),
            "steps": asdict(Spread.of([one.steps for one in mine])),
            "accuracy": fmean(mine[0].accuracies.values()),
            "accuracy_difference": disagreement(taken[0].accuracies, mine[0].accuracies),
            "peak_bytes": max(one.peak for one in mine),
        }
        if name != SUBJECT:
            row |= {"ratio": asdict(Spread.of(whole[name])), "ratio_to_steps": asdict(Spread.of(steps[name]))}
        rows.append(row)
    return rows


def _cohort(bench: Bench, task: Task, name: str, *, capture: bool) -> Took:
    """All runs by ``run_cohort``: opening, epoch 0, training, validation and health after every epoch, the test."""
    specs = tuple(bench.specs(task))
    with _watched(task.device) as watch:
        records = _records(specs, bench.runtime(capture=capture))
    return _took(name, watch, records)


def _one_by_one(bench: Bench, task: Task) -> Took:
    size = bench.sizes[task.workload.name]
    chosen = bench.specs(replace(task, runs=task.runs[: size.alone]))
    with _watched(task.device) as watch:
        records = [record for spec in chosen for record in _records((spec,), bench.runtime())]
    return _took("actbench, one by one", watch, records)


def _records(specs: tuple[RunSpec, ...], runtime: Runtime) -> list[RunRecord]:
    found = []
    for event in run_cohort(Cohort(specs), runtime):
        if isinstance(event, Failed):
            raise RuntimeError(event.message)
        if isinstance(event, Finished):
            found.append(event.record)
    return found


def _took(name: str, watch: _Watch, records: Sequence[RunRecord]) -> Took:
    steps = sum(record.timing["training_seconds"] for record in records)
    inside = sum(record.timing["seconds"] for record in records)
    return Took(
        name=name,
        seconds=watch.seconds / len(records),
        steps=steps / len(records),
        runs=len(records),
        accuracies=_accuracies(records),
        peak=watch.peak,
        more={
            "largest_cohort": max(record.timing["cohort_runs"] for record in records),
            "without_opening": inside / len(records),
        },
    )


def _accuracies(records: Sequence[RunRecord]) -> dict[str, float]:
    """Give each run's test accuracy under the name that peers use; a diverged run has none."""
    found = {}
    for record in records:
        spec, accuracy = record.spec, record.final["test.accuracy"]
        if accuracy is not None:
            found[Run(spec.activation.name, spec.bias_init.value, spec.seed).label] = accuracy
    return found


def _ensembles(bench: Bench, task: Task, images: Tensor, labels: Tensor, test: Any) -> Took:
    groups = vmap_ensemble.ensembles(task.runs)[: bench.sizes[task.workload.name].ensembles]
    found = []
    with _watched(task.device) as watch:
        for runs in groups:
            found += zip(runs, vmap_ensemble.train(task, runs, images, labels), strict=True)
    return _peer("torch.func ensemble", watch, found, test, task, {"ensembles": [len(runs) for runs in groups]})


def _tight(bench: Bench, task: Task, images: Tensor, labels: Tensor, test: Any, *, compiled: bool) -> Took:
    runs = task.runs[: 1 if compiled else bench.sizes[task.workload.name].alone]
    prepared = [tight_loop.prepare(task, run, images, labels, compiled=compiled) for run in runs]
    with _watched(task.device) as watch:
        for one in prepared:
            tight_loop.train(task, one, len(images))
    name = "tight loop, compiled" if compiled else "tight loop"
    more = {"preparing_seconds": fmean(one.seconds for one in prepared)}
    networks = [(run, one.network) for run, one in zip(runs, prepared, strict=True)]
    return _peer(name, watch, networks, test, task, more)


def _in_memory(bench: Bench, task: Task, images: Tensor, labels: Tensor, test: Any) -> Took:
    runs = task.runs[: bench.sizes[task.workload.name].alone]
    with _watched(task.device) as watch, computing_in(task.precision, task.device):
        networks = [(run, in_memory.train(task, run, images, labels)) for run in runs]
    return _peer("tensors in memory", watch, networks, test, task, {})


def _peer(
    name: str,
    watch: _Watch,
    networks: Sequence[tuple[Run, nn.Module]],
    test: Sequence[tuple[Tensor, Tensor]],
    task: Task,
    more: dict[str, Any],
) -> Took:
    seconds = watch.seconds / len(networks)
    accuracies = {run.label: accuracy(network, test, task.device) for run, network in networks}
    return Took(name, seconds, seconds, len(networks), accuracies, watch.peak, more)


# ---- how equal -----------------------------------------------------------------------------------------------------


def equality(bench: Bench) -> list[dict[str, Any]]:
    """Compare parameters after some steps, bit by bit (NaN equals NaN) and by their largest relative difference."""
    found = []
    for workload in (MNIST_MLP, CIFAR10_CNN):
        size = bench.sizes[workload.name]
        for precision in bench.precisions:
            specs = bench.specs(bench.task(workload, precision, sweep(size.runs)))
            some = range(0, len(specs), -(-len(specs) // 4))
            for steps in (1, -(-size.examples // workload.batch_size)):
                with numerics.deterministic_numerics("default", "torch"):
                    together = _stepped(bench, specs, steps, capture=True)
                    row = {
                        "workload": workload.name,
                        "precision": precision,
                        "runs": len(specs),
                        "steps": steps,
                        "again": _apart(together, _stepped(bench, specs, steps, capture=True), range(len(specs))),
                        "ordinary": _apart(together, _stepped(bench, specs, steps, capture=False), range(len(specs))),
                        "alone": _alone(bench, together, specs, steps, some),
                    }
                found.append(row)
                print(json.dumps(row), flush=True)
                del together
                _release()
    return found


def _stepped(bench: Bench, specs: Sequence[RunSpec], steps: int, *, capture: bool) -> TrainState:
    state = TrainState.open(Cohort(tuple(specs)), bench.runtime(capture=capture))
    stepper = choose_stepper(state, capture=capture)
    state.act.training = True
    with numerics.tf32(allowed=state.cohort.shared.training.precision == "tf32"):
        for batch in islice(state.batches.epoch(), steps):
            stepper(state, [batch])
    state.act.training = False
    return state


def _apart(one: TrainState, other: TrainState, runs: Sequence[int]) -> dict[str, Any]:
    """Runs of the same place in both."""
    pairs = [(run, run) for run in runs]
    return _differences(one, other, pairs) | {"runs": len(pairs)}


def _differences(one: TrainState, other: TrainState, pairs: Sequence[tuple[int, int]]) -> dict[str, Any]:
    worst, equal = 0.0, True
    for name, tensor in one.stack.trained.items():
        theirs = other.stack.trained.get(name)
        if theirs is None:
            continue
        for mine, yours in pairs:
            a, b = tensor[mine].detach(), theirs[yours].detach()
            equal = equal and bool(torch.equal(_bits(a), _bits(b)))
            distance = float((a.double() - b.double()).norm() / b.double().norm().clamp(min=1e-30))
            if isfinite(distance):  # where a run has diverged, only its bits can be compared
                worst = max(worst, distance)
    return {"bit_equal": equal, "relative": worst}


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(torch.uint8)


def _alone(
    bench: Bench, together: TrainState, specs: Sequence[RunSpec], steps: int, some: Sequence[int]
) -> dict[str, Any]:
    """Some of the runs by themselves: how far off, also in test accuracy."""
    worst, equal, accuracies = 0.0, True, []
    images = together.images
    _, among = evaluate(together.forward, images, images.test, len(specs))
    for run in some:
        single = _stepped(bench, [specs[run]], steps, capture=True)
        found = _differences(together, single, [(run, 0)])
        worst, equal = max(worst, found["relative"]), equal and found["bit_equal"]
        _, own = evaluate(single.forward, images, images.test, 1)
        accuracies.append(abs(own[0] - among[run]))
    return {"bit_equal": equal, "relative": worst, "runs": len(some), "accuracy": max(accuracies)}


# ---- how large a cohort --------------------------------------------------------------------------------------------


def sizes(bench: Bench) -> list[dict[str, Any]]:
    """Seconds a step and run, evaluation a run, and peak memory of cohorts of several sizes."""
    found = []
    for workload, precisions, largest in (
        (MNIST_MLP, bench.precisions, 128),
        (CIFAR10_CNN, bench.precisions, 64),
    ):
        for precision in precisions:
            for runs in SIZES:
                if runs > min(largest, 4 * bench.sizes[workload.name].runs):
                    continue
                specs = bench.specs(bench.task(workload, precision, sweep(runs)))
                try:
                    row = {"workload": workload.name, "precision": precision, "runs": runs} | _size(bench, specs)
                except torch.OutOfMemoryError as error:
                    row = {"workload": workload.name, "precision": precision, "runs": runs, "failed": str(error)[:200]}
                found.append(row)
                print(json.dumps(row), flush=True)
                _release()
    return found


def _size(bench: Bench, specs: Sequence[RunSpec]) -> dict[str, Any]:
    _reset_peak(bench.device)
    state = TrainState.open(Cohort(tuple(specs)), bench.runtime())
    stepper = choose_stepper(state, capture=True)
    state.act.training = True
    repeats = 40 if state.cohort.shared.model.name == "mlp" else 10
    with (
        numerics.deterministic_numerics("default", "torch"),
        numerics.tf32(allowed=state.cohort.shared.training.precision == "tf32"),
    ):
        batches = state.batches.epoch()
        for batch in islice(batches, 6):
            stepper(state, [batch])
        seconds = []
        for _ in range(3):
            _synchronize(bench.device)
            began = time.perf_counter()
            for batch in islice(batches, repeats):
                stepper(state, [batch])
            _synchronize(bench.device)
            seconds.append((time.perf_counter() - began) / repeats)
    state.act.training = False
    peak_of_steps = _peak(bench.device)
    with numerics.deterministic_numerics("default", "torch"):
        evaluate(state.forward, state.images, state.images.val, len(specs))
        began = time.perf_counter()
        evaluate(state.forward, state.images, state.images.val, len(specs))
        evaluating = time.perf_counter() - began
    spread = Spread.of([1e6 * one / len(specs) for one in seconds])
    return {
        "microseconds_a_step_and_run": asdict(spread),
        "validation_milliseconds_a_run": 1e3 * evaluating / len(specs),
        "peak_bytes_of_steps": peak_of_steps,
    }


# ---- the whole command ---------------------------------------------------------------------------------------------


def command(bench: Bench) -> list[dict[str, Any]]:
    """``actbench run`` of the MLP sweep, imports and results included."""
    size, found = bench.sizes["mnist_mlp"], []
    for precision in bench.precisions[:1]:
        arguments = ["--epochs", str(size.epochs), "--examples", str(size.examples), "--device", bench.device]
        arguments += ["--data", str(bench.data), "--precision", precision]
        for _ in range(min(2, size.rounds)):
            one = measure(subject(bench.device), arguments, runs=size.runs, cores=processors())
            row = {
                "precision": precision,
                "runs": one.runs,
                "whole_seconds": one.whole_seconds * one.runs,
                "busy_seconds": one.seconds * one.runs,
                "steps_seconds": one.training_seconds * one.runs,
                "accuracy": fmean(one.accuracies.values()),
            }
            found.append(row)
            print(json.dumps(row), flush=True)
    return found


# ---- the device ----------------------------------------------------------------------------------------------------


@dataclass
class _Watch:
    seconds: float = 0.0
    peak: int = 0


@contextlib.contextmanager
def _watched(device: str) -> Iterator[_Watch]:
    """Seconds until the device has done all that it was given, and its peak memory."""
    _release()
    _reset_peak(device)
    watch = _Watch()
    _synchronize(device)
    began = time.perf_counter()
    yield watch
    _synchronize(device)
    watch.seconds, watch.peak = time.perf_counter() - began, _peak(device)


def _synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def _reset_peak(device: str) -> None:
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()


def _peak(device: str) -> int:
    return torch.cuda.max_memory_allocated() if device != "cpu" else 0


def _release() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _described(given: argparse.Namespace) -> dict[str, Any]:
    where = machine.described(given.device)
    if given.device != "cpu":
        facts = torch.cuda.get_device_properties(0)
        where |= {"device_bytes": facts.total_memory, "driver": _driver(), "cuda": torch.version.cuda}
    print(json.dumps(where), flush=True)
    return {
        "schema": 1,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "mode": "quick" if given.quick else "full",
        "machine": where,
    }


def _driver() -> str | None:
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() or None
    except OSError:
        return None


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _parser() -> argparse.ArgumentParser:
    from actbench.datasets import data_folder

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether all of it works")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the program")
    parser.add_argument("--data", type=Path, default=data_folder(None), help="folder with MNIST")
    parser.add_argument("--images", type=Path, help="folder with CIFAR-10, or train/<class>/* [default: that of MNIST]")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this one; may be repeated")
    parser.add_argument("--precision", action="append", choices=PRECISIONS, help="only this one; may be repeated")
    parser.add_argument("--no-compile", action="store_true", help="leave out the loop that torch.compile compiles")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the written result")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
