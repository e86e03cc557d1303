"""How well the time of a study is predicted: ``python benchmarks/estimate.py [--rounds 3] [--dataset digits]``.

Trains a first study of 12 runs, then others that resemble it, each in the same results folder, and prints what was
predicted before each began, what it took, and their ratio. The first has nothing to go by. Run it on a machine that
does nothing else: a prediction knows how fast the machine was, not how fast it will be.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median

from actbench.config import Study
from actbench.execution.estimates import RemainingTime
from actbench.execution.runner import Runner
from actbench.schema.runtime import Runtime

CONFIG = """\
dataset: {dataset}
model: {{name: mlp, hidden: [64, 64]}}
training: {{epochs: 3, batch_size: 64}}
seeds: [0, 1]
sweep: {{activation: [relu, tanh, elu], bias_init: [0.0, 0.01]}}
"""

LIKE_IT = {
    "other seeds": ["seeds=[10, 11]"],
    "other activations": ["activation=gelu,silu,leaky_relu"],
    "more of both": ["activation=relu,tanh,elu,gelu,silu", "seeds=[20, 21, 22, 23]"],
    "more epochs": ["training.epochs=12", "seeds=[30, 31]"],
    "other width": ["model.hidden=[128, 128]", "seeds=[40, 41]"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dataset", default="digits")
    options = parser.parse_args()
    print(f"load before: {os.getloadavg()[0]:.2f}; {os.cpu_count()} processors; predicted and taken in seconds")
    ratios: dict[str, list[float]] = {name: [] for name in LIKE_IT}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            _train(Path(folder), "first", options.dataset, [])
            for name, overrides in LIKE_IT.items():
                expected, took = _train(Path(folder), name.replace(" ", "-"), options.dataset, overrides)
                if expected is None:
                    raise SystemExit(f"{name}: nothing was predicted, although the first study is of its dataset")
                ratios[name].append(expected / took)
                print(f"{name:18} predicted {expected:6.1f}  took {took:6.1f}  ratio {expected / took:.2f}")
    for name, found in ratios.items():
        spread = f"[{min(found):.2f}, {max(found):.2f}]"
        print(f"{name:18} predicted/taken: median {median(found):.2f} {spread}, n = {len(found)}")


def _train(results: Path, name: str, dataset: str, overrides: list[str]) -> tuple[float | None, float]:
    """Seconds predicted for a study, and seconds that it took."""
    study = Study.from_text(f"study: {name}\n{CONFIG.format(dataset=dataset)}", overrides=overrides)
    began = time.perf_counter()
    runner = Runner(study, results, Runtime())
    expected = RemainingTime(runner.cohorts, runner.jobs, runner.estimates).seconds
    for _ in runner.run():
        pass
    return expected, time.perf_counter() - began


if __name__ == "__main__":
    main()
