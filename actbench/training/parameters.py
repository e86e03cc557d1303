"""Stack many runs' tensors: dimension 0 is the run, and every run's share begins on a vector boundary.

A run owns the tensors that its own ``init`` returned. The stack is the union of the names; what a run lacks is zero and
stays zero, because its gradient is masked. One rule covers biases on or off and learned activation parameters.

All parameters lie in two blocks (weights, and the rest) with a row for each run, all gradients in two more. The
optimizer sees blocks or rows: long loops instead of many short ones, and no fresh memory for gradients at every step.
Each share is padded to whole vector steps, so a number is rounded by the same code whatever stands beside it
(``nn.alignment``). docs/internals.md draws the blocks.

On other devices than a CPU no run is updated by itself, so there a block is flat, and each tensor's runs lie in it
without a gap: gradients reach their place by plain copies of memory, at several times the speed of strided ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch import Tensor

from actbench.nn import cpu_linear
from actbench.nn.alignment import whole_steps
from actbench.nn.layers import is_buffer
from actbench.schema.checkpoint_header import UnusableCheckpoint

WEIGHTS, OTHERS = "weights", "others"
"""The names of the blocks. Weights are the tensors of two or more dimensions beside the run's; weight decay may apply
to them alone."""


@dataclass(frozen=True)
class Stack:
    """Hold the tensors of R runs, dimension 0 being the run.

    Args:
        tensors: Name -> (R, …); leaves that require gradients, but for the buffers.
        gradients: Name -> the slot of a trained tensor, the memory (R, …) set aside for its gradient: a view of a
            block's ``grad``.
        owners: Name -> (R,) bool, which runs have the tensor; only for those that some run lacks.
        blocks: ``weights`` and ``others`` -> all the parameters of that kind, on a CPU one row per run; their ``grad``
            holds the gradients. A kind without tensors has no block.
    """

    tensors: Mapping[str, Tensor]
    gradients: Mapping[str, Tensor]
    owners: Mapping[str, Tensor]
    blocks: Mapping[str, Tensor]

    @cached_property
    def trained(self) -> dict[str, Tensor]:
        """The tensors that an optimizer may change."""
        return {name: self.tensors[name] for name in self.gradients}

    def offer_gradients(self) -> None:
        """Forget the gradients and offer their slots to the layers; before each forward pass."""
        for name, slot in self.gradients.items():
            self.tensors[name].grad = None
            cpu_linear.offer_slot(self.tensors[name], slot)

    def collect_gradients(self) -> None:
        """Bring every gradient to its slot, and zero what a run does not own; after each backward pass."""
        for name, slot in self.gradients.items():
            tensor = self.tensors[name]
            if tensor.grad is None:
                # No loss depends on it (weights before a step function, say). Its gradient is 0 rather than none: an
                # optimizer would pass over none, but can't where a neighbour's loss depends on the same tensor, and
                # weight decay or momentum would then move this run in company and not alone.
                slot.zero_()
            elif tensor.grad is not slot:  # computed elsewhere: a convolution's, or a learned slope's
                slot.copy_(tensor.grad)
            tensor.grad = slot
        # Filled with zeros rather than multiplied by them: a run that has become NaN would make NaN of what it lacks.
        for name, owned in self.owners.items():
            if name in self.gradients:
                self.gradients[name].masked_fill_(~owned.view(-1, *(1 for _ in self.gradients[name].shape[1:])), 0)

    def rows(self, run: int) -> dict[str, Tensor]:
        """Return one run's rows of the blocks, with their gradients: what the run's own optimizer updates on a CPU."""
        found = {}
        for kind, block in self.blocks.items():
            assert block.grad is not None
            found[kind] = block[run]
            found[kind].grad = block.grad[run]
        return found

    def trained_by(self, run: int) -> dict[str, Tensor]:
        """Return each tensor that one run trains, without a run axis and with its gradient, in the same memory."""
        found = {}
        for name, slot in self.gradients.items():
            if self._owns(name, run):
                found[name] = self.tensors[name].detach()[run]
                found[name].grad = slot[run]
        return found

    def only(self, run: int) -> Stack:
        """Return one run's share in the same memory, as leaves of their own.

        What the run does not own is left out, and the gradient of that stays as it is: zero.
        """
        names = [name for name in self.tensors if self._owns(name, run)]
        tensors = {name: self.tensors[name].detach()[run : run + 1] for name in names}
        gradients = {name: self.gradients[name][run : run + 1] for name in names if name in self.gradients}
        for name in gradients:
            tensors[name].requires_grad_()
        return Stack(tensors, gradients, {}, {})

    def state(self) -> dict[str, Any]:
        """Return the tensors and their layout, for a checkpoint."""
        # Clones, because torch.save writes the whole memory behind a view: each tensor would bring its block along.
        tensors = {name: tensor.detach().clone() for name, tensor in self.tensors.items()}
        return {"layout": self._layout(), "tensors": tensors}

    @torch.no_grad()
    def restore(self, saved: Mapping[str, Any]) -> None:
        """Copy tensors that ``state`` returned into this stack's memory.

        Raises:
            UnusableCheckpoint: When they were laid out differently.
        """
        if saved["layout"] != self._layout():
            raise UnusableCheckpoint("its tensors are laid out differently in memory")
        for name, tensor in self.tensors.items():
            tensor.copy_(saved["tensors"][name])

    @property
    def runs(self) -> int:
        """The number of runs."""
        return len(next(iter(self.tensors.values())))

    @property
    def has_rows(self) -> bool:
        """Whether a block has a row for each run, as on a CPU; elsewhere blocks are flat."""
        return next(iter(self.blocks.values())).ndim > 1

    def kind(self, name: str) -> str:
        """Return the block in which a trained tensor lies: ``weights`` or ``others``."""
        return _kind(self.tensors[name])

    def within(self, name: str, values: Tensor) -> Tensor:
        """Return the part of other numbers, laid out as a tensor's block, that stands where the tensor does.

        Args:
            name: A trained tensor's.
            values: Like the block; on a CPU also like one run's row of it.

        Returns:
            (R, …) as the tensor, of one row (…) without the runs: a view.
        """
        tensor = self.tensors[name]
        first = 0 if values.ndim == self.blocks[self.kind(name)].ndim else 1
        return values.as_strided(tensor.shape[first:], tensor.stride()[first:], tensor.storage_offset())

    def parameter_count(self, run: int) -> int:
        """Return how many numbers this run trains."""
        owned = (tensor for name, tensor in self.trained.items() if self._owns(name, run))
        return sum(prod(tensor.shape[1:]) for tensor in owned)

    def is_below(self, limit: float) -> Tensor:
        """Return (R,) bool: whether every number of the run is finite and smaller in magnitude than the limit."""
        flags = [(tensor.abs() < limit).reshape(len(tensor), -1).all(1) for tensor in self.tensors.values()]
        return torch.stack(flags).all(0)

    def _layout(self) -> list[list[Any]]:
        """Say where each tensor lies in the blocks.

        An optimizer's momentum has the shape of the blocks and would belong to other tensors if these lay elsewhere.
        """
        tensors = sorted(self.tensors.items())
        return [[name, [*t.shape], [*t.stride()], t.storage_offset(), str(t.dtype)] for name, t in tensors]

    def _owns(self, name: str, run: int) -> bool:
        return name not in self.owners or bool(self.owners[name][run])


def stack(runs: Sequence[Mapping[str, Tensor]], device: torch.device) -> Stack:
    """Stack the tensors that each run's ``init`` returned.

    Raises:
        ValueError: When two runs have tensors of one name but different shapes.
    """
    names = sorted({name for run in runs for name in run})  # an order that does not depend on the company
    together, owners = {}, {}
    for name in names:
        example = next(run[name] for run in runs if name in run)
        together[name] = torch.stack([run.get(name, torch.zeros_like(example)) for run in runs]).to(device)
        owned = torch.tensor([name in run for run in runs], device=device)
        if not owned.all():
            owners[name] = owned
    # Buffers stay by themselves. All else becomes views of the blocks, with a slot at the same place of the gradients.
    tensors = {name: tensor for name, tensor in together.items() if is_buffer(name)}
    gradients: dict[str, Tensor] = {}
    blocks = {}
    for kind in (WEIGHTS, OTHERS):
        members = {name: t for name, t in together.items() if not is_buffer(name) and _kind(t) == kind}
        if members:
            values, slots = (_block(list(members.values())) for _ in range(2))
            tensors |= {name: view.copy_(members[name]) for name, view in _views(values, members).items()}
            gradients |= _views(slots, members)
            blocks[kind] = values
            values.grad = slots
    for name in gradients:
        tensors[name].requires_grad_()
    return Stack(tensors, gradients, owners, blocks)


def _kind(tensor: Tensor) -> str:
    return WEIGHTS if tensor.ndim > 2 else OTHERS


def _padded(numbers: int, tensor: Tensor) -> int:
    """Round up so many numbers of the tensor's type to whole vector steps."""
    size = tensor.element_size()
    return whole_steps(numbers * size) // size


def _block(tensors: Sequence[Tensor]) -> Tensor:
    """Return zeros enough for all the tensors: on a CPU one row per run, elsewhere flat."""
    if tensors[0].device.type == "cpu":
        return tensors[0].new_zeros(len(tensors[0]), sum(_padded(prod(t.shape[1:]), t) for t in tensors))
    return tensors[0].new_zeros(sum(_padded(t.numel(), t) for t in tensors))


def _views(block: Tensor, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return one view (R, …) of the block for each tensor, one beside another."""
    views, start = {}, 0
    for name, tensor in tensors.items():
        size = prod(tensor.shape[1:]) if block.ndim > 1 else tensor.numel()
        own = block[..., start : start + size]
        if block.ndim == 1:
            views[name] = own.view(tensor.shape)
        else:
            views[name] = torch.unflatten(own, 1, tensor.shape[1:]) if tensor.ndim > 1 else own[:, 0]
        start += _padded(size, tensor)
    return views
