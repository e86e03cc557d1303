"""Count a layer's pre-activations and outputs in the bins of ``schema.histograms``, while the probe passes by."""

from __future__ import annotations

import torch
from torch import Tensor

from actbench.schema.histograms import BINS, HALF, SCALE, STEP


def counts(values: Tensor, keep: Tensor | None = None) -> Tensor:
    """Return how many numbers of each run lie in each bin: (R, …) -> (R, ``BINS``), int64, on the CPU.

    Numbers that are not finite lie in none: they have a count of their own among the health measures.

    Args:
        values: Of one layer, the runs first.
        keep: Same shape, true where there is an input rather than padding; None for everywhere.
    """
    runs = values.shape[0]
    # The inverse of an edge's formula; half precision would misplace numbers near an edge.
    values = values if values.dtype == torch.float64 else values.float()
    places = torch.asinh(values / SCALE).div_(STEP).add_(HALF).floor_()
    counted = places.isfinite() if keep is None else places.isfinite() & keep
    places = torch.where(counted, places.clamp_(0, BINS - 1), BINS)  # a further bin for what is not counted
    offsets = torch.arange(runs, device=values.device).view(runs, *(1 for _ in values.shape[1:])) * (BINS + 1)
    flat = (places.long() + offsets).flatten()
    return torch.bincount(flat, minlength=runs * (BINS + 1)).view(runs, BINS + 1)[:, :BINS].cpu()
