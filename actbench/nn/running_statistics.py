"""The batch normalisations of a user's module, and a look at their inputs before each call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

BATCH_NORM = nn.modules.batchnorm._BatchNorm


def normalisations(module: nn.Module) -> dict[str, nn.Module]:
    """Return the batch normalisations that keep running statistics, by name."""
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, BATCH_NORM) and layer.running_mean is not None and layer.running_var is not None
    }


def has_seen_no_batch(layer: nn.Module) -> bool:
    """Return whether a batch normalisation's running statistics are as they are made: means 0, variances 1."""
    mean, variance, batches = layer.running_mean, layer.running_var, layer.num_batches_tracked
    if not (isinstance(mean, Tensor) and isinstance(variance, Tensor)):
        return False
    counted = isinstance(batches, Tensor) and bool(batches)
    return not counted and not mean.any() and bool((variance == 1).all())


@contextmanager
def norms_shown(layers: Mapping[str, nn.Module], show: Callable[[str, Tensor, Tensor, Tensor], None]) -> Iterator[None]:
    """Show every input of some batch normalisations before they use it, while the context lasts.

    Args:
        layers: Of those that ``normalisations`` returns.
        show: Called with the layer's name, its input (1, B, U, …positions), and its running mean and variance (1, U):
            views, so that what is written to them is written to the layer's own. May raise to end the pass.
    """

    def before(
        name: str, running: list[Tensor], layer: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Any]
    ) -> None:
        x = inputs[0] if inputs else named["input"]
        show(name, x.unsqueeze(0), *running)

    hooks = [
        layer.register_forward_pre_hook(
            partial(before, name, [layer.get_buffer(of).unsqueeze(0) for of in ("running_mean", "running_var")]),
            with_kwargs=True,
        )
        for name, layer in layers.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
