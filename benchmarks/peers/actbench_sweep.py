"""actbench: the runs as one study, by the command that a user would give.

    python -m benchmarks.peers.actbench_sweep --runs 12 --threads 2 --data FOLDER

``--threads`` is the number of worker processes, of one thread each. ``seconds`` is the workers' busy time, which the
records tell, divided by their number: reading the images from the cache, initialising, training, and what the peers
don't do: evaluating the untrained network, validation and health after every epoch, the test. ``training_seconds`` is
the part of it that was spent in steps, which is what the peers are timed by. ``command_seconds`` is
the whole command, from its start to its end, with imports, planning, and writing the results.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actbench import RunRecord, read_results
from benchmarks.peers.program import Task, refuse, report, task
from benchmarks.workloads import ACTIVATIONS, BIASES, CELLS


def study(task: Task) -> dict[str, Any]:
    """The config; a sweep trains every combination, so only some numbers of runs are possible."""
    workload, runs = task.workload, len(task.runs)
    if task.runs[0].activation != ACTIVATIONS[0] or (runs > len(ACTIVATIONS) and runs % CELLS):
        refuse(f"a sweep has 1 to {len(ACTIVATIONS)} runs or a multiple of {CELLS}, not {runs}")
    model = (
        {"name": "cnn", "channels": workload.blocks, "dense": workload.dense}
        if workload.blocks
        else {"name": "mlp", "hidden": workload.dense}
    )
    first_seed = task.runs[0].seed
    return {
        "study": "benchmark",
        "dataset": _dataset(task),
        "model": model,
        "weight_init": "he_normal",
        "training": {
            "epochs": task.epochs,
            "batch_size": workload.batch_size,
            "precision": task.precision,
            "optimizer": {"name": "sgd", "lr": workload.learning_rate, "momentum": workload.momentum},
        },
        "seeds": [first_seed + index for index in range(-(-runs // CELLS))],
        "sweep": {
            "activation": list(ACTIVATIONS[:runs]),
            "bias_init": list(BIASES if runs >= CELLS else BIASES[:1]),
        },
    }


def _dataset(task: Task) -> dict[str, Any]:
    """A tenth of the training set is set aside for validation, as by default."""
    if task.workload.dataset == "cifar10" and not (task.data / "cifar-10-batches-py").is_dir():
        return {"name": "image_folder", "root": str(task.data.absolute()), "train_size": task.examples}
    return {"name": task.workload.dataset, "train_size": task.examples}


def command(task: Task, config: Path, results: Path) -> list[str]:
    size = [] if task.cohort_size is None else ["--cohort-size", str(task.cohort_size)]
    places = ["--results", str(results), "--data-dir", str(task.data)]
    how = ["--device", task.device, "--jobs", str(task.threads)]
    return [sys.executable, "-m", "actbench", "run", str(config), *places, *how, *size]


def finals(task: Task, records: Sequence[RunRecord], metric: str) -> dict[str, float]:
    """Run -> the metric's last value, in the order of the task's runs, without those that have none: they diverged."""
    found = {(record.spec.activation.name, record.spec.bias_init.value, record.spec.seed): record for record in records}
    values = {run.label: found[run.activation, run.bias, run.seed].final[metric] for run in task.runs}
    return {label: value for label, value in values.items() if value is not None}


def main() -> None:
    given = task(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        config, results = Path(folder) / "benchmark.yaml", Path(folder) / "results"
        config.write_text(json.dumps(study(given)), "utf-8")  # JSON is YAML
        began = time.perf_counter()
        done = subprocess.run(command(given, config, results), capture_output=True, text=True, check=False)
        whole = time.perf_counter() - began
        if done.returncode == 2:
            refuse(done.stderr.strip())
        if done.returncode:
            raise SystemExit(f"actbench run ended with exit code {done.returncode}:\n{done.stderr}")
        records = read_results(results)
    busy, training = (sum(record.timing[key] for record in records) for key in ("seconds", "training_seconds"))
    accuracies = finals(given, records, "test.accuracy")
    cohorts = max(record.timing["cohort_runs"] for record in records)
    report(
        given,
        busy / given.threads,
        accuracies,
        ("activation-bench", "torch"),
        training_seconds=training / given.threads,
        command_seconds=whole,
        largest_cohort=cohorts,
        diverged=[run.label for run in given.runs if run.label not in accuracies],
        dead_fractions=finals(given, records, "health.dead_fraction"),
        precision=given.precision,
    )


if __name__ == "__main__":
    main()
