"""Keep the labels of every tensor of a forward pass: which unit made each of its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from actbench.nn.unit_axes.call import Call
from actbench.nn.unit_axes.labels import Labels, Status, Weight, compressed, full
from actbench.nn.unit_axes.layout import UnitLayout, unit_layout
from actbench.nn.unit_axes.rules import results
from actbench.nn.unit_axes.torch_calls import name_of, tensors


class UnitTracker:
    """Labels the tensors of one forward pass.

    Call ``record`` after each call of a torch function in it. Units made by one parameter have the same labels in every
    call, so a layer used twice has its units once.

    Args:
        weights: The network's parameters.
        constants: Its buffers and other tensors that do not depend on the input.
        inputs: The batch.
    """

    def __init__(self, weights: Iterable[Tensor], constants: Iterable[Tensor], inputs: Iterable[Tensor]) -> None:
        # Weak, so that following a tensor does not keep it in memory; with the shape, which a call may change in place.
        self._labels: MutableMapping[Tensor, tuple[Labels, torch.Size]] = WeakTensorKeyDictionary()
        self._made: dict[object, Tensor] = {}
        self._next = 1
        self.assign(constants, Status.CONSTANT)
        for weight in weights:
            self.assign([weight], Weight(id(weight)))
        self.assign(inputs, Status.INPUT)

    def assign(self, tensors: Iterable[Tensor], labels: Labels) -> None:
        """Record the labels of tensors."""
        for tensor in tensors:
            self._labels[tensor] = (labels, tensor.shape)

    def of(self, tensor: Tensor) -> Labels:
        """Return a tensor's labels; those of a tensor made out of sight, by compiled or scripted code, are ``LOST``."""
        return self._labels.get(tensor, (Status.LOST, None))[0]

    def record(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        made: Sequence[Tensor],
    ) -> None:
        """Record the labels of the tensors that a call returned, or wrote to."""
        if not made:
            return
        name = name_of(function).removeprefix("linalg_")
        if name == "get":  # a property, such as x.T
            name = str(getattr(getattr(function, "__self__", None), "__name__", name))
        call = Call(function, name, args, kwargs, self.of, self._shape, self._fresh, made)
        with torch.inference_mode(False), torch.no_grad():
            try:
                found = results(call)
            except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError):
                # A form of the call that its rule does not know: its units are reported as uncertain.
                found = [Status.LOST for _ in made]
        for tensor, labels in zip(made, found, strict=True):
            before = self._labels.get(tensor)
            self._labels[tensor] = (labels, tensor.shape)
            if before is not None and before[0] is not labels and tensor._is_view():
                with torch.inference_mode(False), torch.no_grad():
                    self._write_base(tensor, labels)

    def _write_base(self, view: Tensor, labels: Labels) -> None:
        """Record that other units' numbers were written into a view, a part of the tensor that it belongs to."""
        base = view._base
        if base is None or base not in self._labels:
            return
        before = self.of(base)
        if isinstance(labels, Tensor) and before is not Status.LOST and 0 not in base.stride():
            # In memory as the tensor lies itself, so that the view finds its part.
            whole = torch.empty_strided(base.shape, base.stride(), dtype=torch.int32)
            whole.copy_(full(before, base.shape))
            offset = view.storage_offset() - base.storage_offset()
            whole.as_strided(view.shape, view.stride(), offset).copy_(labels.expand(view.shape))
            self._labels[base] = (compressed(whole), base.shape)
        elif labels is Status.LOST:
            self._labels[base] = (Status.LOST, base.shape)

    def _shape(self, tensor: Tensor) -> torch.Size:
        found = self._labels.get(tensor)
        return tensor.shape if found is None else found[1]

    def _fresh(self, shape: Sequence[int], key: object) -> Tensor:
        """Return labels of new units, or those of the same weight made before."""
        size = prod(shape)
        if key is not None and (key, size) in self._made:
            return self._made[key, size].reshape(list(shape))
        labels = torch.arange(self._next, self._next + size, dtype=torch.int32)
        self._next += size
        if key is not None:
            self._made[key, size] = labels
        return labels.reshape(list(shape))


class FollowedPass(TorchFunctionMode):
    """Follows the units of one forward pass while it is entered.

    Args:
        weights: The network's parameters.
        constants: Its buffers and other tensors that do not depend on the input.
        inputs: The batch.
    """

    def __init__(self, weights: Iterable[Tensor], constants: Iterable[Tensor], inputs: Iterable[Tensor]) -> None:
        super().__init__()
        self._tracker = UnitTracker(weights, constants, inputs)
        self._resting = False

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Carry out a call of a torch function, and record the labels of its result."""
        result = function(*args, **(kwargs or {}))
        if not self._resting:
            written = [*tensors(args)][:1] if name_of(function) == "setitem" else []
            self._tracker.record(function, args, kwargs or {}, [*tensors(result)] or written)
        return result

    def layout_of(self, z: Tensor, chosen: int | None) -> UnitLayout:
        """Return the layout of an activation's input.

        Args:
            z: The input, examples first.
            chosen: The user's own choice of the dimension of units.
        """
        self._resting = True
        try:
            return unit_layout(z.shape, self._tracker.of(z), chosen=chosen)
        finally:
            self._resting = False
