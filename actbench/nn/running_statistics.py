"""The batch normalisations of a user's module, and a look at their inputs before each call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from torch import Tensor, nn

BATCH_NORM = nn.modules.batchnorm._BatchNorm


@contextmanager
def norms_shown(module: nn.Module, show: Callable[[str, Tensor, Tensor, Tensor], None]) -> Iterator[None]:
    """Show every input of the layers that keep running statistics before they use it, while the context lasts.

    Args:
        module: The network.
        show: Called with the layer's name, its input (1, B, U, …positions), and its running mean and variance (1, U):
            views, so that what is written to them is written to the layer's own. May raise to end the pass.
    """

    def before(name: str, running: tuple[Tensor, Tensor], layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        show(name, inputs[0].unsqueeze(0), *running)

    hooks = [
        layer.register_forward_pre_hook(
            partial(before, name, (layer.running_mean.unsqueeze(0), layer.running_var.unsqueeze(0)))
        )
        for name, layer in module.named_modules()
        if isinstance(layer, BATCH_NORM) and layer.running_mean is not None and layer.running_var is not None
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def have_seen_no_batch(module: nn.Module) -> bool:
    """Return whether the network keeps running statistics, all of them as they are made: means 0, variances 1."""
    layers = [layer for layer in module.modules() if isinstance(layer, BATCH_NORM) and layer.running_mean is not None]
    return bool(layers) and all(
        not layer.running_mean.any() and layer.running_var is not None and bool((layer.running_var == 1).all())
        for layer in layers
        if layer.running_mean is not None
    )
