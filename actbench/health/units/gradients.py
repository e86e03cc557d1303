"""Measure how strong the training signal is in each layer: vanishing and exploding gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from actbench.system import user_code


def norms(losses: Tensor, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the L2 norm of each run's gradient of its own mean loss with respect to each layer's pre-activations.

    Pre-activations rather than weights, so that the figure means the same for every model, a user's own included.

    Args:
        losses: (R,), with a graph if they depend differentiably on anything.
        inputs: Layer -> z (R, B, U, …) of the same graph.

    Returns:
        Layer -> (R,) float64 on the CPU.
    """
    # Summing the runs' losses gives each run its own gradient: no run's loss depends on another's z. A layer that the
    # loss does not depend on has gradient 0.
    if not losses.requires_grad:  # behind a step function, where no parameter requires a gradient
        return {name: torch.zeros(len(losses), dtype=torch.float64) for name in inputs}
    found = user_code.gradients(losses.sum(), list(inputs.values()), materialize_grads=True, allow_unused=True)
    lengths = (torch.linalg.vector_norm(gradient.reshape(len(gradient), -1), dim=1) for gradient in found)
    return {name: length.cpu().double() for name, length in zip(inputs, lengths, strict=True)}


def first_to_last(norms_of_run: Sequence[float | None]) -> float | None:
    """Return the first layer's norm over the last one's: ≪ 1 where gradients vanish, ≫ 1 where they explode.

    Layers without a norm, which were not called, are left out.

    >>> first_to_last([0.5, 3.0, 2.0, None])
    0.25
    """
    known = [norm for norm in norms_of_run if norm is not None]
    return known[0] / known[-1] if known and known[-1] > 0 else None
