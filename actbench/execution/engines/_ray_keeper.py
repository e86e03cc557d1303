"""The program that keeps a local Ray cluster: ``python -m actbench.execution.engines._ray_keeper CPUS GPUS FOLDER``.

It starts the cluster, prints its address as a line of JSON, and ends it when its input ends: so the cluster ends with
the command that wanted it, also with one that was killed. It leads a session of its own, so that Ctrl-C and other
signals to the command's group reach neither it nor Ray's processes, which would end before training is saved.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from actbench.execution.engines._ray_import import import_ray


def main() -> None:
    """Keep a cluster until the input ends, then remove its folder."""
    cpus, gpus, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answer:
        _silence()
        try:
            ray = import_ray()
            try:
                answer.write(json.dumps({"address": _start(ray, cpus, gpus, folder)}) + "\n")
            except Exception as error:  # whatever Ray raises: the command reports it
                answer.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")
                return
            answer.flush()
            sys.stdin.buffer.read()
            ray.shutdown()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _silence() -> None:
    """Drop what Ray prints to either stream."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(null, stream.fileno())
    os.close(null)


def _start(ray: Any, cpus: int, gpus: int, folder: Path) -> str:
    context = ray.init(
        address="local",  # not the cluster of RAY_ADDRESS
        num_cpus=cpus,
        num_gpus=gpus,
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=str(folder),
    )
    address: str = context.address_info["gcs_address"]
    return address


if __name__ == "__main__":
    main()
