"""Plan the memory for a replayed computation's intermediate results once, for one computation after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from actbench.nn.alignment import whole_steps


@dataclass
class Arena:
    """Hold memory for intermediate results, shared by computations that never run at the same time.

    The computations are the steps of each run and of each size of batch: with one arena for all of them, 16 runs need
    the memory of one, and it stays in the cache.
    """

    memory: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.uint8))

    def plan(self, uses: Mapping[int, tuple[int, int]], made: Mapping[int, Tensor]) -> dict[int, int]:
        """Return where each piece of memory will lie, in bytes; pieces that are in use together lie apart.

        The memory grows if need be; what has been planned before stays valid, since ``view`` holds the memory it is in.

        Args:
            uses: Piece -> its first and its last use, as numbers in order of time; also of pieces that were not made.
            made: Piece (see ``memory_of``) -> a tensor in it.
        """
        places: dict[int, int] = {}
        # First fit in the order of first use. A step's intermediate results live like brackets (forward makes them,
        # backward uses them up in reverse), for which first fit is close to the least memory that would do.
        for piece, (first, _) in sorted(uses.items(), key=lambda item: item[1]):
            if piece not in made:
                continue
            size, place = _size(made[piece]), 0
            in_use = sorted((places[other], _size(made[other])) for other in places if uses[other][1] >= first)
            for start, length in in_use:  # from the lowest on: the first gap that is large enough, or behind them all
                if start - place >= size:
                    break
                place = max(place, start + length)
            places[piece] = place
        needed = max((place + _size(made[piece]) for piece, place in places.items()), default=0)
        if needed > len(self.memory):
            self.memory = torch.empty(needed, dtype=torch.uint8)
        return places

    def view(self, tensor: Tensor, place: int | None) -> Tensor:
        """Return a tensor of the same form at this place of the memory; the tensor itself where it has no place."""
        if place is None:
            return tensor
        start = place // tensor.element_size() + tensor.storage_offset()
        fresh = torch.empty(0, dtype=tensor.dtype)
        return fresh.set_(self.memory.untyped_storage(), start, tensor.size(), tensor.stride())


def memory_of(tensor: Tensor) -> int:
    """Identify the memory behind a tensor: the same number for tensors that share it, as long as one of them lives."""
    return tensor.untyped_storage().data_ptr()


def _size(tensor: Tensor) -> int:
    """Return the bytes of a tensor's whole memory, rounded up so that the next piece is aligned as well."""
    return whole_steps(tensor.untyped_storage().nbytes())
