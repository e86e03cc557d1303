"""The time that an engine adds to a cohort: ``python -m benchmarks.engine_overhead [--seconds 30] [--rounds 4]``.

A cohort here takes an exact time by the clock and reports as training does: a row a second, a checkpoint every ten. So
what is measured is the engine alone, on a busy machine too: from asking for the cohort to its last event, beyond that
time. The engines are started once and take turns; their start, with a first cohort of a second, is given by itself.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from actbench.execution.engines import Engine, Work
from actbench.schema import registry
from actbench.schema.events import EpochDone, Event, Saved, Started
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec
from benchmarks import machine

RUNS = 16
"""Runs of a cohort, the most that an MLP's has on a CPU."""

CHECKPOINT = bytes(5_000_000)
"""About the checkpoint of 16 networks of 784-64-10 with momentum."""

EVERY = 10
"""Seconds between two checkpoints."""

ROW = {"epoch": 0, "train.loss": 0.1, "layers": [{"name": f"hidden.{layer}", "sparsity": 0.5} for layer in range(8)]}

WORK = "benchmarks.engine_overhead:wait"


def wait(cohort: Cohort, runtime: Runtime) -> Iterator[Event]:
    """Take as many seconds as the runs have epochs, and report like a cohort in training."""
    began = time.monotonic()
    yield Started(cohort)
    for second in range(1, cohort.shared.training.epochs + 1):
        time.sleep(max(0.0, began + second - time.monotonic()))
        yield EpochDone(cohort, [ROW] * len(cohort.specs))
        if second % EVERY == 0:
            yield Saved(cohort, CHECKPOINT)


def cohort_of(seconds: int) -> Cohort:
    """Return a cohort that takes so many seconds."""
    return Cohort(
        tuple(RunSpec.model_validate({"seed": seed, "training": {"epochs": seconds}}) for seed in range(RUNS))
    )


def timed(engine: Engine, cohorts: Sequence[Cohort]) -> float:
    """Return the seconds in which an engine computes cohorts, one after another."""
    began = time.perf_counter()
    for _ in engine.execute(Work(WORK, Runtime(device="cpu")), cohorts):
        pass
    return time.perf_counter() - began


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=30, help="of a cohort")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--cohorts", type=int, default=1, help="one after another, a round")
    parser.add_argument("--engines", nargs="+", default=["inline", "pool", "ray"])
    options = parser.parse_args()
    starts: dict[str, float] = {}
    seconds: dict[str, list[float]] = {name: [] for name in options.engines}
    with ExitStack() as stack:
        engines: dict[str, Engine] = {}
        for name in options.engines:
            began = time.perf_counter()
            kind: type[Engine] = registry.load("engines", name)
            engines[name] = stack.enter_context(kind(1, kind.options()))
            timed(engines[name], [cohort_of(1)])
            starts[name] = time.perf_counter() - began - 1
        for number in range(options.rounds):
            for name in options.engines[number % 2 :] + options.engines[: number % 2]:
                seconds[name].append(timed(engines[name], [cohort_of(options.seconds)] * options.cohorts))
                print(f"{name}: {seconds[name][-1]:.3f} s", file=sys.stderr)
    due = options.seconds * options.cohorts
    found: dict[str, Any] = {
        "machine": machine.described("cpu"),
        "load": machine.load_average(),
        "cohort_seconds": options.seconds,
        "cohorts_a_round": options.cohorts,
        "runs_a_cohort": RUNS,
        "start_seconds": {name: round(value, 2) for name, value in starts.items()},
        "seconds": {name: [round(one, 4) for one in values] for name, values in seconds.items()},
        "overhead": {
            name: {
                "median": round(statistics.median(values) / due - 1, 5),
                "range": [round(min(values) / due - 1, 5), round(max(values) / due - 1, 5)],
            }
            for name, values in seconds.items()
        },
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
