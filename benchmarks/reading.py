"""How long it takes to read and to compare many stored runs: ``python benchmarks/reading.py [--runs 1000 10000]``.

Stores synthetic runs of 50 cells in a temporary folder, then times reading and comparing apart, in one process.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from actbench import compare, read_results
from actbench.schema.record import RunRecord
from actbench.schema.spec import RunSpec
from actbench.storage.store import Store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[1000, 10000])
    for runs in parser.parse_args().runs:
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder), runs)
            began = time.perf_counter()
            records = read_results(folder)
            middle = time.perf_counter()
            compare(records)
            seconds = (middle - began, time.perf_counter() - middle)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"{runs:6} runs: read {seconds[0]:.2f} s, compare {seconds[1]:.2f} s, peak memory {peak} MiB")


def _write(folder: Path, runs: int) -> None:
    store = Store(folder, "many")
    store.create("study: many\n")
    for index in range(runs):
        spec = RunSpec(bias_init=(index % 50) / 100, seed=index // 50)
        accuracy = 0.9 + (index * 7919 % 1000) / 20000
        store.begin(spec)
        store.finish(RunRecord(spec, "ok", final={"test.accuracy": accuracy, "health.dead_fraction": 0.0}))


if __name__ == "__main__":
    main()
