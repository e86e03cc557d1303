"""Observe a layer's units by the compiled kernel: one pass over z, where torch reads it for each of the statistics.

The kernel (``nn/native/units.c``) keeps a few numbers of each unit in double precision from one batch to the next. Here
they are put into its hands, and read out as the statistics of ``accumulators.STATISTICS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from actbench.health.units.accumulators import Summary
from actbench.health.units.histograms import CELLS, cell_edges, in_bins
from actbench.nn.native.library import Kernels
from actbench.schema.histograms import HISTOGRAMS

Code = tuple[int, float]
"""An activation and its option, as the kernels know them (``nn.native.activation_codes``)."""

FIELDS = (
    "z_first", "z_sum", "z_squares", "a_first", "a_sum", "a_squares", "a_sizes", "z_max", "a_max",
    "zeros", "flat", "positive", "fired",
)  # fmt: skip
"""What the kernel keeps of each unit, in the order of ``units.c``: moments are about the first number."""

COPIES = 4
"""Counts of each cell that the kernel keeps beside each other, as in ``units.c``."""


class CompiledUnits:
    """Keep what the kernel knows of one layer's units, for the runs that it can observe.

    Args:
        kernels: The compiled functions.
        codes: The activation of each of the runs.
        shape: (U, …positions).
        dead_slope: At or below this a slope counts as none.
        histograms: Whether to count z and f(z) in bins besides.
    """

    def __init__(
        self, kernels: Kernels, codes: Sequence[Code], shape: Sequence[int], *, dead_slope: float, histograms: bool
    ) -> None:
        runs, (self._units, *self._positions) = len(codes), shape
        self._kernel, self._codes, self._dead_slope = kernels["observe_units"], codes, dead_slope
        self._inputs = 0
        self._state = torch.zeros(runs, len(FIELDS), self._units, dtype=torch.float64)
        self._max_slope_at = torch.zeros(runs, prod(self._positions), self._units)
        self._edges = cell_edges().repeat_interleave(COPIES) if histograms else None
        self._counts = torch.zeros(runs, len(HISTOGRAMS), CELLS, COPIES, 2, dtype=torch.int32) if histograms else None
        self._cells = torch.zeros(runs, len(HISTOGRAMS), CELLS, 2, dtype=torch.int64)

    def add(self, runs: Sequence[Tensor]) -> None:
        """Add a batch: each run's z (B, U, …positions), float32 on the CPU, wherever its numbers lie."""
        edges = None if self._edges is None else self._edges.data_ptr()
        for index, (z, (code, option)) in enumerate(zip(runs, self._codes, strict=True)):
            rows = _flat(z)
            inputs, units, positions = rows.shape
            # A dense layer is one block whose rows are its inputs; all of them have the one position.
            blocks, of_block = (inputs, positions) if self._positions else (1, inputs)
            block_stride, row_stride, at_stride = (
                (rows.stride(0), rows.stride(2), units) if self._positions else (0, rows.stride(0), 0)
            )
            self._kernel(
                code, option, self._dead_slope, rows.data_ptr(), blocks, of_block, units,
                block_stride, row_stride, rows.stride(1), not self._positions, self._inputs == 0,
                self._state[index].data_ptr(), self._max_slope_at[index].data_ptr(), at_stride,
                edges, None if self._counts is None else self._counts[index].data_ptr(),
            )  # fmt: skip
        self._inputs += runs[0].shape[0]
        if self._counts is not None:  # emptied after each batch, so that 32 bits suffice
            self._cells += self._counts.sum(3)
            self._counts.zero_()

    def summaries(self) -> dict[str, Summary]:
        """Return the statistics of all batches so far, by their names in ``STATISTICS``."""
        known = dict(zip(FIELDS, self._state.unbind(1), strict=True))
        at = self._max_slope_at.double()
        full = at.new_ones(len(at), self._units)
        inputs, elements = full * self._inputs, full * (self._inputs * prod(self._positions))
        return {
            "max_slope": (at.amax(1),),
            "max_slope_at": (at.view(len(at), *self._positions, self._units),),
            "max_input": (known["z_max"],),
            "max_output": (known["a_max"],),
            "outputs": _moments(known, "a", elements),
            "inputs": _moments(known, "z", elements),
            "magnitude": (elements, known["a_sizes"] / elements),
            "zeros": (known["zeros"], elements),
            "flat": (known["flat"], elements),
            "positive": (known["positive"], elements),
            "fired": (known["fired"], inputs),
        }

    def histograms(self) -> dict[str, Tensor]:
        """Return ``z_histogram`` and ``a_histogram`` -> (R, bins); nothing if not asked for."""
        if self._counts is None:
            return {}
        return {name: in_bins(self._cells[:, index]) for index, name in enumerate(HISTOGRAMS)}


def _moments(known: dict[str, Tensor], letter: str, count: Tensor) -> Summary:
    """Return count, mean and squared deviations, from sums about the first number."""
    first, total, squares = (known[f"{letter}_{part}"] for part in ("first", "sum", "squares"))
    apart = total / count
    return count, first + apart, (squares - total * apart).clamp(min=0)


def _flat(z: Tensor) -> Tensor:
    """Return z (B, U, …positions) as (B, U, positions): copied only where positions lie at no one distance."""
    return z.flatten(2) if z.ndim > 2 else z.unsqueeze(2)
