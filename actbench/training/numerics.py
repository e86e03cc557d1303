"""How a process computes while it trains: threads, denormal numbers, TF32, and the library behind dense products.

All of it is torch's global state; the contexts here set it and put it back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from actbench.nn import cpu_linear


@contextmanager
def deterministic_numerics(products: str) -> Iterator[None]:
    """One thread, no TF32 or denormal numbers, deterministic convolutions, and these of ``cpu_linear.LIBRARIES``.

    The barriers of tiny kernels cost more than a second thread gains, and the number of threads moves last bits; cuDNN
    rounds the inputs of convolutions to ten bits unless told otherwise. Numbers below 1.2e-38 become 0: the momentum
    of a dead unit's weights sinks to 1e-45 and stays there for ever, and a processor takes ten times as long over it.
    Some of cuDNN's gradients of kernels are sums in no fixed order: on an H200 the same first step differed by 1e-7.
    """
    threads, flushed = torch.get_num_threads(), _flushes_denormals()
    deterministic = torch.backends.cudnn.deterministic
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.backends.cudnn.deterministic = True
    try:
        with tf32(allowed=False), cpu_linear.use_library(products):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushed)
        torch.backends.cudnn.deterministic = deterministic


@contextmanager
def tf32(*, allowed: bool) -> Iterator[None]:
    """Whether CUDA's float32 products and convolutions may round their inputs to TF32 (ten bits) meanwhile."""
    backends: Any = torch.backends
    settings = backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn
    before = [one.fp32_precision for one in settings]
    for one in settings:
        one.fp32_precision = "tf32" if allowed else "ieee"
    try:
        yield
    finally:
        for one, precision in zip(settings, before, strict=True):
            one.fp32_precision = precision


def _flushes_denormals() -> bool:
    """Torch can set this but not tell it: half of the smallest normal number is 0 if it is set."""
    return not bool(torch.tensor([torch.finfo(torch.float32).tiny]) / 2)
