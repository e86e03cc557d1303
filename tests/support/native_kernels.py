"""The compiled kernels on tensors, for tests; a test that needs them is skipped where there is no C compiler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from actbench.nn.chosen_activations import function_of
from actbench.nn.native import library
from actbench.nn.native.activation_codes import CODES, OPTION, code_of
from actbench.nn.native.compiler import CompilerError, find_compiler
from actbench.schema.components import Component, resolve

OPTIONS: Mapping[str, tuple[float, ...]] = {
    "leaky_relu": (0.0, 0.01, 0.5),
    "elu": (0.1, 1.0, 2.0),
    "celu": (0.1, 1.0, 2.0),
    "swish": (-1.0, 0.0, 1.0, 10.0),
    "softplus": (0.5, 1.0, 5.0),
}

CHOSEN: tuple[Component, ...] = tuple(
    resolve("activations", {"name": name, OPTION[name]: value} if value is not None else name)
    for name in CODES
    for value in OPTIONS.get(name, (None,))
)
"""Each activation that has a kernel, with several values of its option."""


def missing_compiler() -> str:
    """Return why there is no compiler; empty where there is one."""
    try:
        find_compiler()
    except CompilerError as error:
        return str(error)
    return ""


needs_kernels = pytest.mark.skipif(bool(missing_compiler()), reason=missing_compiler())
"""For tests of the kernels: with a compiler they must be there, so that no defect of theirs passes as a lack of it."""


def kernels() -> library.Kernels:
    """Return the kernels; the first test process of all compiles them, in the tests' own cache folder."""
    found = library.choose("native").functions
    assert found is not None
    return found


def value(chosen: Component, z: Tensor) -> Tensor:
    """Return f(z) by its kernel."""
    a = torch.full_like(z, 7)
    kernels()["activate"](*_code(chosen), z.dtype is torch.bfloat16, z.data_ptr(), a.data_ptr(), z.numel())
    return a


def slope(chosen: Component, z: Tensor, da: Tensor | None = None) -> Tensor:
    """Return f'(z) da by its kernel; da is 1 unless it is given."""
    da, dz = torch.ones_like(z) if da is None else da, torch.full_like(z, 7)
    pointers = z.data_ptr(), da.data_ptr(), dz.data_ptr()
    kernels()["activate_backward"](*_code(chosen), z.dtype is torch.bfloat16, *pointers, z.numel())
    return dz


def cross_entropy(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss and its slope by their kernel."""
    loss, found = torch.full((), 7.0), torch.full_like(logits, 7)
    pointers = logits.data_ptr(), labels.data_ptr(), loss.data_ptr(), found.data_ptr()
    kernels()["cross_entropy"](*pointers, *logits.shape)
    return loss, found


def in_table(chosen: Component, z: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return f(z) and f'(z) by the table's function and autograd in another type."""
    leaf = z.to(dtype).requires_grad_()
    a = function_of(chosen)(leaf)
    (found,) = torch.autograd.grad(a.sum(), leaf)
    return a.detach(), found


def bits(x: Tensor) -> list[Any]:
    """Return the bits of each number, by which NaN equals NaN and 0 differs from -0."""
    found: list[Any] = x.contiguous().view(torch.int32 if x.dtype is torch.float32 else torch.int16).tolist()
    return found


def _code(chosen: Component) -> tuple[int, float]:
    found = code_of(chosen)
    assert found is not None
    return found
