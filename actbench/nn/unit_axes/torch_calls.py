"""Name the torch functions of a forward pass, and find the tensors that they take and return."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor
from torch._ops import OpOverload, OpOverloadPacket

LIBRARIES = frozenset({"aten", "onednn", "quantized"})
"""Torch's own libraries of operators."""


def name_of(function: Callable[..., Any]) -> str:
    """Return a function's name in the tables: ``relu`` for ``F.relu``, ``torch.relu_`` and ``Tensor.relu`` alike.

    Operators that exported and quantised programs call go by the same names. Those of a library that is not torch's go
    by their full name: they count as unknown, whatever they are called.
    """
    if isinstance(function, (OpOverload, OpOverloadPacket)):
        library, name = str(function).split(".")[:2]
        return name.strip("_") if library in LIBRARIES else str(function)
    return str(getattr(function, "__name__", "")).strip("_")


def tensors(content: Any) -> Iterator[Tensor]:
    """Yield every tensor in nested tuples, lists and mappings."""
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from tensors(value)
    elif isinstance(content, (tuple, list)):
        for value in content:
            yield from tensors(value)
