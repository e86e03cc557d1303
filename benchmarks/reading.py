"""How long it takes to read and to compare many stored runs, and how much memory.

    python -m benchmarks.reading [--runs 1000 10000 100000] [--rounds 3] [--folder FOLDER] [--output FILE]

One run on digits is trained, and stored again and again under the settings and seeds of a study with 20 activations, 5
biases and 5 learning rates, with its own digest and final metrics: files of the true sizes, without days of training.
Each command is measured from the start of the interpreter to its end, output written to a file: seconds by the clock,
seconds of a processor, largest resident memory (never less than this process has had, which Linux counts for the
commands that it starts). Files are in the system's cache, as after training; modules are compiled before, as by an
installation. Commands whose name begins with "first" find no index (``storage.study_index``); the others find the one
that an earlier command has written. The folder that ``--folder`` names is filled once, and kept. Written to
``benchmarks/results/reading-<date>.json``.
"""

from __future__ import annotations

import argparse
import compileall
import datetime
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import actbench
from actbench.config import Study
from actbench.schema.record import RunRecord
from actbench.schema.spec import RunSpec
from actbench.storage.index_file import INDEX
from actbench.storage.store import Store
from actbench.system.files import json_text
from benchmarks import machine
from benchmarks.compare_peers import RESULTS, written
from benchmarks.turns import Spread

STUDY = "many"
CELLS = 500
CONFIG = f"""\
study: {STUDY}
dataset: digits
model: {{name: mlp, hidden: [64, 64, 64]}}
training: {{epochs: 5}}
seeds: {{seeds}}
sweep:
  activation: [relu, leaky_relu, prelu, rrelu, relu6, elu, selu, celu, gelu, gelu_tanh, silu, swish, mish, softplus,
    tanh, sigmoid, softsign, hardtanh, hardswish, squared_relu]
  bias_init: [0.0, 0.01, 0.05, 0.1, 0.2]
  training.optimizer.lr: [0.01, 0.02, 0.05, 0.1, 0.2]
compare: {{baseline: {{activation: relu, bias_init: 0.0}}, metric: [test.accuracy, health.dead_fraction]}}
"""

COMMANDS: Mapping[str, Sequence[str]] = {
    "first status": ["status", "{study}"],
    "first runs": ["runs", "{study}"],
    "status": ["status", "{study}"],
    "runs": ["runs", "{study}"],
    "runs --csv": ["runs", "{study}", "--csv"],
    "compare": ["compare", "{study}"],
    "compare --format json": ["compare", "{study}", "--format", "json"],
    "compare --by activation": ["compare", "{study}", "--by", "activation"],
    "plan": ["plan", "{config}", "--results", "{results}"],
    "run": ["run", "{config}", "--results", "{results}"],
    "show": ["show", "{run}", "--results", "{results}"],
    "diff": ["diff", "{run}", "{other}", "--results", "{results}"],
}
GOALS = {"status": 5.0, "runs": 5.0, "compare": 30.0}
"""Seconds for 100,000 runs."""

MAX_MEMORY = 1000
"""Resident megabytes."""


@dataclass(frozen=True)
class Measured:
    """One command.

    Args:
        seconds: By the clock.
        processor: Seconds of a processor, of the command and its children.
        memory: Largest resident memory of the process, in MB (10^6 bytes).
    """

    seconds: float
    processor: float
    memory: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    compileall.compile_dir(Path(actbench.__file__).parent, quiet=1)
    before, found = machine.load_average(), {}
    for runs in given.runs:
        with tempfile.TemporaryDirectory() as temporary:
            results = (given.folder or Path(temporary)) / f"{runs}"
            if not results.exists():
                seconds = stored(results, runs)
                print(f"{runs:,} runs written in {seconds:.1f} s", file=sys.stderr)
            found[str(runs)] = _measured(results, given.commands, given.rounds)
    result = {
        "schema": 1,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "title": "reading many stored runs",
        "machine": machine.described("cpu"),
        "load_before": before,
        "load_after": machine.load_average(),
        "rounds": given.rounds,
        "measured": found,
    }
    print(f"written: {written(result, given.output, 'reading')}", file=sys.stderr)
    return 0


