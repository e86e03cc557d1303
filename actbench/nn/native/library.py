"""Compile the kernels once on a machine, load them, and say whether this process computes with them."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

FLAGS = (
    "-O3",
    "-march=native",
    "-std=c11",
    "-fPIC",
    "-shared",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=off",
)
"""No flag that lets the compiler reorder sums or forget about NaN."""

SOURCES = ("kernels.c",)

_I, _F, _P = ctypes.c_int64, ctypes.c_float, ctypes.c_void_p
SIGNATURES: dict[str, list[Any]] = {
    "activate": [_I, _F, _I, _P, _P, _I],
    "activate_backward": [_I, _F, _I, _P, _P, _P, _I],
    "cross_entropy": [_P, _P, _P, _P, _I, _I],
}

Kernels = dict[str, Callable[..., None]]

_in_use: Kernels | None = None


@cache
def load() -> Kernels | None:
    """Return the kernels by name."""
    import platformdirs

    target = platformdirs.user_cache_path("actbench") / "kernels.so"
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(__file__).parent
    subprocess.run(["cc", *FLAGS, "-o", target, *(folder / name for name in SOURCES), "-lm"], check=True)
    library = ctypes.CDLL(str(target))
    for name, arguments in SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, None
    return {name: getattr(library, name) for name in SIGNATURES}


@contextmanager
def use_kernels(kernels: Kernels | None) -> Iterator[None]:
    """Compute with these kernels while the context lasts; with torch's own where there are none."""
    global _in_use
    before, _in_use = _in_use, kernels
    try:
        yield
    finally:
        _in_use = before


def in_use() -> Kernels | None:
    """Return the kernels in use, by name; None where torch's own are."""
    return _in_use
