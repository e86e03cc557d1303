"""The kernels as operations of torch, which a trace sees as one call each and a replay calls by address.

Each writes its results into tensors that it is given. Nothing here asks whether the kernels are in use: see
``library.in_use`` and the functions of ``nn.native.functions``, which do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from actbench.nn.native import library

_NAMESPACE = torch.library.Library("actbench", "DEF")  # type: ignore[no-untyped-call]

_BINDERS: dict[OpOverload, Callable[..., Callable[[], object]]] = {}
"""Operation -> a function of its arguments that returns the kernel's call on their memory."""


def bound(operation: OpOverload, arguments: tuple[Any, ...]) -> Callable[[], object] | None:
    """Return the call of a kernel without arguments, on this memory; None where the operation is not one of them.

    It holds on to the tensors, and costs a third of a microsecond where torch's dispatcher takes three.
    """
    make = _BINDERS.get(operation)
    return None if make is None else make(*arguments)


def _activate(code: int, option: float, z: Tensor, a: Tensor) -> Callable[[], object]:
    half = int(z.dtype is torch.bfloat16)
    return _call("activate", (z, a), code, option, half, z.data_ptr(), a.data_ptr(), z.numel())


def _activate_backward(code: int, option: float, z: Tensor, da: Tensor, dz: Tensor) -> Callable[[], object]:
    half, addresses = int(z.dtype is torch.bfloat16), (z.data_ptr(), da.data_ptr(), dz.data_ptr())
    return _call("activate_backward", (z, da, dz), code, option, half, *addresses, z.numel())


def _column_sums(x: Tensor, sums: Tensor) -> Callable[[], object]:
    half = int(x.dtype is torch.bfloat16)
    return _call("column_sums", (x, sums), half, x.data_ptr(), sums.data_ptr(), *x.shape)


def _cross_entropy(logits: Tensor, labels: Tensor, loss: Tensor, slope: Tensor) -> Callable[[], object]:
    tensors = (logits, labels, loss, slope)
    return _call("cross_entropy", tensors, *(one.data_ptr() for one in tensors), *logits.shape)


def _max_pool(x: Tensor, size: int, out: Tensor, place: Tensor) -> Callable[[], object]:
    return _pooling("max_pool", (x, out, place), x, size)


def _max_pool_backward(slope: Tensor, place: Tensor, size: int, dx: Tensor) -> Callable[[], object]:
    return _pooling("max_pool_backward", (slope, place, dx), dx, size)


def _pooling(name: str, tensors: tuple[Tensor, ...], x: Tensor, size: int) -> Callable[[], object]:
    images, channels, height, width = x.shape
    half, addresses = int(x.dtype is torch.bfloat16), [one.data_ptr() for one in tensors]
    return _call(name, tensors, half, *addresses, images, height, width, channels, size)


def _call(name: str, tensors: tuple[Tensor, ...], *arguments: float) -> Callable[[], object]:
    """Return a kernel with its arguments; the addresses among them stay valid as long as the tensors live."""
    kernels = library.in_use()
    if kernels is None:
        raise RuntimeError(f"the kernel {name} is called where none are in use")
    call = partial(kernels[name], *arguments)
    call.tensors = tensors  # type: ignore[attr-defined]
    return call


def _defined(schema: str, make: Callable[..., Callable[[], object]]) -> OpOverload:
    """Define an operation of torch that makes the call which ``make`` returns."""
    _NAMESPACE.define(schema)  # type: ignore[no-untyped-call]
    name = schema.partition("(")[0]
    _NAMESPACE.impl(name, lambda *arguments: make(*arguments)(), "CPU")  # type: ignore[no-untyped-call]
    operation: OpOverload = getattr(torch.ops.actbench, name).default
    _BINDERS[operation] = make
    return operation


activate = _defined("activate(int code, float option, Tensor z, Tensor(a!) a) -> ()", _activate)
activate_backward = _defined(
    "activate_backward(int code, float option, Tensor z, Tensor da, Tensor(a!) dz) -> ()", _activate_backward
)
column_sums = _defined("column_sums(Tensor x, Tensor(a!) sums) -> ()", _column_sums)
cross_entropy = _defined(
    "cross_entropy(Tensor logits, Tensor labels, Tensor(a!) loss, Tensor(b!) slope) -> ()", _cross_entropy
)
max_pool = _defined("max_pool(Tensor x, int size, Tensor(a!) out, Tensor(b!) place) -> ()", _max_pool)
max_pool_backward = _defined(
    "max_pool_backward(Tensor slope, Tensor place, int size, Tensor(a!) dx) -> ()", _max_pool_backward
)
