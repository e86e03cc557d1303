"""Which library computes dense products fastest on this processor: measured once, then kept for every process.

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
from actbench.nn.cpu_linear import PRODUCTS, Products
from actbench.system import devices
from actbench.system.files import json_text, read_json, write_atomically

_log = logging.getLogger("actbench.nn.cpu_library")

MARGIN = 1.15
"""How many times as fast as torch's default another library must be to replace it; below, noise might decide."""

SHAPE = (128, 784, 256)
"""Batch, inputs and outputs of the products that are timed: the first layer of a small network on MNIST."""

ROUNDS, REPEATS = 8, 5


@dataclass(frozen=True)
class Choice:
    """Which of ``dense.PRODUCTS`` is used, and why.

    Args:
        products: The name.
        seconds: Name -> time of one forward product and both gradients at ``SHAPE``; empty if not measured.
        reason: Why it is this one, in words.
    """

    products: str
    seconds: dict[str, float]
    reason: str


def choose(asked: str = "auto") -> Choice:
    """The products asked for by name, or for ``auto`` those that this machine's measurement has chosen."""
    if asked == "auto":
        return kept()
    if asked != "default" and asked not in measure():
        raise UsageError(f"--products {asked}: this torch has no such library, or it computes wrongly; choose auto")
    return Choice(asked, {}, "asked for")


@cache
def kept() -> Choice:
    """What this machine's measurement has chosen; the first process of all makes it."""
    from filelock import FileLock, Timeout

    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "products.lock", timeout=60):
            return _read(folder / "products.json") or _measured_and_written(folder / "products.json")
    except (OSError, Timeout, ActbenchError) as error:
        _log.warning("can't keep a choice of kernels in %s (%s): torch's default is used", folder, error)
        return Choice("default", {}, f"nothing can be kept in {folder}")


def cache_folder() -> Path:
    """Where the choice is kept: the platform's cache folder of the user."""
    import platformdirs

    return platformdirs.user_cache_path("actbench")


def _read(path: Path) -> Choice | None:
    """What was chosen earlier on this processor with this torch; None if nothing was, or the file is damaged."""
    try:
        found: Any = read_json(path).get(_machine())
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("products") not in PRODUCTS:
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
    """The fastest products, but torch's default unless another beats it by ``MARGIN``.

    >>> fastest({"default": 1.0, "onednn": 0.5}), fastest({"default": 1.0, "onednn": 0.95})
    ('onednn', 'default')
    """
    best = min(seconds, key=seconds.__getitem__)
    return best if seconds[best] * MARGIN < seconds["default"] else "default"


def measure() -> dict[str, float]:
    """Seconds of one set of products for each library that is there and right; the libraries take turns."""
    generator = torch.Generator().manual_seed(0)
    batch, inputs, outputs = SHAPE
    shapes = ((batch, inputs), (outputs, inputs), (batch, outputs))
    x, weight, dy = (torch.randn(shape, generator=generator) for shape in shapes)
    expected = _compute(PRODUCTS["default"], x, weight, dy)
    able = [name for name, products in PRODUCTS.items() if _is_right(products, expected, x, weight, dy)]
    best = dict.fromkeys(able, float("inf"))
    for _ in range(ROUNDS):
        for name in able:
            began = time.perf_counter()
            for _ in range(REPEATS):
                _compute(PRODUCTS[name], x, weight, dy)
            best[name] = min(best[name], (time.perf_counter() - began) / REPEATS)
    return best


def _compute(products: Products, x: Tensor, weight: Tensor, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    y, dx, dw = torch.empty_like(dy), torch.empty_like(x), torch.empty_like(weight)
    products.forward(x, weight, None, y)
    products.input_gradient(dy, weight, dx)
    products.weight_gradient(dy, x, dw)
    return y, dx, dw


def _is_right(products: Products, expected: tuple[Tensor, ...], *operands: Tensor) -> bool:
    """Whether the library is there and agrees with torch's default; oneDNN's operator is an internal one of torch."""
    try:
        found = _compute(products, *operands)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return all(torch.allclose(one, other, rtol=1e-4, atol=1e-3) for one, other in zip(found, expected, strict=True))


def _machine() -> str:
    """Processor and torch version: what the choice depends on."""
    return f"{devices.processor_name()} · torch {torch.__version__}"
