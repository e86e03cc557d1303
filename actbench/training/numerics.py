"""Set how a process computes while it trains: threads, denormal numbers, TF32, and the library of matrix products.

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
    """Compute in a way that gives the same numbers again, while the context lasts.

    One thread, no TF32, denormal numbers flushed to 0, deterministic convolutions.

    Args:
        products: The one of ``cpu_linear.LIBRARIES`` that computes matrix products on a CPU.
    """
    threads, flushed = torch.get_num_threads(), _flushes_denormals()
    deterministic = torch.backends.cudnn.deterministic
    # The number of threads moves last bits, and the barriers of tiny kernels cost more than a second thread gains.
    torch.set_num_threads(1)
    # The momentum of a dead unit's weights sinks to 1e-45 and stays there for ever (0.9 times the smallest denormal
    # number rounds to itself), and a processor takes ten times as long over it.
    torch.set_flush_denormal(True)
    # Some of cuDNN's gradients of kernels are sums in no fixed order: on an H200 the same first step differed by 1e-7.
    torch.backends.cudnn.deterministic = True
    try:
        # cuDNN rounds the inputs of convolutions to ten bits unless this is forbidden.
        with tf32(allowed=False), cpu_linear.use_library(products):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushed)
        torch.backends.cudnn.deterministic = deterministic


@contextmanager
def tf32(*, allowed: bool) -> Iterator[None]:
    """Let CUDA's float32 matrix products and convolutions round their inputs to TF32 (ten bits), or forbid that."""
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
    """Return whether denormal numbers are flushed to 0, which torch can set but not report."""
    # Half of the smallest normal number is denormal.
    return not bool(torch.tensor([torch.finfo(torch.float32).tiny]) / 2)
