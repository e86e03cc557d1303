"""Cut tensors of many runs into parts of neighbouring runs, and join parts to tensors.

Runs of one activation stand beside each other. An activation is applied to such a group of runs at a time, and a dense
layer on a CPU computes run by run anyway. So between two of them a hidden layer's tensor need not exist in one piece:
joining it and cutting it again would cost two copies per layer, forward and backward. ``Hidden`` is either form::

    linear          group of relu          group of tanh         linear
    x (R, B, in) ─▶ Parts((R₁, B, U), ───────(R₂, B, U)) ──────▶ …    R₁ + R₂ = R, sizes = (R₁, R₂)

Dimension 0 is the run and dimension 1 the example, in a part as in a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Parts:
    """Hold a tensor (R, B, …) in pieces: neighbouring runs in a tensor each, one after another."""

    pieces: tuple[Tensor, ...]

    def flatten(self, start: int) -> Parts:
        """Flatten each piece from dimension ``start`` on, as ``Tensor.flatten`` does."""
        return Parts(tuple(piece.flatten(start) for piece in self.pieces))


Hidden = Tensor | Parts
"""A hidden layer (R, B, …), whole or in parts."""


def whole(x: Hidden) -> Tensor:
    """Return the tensor (R, B, …), joined if it lies in parts."""
    return join(x.pieces) if isinstance(x, Parts) else x


def cut(x: Tensor, sizes: Sequence[int]) -> Sequence[Tensor]:
    """Cut (R, B, …) into parts of ``sizes`` runs each; the inverse of ``join``. One part costs nothing."""
    if len(sizes) == 1:
        return (x,)
    # A split, because its gradient is one concatenation; each slice's would add a full-size tensor of zeros. And of
    # images (R·B, …), so that the gradient keeps their memory format, as in ``join``.
    examples = x.shape[1]
    parts = torch.split(x.flatten(0, 1), [size * examples for size in sizes])
    return [split_runs(part, examples) for part in parts]


def join(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate parts (R_i, B, …) over the runs, keeping the images' memory format; one part costs nothing."""
    if len(parts) == 1:
        return parts[0]
    # As images (R·B, C, H, W), because ``cat`` keeps channels-last for four dimensions alone. Another format would let
    # a run's sums over positions be taken in another order in company than alone.
    examples = parts[0].shape[1]
    return split_runs(torch.cat([part.flatten(0, 1) for part in parts]), examples)


def split_runs(x: Tensor, examples: int) -> Tensor:
    """Return a view (R, B, …) of images (R·B, …)."""
    return torch.unflatten(x, 0, (-1, examples))
