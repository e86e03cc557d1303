"""Name the torch functions of a forward pass, and find the tensors that they take and return."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
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


def held_tensors(module: nn.Module) -> list[Tensor]:
    """Return the tensors that a module holds as plain attributes, such as an adjacency matrix that is no buffer."""
    values = [value for part in module.modules() for value in vars(part).values()]
    inner = [list(value.values()) if isinstance(value, dict) else value for value in values]
    flat = [*values, *(one for value in inner if isinstance(value, (list, tuple)) for one in value)]
    return [value for value in flat if isinstance(value, Tensor)]


def uncompiled() -> AbstractContextManager[object]:
    """Let compiled submodules and functions run as they were written, so that each torch function can be seen.

    Without dynamo loaded nothing is compiled, and loading it here would take seconds.
    """
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance
