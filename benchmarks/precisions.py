"""How fast actbench is in bfloat16 beside float32, and what that changes in accuracy and dead units, run by run.

    python -m benchmarks.precisions --workload mnist_mlp|cifar10_cnn --data FOLDER [--rounds 3] [--runs 12] [--epochs 1]

Both are measured in turn, each in fresh processes. Printed are float32's seconds over bfloat16's, for the whole command
and for training steps alone, and the mean of bfloat16 − float32 over pairs of runs of one activation, bias and seed,
with its 95 % Student-t interval. Written to ``benchmarks/results/<workload>-precisions-<date>.json``.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from actbench.analysis.statistics import mean_interval
from benchmarks import machine
from benchmarks.compare_peers import RESULTS, written
from benchmarks.launch import BrokenPeerError, Measured, Setting, UnusableError, measure, processors
from benchmarks.settings import CORES
from benchmarks.turns import Spread, order, ratios
from benchmarks.workloads import WORKLOADS

BEFORE, AFTER = "float32", "bfloat16"
GOAL = 1.5
"""Least that float32 takes over bfloat16, for a whole command and for steps alone."""

SPEEDS = {"whole command": "whole_seconds", "steps alone": "training_seconds"}
METRICS = {"test accuracy": "accuracies", "dead fraction": "dead_fractions"}
"""Name -> the field of what ``peers/actbench_sweep.py`` reports."""


def main() -> int:
    given = _parser().parse_args()
    try:
        result = compare(given)
    except (UnusableError, BrokenPeerError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 2 if isinstance(error, UnusableError) else 1
    print("\n".join(lines(result)))
    print(f"written: {written(result, given.output, f'{given.workload}-precisions')}", file=sys.stderr)
    return 0


def compare(given: argparse.Namespace) -> dict[str, Any]:
    """Measure both precisions in turn, after a run of each that is not counted."""
    before, cores = machine.load_average(), processors()[:CORES]
    if len(cores) < CORES:
        raise UnusableError(f"the comparison is made for {CORES} processors, and this process may use only one")
    places = ["--workload", given.workload, "--data", str(given.data.absolute())]
    size = ["--epochs", str(given.epochs), *(["--examples", str(given.examples)] if given.examples else [])]
    for name in (BEFORE, AFTER):  # images are decoded, the library of products is chosen
        measure(_setting(name), [*places, "--epochs", "1", "--examples", "400"], runs=1, cores=cores)
    measured = []
    for name in order(BEFORE, [AFTER], rounds=given.rounds, together=1):
        measured.append(measure(_setting(name), [*places, *size], runs=given.runs, cores=cores))
        print(f"{name}: {measured[-1].whole_seconds:.3g} s a run", file=sys.stderr)
    where = machine.described("cpu")
    return {
        "schema": 1,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "title": f"{given.workload}, {AFTER} beside {BEFORE}, {where['processor']}, {CORES} cores",
        "workload": given.workload,
        "size": {key: getattr(given, key) for key in ("runs", "epochs", "examples", "rounds")},
        "machine": where,
        "load_before": before,
        "load_after": machine.load_average(),
        **figures(measured),
        "measurements": [asdict(one) for one in measured],
    }


def figures(measured: Sequence[Measured]) -> dict[str, Any]:
    """Speed-ups with their spread, and the differences of the runs that both precisions have trained to the end."""
    speedups = {}
    for name, field in SPEEDS.items():
        (slower,) = ratios(BEFORE, [(one.name, getattr(one, field)) for one in measured]).values()
        spread = Spread.of([1 / ratio for ratio in slower])
        speedups[name] = {**asdict(spread), "goal": GOAL, "reached": spread.median >= GOAL}
    # Every round trains the same runs from the same seeds, so that the first says what the others would.
    said = {name: next(one for one in measured if one.name == name).said[0] for name in (BEFORE, AFTER)}
    return {
        "speedups": speedups,
        "differences": {name: difference(said, field) for name, field in METRICS.items()},
        "diverged": {name: list(one["diverged"]) for name, one in said.items()},
    }


def difference(said: Mapping[str, Mapping[str, Any]], field: str) -> dict[str, Any]:
    """Mean of bfloat16 − float32 over the runs that have both values, with its interval and the single differences."""
    before, after = said[BEFORE][field], said[AFTER][field]
    by_run = {run: after[run] - value for run, value in before.items() if run in after}
    return {**asdict(mean_interval(list(by_run.values()))), "by_run": by_run}


def lines(result: Mapping[str, Any]) -> list[str]:
    """The result in words."""
    found = [result["title"]]
    for name, one in result["speedups"].items():
        state = "reached" if one["reached"] else "not reached"
        spread = f"{one['median']:.3g} [{one['low']:.3g}, {one['high']:.3g}], n = {one['n']}"
        found.append(f"{name}, {BEFORE} ÷ {AFTER}: {spread}; goal ≥ {one['goal']:g}: {state}")
    for name, one in result["differences"].items():
        found.append(f"{name}, {AFTER} − {BEFORE}: {_with_interval(one)}")
    return found + [f"diverged in {name}: {', '.join(runs)}" for name, runs in result["diverged"].items() if runs]


def _with_interval(one: Mapping[str, Any]) -> str:
    if one["mean"] is None:
        return "no pair of runs has both values"
    mean, pairs = f"{100 * one['mean']:+.3f} points", f"n = {one['n']} pairs"
    if one["low"] is None:
        return f"{mean}, {pairs}: too few for an interval"
    return f"{mean} [{100 * one['low']:+.3f}, {100 * one['high']:+.3f}], 95 % t interval, {pairs}"


def _setting(precision: str) -> Setting:
    return Setting(precision, "actbench_sweep", 1, CORES, options=("--precision", precision))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=sorted(WORKLOADS), default="mnist_mlp")
    parser.add_argument("--data", type=Path, required=True, help="folder as torchvision lays it out, or of images")
    parser.add_argument("--rounds", type=int, default=3, help=f"measurements in {AFTER}")
    parser.add_argument("--runs", type=int, default=12, help="runs of a measurement: 1 to 6, or a multiple of 12")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--examples", type=int, help="training examples [default: the workload's]")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the written result")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
