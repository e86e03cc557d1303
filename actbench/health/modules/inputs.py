"""Cut, count and move the batches that a network is fed with: tensors, data loaders, mappings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from actbench.errors import UsageError
from actbench.nn.unit_axes.torch_calls import tensors

BATCH = 250
"""Examples a forward pass when the inputs are one tensor: the trainer's own, so that results agree to the last bit."""


def batches(inputs: Any, device: torch.device, max_examples: int | None) -> Iterator[tuple[Any, int]]:
    """Yield each batch on the device, with the number of its examples; batches without examples are passed over.

    Args:
        inputs: One tensor, or an iterable of batches.
        device: Where they are moved.
        max_examples: A tensor is cut there; an iterable is followed, in whole batches, until it has given that many.

    Raises:
        UsageError: When the inputs are of another kind, or there are no examples.
    """
    if max_examples is not None and max_examples < 1:
        raise UsageError(f"max_examples should be 1 or more, not {max_examples}")
    seen = 0
    for batch in _in_parts(inputs, max_examples):
        size = examples_in(batch)
        if not size:
            continue
        yield _moved(batch, device), size
        seen += size
        if max_examples is not None and seen >= max_examples:
            return
    if not seen:
        raise UsageError("there are no inputs to measure on: pass a tensor with examples, or an iterable of batches")


def feed(module: nn.Module, batch: Any) -> Any:
    """Call a module as training loops do: a mapping as keyword arguments, of a tuple or list its first element."""
    if isinstance(batch, Mapping):
        return module(**batch)
    return feed(module, batch[0]) if isinstance(batch, (tuple, list)) else module(batch)


def examples_in(batch: Any) -> int:
    """Return the number of examples in a batch, the length of its first tensor.

    Raises:
        UsageError: When the batch holds no tensor.
    """
    first = next(tensors(batch), None)
    if first is None or first.ndim == 0:
        raise UsageError(
            f"a batch should be a tensor, a tuple or list that begins with one, or a mapping of tensors, "
            f"not {type(batch).__name__}; one mapping alone is passed as [mapping]"
        )
    return len(first)


def _in_parts(inputs: Any, max_examples: int | None) -> Iterable[Any]:
    if isinstance(inputs, Tensor):
        if inputs.ndim == 0:
            raise UsageError("the inputs are a tensor without dimensions; its first one counts the examples")
        chosen = inputs[:max_examples]
        return (chosen[start : start + BATCH] for start in range(0, len(chosen), BATCH))
    if not isinstance(inputs, Iterable):
        raise UsageError(f"the inputs should be a tensor or an iterable of batches, not {type(inputs).__name__}")
    return inputs


def _moved(content: Any, device: torch.device) -> Any:
    """Return the same containers with their tensors on the device; other contents stay as they are."""
    if isinstance(content, Tensor):
        return content.to(device)
    if isinstance(content, Mapping):
        return {key: _moved(value, device) for key, value in content.items()}
    if isinstance(content, (tuple, list)):
        return [_moved(value, device) for value in content]
    return content
