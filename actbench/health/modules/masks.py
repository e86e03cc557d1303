"""Carry the mask of a batch over to the pre-activations of a layer."""

from __future__ import annotations

import torch
from torch import Tensor

from actbench.nn.unit_axes.layout import UnitLayout


def carried(mask: Tensor, shape: torch.Size, layout: UnitLayout) -> Tensor | None:
    """Return a mask in the shape of a layer's pre-activations; None where their positions are not those of the inputs.

    The positions, without the dimension of units, have to be the mask's: in its order, transposed (steps first), or
    flattened to rows. A mask of examples alone fits any layer.

    Args:
        mask: (examples, …positions) or, if the network takes steps first, (steps, examples).
        shape: The pre-activations'.
        layout: Where their units and examples lie.
    """
    if mask.ndim == 1:
        if not shape or shape[layout.batch_axis] != len(mask):
            return None
        return mask.reshape([-1 if place == layout.batch_axis else 1 for place in range(len(shape))]).expand(shape)
    if layout.axis is None:
        return None
    others = shape[: layout.axis] + shape[layout.axis + 1 :]
    for form in (mask, mask.transpose(0, 1), mask.reshape(-1)):
        if form.shape == others:
            return form.unsqueeze(layout.axis).expand(shape)
    return None


def has_positions(shape: torch.Size, layout: UnitLayout) -> bool:
    """Return whether pre-activations have other dimensions than those of examples and units."""
    return len(shape) > 2 or layout.axis is None
