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

    def share(self, mask: Tensor) -> State:
        """How many elements of each unit fulfil it, and out of how many."""
        return mask.sum(self.reduced), self._full(mask[0, :, 0].numel())

    def share_of_inputs(self, mask: Tensor) -> State:
        """How many inputs fulfil it at one position or more, and out of how many."""
        somewhere = mask if mask.ndim == 3 else mask.flatten(3).any(3)
        return somewhere.sum(1), self._full(mask.shape[1])

    def moments(self, values: Tensor) -> State:
        """Count, mean and sum of squared deviations of each unit's values."""
        variance, mean = torch.var_mean(values, self.reduced, correction=0)
        count = self._full(values[0, :, 0].numel())
        return count, mean, variance * count

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


STATISTICS: dict[str, Statistic] = {
    "steepest": Statistic(lambda seen: (seen.slope.amax(seen.reduced),), larger),
    "steepest_at": Statistic(lambda seen: (seen.slope.amax(1).unsqueeze(2).flatten(2),), larger),
    "largest": Statistic(lambda seen: (seen.a.abs().amax(seen.reduced),), larger),
    "outputs": Statistic(lambda seen: seen.moments(seen.a), merged_moments),
    "inputs": Statistic(lambda seen: seen.moments(seen.z), merged_moments),
    "magnitude": Statistic(lambda seen: seen.moments(seen.a.abs())[:2], merged_means),
    "zeros": Statistic(lambda seen: seen.share(seen.a == 0), summed),
    "flat": Statistic(lambda seen: seen.share(seen.slope <= seen.dead_slope), summed),
    "positive": Statistic(lambda seen: seen.share(seen.z > 0), summed),
    "fired": Statistic(lambda seen: seen.share_of_inputs(seen.z > 0), summed),
}
