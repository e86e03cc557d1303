"""Cut, count, mask and move the batches of a network's inputs: tensors, data loaders, mappings, batch objects."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sized
from dataclasses import dataclass
from itertools import chain, islice
from numbers import Number
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from actbench.errors import UsageError

BATCH = 250
"""Examples a forward pass when the inputs are one tensor: the trainer's own, so that results agree to the last bit."""

Mask = Tensor | str | Callable[[Any], Tensor] | None
"""Which positions count: a tensor like one tensor of inputs, the key of a mapping, or a function of the batch."""

TO_BATCHES = "torch.utils.data.DataLoader(inputs, batch_size=250) makes batches of single examples"


@dataclass(frozen=True)
class Batch:
    """Hold the input of one forward pass.

    Args:
        content: As the network, or ``forward``, takes it.
        examples: How many there are.
        tensors: Those of the content, with the way to each, such as ``['pixels']``.
        name: ``inputs[250:500]`` for a part of one tensor, ``batch 1`` for the second of several.
        mask: True where a position counts, in the inputs' own layout; None where all do.
    """

    content: Any
    examples: int
    tensors: tuple[tuple[str, Tensor], ...]
    name: str
    mask: Tensor | None = None


def batches(
    inputs: Any, device: torch.device, *, max_examples: int | None = None, axis: int = 0, mask: Mask = None
) -> Iterator[Batch]:
    """Yield each batch on the device; batches without examples, or with a mask that leaves none, are passed over.

    Args:
        inputs: One tensor, or an iterable of batches; a packed sequence or a named tuple is one batch.
        device: Where they are moved.
        max_examples: A tensor is cut there; an iterable is followed, in whole batches, until it has given that many.
        axis: The dimension of the examples.
        mask: Which positions count.

    Raises:
        UsageError: When the inputs or the mask are of another kind, or there are no examples.
    """
    if max_examples is not None and max_examples < 1:
        raise UsageError(f"max_examples should be 1 or more, not {max_examples}")
    seen = 0
    for number, (content, own_mask) in enumerate(_in_parts(inputs, max_examples, axis, mask)):
        size = examples_in(content, axis)
        if not size:
            continue
        counted = None if own_mask is None else as_mask(own_mask).to(device)
        if counted is not None and not counted.any():
            continue
        name = f"inputs[{seen}:{seen + size}]" if isinstance(inputs, Tensor) else f"batch {number}"
        moved = _moved(content, device)
        yield Batch(moved, size, tuple(leaves(moved)), name, counted)
        seen += size
        if max_examples is not None and seen >= max_examples:
            return
    if not seen:
        raise UsageError(
            "there are no inputs to measure on: pass a tensor with examples, or an iterable of batches"
            + ("; the mask is 0 everywhere" if mask is not None else "")
        )


def peek(inputs: Any, device: torch.device) -> tuple[Batch | None, Any]:
    """Return the first batch, if there is one, and inputs that still hold it."""
    again, source = inputs, inputs
    if isinstance(inputs, Iterable) and not isinstance(inputs, (Tensor, Mapping)) and not hasattr(inputs, "_fields"):
        rest = iter(inputs)
        source = list(islice(rest, 1))
        again = chain(source, rest)
    try:
        return next(batches(source, device), None), again
    except UsageError:  # reading the inputs comes next, and raises it again
        return None, again


def examples_in(batch: Any, axis: int = 0) -> int:
    """Return the number of examples in a batch: the size of its first tensor along the dimension of the examples.

    A packed sequence has as many as its first step; a batch without tensors as many as its length, or one.

    Raises:
        UsageError: When the batch is no container, or its first tensor lacks that dimension.
    """
    if isinstance(batch, PackedSequence):
        return int(batch.batch_sizes[0])
    packed = next((part for part in _parts(batch) if isinstance(part, PackedSequence)), None)
    if packed is not None:
        return examples_in(packed)
    tensors = [tensor for _, tensor in leaves(batch)]
    if any(tensor.is_nested and tensor.layout == torch.strided for tensor in tensors):
        raise UsageError("a nested tensor of strided layout can't be followed; make it with layout=torch.jagged")
    shapes = [tensor.shape for tensor in tensors]
    fitting = next((shape for shape in shapes if len(shape) > axis), None)
    if fitting is not None:
        return fitting[axis]
    if not shapes and not isinstance(batch, (str, bytes, Number, type(None))):
        return len(batch) if isinstance(batch, Sized) else 1
    kind = f"a tensor of shape {tuple(shapes[0])}" if shapes else type(batch).__name__
    raise UsageError(
        f"a batch should be a tensor with dimension {axis} for the examples, a tuple or list that begins with one, "
        f"a mapping of tensors, or an object that the network takes, not {kind}; one mapping alone is passed as "
        "[mapping]"
    )


def leaves(content: Any, path: str = "", depth: int = 4) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of nested containers and of batch objects' attributes, with the way to each."""
    if isinstance(content, Tensor):
        yield path, content
    elif depth:
        for step, value in _steps(content):
            yield from leaves(value, path + step, depth - 1)


def as_mask(mask: Any) -> Tensor:
    """Return a mask as bool.

    Raises:
        UsageError: When it is no tensor, or holds other numbers than 0 and 1.
    """
    if not isinstance(mask, Tensor):
        raise UsageError(f"the mask should be a tensor, not {type(mask).__name__}")
    if not ((mask == 0) | (mask == 1)).all():
        raise UsageError("the mask should hold 1 (or True) where a position counts and 0 (or False) elsewhere")
    return mask.bool()


def keys_in_words(mapping: Mapping[Any, Any]) -> str:
    """Return ``the keys 'pixels', 'label'``."""
    return f"the keys {', '.join(map(repr, mapping))}"


