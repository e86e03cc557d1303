"""Devices that runs are computed on. Only asking for a GPU that may be there imports torch."""

from __future__ import annotations

import os
import platform
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actbench.errors import DeviceError
from actbench.system.processor import Processor, read_caches, read_processor

if TYPE_CHECKING:
    import torch


WORKER = "ACTBENCH_WORKER"
"""Environment variable in which a worker process finds its number, counted from 0."""

GPU_SHARE = "ACTBENCH_GPU_SHARE"
"""Environment variable with the part of its GPU's memory that a worker process may take; none where it has all."""


def choose(name: str) -> str:
    """Return the device for ``auto``, or check that the one asked for by name is there.

    Raises:
        DeviceError: When the device asked for is not on this machine, or there is no device of that name.
    """
    if name == "auto":
        return next((found for found in ("cuda", "mps") if _may_have(found) and _has(found)), "cpu")
    kind = name.partition(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise DeviceError(f"unknown device '{name}': choose auto, cpu, cuda (or cuda:1 …) or mps")
    if not _has(name):
        raise DeviceError(f"no device '{name}' on this machine (torch finds none); --device auto takes what is there")
    return name


def count(name: str) -> int:
    """Return the number of devices that a name stands for: ``cuda`` for all GPUs, any other for one."""
    if name != "cuda":
        return 1
    import torch

    return torch.cuda.device_count()


def of_this_worker(name: str) -> str:
    """Return the device that this process computes on: the workers of ``cuda`` take the GPUs in turn."""
    number = os.environ.get(WORKER)
    return name if name != "cuda" or number is None else f"cuda:{int(number) % count(name)}"


def describe_device(device: torch.device) -> dict[str, Any]:
    """Describe everything that decides the last bits of a result: the library, its threads and the device.

    Returns:
        ``torch``, ``device``, ``device_name`` and ``threads``, as a record's environment holds them.
    """
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "torch": str(torch.__version__),
        "device": device.type,
        "device_name": name,
        "threads": torch.get_num_threads(),
    }


def processors() -> int:
    """Return the number of processors that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    """Return the processor's name as the system reports it with the name of its core, else the kind of machine."""
    return this_processor().label


@cache
def this_processor() -> Processor:
    """Return the facts about this machine's processor: of Linux from its files, of other systems the name alone."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", errors="replace")
    except OSError:  # not Linux
        text = ""
    found = read_processor(text, otherwise=platform.processor() or platform.machine())
    return replace(found, cache_bytes=read_caches(Path("/sys/devices/system/cpu/cpu0/cache")))


def instruction_sets() -> str:
    """Return the instructions that the first processor has, as Linux lists them; empty on other systems.

    Virtual machines may hide some of them: two processors of one name do not always have the same.
    """
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            listed = (line.partition(":")[2].strip() for line in lines if line.startswith(("flags", "Features")))
            return next(listed, "")
    except OSError:
        return ""


def may_have_gpu() -> bool:
    """Return whether a GPU may be there, without asking it; False where no driver is."""
    return _may_have("cuda") or _may_have("mps")


def accumulator(device: torch.device) -> torch.dtype:
    """Return the widest float of a device, for sums over many examples: MPS has no float64."""
    import torch

    return torch.float32 if device.type == "mps" else torch.float64


def _may_have(kind: str) -> bool:
    """Rule a GPU out cheaply: without a driver's device file there is no reason to import torch."""
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
