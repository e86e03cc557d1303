"""A study of thousands of tiny runs: what a run costs beyond its training, and whether the command's memory grows.

    python -m benchmarks.endurance [--runs N] [--repeats N] [--engine NAME]

Overhead a run: from the first file of the first run to the last result, less the seconds that the cohorts say they
trained (``timing.cohort_seconds``), divided by the runs. Opening a cohort, its locks, its files and the display are
all in it. Memory is the resident set of the process that was started, read four times a second: of ``pool`` that is
the parent alone, of ``inline`` the training too. Afterwards ``status`` and ``run --dry-run`` are timed on the result,
from the start of the interpreter to its end.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CELLS = 10
STUDY = """\
study: endurance
dataset: {{name: digits, train_size: 200, test_size: 100}}
model: {{name: mlp, hidden: [8]}}
training: {{epochs: 1, batch_size: 64}}
seeds: {seeds}
sweep:
  activation: [relu, tanh]
  bias_init: [0.0, 0.01, 0.1, 0.2, 0.3]
"""
EARLY = 0.1
"""Part of the runs after which memory counts as settled: imports are done, the dataset is open."""

PATIENCE = 0.25
"""Seconds between two readings of the memory."""


@dataclass(frozen=True)
class Measured:
    """One study from an empty folder to its end.

    Args:
        overhead: Milliseconds a run beyond its training.
        early: Resident memory in MB when a tenth of the runs had ended.
        late: The same at the last reading.
        peak: The largest of all readings.
        status: Seconds that ``actbench status`` took.
        dry_run: Seconds that ``actbench run --dry-run`` took.
    """

    overhead: float
    early: float
    late: float
    peak: float
    status: float
    dry_run: float


def measure(folder: Path, *, runs: int, engine: str = "pool", jobs: int = 1) -> Measured:
    """Run a study in ``folder`` and look at it from outside.

    Raises:
        RuntimeError: When a command fails.
    """
    (folder / "study.yaml").write_text(STUDY.format(seeds=-(-runs // CELLS)), encoding="utf-8")
    arguments = ["run", "study.yaml", "--device", "cpu", "--engine", engine, "-j", str(jobs)]
    readings = _watched(folder, arguments)
    settled = [memory for ended, memory in readings if ended >= EARLY * runs]
    return Measured(
        overhead=_overhead(folder),
        early=settled[0],
        late=settled[-1],
        peak=max(memory for _, memory in readings),
        status=_seconds(folder, ["status"]),
        dry_run=_seconds(folder, [*arguments, "--dry-run"]),
    )


def _watched(folder: Path, arguments: Sequence[str]) -> list[tuple[int, float]]:
    """(Runs that have ended, megabytes) while the command goes on."""
    readings = []
    with subprocess.Popen(
        _command(arguments), cwd=folder, env=_environment(folder), stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            memory = _resident(process.pid)
            if memory is not None:
                readings.append((len(list(folder.glob("results/*/runs/*/result.json"))), memory))
            time.sleep(PATIENCE)
    if process.returncode:
        raise RuntimeError(f"actbench {' '.join(arguments)} ended with exit code {process.returncode}")
    return readings


def _resident(pid: int) -> float | None:
    """Megabytes of a process; None when it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    found = next((line for line in lines if line.startswith("VmRSS:")), None)
    return None if found is None else int(found.split()[1]) / 1024


def _overhead(folder: Path) -> float:
    results = list(folder.glob("results/*/runs/*/result.json"))
    timings = [json.loads(path.read_bytes())["timing"] for path in results]
    cohorts = {(timing["cohort_seconds"], timing["cohort_runs"]) for timing in timings}
    began = min(path.stat().st_mtime for path in folder.glob("results/*/runs/*/spec.json"))
    ended = max(path.stat().st_mtime for path in results)
    return 1000 * (ended - began - sum(seconds for seconds, _ in cohorts)) / len(results)


def _seconds(folder: Path, arguments: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(_command(arguments), cwd=folder, env=_environment(folder), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "actbench", *arguments]


def _environment(folder: Path) -> dict[str, str]:
    return os.environ | {"ACTBENCH_DATA": str(folder / "data"), "OMP_NUM_THREADS": "1"}


def main() -> None:
    """Measure as often as asked; print medians with their range."""
    parser = argparse.ArgumentParser(description="What a run costs beyond its training, and whether memory grows.")
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--engine", default="pool")
    chosen = parser.parse_args()
    found = []
    for _ in range(chosen.repeats):
        with tempfile.TemporaryDirectory() as folder:
            found.append(measure(Path(folder), runs=chosen.runs, engine=chosen.engine))
    print(f"{chosen.runs} runs, engine {chosen.engine}, {chosen.repeats} time(s), one worker")
    for name, unit in (
        ("overhead", "ms a run"),
        ("early", "MB"),
        ("late", "MB"),
        ("peak", "MB"),
        ("status", "s"),
        ("dry_run", "s"),
    ):
        values = [getattr(one, name) for one in found]
        print(f"{name:9} {statistics.median(values):7.2f} ({min(values):.2f}–{max(values):.2f}) {unit}")


if __name__ == "__main__":
    main()
