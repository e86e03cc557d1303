"""What a TAB costs: the time of the process that a shell starts for it, beside many stored runs.

python -m benchmarks.completion [--rounds 11]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GOAL = 0.2
"""Seconds of a processor: within them an answer seems to be there at once."""

STUDIES, RUNS = 20, 500

LINES = (
    "actbench ru",
    "actbench run quick",
    "actbench run quickstart training.opt",
    "actbench run quickstart activation=relu,el",
    "actbench compare --metric test.accuracy,hea",
    "actbench compare --where activation=",
    "actbench compare --by ",
    "actbench compare --format ",
    "actbench show relu-bias-0.0-seed-1",
    "actbench explain dea",
)

CONFIG = """\
sweep:
  activation: [relu, leaky_relu, {name: elu, alpha: 0.2}, selu, prelu, swish]
  bias_init: [0.0, 0.01]
seeds: 8
"""


def main() -> None:
    """Print a line for each line that is typed: median and range, of the processor and by the clock."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        _fill(Path(folder) / "results")
        for line in LINES:
            measured = [_measured(line, folder) for _ in range(rounds)]
            processor, clock = (sorted(values) for values in zip(*measured, strict=True))
            print(f"{line:45}  {_spelled(processor)} of a processor, {_spelled(clock)} by the clock", flush=True)
            if statistics.median(processor) > GOAL:
                print(f"{'':45}  above the goal of {GOAL} s")


def _fill(results: Path) -> None:
    for study in range(STUDIES):
        for run in range(RUNS):
            name = f"relu-bias-0.0-seed-{run}-{study * RUNS + run:08x}"
            (results / f"study-{study}" / "runs" / name).mkdir(parents=True)
        (results / f"study-{study}" / "study.yaml").write_text(CONFIG)


def _measured(line: str, folder: str) -> tuple[float, float]:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "actbench", line],
        env={**os.environ, "_ACTBENCH_COMPLETE": "bash"},
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, end - start


def _spelled(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} s ({values[0]:.2f}–{values[-1]:.2f})"


if __name__ == "__main__":
    main()
