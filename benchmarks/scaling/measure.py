"""Measure what a study costs beyond its training, from 1 to 10,000 runs, on this machine.

Every figure is measured in rounds, a round taking all sizes and their peers in turn. A peer does what can't be done
without: the interpreter alone beside a command, bare files of the same bytes beside the store, a pool of the standard
library beside an engine. On a busy machine the times grow and the ratios to the peers hardly do.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stderr
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from actbench.cli.progress import progress
from actbench.config import Study
from actbench.errors import ActbenchError
from actbench.execution.engines import Work
from actbench.execution.runner import Runner
from actbench.schema import registry
from actbench.schema.components import resolve
from actbench.schema.events import Finished
from actbench.schema.record import RunRecord
from actbench.schema.runtime import Cohort, Runtime
from actbench.storage.locks import Locks
from benchmarks import machine
from benchmarks.scaling import requests, tasks
from benchmarks.scaling.emulated import Emulated
from benchmarks.turns import Spread

SIZES = (1, 10, 100, 1000, 10_000)
CELLS = 10
"""Runs of a seed: two activations with five biases, which train as one cohort."""

DETAIL = 1000
"""The size at which cohorts of one run, other folders and other numbers of workers are measured too."""

MEMORY = Path("/dev/shm")
"""A file system in memory, where there is one: the driver without its disk."""

WAITING = {10: 2.0, 100: 10.0, 1000: 60.0}
"""Emulated workers -> seconds of a cohort, to see when the driver no longer keeps up."""

DISPATCHED = 200
"""Cohorts of nothing that an engine is handed."""

STUDY = """\
study: scaling
dataset: {{name: digits, train_size: 200, test_size: 100}}
model: {{name: mlp, hidden: [8]}}
training: {{epochs: {epochs}, batch_size: 64}}
seeds: {seeds}
{rest}
"""
SWEEP = "sweep:\n  activation: [relu, tanh]\n  bias_init: [0.0, 0.01, 0.1, 0.2, 0.3]"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Args:
        folder: For results, on the disk that is measured.
        sizes: Numbers of runs.
        rounds: How often sizes up to ``DETAIL`` are measured.
        largest_rounds: How often larger ones are, after all others: each round takes ten minutes and more.
        say: Called with a line as each measurement ends.
        keep: Called with all figures after each round.
    """

    folder: Path
    sizes: Sequence[int] = SIZES
    rounds: int = 3
    largest_rounds: int = 3
    say: Say = print
    keep: Callable[[dict[str, Any]], None] = field(default=lambda found: None)


def measure(plan: Plan) -> dict[str, Any]:
    """Return all figures, as they are stored."""
    where, began, loads = machine.described("cpu"), datetime.now(UTC), [machine.load_average()]
    small = [size for size in plan.sizes if size <= DETAIL]
    large = [size for size in plan.sizes if size > DETAIL]
    with tempfile.TemporaryDirectory(dir=plan.folder, prefix="scaling-") as name:
        folder = Path(name)
        template = _template(folder)
        found = _Found(plan.say)
        counts = _counted(folder)
        rounds = [small] * (plan.rounds if small else 0) + [large] * (plan.largest_rounds if large else 0)
        for found.number, sizes in enumerate(rounds):
            if sizes == small:
                _details(found, folder, template, min(DETAIL, max(sizes)))
            for size in sizes:
                with _fresh(folder) as store:
                    drive(found, f"driver, {size} runs", store, template, runs=size)
                    _commands(found, folder, store, size)
                _studies(found, folder, size)
            for workers, seconds in WAITING.items():
                if workers * CELLS in sizes:
                    with _fresh(folder) as store:
                        name = f"{workers} waiting workers"
                        drive(found, name, store, template, runs=workers * CELLS, jobs=workers, seconds=seconds)
            loads.append(machine.load_average())
            result = {
                "schema": 1,
                "date": began.isoformat(timespec="seconds"),
                "machine": where,
                "loads": loads,
                "epochs": len(template.curves) - 1,
                "cells": CELLS,
                "waiting": {str(workers): seconds for workers, seconds in WAITING.items()},
                "requests": counts,
                "figures": found.figures(),
                "cohort_ratios": found.ratios(),
                "left_out": found.left_out,
            }
            plan.keep(result)
    return result