def stored(results: Path, runs: int) -> float:
    """Store so many runs of one study, and return the seconds it took."""
    study = Study.from_text(CONFIG.replace("{seeds}", str(max(1, runs // CELLS))))
    pattern = _trained()
    began = time.perf_counter()
    store = Store(results, STUDY, study.factors)
    store.create(CONFIG.replace("{seeds}", str(max(1, runs // CELLS))))
    for spec, files in _files(study, pattern, runs):
        folder = store.folder / "runs" / spec.id_with(study.factors)
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
    return time.perf_counter() - began


def _trained() -> RunRecord:
    """Return a real run with its curve."""
    with tempfile.TemporaryDirectory() as folder:
        model = {"name": "mlp", "hidden": [64, 64, 64]}
        study = Study(study="pattern", dataset="digits", model=model, training={"epochs": 5}, seeds=1)
        actbench.run(study, results=folder)
        return actbench.read_results(folder, curves=True)[0]


def _files(study: Study, pattern: RunRecord, runs: int) -> Iterator[tuple[RunSpec, Mapping[str, str]]]:
    """Yield each run with its files, in the bytes that the store would write.

    To spell 100,000 records anew would take minutes, so only what differs is put into one text.
    """
    draws = np.random.default_rng(0)
    content = {**pattern.to_json(), "study": STUDY, "spec": "@spec@", "digest": "@digest@", "final": "@final@"}
    whole = json_text(content, indent=2)
    curve = "".join(f"{json_text(row)}\n" for row in pattern.curves)
    specs: dict[str, str] = {}
    effects: dict[str, tuple[float, float]] = {}
    for _, spec in zip(range(runs), study.specs(), strict=False):
        cell = str(sorted(spec.non_default_settings.items(), key=str))
        if cell not in specs:
            specs[cell] = json_text(spec.with_seed(0).to_json(), indent=2)
            effects[cell] = (draws.normal(0, 0.01), max(0.0, draws.normal(0, 0.1)))
        text = specs[cell].replace('"seed": 0\n', f'"seed": {spec.seed}\n')
        accuracy = min(1.0, 0.93 + effects[cell][0] + draws.normal(0, 0.005))
        final = {**pattern.final, "test.accuracy": accuracy, "val.accuracy": accuracy, "test.loss": 1.2 - accuracy}
        dead = effects[cell][1] and effects[cell][1] + draws.normal(0, 0.01)
        final["health.dead_fraction"] = min(1.0, max(0.0, dead))
        parts = {"spec": text, "final": json_text(final, indent=2), "digest": f'"{spec.digest}"'}
        result = whole
        for name, part in parts.items():
            result = result.replace(f'"@{name}@"', part.replace("\n", "\n  "))
        yield spec, {"spec.json": text, "metrics.jsonl": curve, "result.json": result}


def _measured(results: Path, commands: Sequence[str], rounds: int) -> dict[str, Any]:
    study = results / STUDY
    config = results / "config.yaml"
    config.write_text((study / "study.yaml").read_text("utf-8"), encoding="utf-8")
    names = sorted(os.listdir(study / "runs"))
    places = {"study": study, "results": results, "config": config, "run": names[0], "other": names[-1]}
    found = {}
    for name in commands:
        words = [word.format(**places) for word in COMMANDS[name]]
        own = []
        for _ in range(rounds):
            if name.startswith("first"):
                (study / INDEX).unlink(missing_ok=True)
            own.append(_measure(words))
        spreads = {key: asdict(Spread.of([getattr(one, key) for one in own])) for key in Measured.__annotations__}
        found[name] = {**spreads, "measurements": [asdict(one) for one in own]}
        seconds, memory = spreads["seconds"], spreads["memory"]
        print(
            f"{len(names):>7,} {name:25} {seconds['median']:7.2f} s [{seconds['low']:.2f}, {seconds['high']:.2f}]  "
            f"{memory['median']:5.0f} MB",
            flush=True,
        )
    return found


def _measure(words: Sequence[str]) -> Measured:
    """Run one command, and read its own memory from the system's account of it."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "actbench", *words], stdout=output, stderr=errors, stdin=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"actbench {' '.join(words)}: {errors.read().decode(errors='replace')}")
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


if __name__ == "__main__":
    sys.exit(main())
