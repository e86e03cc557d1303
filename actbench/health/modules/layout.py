"""Find the dimension of an activation's input that holds the units, and move it where the statistics want it.

Never by size alone: tokens × channels of equal length, or 16×16 images with 16 channels, would be counted wrongly. The
dimension is followed from the last weight layer or normalisation; the size only confirms it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from actbench.errors import UsageError


@dataclass(frozen=True)
class UnitLayout:
    """The shape in which an activation sees its input, and the way there and back.

    Args:
        shape: The input's.
        axis: Its dimension of units; others but the first are positions.
        dtype: Its floating-point type; statistics of half precision are kept in float32.
    """

    shape: torch.Size
    axis: int
    dtype: torch.dtype

    def to_units(self, values: Tensor) -> Tensor:
        """Return values as the statistics want them, (1, B, U, …positions), at least float32."""
        matrix = values.reshape(-1, 1) if values.ndim < 2 else values.movedim(self.axis, 1)
        return (matrix.float() if values.dtype.itemsize < 4 else matrix).unsqueeze(0)

    def from_units(self, values: Tensor) -> Tensor:
        """Return values (1, B, U, …positions) as the activation sees them."""
        moved = values.squeeze(0).to(self.dtype)
        return moved.reshape(self.shape) if len(self.shape) < 2 else moved.movedim(1, self.axis)


def unit_layout(z: Tensor, known: tuple[int, int] | None, chosen: int | None) -> UnitLayout:
    """Return the layout of an activation's input.

    Args:
        z: The input, examples first.
        known: (dimension, size) of the units after the last weight layer or normalisation before it.
        chosen: The user's own choice of the dimension.

    Raises:
        UsageError: When the chosen dimension does not exist or is the examples'.
    """
    if chosen is not None and not (1 <= chosen < z.ndim or -z.ndim < chosen < 0):
        raise UsageError(f"unit_axis {chosen} is none of the dimensions 1 … {z.ndim - 1} of z {tuple(z.shape)}")
    axis = chosen if chosen is not None else _axis(z, known)
    return UnitLayout(z.shape, axis, z.dtype)


def _axis(z: Tensor, known: tuple[int, int] | None) -> int:
    if z.ndim <= 2:
        return -1
    if known is None:  # no weight layer before: images have channels first, sequences last
        return 1 if z.ndim > 3 else -1
    axis, size = known
    if z.shape[axis] == size:
        return axis
    fitting = [place for place in range(1, z.ndim) if z.shape[place] == size]
    if len(fitting) == 1:
        return fitting[0]  # the tensor was transposed since
    # One vector an example that was reshaped into an image has channels first; else the dimension is taken as before.
    return 1 if prod(z.shape[1:]) == size else axis
