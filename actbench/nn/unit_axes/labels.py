"""Compute with labels: integers that name the unit of every number of a tensor.

The labels of a tensor have its dimensions, each in full or, where they are equal along it, with size 1: those of a
convolution's output (B, C, H, W) are (1, C, 1, 1), so they cost C integers, on the CPU wherever the tensor is. 0 stands
for a number that no unit made, such as padding. Instead of labels a tensor may have a ``Status``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

NO_UNIT = 0
"""The label of a number that no unit made."""


class Status(Enum):
    """Stand for the labels of a tensor that has none."""

    CONSTANT = "made of parameters and constants alone"
    INPUT = "made of the network's input, before any weight layer"
    LOST = "made of units by a function that could not be followed"


@dataclass(frozen=True)
class Weight:
    """Stand for the labels of a parameter, whole though perhaps transposed.

    Args:
        key: Identifies the parameter: units made by one weight in several calls are the same units.
    """

    key: int


Labels = Tensor | Status | Weight

Fresh = Callable[[Sequence[int], object], Tensor]
"""(shape, key) -> labels of new units in that shape; units of one key are the same in each call, None is none."""


def is_constant(labels: Labels) -> bool:
    """Return whether a tensor does not depend on the network's input."""
    return labels is Status.CONSTANT or isinstance(labels, Weight)


def varying(labels: Tensor) -> list[int]:
    """Return the dimensions along which compressed labels differ."""
    return [place for place, size in enumerate(labels.shape) if size > 1]


def full(labels: Labels, shape: torch.Size) -> Tensor:
    """Return a label for each number of a tensor: a view that takes no memory of its own."""
    if isinstance(labels, Tensor):
        return labels.expand(shape)
    return torch.full((), NO_UNIT, dtype=torch.int32).expand(shape)


def compressed(labels: Tensor) -> Labels:
    """Return labels with size 1 in each dimension along which they are equal; ``INPUT`` where no unit made any."""
    if not labels.numel():
        return Status.INPUT
    for place, (size, stride) in enumerate(zip(labels.shape, labels.stride(), strict=True)):
        if size > 1 and stride == 0:
            labels = labels.narrow(place, 0, 1)
    for place in range(labels.ndim):
        first = labels.narrow(place, 0, 1)
        # Most dimensions that differ at all differ in the second place already, which is quickly seen.
        if labels.shape[place] > 1 and torch.equal(first, labels.narrow(place, 1, 1)) and bool((labels == first).all()):
            labels = first
    if labels.numel() == 1 and int(labels) == NO_UNIT:
        return Status.INPUT
    spare = labels.untyped_storage().nbytes() > 2 * labels.nbytes
    return labels.clone() if spare else labels


def raised(labels: Tensor, ndim: int) -> Tensor:
    """Return labels with dimensions of size 1 put before the others, as broadcasting does."""
    return labels.reshape((1,) * (ndim - labels.ndim) + labels.shape) if labels.ndim < ndim else labels


def joined(one: Labels, other: Labels) -> Labels:
    """Return the labels of numbers each computed from two, as in a sum: a unit is a pair of units that meet.

    Where the units of one decide those of the other, as in a residual sum, the pair goes by the deciding one's label.
    Where neither decides, as in a sum over every pair of two layers' units, the labels are ``LOST``.
    """
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return _joined_status(one, other)
    ndim = max(one.ndim, other.ndim)
    one, other = raised(one, ndim), raised(other, ndim)
    if one is other or (one.shape == other.shape and torch.equal(one, other)):
        return one
    shape = [max(sizes) for sizes in zip(one.shape, other.shape, strict=True)]
    wide, narrow = one.expand(shape), other.expand(shape)
    for first, second in ((wide, narrow), (narrow, wide)):
        if bool(((first != NO_UNIT) | (second == NO_UNIT)).all()) and _decides(first, second):
            return compressed(first)
    return Status.LOST


def _joined_status(one: Labels, other: Labels) -> Labels:
    if one is Status.LOST or other is Status.LOST:
        return Status.LOST
    for labels in (one, other):
        if isinstance(labels, Tensor):
            return labels
    return Status.INPUT if Status.INPUT in (one, other) else Status.CONSTANT


def _decides(first: Tensor, second: Tensor) -> bool:
    """Return whether numbers with equal labels in the first have equal labels in the second, where those have any."""
    both = second != NO_UNIT
    first, second = first[both].long(), second[both].long()
    if not first.numel():
        return True
    table = second.new_zeros(int(first.max()) + 1)
    table[first] = second
    return bool((table[first] == second).all())


def merged(labels: Tensor, dims: list[int]) -> Labels:
    """Return labels reduced over dimensions, kept with size 1: the units that a sum over them mixes become one unit.

    ``LOST`` where results share some of their units but not all, as in a sum over windows that overlap.
    """
    dims = [place for place in dims if labels.shape[place] > 1]
    if not dims:
        return labels
    largest = torch.iinfo(labels.dtype).max
    low = torch.where(labels == NO_UNIT, largest, labels).amin(dims, keepdim=True)
    high = labels.amax(dims, keepdim=True)
    low = torch.where(low == largest, NO_UNIT, low)
    # Sets of units go by their smallest; each unit must belong to one set, told from others by both its ends.
    kept = [bounds.expand(labels.shape) for bounds in (low, high)]
    whole = all(_decides(labels, torch.where(labels == NO_UNIT, NO_UNIT, bounds)) for bounds in kept)
    return compressed(low) if whole else Status.LOST


def between(low: Tensor, high: Tensor) -> Labels:
    """Return the labels of windows of which the smallest and the largest label are known.

    Windows of several units are one unit each if no two of them overlap, as in maxout.
    """
    ends = torch.unique(torch.stack([low.flatten(), high.flatten()], 1), dim=0)
    apart = bool((ends[1:, 0] > ends[:-1, 1]).all())
    return compressed(low) if apart else Status.LOST
