"""Choose the library that computes matrix products fastest on this processor: measured once, then kept.

oneDNN is twice as fast as MKL on AMD processors and a fifth slower on Intel's. The two round differently, so all
processes of a machine have to choose alike: the choice is made by one of them, under a lock, and kept in the user's
cache folder by processor and torch version. Where nothing can be kept, torch's default is used.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from actbench.errors import ActbenchError, UsageError
from actbench.nn.cpu_linear import LIBRARIES, Library
from actbench.nn.machine_cache import cache_folder, locked
from actbench.system import devices
from actbench.system.files import json_text, read_json, write_atomically

_log = logging.getLogger("actbench.nn.cpu_library")

MARGIN = 1.15
"""How many times as fast as torch's default another library must be to replace it; below that, noise might decide."""

SHAPE = (128, 784, 256)
"""Batch, inputs and outputs of the matrix products that are timed: the first layer of a small network on MNIST."""

ROUNDS, REPEATS = 8, 5
"""The libraries take turns in 8 rounds of 5 calls each, and the best round counts: a busy machine only adds time."""


@dataclass(frozen=True)
class Choice:
    """Name the one of ``cpu_linear.LIBRARIES`` that is used, and why.

    Args:
        products: The name.
        seconds: Name -> seconds of one forward product and both gradients at ``SHAPE``; empty if not measured.
        reason: Why it is this one, in words.
    """

    products: str
    seconds: dict[str, float]
    reason: str


def choose(asked: str = "auto") -> Choice:
    """Return the library asked for by name, or for ``auto`` the one that this machine's measurement has chosen.

    Raises:
        UsageError: When this torch has no such library, or it computes wrongly.
    """
    if asked == "auto":
        return remembered()
    if asked != "default" and asked not in measure():
        raise UsageError(f"--products {asked}: this torch has no such library, or it computes wrongly; choose auto")
    return Choice(asked, {}, "asked for")


@cache
def remembered() -> Choice:
    """Return the choice that this machine's measurement has made; the first process of all measures."""
    folder = cache_folder()
    try:
        with locked(folder / "products.lock", seconds=60):
            return _read(folder / "products.json") or _measured_and_written(folder / "products.json")
    except (OSError, ActbenchError) as error:
        _log.warning("can't keep a choice of kernels in %s (%s): torch's default is used", folder, error)
        return Choice("default", {}, f"nothing can be kept in {folder}")


def _read(path: Path) -> Choice | None:
    """Return an earlier choice on this processor with this torch; None without one, or if the file is damaged."""
    try:
        found: Any = read_json(path).get(_machine())
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("products") not in LIBRARIES:
        return None
    return Choice(found["products"], found.get("seconds", {}), "measured earlier on this processor")


def _measured_and_written(path: Path) -> Choice:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as all training does, whoever asks first
    try:
        seconds = measure()
    finally:
        torch.set_num_threads(threads)
    chosen = fastest(seconds)
    try:
        earlier = read_json(path)
    except (FileNotFoundError, ValueError):
        earlier = {}
    content = earlier | {_machine(): {"products": chosen, "seconds": seconds}}
    write_atomically(path, json_text(content, indent=2))
    return Choice(chosen, seconds, "measured just now")


def fastest(seconds: dict[str, float]) -> str:
    """Return the name of the fastest library, but torch's default unless another beats it by ``MARGIN``.

    >>> fastest({"default": 1.0, "onednn": 0.5}), fastest({"default": 1.0, "onednn": 0.95})
    ('onednn', 'default')
    """
    best = min(seconds, key=seconds.__getitem__)
    return best if seconds[best] * MARGIN < seconds["default"] else "default"


def measure() -> dict[str, float]:
    """Return the seconds of one forward product and both gradients for each library that is there and right."""
    generator = torch.Generator().manual_seed(0)
    batch, inputs, outputs = SHAPE
    shapes = ((batch, inputs), (outputs, inputs), (batch, outputs))
    x, weight, dy = (torch.randn(shape, generator=generator) for shape in shapes)
    expected = _compute(LIBRARIES["default"], x, weight, dy)
    able = [name for name, library in LIBRARIES.items() if _is_right(library, expected, x, weight, dy)]
    best = dict.fromkeys(able, float("inf"))
    for _ in range(ROUNDS):
        for name in able:
            began = time.perf_counter()
            for _ in range(REPEATS):
                _compute(LIBRARIES[name], x, weight, dy)
            best[name] = min(best[name], (time.perf_counter() - began) / REPEATS)
    return best


def _compute(library: Library, x: Tensor, weight: Tensor, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    y, dx, dw = torch.empty_like(dy), torch.empty_like(x), torch.empty_like(weight)
    library.forward(x, weight, None, y)
    library.input_gradient(dy, weight, dx)
    library.weight_gradient(dy, x, dw)
    return y, dx, dw


def _is_right(library: Library, expected: tuple[Tensor, ...], *operands: Tensor) -> bool:
    """Return whether the library is there and agrees with torch's default.

    Not taken for granted, since oneDNN's operator is an internal one of torch, which may go or change in any version.
    """
    try:
        found = _compute(library, *operands)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return all(torch.allclose(one, other, rtol=1e-4, atol=1e-3) for one, other in zip(found, expected, strict=True))


def _machine() -> str:
    """Return the processor and torch version, on which the choice depends."""
    return f"{devices.processor_name()} · torch {torch.__version__}"
