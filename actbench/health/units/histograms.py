"""Count a layer's pre-activations and outputs in the bins of ``schema.histograms``, while the probe passes by.

A number lies in a bin from its lower edge on, exactly: a float32 is compared with the smallest float32 that is not
below the edge. Searching the edges would take 28 nanoseconds a number. So float32 numbers on a CPU are counted in
*cells* first, those of one sign with the same high bits, an eighth of a power of two wide. At most one edge lies in a
cell, and is all that its numbers are compared with. The compiled kernel counts the same cells (``nn/native/units.c``)::

    bits of x   s eeeeeeee mmm mmmmmmmmmmmmmmmmmmmm
                |---- cell ---|
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from actbench.schema.histograms import BINS, HALF, edges

CELLS_FROM, CELLS_TO, CELL_BITS = 0x3C800000, 0x42FFFFFF, 20
"""The cells: bits of 2^-6 (no edge but 0 is smaller) and of the last number below 2^7 (none is larger), and how many
low bits the numbers of a cell do not share; as in ``nn/native/units.c``."""

SIGNED = ((CELLS_TO - CELLS_FROM) >> CELL_BITS) + 1
"""Cells of one sign: those of positive numbers come first, then those of negative ones, then what is not finite."""

CELLS = 2 * SIGNED + 1

_INFINITY, _SIZE = 0x7F800000, 0x7FFFFFFF


def counts(values: Tensor, keep: Tensor | None = None) -> Tensor:
    """Return how many numbers of each run lie in each bin: (R, …) -> (R, ``BINS``), int64, on the CPU.

    Numbers that are not finite lie in none: they have a count of their own among the health measures.

    Args:
        values: Of one layer, the runs first.
        keep: Same shape, true where there is an input rather than padding; None for everywhere.
    """
    values = values if values.dtype == torch.float64 else values.float()
    if values.device.type == "cpu" and values.dtype == torch.float32:
        places = _places(values)
        if keep is not None:
            places.masked_fill_(~keep, 2 * (CELLS - 1))
        return in_bins(_counted(places, 2 * CELLS).view(-1, CELLS, 2))
    limits = torch.from_numpy(_inner_edges(str(values.dtype).removeprefix("torch."))).to(values.device)
    places = torch.bucketize(values.contiguous(), limits, right=True, out_int32=True)
    counted = values.isfinite() if keep is None else values.isfinite() & keep
    places.masked_fill_(~counted, BINS)  # a further bin for what is not counted
    return _counted(places, BINS + 1)[:, :BINS].cpu()


def in_bins(cells: Tensor) -> Tensor:
    """Return the counts in bins (R, ``BINS``) for those in cells (R, ``CELLS``, 2): |x| from the edge on, and below."""
    bins = torch.zeros(len(cells), BINS + 1, dtype=torch.int64)
    return bins.index_add_(1, torch.from_numpy(_cells()[1]).flatten(), cells.flatten(1).long())[:, :BINS]


def cell_edges() -> Tensor:
    """Return for each cell the bits of the |x| at which its next bin begins, seen from 0; 0 where all are in one."""
    return torch.from_numpy(_cells()[0])


def _places(values: Tensor) -> Tensor:
    """Return twice the cell of each number, and 1 more for |x| below the cell's edge (int32)."""
    sizes = values.contiguous().view(torch.int32) & _SIZE
    places = sizes.clamp(CELLS_FROM, CELLS_TO)
    cells = (places - CELLS_FROM).bitwise_right_shift_(CELL_BITS)
    cells.add_(torch.lt(values, 0, out=torch.empty_like(cells)), alpha=SIGNED)
    cells.masked_fill_(sizes >= _INFINITY, CELLS - 1)
    limits = cell_edges().index_select(0, cells.flatten()).view(cells.shape)
    return torch.lt(places, limits, out=places).add_(cells, alpha=2)


def _counted(places: Tensor, number: int) -> Tensor:
    """Return how often each of so many places (int32) occurs in each run: (R, …) -> (R, number)."""
    runs = places.shape[0]
    offsets = torch.arange(runs, dtype=torch.int32, device=places.device) * number
    flat = (places + offsets.view(runs, *(1 for _ in places.shape[1:]))).flatten()
    return torch.bincount(flat, minlength=runs * number).view(runs, number)


@cache
def _inner_edges(dtype: str) -> np.ndarray:
    """Return the edges between the bins in a type of numbers, none of them below the edge itself."""
    exact = np.array(edges()[1:-1])
    rounded = exact.astype(dtype)
    return np.where(rounded < exact, np.nextafter(rounded, np.array(np.inf, dtype)), rounded)


@cache
def _cells() -> tuple[np.ndarray, np.ndarray]:
    """Return the edge of each cell, as ``cell_edges`` does, and its two bins: of numbers from it on, and below."""
    first = (CELLS_FROM + (np.arange(SIGNED) << CELL_BITS)).astype(np.int32)
    last = first + ((1 << CELL_BITS) - 1)
    first[0], last[-1] = 0, _INFINITY - 1
    limits, bins = np.zeros(CELLS, np.int32), np.full((CELLS, 2), BINS)
    between = _inner_edges("float32")
    for sign, start in ((1, 0), (-1, SIGNED)):
        for cell in range(SIGNED):
            near, far = (np.float32(sign) * np.int32(bits).view(np.float32) for bits in (first[cell], last[cell]))
            low, high = (int(np.searchsorted(between, x, side="right")) for x in (near, far))
            if sign < 0 and cell == 0:
                low = HALF - 1  # no number of this cell is 0
            bins[start + cell] = high, low
            if low != high:
                edge = np.abs(between[max(low, high) - 1]).view(np.int32)
                limits[start + cell] = edge if sign > 0 else edge + 1  # a negative edge belongs to the numbers above it
    return limits, bins
