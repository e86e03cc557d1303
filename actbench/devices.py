"""Which device a run is computed on. Only a look at a GPU that may be there costs an import of torch."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from actbench.errors import DeviceError

if TYPE_CHECKING:
    import torch


def choose(name: str) -> str:
    """Turn ``auto`` into a device that is there, and check one that was asked for by name.

    Raises:
        DeviceError: When the device asked for is not on this machine, or the name means nothing to torch.
    """
    if name == "auto":
        return next((found for found in ("cuda", "mps") if _may_have(found) and _has(found)), "cpu")
    kind = name.partition(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise DeviceError(f"unknown device '{name}': choose auto, cpu, cuda (or cuda:1 …) or mps")
    if not _has(name):
        raise DeviceError(f"no device '{name}' on this machine (torch finds none); --device auto takes what is there")
    return name


def processors() -> int:
    """Processors that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def accumulator(device: torch.device) -> torch.dtype:
    """The widest float of a device, for sums over many examples: MPS has no float64."""
    import torch

    return torch.float32 if device.type == "mps" else torch.float64


def _may_have(kind: str) -> bool:
    """A cheap no: without a driver's device file there is no reason to import torch."""
    system = platform.system()
    if kind == "mps":
        return system == "Darwin"
    drivers = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")  # NVIDIA, Windows' subsystem for Linux, AMD
    return any(Path(driver).exists() for driver in drivers) if system == "Linux" else system == "Windows"


def _has(name: str) -> bool:
    kind, _, index = name.partition(":")
    if kind == "cpu":
        return not index
    import torch

    if kind == "mps":
        return torch.backends.mps.is_available()
    return torch.cuda.is_available() and (not index or (index.isdigit() and int(index) < torch.cuda.device_count()))
