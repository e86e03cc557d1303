"""Examine an installation part by part, so that one that is missing or broken hides no other.

Nothing is downloaded, and nothing is written but the choice of kernels, where none has been made yet.
"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from actbench.diagnostics.installation import machine
from actbench.diagnostics.installation.facts import (
    Availability,
    FolderState,
    Installation,
    InstallationProblem,
    RayCluster,
)
from actbench.diagnostics.installation.machine import GIBIBYTE
from actbench.schema import registry
from actbench.system import devices
from actbench.system.files import expanded

MIN_FREE = {"data": GIBIBYTE, "results": GIBIBYTE // 10}
"""Bytes; CIFAR takes 0.6 GB with its archive and cache, a study's results a few megabytes."""


def examine(data_dir: Path | None, *, results: Path, address: str | None = None) -> Installation:
    """Return all facts about the installation.

    Args:
        data_dir: The data folder asked for; None for the usual one.
        results: The results folder.
        address: Where the head of a Ray cluster is, whose machines are to be examined too; None for none.
    """
    troubles: list[InstallationProblem] = []
    machine.import_all(troubles)
    folder = _data_folder(data_dir, troubles)
    return Installation(
        versions=machine.versions(troubles),
        system=f"{platform.system()} {platform.release()}",
        processor=devices.this_processor(),
        processors={"usable": devices.processors(), "machine": os.cpu_count(), "threads": machine.threads(troubles)},
        memory=machine.memory(),
        devices=machine.devices(troubles),
        kernels=machine.kernels(troubles),
        data=None if folder is None else _folder_state("data", folder, "--data-dir or ACTBENCH_DATA", troubles),
        datasets=() if folder is None else _datasets(folder, troubles),
        results=_folder_state("results", results, "--results", troubles),
        troubles=troubles,
        ray_cluster=None if address is None else _ray_cluster(address, troubles),
    )


def _ray_cluster(address: str, troubles: list[InstallationProblem]) -> RayCluster | None:
    from actbench.diagnostics.installation.ray_nodes import examine_nodes
    from actbench.execution.engines.ray import Ray

    Ray.options.of("ray", {"address": address})  # refuses an address that can't be one
    return examine_nodes(address, troubles)


def _data_folder(given: Path | None, troubles: list[InstallationProblem]) -> Path | None:
    datasets = machine.imported("actbench.datasets", troubles)
    asked_for = given or os.environ.get("ACTBENCH_DATA")
    if datasets is None or (not asked_for and machine.imported("platformdirs", troubles) is None):
        return None
    folder: Path = datasets.data_folder(given)
    return folder


def _datasets(folder: Path, troubles: list[InstallationProblem]) -> list[Availability]:
    """Return the availability of every dataset that `actbench list datasets` knows."""
    if machine.imported("actbench.diagnostics.installation.datasets", troubles) is None:
        return []
    from actbench.diagnostics.installation.datasets import availability

    found = [availability(name, folder) for name in registry.names("datasets")]
    for one in found:
        if one.state == "broken":
            troubles.append(InstallationProblem(f"dataset '{one.name}': {one.note}", f"reinstall: {machine.REINSTALL}"))
    return found


def _folder_state(kind: str, folder: Path, option: str, troubles: list[InstallationProblem]) -> FolderState:
    """Return the state of a folder, taken of the nearest one above it where it does not exist yet."""
    path = expanded(folder).absolute()
    nearest = next((one for one in (path, *path.parents) if one.exists()), path)
    # Root may write anywhere; a folder that nobody is meant to write to is left alone nevertheless.
    writable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK) and bool(nearest.stat().st_mode & 0o222)
    free = shutil.disk_usage(nearest).free if nearest.exists() else None
    trouble = _trouble(kind, path, nearest, writable=writable, free=free)
    if trouble:
        troubles.append(InstallationProblem(trouble, f"fix that, or name another folder with {option}"))
    return FolderState(str(path), path.exists(), writable, free)


def _trouble(kind: str, path: Path, nearest: Path, *, writable: bool, free: int | None) -> str:
    """Return the first thing that is wrong with a folder, in words; empty where nothing is."""
    if not nearest.is_dir():
        return f"the {kind} folder {path} can't be used: {nearest} is not a folder"
    if not writable:
        consequence = "nothing can be downloaded" if kind == "data" else "no run can be stored"
        return f"the {kind} folder {path} can't be written to ({nearest}): {consequence}"
    if free is not None and free < MIN_FREE[kind]:
        return f"the {kind} folder {path} has only {free / GIBIBYTE:.2f} GiB free"
    return ""
