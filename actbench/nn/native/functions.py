"""What layers compute by the compiled kernels where these are in use: activations, the loss, sums over rows, maxima."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from actbench.nn.native import library, operations

TYPES = (torch.float32, torch.bfloat16)
"""What most kernels read; that of the loss reads float32 alone."""


def has_activation(z: Tensor) -> bool:
    """Return whether a tensor's activations can be computed here: kernels in use, on a CPU, of a type they know."""
    return z.dtype in TYPES and _is_within_reach(z)


def activation(z: Tensor, code: int, option: float) -> Tensor:
    """Return f(z), of any shape, for the activation with this code and option (``activation_codes``)."""
    found: Tensor = _Activation.apply(z, code, option)
    return found


def sum_rows(x: Tensor, out: Tensor) -> None:
    """Write the sum over the rows of x (rows, columns) to ``out`` (columns,), in its type: by torch without kernels."""
    if x.dtype in TYPES and out.dtype is torch.float32 and _is_within_reach(x):
        operations.column_sums(x, out)
    else:
        torch.sum(x, 0, dtype=out.dtype, out=out)


def has_cross_entropy(logits: Tensor) -> bool:
    """Return whether the loss can be computed here: kernels in use, on a CPU, in float32."""
    return logits.dtype is torch.float32 and _is_within_reach(logits)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy (1,) of one run: logits (1, B, classes), labels (1, B)."""
    found: Tensor = _CrossEntropy.apply(logits, labels)
    return found


def has_max_pool(x: Tensor, size: int) -> bool:
    """Return whether images (N, C, H, W) can be pooled here: channels last in memory, windows of at most 15 × 15."""
    lies_well = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return x.dtype in TYPES and lies_well and size < 16 and _is_within_reach(x)


def max_pool(x: Tensor, size: int) -> Tensor:
    """Return the maxima over windows of size × size: (N, C, H, W) -> (N, C, H // size, W // size), channels last.

    Its backward pass writes every number of the slope once, where torch's fills it with zeros first: a tenth of a step
    of a small network of convolutions.
    """
    found: Tensor = _MaxPool.apply(x, size)
    return found


def _is_within_reach(x: Tensor) -> bool:
    """Return whether kernels are in use, and x lies where they can read it."""
    return x.device.type == "cpu" and library.in_use() is not None


class _Activation(Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, code: int, option: float) -> Tensor:
        a = torch.empty_like(z)
        if a.stride() != z.stride():  # gaps or overlaps, as in an expanded tensor: the kernels want neither
            z = z.contiguous()
            a = torch.empty_like(z)
        operations.activate(code, option, z, a)
        ctx.save_for_backward(z)
        ctx.kind = code, option
        return a

    @staticmethod
    def backward(ctx: Any, da: Tensor) -> tuple[Tensor, None, None]:
        (z,) = ctx.saved_tensors
        dz = torch.empty_like(z)
        if da.stride() != z.stride():
            da = torch.empty_like(z).copy_(da)
        operations.activate_backward(*ctx.kind, z, da, dz)
        return dz, None, None


class _CrossEntropy(Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        logits, labels = logits.contiguous(), labels.contiguous()
        loss, slope = logits.new_empty(1), torch.empty_like(logits)
        operations.cross_entropy(logits[0], labels[0], loss, slope[0])
        ctx.save_for_backward(slope)
        return loss

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return slope * gradient, None


class _MaxPool(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int) -> Tensor:
        images, channels, height, width = x.shape
        shape = images, channels, height // size, width // size
        out = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
        place = torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last)
        operations.max_pool(x, size, out, place)
        ctx.save_for_backward(place)
        ctx.pooled = size, x.shape
        return out

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        (place,), (size, shape) = ctx.saved_tensors, ctx.pooled
        dx = torch.empty(shape, dtype=slope.dtype, memory_format=torch.channels_last)
        operations.max_pool_backward(slope.contiguous(memory_format=torch.channels_last), place, size, dx)
        return dx, None
