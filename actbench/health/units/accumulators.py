"""Keep of each unit, while the probe passes by, the small (R, U) statistics that the measures are computed from.

Each row of ``STATISTICS`` observes one batch on the device where it lies and merges with what came before; how the
probe is cut into batches does not matter (maxima and counts exactly, means and variances up to rounding). Memory is a
few numbers per unit, whatever the size of the probe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

UNOBSERVED = -1.0
"""The slope at a position that holds none of the inputs, such as the padding of a sequence; others are at least 0."""

EXACT_COUNTS = 2**24
"""Up to here float32 counts by ones."""

Comparison = Callable[..., Tensor]
"""A comparison such as ``torch.gt``: (values, number, out=…) -> whether it holds for each of the values."""

Summary = tuple[Tensor, ...]
"""One statistic of one layer over the inputs so far: (R, U) tensors, such as a count, a mean and squared deviations."""


@dataclass(frozen=True)
class Observation:
    """Hold a piece of one hidden layer's batch, and compute once what several statistics need.

    Args:
        z: Pre-activations, which enter f, (R, B, U, …positions).
        a: Outputs f(z), same shape.
        slope: |f'(z)|, same shape.
        dead_slope: At or below this a slope counts as none.
        keep: Same shape, true where there is an input rather than padding; None where there is everywhere.
        scratch: Memory that one piece after another uses.
    """

    z: Tensor
    a: Tensor
    slope: Tensor
    dead_slope: float
    keep: Tensor | None = None
    scratch: Scratch = field(default_factory=lambda: Scratch())

    @property
    def has_positions(self) -> bool:
        """Whether a unit has several numbers for each input, as a channel has."""
        return self.z.ndim > 3

    @cached_property
    def max_slope_at(self) -> Summary:
        """The largest slope at each position."""
        return largest_at(self.slope, self.keep)

    @cached_property
    def max_slope(self) -> Summary:
        """The largest slope over all positions."""
        (at,) = self.max_slope_at
        return ((at.amax(tuple(range(1, at.ndim - 1))) if self.has_positions else at).clamp(min=0),)

    @cached_property
    def max_input(self) -> Summary:
        """The largest |z|."""
        if self.keep is not None:
            return largest(self.z.abs(), self.keep)
        return (torch.maximum(self._max_z_of_inputs.amax(1), -self.z.amin(reduced(self.z))),)

    @cached_property
    def output_sizes(self) -> tuple[Summary, Summary]:
        """The largest and the mean |f(z)|."""
        size = torch.abs(self.a, out=self.scratch.like(self.a))
        return largest(size, self.keep), means(size, self.keep)

    @cached_property
    def positive(self) -> Summary:
        """At how many elements z > 0."""
        return self.count(torch.gt, self.z, 0)

    @cached_property
    def fired(self) -> Summary:
        """At how many inputs z > 0 somewhere; without positions, at how many elements."""
        if not self.has_positions:
            return self.positive
        if self.keep is not None:
            return count_inputs(self.z > 0, self.keep)
        return count_inputs(self._max_z_of_inputs > 0)

    def count(self, compare: Comparison, values: Tensor, number: float) -> Summary:
        """Count the elements of each unit that compare with a number, and all elements."""
        if self.keep is not None or values.device.type != "cpu" or values[0, :, 0].numel() > EXACT_COUNTS:
            return count(compare(values, number), self.keep)
        # Written as numbers 0 and 1, which is vectorised where writing bools is not: a third of the time.
        ones = compare(values, number, out=self.scratch.like(values))
        return ones.sum(reduced(values)), _elements(values, None)

    @cached_property
    def _max_z_of_inputs(self) -> Tensor:
        return self.z.amax(tuple(range(3, self.z.ndim))) if self.has_positions else self.z


class Scratch:
    """Memory for what a statistic computes of each element and needs no longer.

    Fresh memory for each would come from the system in most cases: writing to it takes twice as long.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], Tensor] = {}

    def like(self, values: Tensor) -> Tensor:
        """Return a tensor of this shape, type and layout, with any numbers: the same one for equal ones."""
        key = (values.shape, values.stride(), values.dtype, values.device)
        if key not in self._kept:
            self._kept[key] = torch.empty_like(values)
        return self._kept[key]


