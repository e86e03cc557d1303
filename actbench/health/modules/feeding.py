"""Call a network on a batch as training loops do, and say what is wrong with a batch that does not fit it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Number
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from actbench.errors import UsageError
from actbench.health.modules.inputs import TO_BATCHES, keys_in_words


def feed(module: nn.Module, batch: Any) -> Any:
    """Call a module as training loops do: a mapping as keyword arguments, of a tuple or list its first element.

    Raises:
        UsageError: When the module does not take such arguments, or the batch is a single example.
    """
    if isinstance(batch, (tuple, list)) and not isinstance(batch, PackedSequence):
        if not batch:
            raise UsageError("a batch is an empty tuple or list")
        _check_several(batch)
        return feed(module, batch[0])
    is_array = hasattr(batch, "__array__") and not isinstance(batch, Tensor)
    if is_array or isinstance(batch, (str, bytes, Number, type(None))):
        raise UsageError(
            f"a batch should be or begin with a tensor, not {type(batch).__name__}; say how the network is called on "
            "it: forward=lambda module, batch: …"
        )
    args, kwargs = ((), dict(batch)) if isinstance(batch, Mapping) else ((batch,), {})
    try:
        return module(*args, **kwargs)
    except (TypeError, AttributeError) as error:
        problem = _misfit(module, args, kwargs) if isinstance(error, TypeError) else ""
        if problem:
            raise UsageError(problem) from error
        if not isinstance(batch, (Tensor, Mapping)):
            kind = type(batch).__name__
            error.add_note(f"the batch is of class {kind}; forward=lambda module, batch: … says how it is used")
        raise


@contextmanager
def noted(inputs: Any) -> Iterator[None]:
    """Add a note to errors of a network whose inputs are a tuple, which is easily taken for one batch."""
    try:
        yield
    except Exception as error:
        if type(inputs) is tuple:
            error.add_note("the inputs are a tuple: each of its elements is a batch; [inputs] makes one batch of it")
        raise


def _check_several(batch: Any) -> None:
    """Refuse one example with its label: a tensor beside a single number.

    Raises:
        UsageError: When the batch is such a pair.
    """
    first, *others = batch
    if not isinstance(first, Tensor):
        return
    if any((isinstance(one, Tensor) and one.ndim == 0) or isinstance(one, Number) for one in others):
        raise UsageError(
            f"a tensor of shape {tuple(first.shape)} beside a single number looks like one example and its label, not "
            f"like a batch; {TO_BATCHES}, and forward=lambda module, batch: module(batch[0]) takes it as it is"
        )


def _misfit(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Return a sentence on a call that does not fit the parameters of a module's ``forward``; empty if it does."""
    try:
        signature = inspect.signature(module.forward)
    except (TypeError, ValueError):
        return ""
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        key = next(iter(kwargs), None)
        given = f"a mapping with {keys_in_words(kwargs)}" if kwargs else f"of type {type(args[0]).__name__}"
        choice = f"batch[{key!r}]) or module(batch" if kwargs else "batch, …"
        return (
            f"the batch is {given}, which {type(module).__name__}.forward{signature} does not take ({error}); say how "
            f"the network is called, such as forward=lambda module, batch: module({choice})"
        )
    return ""
