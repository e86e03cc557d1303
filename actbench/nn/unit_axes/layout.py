"""Move an activation's input to where the statistics want it, by the labels of its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import ne

import torch
from torch import Tensor

from actbench.errors import ModelError, UsageError
from actbench.nn.unit_axes.labels import NO_UNIT, Labels, Status, varying


@dataclass(frozen=True)
class UnitLayout:
    """Where the units of an activation lie in its input, for any number of examples.

    Args:
        units: How many there are.
        batch_axis: The dimension of examples.
        axis: The dimension of units, all others being positions; None where units lie otherwise.
        certain: Whether the units were followed to here; else the dimension is a guess.
        row: Where ``axis`` is None, how many numbers make a row, the examples' numbers one example after another.
        members: Where ``axis`` is None, the places in a row of each unit's numbers: (U, P) for U units of P numbers.
            Several where units differ in how many numbers they have.
        order: Where ``axis`` is None, the places of the units among those of ``members`` one after another.
        shape: Where ``axis`` is None, an input's.
        mixed: Whether a row holds several examples, because examples differ in which units made them.
    """

    units: int
    batch_axis: int = 0
    axis: int | None = None
    certain: bool = True
    row: int = 0
    members: tuple[Tensor, ...] = ()
    order: Tensor | None = None
    shape: tuple[int, ...] = ()
    mixed: bool = False

    @property
    def is_second(self) -> bool:
        """Whether units are dimension 1 and examples dimension 0, as the trainer's own layers have them."""
        return self.axis == 1 and self.batch_axis == 0

    def to_units(self, values: Tensor) -> tuple[Tensor, ...]:
        """Return values as the statistics want them, (1, B, U, …positions), at least float32.

        One tensor for each of ``members``. Numbers that no unit made, such as padding, are left out.
        """
        values = values.float() if values.dtype.itemsize < 4 else values
        if self.axis is not None:
            moved = values.movedim((self.batch_axis, self.axis), (0, 1)) if values.ndim > 1 else values[:, None]
            return (moved.unsqueeze(0),)
        # Without dimensions there is one number of one unit.
        rows = (values.movedim(self.batch_axis, 0) if values.ndim else values).reshape(-1, self.row)
        chosen = [places.to(rows.device) for places in self.members]
        parts = [rows[:, places.flatten()].reshape(len(rows), *places.shape) for places in chosen]
        # Of mixed rows each number counts as an input.
        return tuple((part.squeeze(0).T if self.mixed else part).unsqueeze(0) for part in parts)

    def spread(self, values: Tensor, shape: torch.Size) -> Tensor:
        """Return one value for each unit (U,), shaped to broadcast over an input of this shape.

        Raises:
            ModelError: When some numbers belong to no unit.
        """
        if self.axis is not None:
            return values.reshape([-1 if place == self.axis % len(shape) else 1 for place in range(len(shape))])
        if bool((self._unit_of < 0).any()):
            raise ModelError("padding or constants enter the activation: they belong to no unit that has a parameter")
        if values.device not in self._placed:  # once, since no CUDA graph could hold the copy
            self._placed[values.device] = self._unit_of.to(values.device)
        row = values[self._placed[values.device]]
        return row.expand(shape.numel() // self.row, self.row).reshape(shape)

    def fits(self, shape: torch.Size) -> bool:
        """Return whether an input of this shape has these units."""
        if self.axis is None:
            # Examples are in one dimension, alone or with something else; the others are as they were.
            return len(shape) == len(self.shape) and sum(map(ne, shape, self.shape)) <= 1
        return len(shape) > self.axis and (len(shape) == 1 or shape[self.axis] == self.units)

    @cached_property
    def _placed(self) -> dict[torch.device, Tensor]:
        return {}

    @cached_property
    def _unit_of(self) -> Tensor:
        """The unit of each number of a row, -1 for none."""
        assert self.order is not None
        unit, rank = torch.full((self.row,), -1), self.order.argsort()
        met = 0
        for places in self.members:
            unit[places] = rank[met : met + len(places), None]
            met += len(places)
        return unit


def unit_layout(
    shape: torch.Size, labels: Labels, *, chosen: int | None = None, batch_axis: int = 0, examples: int = 1
) -> UnitLayout:
    """Return the layout of an activation's input.

    Args:
        shape: The input's.
        labels: The input's.
        chosen: The user's own choice of the dimension of units.
        batch_axis: The dimension of examples.
        examples: In the batch; rows of an input that merges them with channels.

    Raises:
        UsageError: When the chosen dimension does not exist or is the examples'.
    """
    ndim = len(shape)
    batch = batch_axis % max(ndim, 1)
    if chosen is not None:
        if not -ndim <= chosen < ndim or chosen % ndim == batch:
            raise UsageError(f"unit_axis {chosen} is none of the dimensions 1 … {ndim - 1} of z {tuple(shape)}")
        return UnitLayout(shape[chosen], batch, chosen % ndim)
    if not isinstance(labels, Tensor):
        return _unlabelled(shape, labels, batch)
    axis = 1 if _is_vector_as_image(shape, labels, batch) else _only_axis(shape, labels, batch)
    if axis is not None:
        return UnitLayout(shape[axis] if ndim > 1 else 1, batch, axis)
    return _by_members(shape, labels, batch, examples)


def _unlabelled(shape: torch.Size, labels: Labels, batch: int) -> UnitLayout:
    """Return a guess: channels come first in images, last in sequences. Vectors of the network's input are certain."""
    ndim = len(shape)
    certain = ndim <= 2 and labels is not Status.LOST
    if ndim < 2:
        return UnitLayout(1, 0, 0 if ndim else None, certain, 1, (torch.zeros(1, 1, dtype=torch.long),))
    others = [place for place in range(ndim) if place != batch]
    axis = others[0] if ndim > 3 else others[-1]
    return UnitLayout(shape[axis], batch, axis, certain)


def _only_axis(shape: torch.Size, labels: Tensor, batch: int) -> int | None:
    """Return the dimension along which each place is a unit; None where there is none such."""
    ndim, places = len(shape), varying(labels)
    if not places:
        if ndim == 1:
            return 0  # one unit, one number an example
        return next((axis for axis in range(ndim) if shape[axis] == 1 and axis != batch), None)
    if len(places) > 1 or places[0] == batch:
        return None
    distinct = torch.unique(labels)
    return places[0] if len(distinct) == labels.numel() and int(distinct[0]) != NO_UNIT else None


def _is_vector_as_image(shape: torch.Size, labels: Tensor, batch: int) -> bool:
    """Return whether a layer's vector was viewed as an image of several channels: those are its units, by convention.

    So a generator's first layer is read, though each of its numbers has weights of its own.
    """
    if batch or len(shape) < 4 or shape[1] == 1 or labels.shape != (1, *shape[1:]):
        return False
    row = labels.flatten()
    return bool((row.diff() == 1).all()) and int(row[0]) != NO_UNIT


def _by_members(shape: torch.Size, labels: Tensor, batch: int, examples: int) -> UnitLayout:
    """Return the layout of units that lie across dimensions, or share one with positions."""
    moved = labels.expand(shape).movedim(batch, 0) if len(shape) else labels.reshape(1)
    mixed = False
    if len(shape) and labels.shape[batch] == 1:
        row = moved[0].flatten()
    else:
        row = moved.flatten()
        rows = row.reshape(examples, -1) if row.numel() % examples == 0 else row[None]
        if bool((rows == rows[0]).all()):
            row = rows[0]  # examples lie in this dimension with something else, such as channels or windows
        else:
            mixed = True
    members, order = _members(row)
    return UnitLayout(len(order), batch, None, True, row.numel(), members, order, tuple(shape), mixed)


def _members(row: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    """Return the places of each unit's numbers, units with equally many together; and the order of the units.

    Units are in the order in which they are met first, which is that of their dimension wherever they have one.
    """
    places = (row != NO_UNIT).nonzero().flatten()
    _, unit, counts = torch.unique(row[places], return_inverse=True, return_counts=True)
    sorted_places = places[unit.argsort(stable=True)]
    starts = counts.cumsum(0) - counts
    first_met = sorted_places[starts].argsort()
    groups: list[Tensor] = []
    positions: list[Sequence[int]] = []
    for count in counts.unique():
        found = [int(one) for one in first_met if counts[one] == count]
        groups.append(torch.stack([sorted_places[starts[one] : starts[one] + count] for one in found]).cpu())
        positions.append(found)
    rank = {one: place for place, one in enumerate(number for found in positions for number in found)}
    return tuple(groups), torch.tensor([rank[int(one)] for one in first_met], dtype=torch.long)