def _details(found: _Found, folder: Path, template: RunRecord, size: int) -> None:
    """Measure all that does not depend on the number of runs, and the driver in other ways."""
    with _fresh(folder) as store:
        drive(found, f"driver, {size} runs one by one", store, template, runs=size, cohort=1)
    if MEMORY.is_dir():
        with _fresh(MEMORY) as store:
            drive(found, f"driver in memory, {size} runs", store, template, runs=size)
    _files(found, folder)
    _timed(found, "interpreter", [sys.executable, "-c", "pass"], folder)
    _timed(found, "command: list engines", [sys.executable, "-m", "actbench", "list", "engines"], folder)
    _dispatch(found)
    _heartbeat(found, folder)
    _datasets(found)


class _Found:
    """Figures as they come: name -> values, one a round."""

    def __init__(self, say: Say) -> None:
        self.number = 0
        self.left_out: dict[str, str] = {}
        self._say = say
        self._values: dict[str, list[float]] = defaultdict(list)
        self._cohorts: list[float] = []

    def add(self, name: str, value: float) -> None:
        """Note one value."""
        self._values[name].append(value)
        self._say(f"round {self.number + 1}: {name} {value:.6g}")

    def cohorts(self, seconds: Sequence[float]) -> None:
        """Note the times of a study's cohorts, all alike, over their median."""
        middle = median(seconds)
        self._cohorts += [one / middle for one in seconds]

    def figures(self) -> dict[str, dict[str, float]]:
        return {name: asdict(Spread.of(values)) for name, values in sorted(self._values.items())}

    def ratios(self) -> list[float]:
        """Return a hundred quantiles of the cohorts' times over their median."""
        ordered = sorted(self._cohorts) or [1.0]
        return [round(ordered[(2 * place + 1) * len(ordered) // 200], 4) for place in range(100)]


def study_text(runs: int, epochs: int = 1) -> str:
    """Return a config of so many runs."""
    if runs < CELLS:
        return STUDY.format(seeds=runs, epochs=epochs, rest="activation: relu")
    return STUDY.format(seeds=runs // CELLS, epochs=epochs, rest=SWEEP)


def _template(folder: Path) -> RunRecord:
    """Train one real run and return its record with its curve."""
    import actbench

    records = actbench.run(Study.from_text(study_text(1)), folder / "template", jobs=1, device="cpu", engine="inline")
    return records[0]


# The driver alone


def drive(
    found: _Found,
    name: str,
    folder: Path,
    template: RunRecord,
    *,
    runs: int,
    cohort: int = CELLS,
    jobs: int = 2,
    seconds: float = 0.0,
) -> None:
    """Let a runner compute a study with emulated workers, and note what it took, in seconds a run."""
    began = time.perf_counter()
    engine = Emulated.of(template, seconds)
    runner = Runner(Study.from_text(study_text(runs)), folder, Runtime(device="cpu", jobs=jobs, cohort_size=cohort))
    runner.engine, runner.jobs = engine, jobs
    found.add(f"{name}: plan", time.perf_counter() - began)
    began, thread = time.perf_counter(), time.thread_time()
    ended = 0
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stderr(nowhere), progress(runner) as shown:
        for event in runner.run():
            shown.update(event)
            ended += isinstance(event, Finished)
    found.add(f"{name}: all", time.perf_counter() - began)
    found.add(f"{name}: processor", time.thread_time() - thread)
    began = time.perf_counter()
    if runner.loss() is not None or ended != runs:
        raise RuntimeError(f"{ended} of {runs} runs were stored")
    found.add(f"{name}: end", time.perf_counter() - began)
    thread = time.thread_time()
    runner.store.look_again(())
    runner.store.has_folder(runner.specs[0])
    found.add(f"{name}: listing, processor", time.thread_time() - thread)
    clock = engine.clock
    for part, count in clock.counts.items():
        found.add(f"{name}: {part}", clock.wall[part] / count)
        found.add(f"{name}: {part}, processor", clock.cpu[part] / count)


def _files(found: _Found, folder: Path) -> None:
    """Write the bytes of a run's three files as such, on the disk before each has its name: the peer of the store."""
    run = next(folder.glob("template/*/runs/*"))
    contents = [(run / name).read_bytes() for name in ("spec.json", "metrics.jsonl", "result.json")]
    with _fresh(folder) as target:
        began = time.perf_counter()
        for number in range(200):
            own = target / str(number)
            own.mkdir()
            for place, content in enumerate(contents):
                with (own / f".{place}").open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(own / f".{place}", own / str(place))
        found.add("bare files: a run", (time.perf_counter() - began) / 200)


def _counted(folder: Path) -> dict[str, Any]:
    """Return part -> (reads, writes) a run, and the bytes and files of one; in a process of its own, which is slow."""
    here = Path(__file__).parents[2]
    command = [sys.executable, "-m", "benchmarks.scaling.measure", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=here)
    counts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    files = [path for path in next(folder.glob("template/*/runs/*")).iterdir() if path.is_file()]
    return {"parts": counts, "files": len(files), "bytes": sum(path.stat().st_size for path in files)}


def count_requests(folder: Path) -> dict[str, list[float]]:
    """Return part -> (reads, writes) a run of the driver's work; ``cohort`` beside them, a cohort."""
    template = _read_template(folder)
    requests.count()
    tables = {}
    for cohort in (1, CELLS):
        with _fresh(folder) as target:
            engine = Emulated.of(template)
            study = Study.from_text(study_text(CELLS * 4))
            runner = Runner(study, target, Runtime(device="cpu", jobs=1, cohort_size=cohort))
            runner.engine = engine
            for _ in runner.run():
                pass
            before = requests.counted()
            runner.loss()
            after = requests.counted()
            clock = engine.clock
            tables[cohort] = {
                part: [clock.requests[part][kind] / clock.counts[part] for kind in (0, 1)] for part in clock.counts
            }
            tables[cohort]["end"] = [(b - a) / (CELLS * 4) for a, b in zip(before, after, strict=True)]
    return split(tables[1], tables[CELLS])


def split(alone: Mapping[str, Sequence[float]], together: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return what a run costs, and what a cohort costs beside its runs, from cohorts of one run and of ``CELLS``.

    A run of a cohort of n is handed out for r + c / n: r a run, c a cohort.

    >>> split({"hand out": [12.0]}, {"hand out": [3.0]})
    {'hand out': [2.0], 'cohort': [10.0]}
    """
    found = {part: list(values) for part, values in together.items()}
    pairs = list(zip(alone["hand out"], together["hand out"], strict=True))
    cohort = [max(0.0, (one - many) * CELLS / (CELLS - 1)) for one, many in pairs]
    found["hand out"] = [max(0.0, one - own) for (one, _), own in zip(pairs, cohort, strict=True)]
    return {**found, "cohort": cohort}


def _read_template(folder: Path) -> RunRecord:
    from actbench.storage.reading import read_results

    return read_results(folder / "template", curves=True)[0]


def _heartbeat(found: _Found, folder: Path) -> None:
    with _fresh(folder) as target, Locks(target / "study") as locks:
        (beat,) = (target / "study").glob("heartbeat-*")
        began = time.perf_counter()
        for _ in range(1000):
            os.utime(beat)
        found.add("heartbeat: a beat", (time.perf_counter() - began) / 1000)
        began = time.perf_counter()
        for number in range(100):
            run = target / "study" / "runs" / str(number)
            locks.take(run)
            locks.release(run)
        found.add("lock: taken and released", (time.perf_counter() - began) / 100)


# Commands


def _commands(found: _Found, folder: Path, store: Path, size: int) -> None:
    """Time commands from the start of the interpreter to its end: planning a study, and reading a store of its runs."""
    actbench = [sys.executable, "-m", "actbench"]
    with _fresh(folder) as empty:
        (empty / "study.yaml").write_text(study_text(size), "utf-8")
        planning = [*actbench, "run", "study.yaml", "--dry-run", "--device", "cpu"]
        _timed(found, f"command: plan, {size} runs", planning, empty)
    for command in ("status", "compare"):
        _timed(found, f"command: {command}, {size} runs", [*actbench, command, str(store)], folder)


def _timed(found: _Found, name: str, command: Sequence[str], folder: Path) -> None:
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} ended with exit code {done.returncode}: {done.stderr[-500:]}")
    found.add(name, time.perf_counter() - began)


def _environment() -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}


# Engines


def _dispatch(found: _Found) -> None:
    """Measure an engine's round trip with cohorts of nothing, of all engines that run tasks, and a peer's."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as peer:
        list(peer.map(tasks.none, range(2)))
        began = time.perf_counter()
        for _ in peer.map(tasks.none, range(DISPATCHED)):
            pass
        found.add("dispatch, a pool of the standard library: a cohort", (time.perf_counter() - began) / DISPATCHED)
    specs = Study.from_text(study_text(DISPATCHED * CELLS)).specs()
    cohorts = [Cohort(tuple(specs[at : at + CELLS])) for at in range(0, len(specs), CELLS)]
    runtime = Runtime(device="cpu", jobs=2)
    for name in registry.names("engines"):
        try:
            engine = registry.load("engines", name)
            if engine.delegates:
                found.left_out[f"dispatch, {name}"] = "its jobs are commands of their own"
                continue
            began = time.perf_counter()
            with engine(2, engine.options.of(name, {})) as working:
                work = Work("benchmarks.scaling.tasks:nothing", runtime)
                for _ in working.execute(work, cohorts[:2]):
                    pass
                found.add(f"dispatch, {name}: until the first cohorts were done", time.perf_counter() - began)
                began = time.perf_counter()
                for _ in working.execute(work, cohorts):
                    pass
                found.add(f"dispatch, {name}: a cohort", (time.perf_counter() - began) / len(cohorts))
        except (ActbenchError, ImportError) as error:
            found.left_out[f"dispatch, {name}"] = str(error).splitlines()[0]


# Data


def _datasets(found: _Found) -> None:
    """Measure how long a worker takes to open a dataset whose cache is there, and its bytes."""
    from actbench import datasets

    for name in ("digits", "mnist-5k", "mnist"):
        component = resolve("datasets", name)
        try:
            datasets.load(component, datasets.data_folder(None))
            began = time.perf_counter()
            opened = datasets.load(component, datasets.data_folder(None))
            images = (opened.train_images, opened.val_images, opened.test_images)
            size = sum(float(one.sum() * 0 + one.nbytes) for one in images)  # looks at every page
            found.add(f"dataset {name}: seconds", time.perf_counter() - began)
        except ActbenchError as error:
            found.left_out[f"dataset {name}"] = str(error).splitlines()[0]
            continue
        found.add(f"dataset {name}: bytes", size)


# Whole studies


def _studies(found: _Found, folder: Path, size: int) -> None:
    """Time ``actbench run`` with one worker process, with two, and without any; the largest study with two alone."""
    for engine, jobs in (("pool", 2),) if size > DETAIL else (("pool", 1), ("pool", 2), ("inline", 1)):
        with _fresh(folder) as target:
            (target / "study.yaml").write_text(study_text(size), "utf-8")
            arguments = ["run", "study.yaml", "--device", "cpu", "--engine", engine]
            if engine == "pool":
                arguments += ["-j", str(jobs)]
            name = f"study, {size} runs, {engine} {jobs}"
            _timed(found, f"{name}: all", [sys.executable, "-m", "actbench", *arguments], target)
            _cohorts(found, name, target)


def _cohorts(found: _Found, name: str, folder: Path) -> None:
    """Note how long a study's cohorts trained, and what stands around them in its records."""
    timings = [json.loads(path.read_bytes())["timing"] for path in folder.glob("results/*/runs/*/result.json")]
    cohorts = {timing["cohort_seconds"]: timing for timing in timings}
    found.add(f"{name}: training", sum(cohorts))
    found.add(f"{name}: cohorts", float(len(cohorts)))
    found.add(f"{name}: opening a cohort", median(one["opening_seconds"] for one in cohorts.values()))
    found.add(f"{name}: until the first epoch", median(one["startup_seconds"] for one in cohorts.values()))
    whole = [seconds for seconds, timing in cohorts.items() if timing["cohort_runs"] == CELLS]
    if len(whole) >= 10:  # the last ones are cut finer
        found.cohorts(whole)


@contextmanager
def _fresh(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        yield Path(name)


if __name__ == "__main__":
    print(json.dumps(count_requests(Path(sys.argv[1]))))