def not_finite(batch: Batch, used: Callable[[Tensor], bool]) -> str | None:
    """Return a sentence on the first tensor of a batch with NaN or infinite numbers; None when there is none.

    A tensor of zeros and −∞ alone is a mask that is added to attention's scores.

    Args:
        batch: The batch.
        used: Whether the network has used a tensor; labels, say, are left alone.
    """
    for path, tensor in batch.tensors:
        if not used(tensor):
            continue
        if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.layout != torch.strided or tensor.is_meta:
            continue
        wrong = ~tensor.isfinite()
        if not wrong.any() or ((tensor == 0) | (tensor == -torch.inf)).all():
            continue
        count, first = int(wrong.sum()), [int(place) for place in wrong.nonzero()[0]]
        numbers = "number" if count == 1 else "numbers"
        return (
            f"{batch.name}{path} holds {count:,} NaN or infinite {numbers} of {tensor.numel():,}, the first at {first}"
        )
    return None


def _steps(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield (way, value) of what a container or a batch object holds."""
    if isinstance(content, Mapping):
        yield from ((f"[{key!r}]", value) for key, value in content.items())
    elif isinstance(content, tuple) and hasattr(content, "_fields"):
        yield from ((f".{name}", getattr(content, name)) for name in content._fields)
    elif isinstance(content, (tuple, list)):
        yield from ((f"[{place}]", value) for place, value in enumerate(content))
    elif hasattr(content, "__dict__") and not isinstance(content, (nn.Module, type)) and not callable(content):
        yield from ((f".{name}", value) for name, value in vars(content).items())


def _parts(content: Any, depth: int = 3) -> Iterator[Any]:
    """Yield the contents of nested containers."""
    for _, value in _steps(content):
        yield value
        if depth:
            yield from _parts(value, depth - 1)


def _in_parts(inputs: Any, max_examples: int | None, axis: int, mask: Mask) -> Iterator[tuple[Any, Any]]:
    """Yield (batch, its mask)."""
    if isinstance(inputs, Tensor):
        yield from _slices(inputs, max_examples, axis, mask)
        return
    if isinstance(mask, Tensor):
        raise UsageError(
            "a mask that is a tensor goes with one tensor of inputs; name a key or a function of the batch"
        )
    if isinstance(inputs, Mapping):
        raise UsageError("the inputs are one mapping; one mapping alone is passed as [mapping]")
    if isinstance(inputs, tuple) and hasattr(inputs, "_fields"):  # a packed sequence is a named tuple, too
        inputs = [inputs]
    if not isinstance(inputs, Iterable):
        hint = f"; {TO_BATCHES}" if hasattr(inputs, "__getitem__") else ""
        raise UsageError(f"the inputs should be a tensor or an iterable of batches, not {type(inputs).__name__}{hint}")
    for batch in inputs:
        yield batch, _mask_of(batch, mask)


def _slices(inputs: Tensor, max_examples: int | None, axis: int, mask: Mask) -> Iterator[tuple[Tensor, Any]]:
    if inputs.ndim == 0:
        raise UsageError("the inputs are a tensor without dimensions; its first one counts the examples")
    if inputs.ndim <= axis:
        raise UsageError(f"batch_axis {axis} is none of the inputs' dimensions: their shape is {tuple(inputs.shape)}")
    count = inputs.shape[axis] if max_examples is None else min(max_examples, inputs.shape[axis])
    if isinstance(mask, Tensor) and (mask.ndim <= axis or mask.shape != inputs.shape[: mask.ndim]):
        raise UsageError(f"the mask's shape {tuple(mask.shape)} does not begin as the inputs' {tuple(inputs.shape)}")
    if inputs.layout != torch.strided or inputs.is_nested:
        if max_examples is not None or isinstance(mask, Tensor):
            raise UsageError("a sparse or nested tensor is taken whole, without max_examples and a mask of its shape")
        yield inputs, _mask_of(inputs, mask)
        return
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        part = inputs.narrow(axis, start, size)
        yield part, mask.narrow(axis, start, size) if isinstance(mask, Tensor) else _mask_of(part, mask)


def _mask_of(batch: Any, mask: str | Callable[[Any], Tensor] | None) -> Any:
    """Return a batch's own mask; of a tuple or list that begins with a mapping, that of the mapping."""
    if mask is None:
        return None
    if not isinstance(mask, str):
        if not callable(mask):
            raise UsageError(f"mask should be a key, a function of the batch or a tensor, not {type(mask).__name__}")
        return mask(batch)
    holder = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
    if not isinstance(holder, Mapping) or mask not in holder:
        keys = keys_in_words(holder) if isinstance(holder, Mapping) else f"{type(holder).__name__} and no keys"
        raise UsageError(f"mask='{mask}' is none of the batch's keys: it has {keys}")
    return holder[mask]


def _moved(content: Any, device: torch.device) -> Any:
    """Return the content with its tensors on the device; as it is where nothing has to be moved.

    A batch object moves itself if it has a method ``to``.
    """
    if all(tensor.device == device for _, tensor in leaves(content)):
        return content
    if isinstance(content, Tensor) or (not isinstance(content, dict) and callable(getattr(content, "to", None))):
        return content.to(device)
    if isinstance(content, MutableMapping):
        twin = copy.copy(content)
        for key, value in content.items():
            twin[key] = _moved(value, device)
        return twin
    if isinstance(content, tuple) and hasattr(content, "_fields"):
        return type(content)(*(_moved(value, device) for value in content))
    if isinstance(content, (tuple, list)):
        return type(content)(_moved(value, device) for value in content)
    return content