def reduced(values: Tensor) -> tuple[int, ...]:
    """Return the dimensions of (R, B, U, …positions) that are neither run nor unit: examples and positions.

    A channel is one unit at all of its positions, so they are reduced together with the examples.
    """
    return (1, *range(3, values.ndim))


def count(mask: Tensor, keep: Tensor | None = None) -> Summary:
    """Count the elements of each unit at which a mask (R, B, U, …positions) is true, and all elements."""
    seen = mask if keep is None else mask & keep
    # Bytes summed as int32 take a tenth of the time of summing bools.
    return seen.view(torch.uint8).sum(reduced(mask), dtype=torch.int32), _elements(mask, keep)


def count_inputs(mask: Tensor, keep: Tensor | None = None) -> Summary:
    """Count the inputs at which a mask is true at one position or more, and all inputs that have a position."""
    positions = tuple(range(3, mask.ndim))
    seen = (mask if keep is None else mask & keep).view(torch.uint8)
    somewhere = seen.amax(positions) if positions else seen
    total = _full(mask, mask.shape[1]) if keep is None else count_inputs(keep)[0]
    return somewhere.sum(1, dtype=torch.int32), total


def means(values: Tensor, keep: Tensor | None = None) -> Summary:
    """Return count and mean of each unit's values (R, B, U, …positions)."""
    number = _elements(values, keep)
    if keep is None:
        return number, values.mean(reduced(values))
    return number, torch.where(keep, values, 0).sum(reduced(values)) / number.clamp(min=1)


def moments(values: Tensor, keep: Tensor | None = None, scratch: Scratch | None = None) -> Summary:
    """Return count, mean and sum of squared deviations of each unit's values (R, B, U, …positions)."""
    # Two passes, since a sum of squares minus a squared sum cancels; eight times faster than ``torch.var_mean``.
    count, mean = means(values, keep)
    shape = (mean.shape[0], 1, mean.shape[1], *(1 for _ in values.shape[3:]))
    apart = torch.sub(values, mean.view(shape), out=None if scratch is None else scratch.like(values))
    squares = apart.square_() if keep is None else torch.where(keep, apart.square_(), 0)
    return count, mean, squares.sum(reduced(values))


def largest(values: Tensor, keep: Tensor | None = None) -> Summary:
    """Return the largest of each unit's values (R, B, U, …positions), none of them negative."""
    return ((values if keep is None else torch.where(keep, values, 0)).amax(reduced(values)),)


def largest_at(values: Tensor, keep: Tensor | None = None) -> Summary:
    """Return the largest value at each position (R, …positions, U); ``UNOBSERVED`` where no input has that position."""
    seen = values if keep is None else torch.where(keep, values, UNOBSERVED)
    return (seen.movedim(2, -1).amax(1),)


def _elements(values: Tensor, keep: Tensor | None) -> Tensor:
    return _full(values, values[0, :, 0].numel()) if keep is None else count(keep)[0].float()


def widened(part: Tensor) -> Tensor:
    """Return float64 where the device has it; MPS has not, so there the few numbers per unit go to the CPU."""
    return (part.cpu() if part.device.type == "mps" else part).double()


def joined(summaries: Sequence[Summary], order: Tensor | None = None) -> Summary:
    """Return one statistic of several groups of units as that of all of them.

    Positions of groups that differ in how many they have can't be compared: the largest over them stands for them.

    Args:
        summaries: The statistic of each group.
        order: The places of the units among those of the groups; None for one after another.
    """
    parts = summaries[0]
    if len(summaries) > 1:
        groups = ([_at_one_position(part) for part in same] for same in zip(*summaries, strict=True))
        parts = tuple(torch.cat(group, -1) for group in groups)
    return parts if order is None else tuple(part[..., order.to(part.device)] for part in parts)


