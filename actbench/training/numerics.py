"""Set how a process computes while it trains: threads, denormal numbers, TF32, which kernels of several.

All of it is torch's global state; the contexts here set it and put it back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from actbench.nn import cpu_linear
from actbench.nn.native import library as native
from actbench.system import torch_settings


@contextmanager
def deterministic_numerics(products: str, kernels: str) -> Iterator[None]:
    """Compute in a way that gives the same numbers again, while the context lasts.

    One thread, no TF32, denormal numbers flushed to 0, deterministic convolutions, torch's own default type and device.

    Args:
        products: The one of ``cpu_linear.LIBRARIES`` that computes matrix products on a CPU.
        kernels: ``native`` or ``torch``: the kernels that compute activations and the loss on a CPU.

    Raises:
        UsageError: When the kernels can't be had.
    """
    functions = native.choose(kernels).functions
    before, deterministic = torch_settings.read(), torch.backends.cudnn.deterministic
    # A notebook may have chosen another type, device or precision, or call within torch.no_grad().
    torch_settings.write_standard()
    # The number of threads moves last bits, and the barriers of tiny kernels cost more than a second thread gains.
    torch.set_num_threads(1)
    # The momentum of a dead unit's weights sinks to 1e-45 and stays there for ever (0.9 times the smallest denormal
    # number rounds to itself), and a processor takes ten times as long over it.
    torch.set_flush_denormal(True)
    # Some of cuDNN's gradients of kernels are sums in no fixed order: on an H200 the same first step differed by 1e-7.
    torch.backends.cudnn.deterministic = True
    try:
        # cuDNN rounds the inputs of convolutions to ten bits unless this is forbidden.
        with tf32(allowed=False), cpu_linear.use_library(products), native.use_kernels(functions):
            yield
    finally:
        torch.backends.cudnn.deterministic = deterministic
        torch_settings.write(before)


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
