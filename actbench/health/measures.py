"""What is asked of a unit: each measure observes batches, merges what it saw, and finishes with one number a unit.

A measure is a row of ``MEASURES``. Its state is a tuple of (R, U) tensors; merging is order-free, so how the probe is
split into batches does not matter (but for rounding in sums, which are kept in float64). A convolution's unit is a
channel: it is dead only if it is dead at every position of every image, because its weights are shared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import add

import torch
from torch import Tensor

from actbench.spec import Health

State = tuple[Tensor, ...]


@dataclass(frozen=True)
class Observation:
    """One batch of one hidden layer.

    Args:
        z: Pre-activations, what enters f, (R, B, U, …positions).
        a: Outputs f(z), same shape.
        slope: |f'(z)|, same shape.
    """

    z: Tensor
    a: Tensor
    slope: Tensor

    @property
    def reduced(self) -> tuple[int, ...]:
        """The dimensions that are neither run nor unit."""
        return tuple(dim for dim in range(self.z.ndim) if dim not in (0, 2))

    def count(self, mask: Tensor) -> Tensor:
        """(R, U): elements of a unit for which the mask holds."""
        return mask.sum(self.reduced, dtype=torch.float64)

    def elements(self) -> Tensor:
        """(R, U): examples × positions seen of each unit."""
        each = self.z[0, :, 0].numel()
        return torch.full((self.z.shape[0], self.z.shape[2]), each, dtype=torch.float64, device=self.z.device)


@dataclass(frozen=True)
class Measure:
    """One definition.

    Args:
        text: The rule, with its formula.
        observe: (observation, thresholds) -> state of this batch.
        merge: Two states -> the state of both.
        finish: (state, thresholds) -> (R, U): a mask, or a share in [0, 1].
    """

    text: str
    observe: Callable[[Observation, Health], State]
    merge: Callable[[State, State], State]
    finish: Callable[[State, Health], Tensor]


def _steepest(seen: Observation, health: Health) -> State:
    return (seen.slope.amax(seen.reduced),)


def _larger(one: State, other: State) -> State:
    return (torch.maximum(one[0], other[0]),)


def _moments(seen: Observation, health: Health) -> State:
    """Count, mean and sum of squared deviations of a."""
    outputs = seen.a.double()
    mean = outputs.mean(seen.reduced)
    shape = (mean.shape[0], 1, mean.shape[1], *(1 for _ in range(outputs.ndim - 3)))
    return seen.elements(), mean, (outputs - mean.view(shape)).square().sum(seen.reduced)


def _merged_moments(one: State, other: State) -> State:
    """Chan, Golub and LeVeque's pairwise update: exact where a plain sum of squares would cancel."""
    (count, mean, squares), (more, their_mean, their_squares) = one, other
    total, apart = count + more, their_mean - mean
    return total, mean + apart * more / total, squares + their_squares + apart.square() * count * more / total


def _summed(one: State, other: State) -> State:
    return tuple(map(add, one, other))


def _share(state: State, health: Health) -> Tensor:
    return state[0] / state[1]


MEASURES: dict[str, Measure] = {
    "dead": Measure(
        "max over the probe of |f'(z)| ≤ dead_slope: no gradient reaches the unit, it cannot learn",
        _steepest,
        _larger,
        lambda state, health: state[0] <= health.dead_slope,
    ),
    "constant": Measure(
        "standard deviation over the probe of f(z) ≤ constant_std: the unit carries no information",
        _moments,
        _merged_moments,
        lambda state, health: (state[2] / state[0]).sqrt() <= health.constant_std,
    ),
    "sparsity": Measure(
        "share of outputs that are exactly zero",
        lambda seen, health: (seen.count(seen.a == 0), seen.elements()),
        _summed,
        _share,
    ),
    "saturation": Measure(
        "share of outputs at |f'(z)| ≤ dead_slope",
        lambda seen, health: (seen.count(seen.slope <= health.dead_slope), seen.elements()),
        _summed,
        _share,
    ),
    "positive": Measure(
        "share of pre-activations above zero; near 1 the unit is linear for the ReLU family",
        lambda seen, health: (seen.count(seen.z > 0), seen.elements()),
        _summed,
        _share,
    ),
}
