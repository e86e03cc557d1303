"""Look at the machine: processor, memory, devices, and the packages that compute on it.

Every function adds the troubles that it finds to the list it is given, and goes on.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from actbench._version import __version__
from actbench.diagnostics.installation.facts import InstallationProblem, KernelChoice
from actbench.system.devices import processor_name

DISTRIBUTION = "activation-bench"
REINSTALL = "run `make` in actbench's folder, or `pip install -e .` there"
GIBIBYTE = 2**30

MODULES = ("numpy", "scipy", "torch", "torchvision", "yaml", "rich", "platformdirs")
"""Modules that nearly every command imports. One may be installed and broken: torchvision, made for another torch."""


def versions(troubles: list[InstallationProblem]) -> dict[str, str | None]:
    """Return the versions of actbench, Python, and every package that actbench declares to need."""
    found: dict[str, str | None] = {"actbench": __version__, "python": platform.python_version()}
    try:
        needed = [text for text in metadata.requires(DISTRIBUTION) or () if ";" not in text]
    except metadata.PackageNotFoundError:
        troubles.append(InstallationProblem(f"the distribution {DISTRIBUTION} is not installed", REINSTALL))
        return found
    for requirement in sorted(needed):
        name, _, least = requirement.partition(">=")
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
            troubles.append(InstallationProblem(f"{name} is not installed", f"pip install '{requirement}'"))
            continue
        if release(found[name] or "") < release(least):
            told = f"{name} {found[name]} is too old: actbench needs {requirement}"
            troubles.append(InstallationProblem(told, f"pip install --upgrade '{requirement}'"))
    return found


def release(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with, such as (2, 11, 0) of ``2.11.0+cpu``."""
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()


def imported(name: str, troubles: list[InstallationProblem]) -> Any:
    """Return the module; None, and a trouble, where it can't be imported for whatever reason."""
    try:
        return import_module(name)
    except Exception as error:  # a broken library raises anything: OSError, RuntimeError, AttributeError …
        told = f"{name} can't be imported: {type(error).__name__}: {' '.join(str(error).split())}"
        trouble = InstallationProblem(told, f"reinstall it: {REINSTALL}")
        if trouble not in troubles:  # several parts look at torch
            troubles.append(trouble)
        return None


def import_all(troubles: list[InstallationProblem]) -> None:
    """Import every one of ``MODULES``; those that fail are troubles."""
    for name in MODULES:
        imported(name, troubles)


def threads(troubles: list[InstallationProblem]) -> int | None:
    """Return the number of threads that torch starts with; training sets its own number."""
    torch = imported("torch", troubles)
    return torch.get_num_threads() if torch else None


def devices(troubles: list[InstallationProblem]) -> dict[str, str]:
    """Return the devices that torch can compute on; a driver that torch can't use is a trouble."""
    found = {"cpu": processor_name()}
    torch = imported("torch", troubles)
    if torch is None:
        return found
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            found[f"cuda:{index}"] = f"{facts.name}, {facts.total_memory / GIBIBYTE:.0f} GiB"
    elif Path("/dev/nvidiactl").exists():
        told = f"there is an NVIDIA driver, but torch {torch.__version__} finds no GPU that it can use"
        troubles.append(
            InstallationProblem(told, "install a build of torch with the CUDA that the driver supports (nvidia-smi)")
        )
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU"
    return found


def memory() -> dict[str, int | None]:
    """Return bytes in ``total`` and ``available``; None where the system does not report them."""
    try:
        text = Path("/proc/meminfo").read_text("utf-8")
    except OSError:  # not Linux
        names = os.sysconf_names if hasattr(os, "sysconf") else {}
        known = "SC_PHYS_PAGES" in names and "SC_PAGE_SIZE" in names
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if known else None
        return {"total": total, "available": None}
    kibibytes = {key: int(value) for key, value in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
    wanted = {"total": "MemTotal", "available": "MemAvailable"}
    return {name: 1024 * kibibytes[key] if key in kibibytes else None for name, key in wanted.items()}


def kernels(troubles: list[InstallationProblem]) -> list[KernelChoice]:
    """Return what computes on a CPU; it is compiled and measured now if it never was on this machine."""
    chosen = imported("actbench.nn.cpu_library", troubles), imported("actbench.nn.native.library", troubles)
    if None in chosen:
        return []
    products, native = (one.choose() for one in chosen)
    return [
        KernelChoice("dense products", products.products, _with_times(products.reason, products.seconds)),
        KernelChoice("activations, loss", native.kernels, _with_times(native.reason, native.seconds)),
    ]


def _with_times(reason: str, seconds: Mapping[str, float]) -> str:
    times = ", ".join(f"{name} {one * 1e6:.0f} µs" for name, one in seconds.items())
    return f"{reason}: {times}" if times else reason
