"""What a measurement was taken on: processor, versions, load, the commit. No path or name of the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from typing import Any

from actbench.system import devices
from benchmarks.launch import ROOT, processors

LIBRARIES = ("torch", "torchvision", "numpy", "lightning", "skorch", "jax", "jaxlib")


def described(device: str) -> dict[str, Any]:
    """Processor with its core, features and caches, number of processors that may be used, system, versions, commit."""
    return {
        "processor": devices.processor_name(),
        "processor_details": devices.this_processor().to_json(),
        "processors": len(processors()),
        "device": _device(device),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: version for name in LIBRARIES if (version := _version(name))},
        "commit": _commit(),
    }


def load_average() -> list[float] | None:
    """Over 1, 5 and 15 minutes; None where the system has none."""
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None


def _device(name: str) -> str:
    if not name.startswith("cuda"):
        return name
    import torch

    return torch.cuda.get_device_name(name) if torch.cuda.is_available() else f"{name} (not there)"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """HEAD, with ``-dirty`` if files were changed; None outside of a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    except OSError:
        return None
    return found.stdout.strip() or None
