"""What is kept of a unit while the probe passes by: small (R, U) tensors that merge in any order.

Each ``Statistic`` observes one batch on the device where it lies and merges with what came before; how the probe is cut
into batches does not matter (maxima and counts exactly, means and variances up to rounding). Memory is a few numbers a
unit, whatever the size of the probe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

State = tuple[Tensor, ...]


@dataclass(frozen=True)
class Observation:
    """One batch of one hidden layer.

    Args:
        z: Pre-activations, what enters f, (R, B, U, …positions).
        a: Outputs f(z), same shape.
        slope: |f'(z)|, same shape.
        dead_slope: At or below this a slope counts as none.
    """

    z: Tensor
    a: Tensor
    slope: Tensor
    dead_slope: float

    @property
    def reduced(self) -> tuple[int, ...]:
        """The dimensions that are neither run nor unit: examples and positions."""
        return (1, *range(3, self.z.ndim))

    def count(self, mask: Tensor) -> State:
        """How many elements of each unit fulfil it, and out of how many.

        Bytes summed as int32: a tenth of the time of summing bools.
        """
        return mask.view(torch.uint8).sum(self.reduced, dtype=torch.int32), self._full(mask[0, :, 0].numel())

    def count_inputs(self, mask: Tensor) -> State:
        """How many inputs fulfil it at one position or more, and out of how many."""
        positions = tuple(range(3, mask.ndim))
        somewhere = mask.view(torch.uint8).amax(positions) if positions else mask.view(torch.uint8)
        return somewhere.sum(1, dtype=torch.int32), self._full(mask.shape[1])

    def mean(self, values: Tensor) -> State:
        """Count and mean of each unit's values."""
        return self._full(values[0, :, 0].numel()), values.mean(self.reduced)

    def moments(self, values: Tensor) -> State:
        """Count, mean and sum of squared deviations, in two passes: eight times faster than ``var_mean``."""
        count, mean = self.mean(values)
        shape = (mean.shape[0], 1, mean.shape[1], *(1 for _ in values.shape[3:]))
        return count, mean, (values - mean.view(shape)).square_().sum(self.reduced)

    def _full(self, number: int) -> Tensor:
        return torch.full((self.z.shape[0], self.z.shape[2]), float(number), device=self.z.device)


@dataclass(frozen=True)
class Statistic:
    """How a batch is summed up, and how two summaries become one.

    Args:
        observe: A batch -> its state.
        merge: Two states (float64) -> the state of both.
    """

    observe: Callable[[Observation], State]
    merge: Callable[[State, State], State]


def larger(one: State, other: State) -> State:
    """Elementwise maxima."""
    return tuple(map(torch.maximum, one, other))


def larger_at(one: State, other: State) -> State:
    """Maxima at each position (R, …positions, U), none of them negative; one batch may have fewer positions."""
    shape = torch.Size(map(max, one[0].shape, other[0].shape))
    return (torch.maximum(*(_padded(state[0], shape) for state in (one, other))),)


def summed(one: State, other: State) -> State:
    """Elementwise sums."""
    return tuple(map(torch.add, one, other))


def merged_moments(one: State, other: State) -> State:
    """Chan, Golub and LeVeque 1979, pairwise update: exact where a plain sum of squares would cancel."""
    (count, mean, squares), (more, their_mean, their_squares) = one, other
    total, apart = count + more, their_mean - mean
    return total, mean + apart * more / total, squares + their_squares + apart.square() * count * more / total


def merged_means(one: State, other: State) -> State:
    """Counts and means of both."""
    (count, mean), (more, theirs) = one, other
    return count + more, mean + (theirs - mean) * more / (count + more)


def _padded(values: Tensor, shape: torch.Size) -> Tensor:
    if values.shape == shape:
        return values
    padded = values.new_zeros(shape)
    padded[tuple(map(slice, values.shape))] = values
    return padded


STATISTICS: dict[str, Statistic] = {
    "steepest": Statistic(lambda seen: (seen.slope.amax(seen.reduced),), larger),
    "steepest_at": Statistic(lambda seen: (seen.slope.movedim(2, -1).amax(1),), larger_at),
    "largest": Statistic(lambda seen: (seen.a.abs().amax(seen.reduced),), larger),
    "outputs": Statistic(lambda seen: seen.moments(seen.a), merged_moments),
    "inputs": Statistic(lambda seen: seen.moments(seen.z), merged_moments),
    "magnitude": Statistic(lambda seen: seen.mean(seen.a.abs()), merged_means),
    "zeros": Statistic(lambda seen: seen.count(seen.a == 0), summed),
    "flat": Statistic(lambda seen: seen.count(seen.slope <= seen.dead_slope), summed),
    "positive": Statistic(lambda seen: seen.count(seen.z > 0), summed),
    "fired": Statistic(lambda seen: seen.count_inputs(seen.z > 0), summed),
}
