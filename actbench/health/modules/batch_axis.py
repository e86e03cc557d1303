"""Find the dimension of the examples in a network's inputs, where torch's sequence layers declare it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import torch
from torch import Tensor, nn

from actbench.health.modules.inputs import peek


def with_batch_axis(
    module: nn.Module, forward: Callable[[nn.Module, Any], Any], inputs: Any, device: torch.device
) -> tuple[Any, int]:
    """Return the inputs, and the dimension of their examples: 1 where the network takes steps first, else 0.

    ``nn.LSTM``, ``nn.MultiheadAttention`` and the like take (steps, examples, features) unless ``batch_first`` is set.
    The first of them that a trial pass meets decides: with ``batch_first=False``, if the first two dimensions of its
    input are those of the batch's first tensor, these are steps and examples.

    Args:
        module: The network, in evaluation mode.
        forward: How it is run on a batch.
        inputs: As for ``measure_health``; iterators are read on from the first batch.
        device: Where batches are moved.
    """
    layers = [part for part in module.modules() if isinstance(part, (nn.RNNBase, nn.MultiheadAttention))]
    if all(part.batch_first for part in layers):
        return inputs, 0
    batch, again = peek(inputs, device)
    own = next((tensor for _, tensor in batch.tensors), None) if batch else None
    if batch is None or own is None or own.ndim < 2:
        return again, 0
    content = batch.content
    if isinstance(inputs, Tensor) and own.shape[0] == own.shape[1] > 1:
        own = content = own[:-1]  # sizes that can't be confused
    met: list[bool] = []

    def look(part: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = next((value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)), None)
        steps_first = given is not None and given.ndim == 3 and given.shape[:2] == own.shape[:2]
        met.append(steps_first and not part.batch_first)

    with ExitStack() as hooks, suppress(Exception):  # the pass that is measured comes next, and raises it again
        for part in layers:
            hooks.callback(part.register_forward_pre_hook(look, with_kwargs=True).remove)
        forward(module, content)
    return again, int(bool(met) and met[0])
