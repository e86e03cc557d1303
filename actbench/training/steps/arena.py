"""Memory for what a replayed computation makes on its way: planned once, used by one computation after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from actbench.nn.alignment import whole_steps


@dataclass
class Arena:
    """Memory for what is made on the way, shared by computations that never run at the same time."""

    memory: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.uint8))

    def plan(self, uses: Mapping[int, tuple[int, int]], made: Mapping[int, Tensor]) -> dict[int, int]:
        """Where each piece of memory that was made will lie, in bytes; pieces that are in use together lie apart.

        In the order of their first use, each at the lowest place that is free. The memory grows if need be; what has
        been planned before stays where it is.

        Args:
            uses: Piece -> its first and its last use, as numbers in order of time; also of pieces that were not made.
            made: Piece (see ``memory_of``) -> a tensor in it.
        """
        places: dict[int, int] = {}
        for piece, (first, _) in sorted(uses.items(), key=lambda item: item[1]):
            if piece not in made:
                continue
            taken = [(places[other], _size(made[other])) for other in places if uses[other][1] >= first]
            places[piece] = _lowest_gap(sorted(taken), _size(made[piece]))
        needed = max((place + _size(made[piece]) for piece, place in places.items()), default=0)
        if needed > len(self.memory):
            self.memory = torch.empty(needed, dtype=torch.uint8)
        return places

    def view(self, tensor: Tensor, place: int | None) -> Tensor:
        """A tensor of the same form at this place of the memory; the tensor itself if it has none."""
        if place is None:
            return tensor
        start = place // tensor.element_size() + tensor.storage_offset()
        fresh = torch.empty(0, dtype=tensor.dtype)
        return fresh.set_(self.memory.untyped_storage(), start, tensor.size(), tensor.stride())


def _lowest_gap(taken: Sequence[tuple[int, int]], size: int) -> int:
    """The lowest place at which ``size`` bytes are free; ``taken`` holds places and sizes in order."""
    place = 0
    for start, length in taken:
        if start - place >= size:
            break
        place = max(place, start + length)
    return place


def memory_of(tensor: Tensor) -> int:
    """The same for tensors that share memory, as long as it is kept."""
    return tensor.untyped_storage().data_ptr()


def _size(tensor: Tensor) -> int:
    """Return the bytes of a tensor's whole memory, rounded up so that the next piece is aligned as well."""
    return whole_steps(tensor.untyped_storage().nbytes())