def _at_one_position(part: Tensor) -> Tensor:
    return part.amax(tuple(range(1, part.ndim - 1))).unsqueeze(1) if part.ndim > 2 else part


def _full(values: Tensor, number: int) -> Tensor:
    return torch.full((values.shape[0], values.shape[2]), float(number), device=values.device)


@dataclass(frozen=True)
class Statistic:
    """Sum up a batch, and make one summary of two.

    Args:
        observe: A batch -> its summary.
        merge: Two summaries (float64) -> the summary of both.
    """

    observe: Callable[[Observation], Summary]
    merge: Callable[[Summary, Summary], Summary]


def merge_maxima(one: Summary, other: Summary) -> Summary:
    """Return the elementwise maxima."""
    return tuple(map(torch.maximum, one, other))


def merge_maxima_at(one: Summary, other: Summary) -> Summary:
    """Return the maxima at each position (R, …positions, U), ``UNOBSERVED`` where there were none.

    Sequences of another batch may be shorter or longer: a position that one summary lacks is unobserved there.
    """
    shape = torch.Size(map(max, one[0].shape, other[0].shape))
    return (torch.maximum(*(_padded(summary[0], shape) for summary in (one, other))),)


def merge_sums(one: Summary, other: Summary) -> Summary:
    """Return the elementwise sums."""
    return tuple(map(torch.add, one, other))


def merge_moments(one: Summary, other: Summary) -> Summary:
    """Return count, mean and squared deviations of both.

    The pairwise update of Chan, Golub and LeVeque 1979: exact where a plain sum of squares would cancel.
    """
    (count, mean, squares), (more, their_mean, their_squares) = one, other
    total, apart = count + more, their_mean - mean
    of = total.clamp(min=1)  # a unit may have no inputs in either
    return total, mean + apart * more / of, squares + their_squares + apart.square() * count * more / of


def merge_means(one: Summary, other: Summary) -> Summary:
    """Return count and mean of both."""
    (count, mean), (more, theirs) = one, other
    return count + more, mean + (theirs - mean) * more / (count + more).clamp(min=1)


def _padded(values: Tensor, shape: torch.Size) -> Tensor:
    if values.shape == shape:
        return values
    padded = values.new_full(shape, UNOBSERVED)
    padded[tuple(map(slice, values.shape))] = values
    return padded


STATISTICS: dict[str, Statistic] = {
    "max_slope": Statistic(lambda seen: seen.max_slope, merge_maxima),
    "max_slope_at": Statistic(lambda seen: seen.max_slope_at, merge_maxima_at),
    "max_input": Statistic(lambda seen: seen.max_input, merge_maxima),
    "max_output": Statistic(lambda seen: seen.output_sizes[0], merge_maxima),
    "outputs": Statistic(lambda seen: moments(seen.a, seen.keep, seen.scratch), merge_moments),
    "inputs": Statistic(lambda seen: moments(seen.z, seen.keep, seen.scratch), merge_moments),
    "magnitude": Statistic(lambda seen: seen.output_sizes[1], merge_means),
    "zeros": Statistic(lambda seen: seen.count(torch.eq, seen.a, 0), merge_sums),
    "flat": Statistic(lambda seen: seen.count(torch.le, seen.slope, seen.dead_slope), merge_sums),
    "positive": Statistic(lambda seen: seen.positive, merge_sums),
    "fired": Statistic(lambda seen: seen.fired, merge_sums),
}
"""Name -> statistic. ``max_…`` are maxima over inputs (and positions, unless ``_at``); ``inputs`` and ``outputs`` the
moments of z and f(z); ``magnitude`` the mean |f(z)|; the others counts of elements, ``fired`` of inputs."""
