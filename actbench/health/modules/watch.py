"""See every activation of a module's forward pass, whether it is a submodule or a function called on a tensor.

While a ``Watch`` is entered, torch hands it each call of a torch function (``torch.overrides.TorchFunctionMode``),
those that ``nn`` modules make included. It looks at the input of an activation before the call, so in-place ones can't
overwrite it. Hooks only name the submodule at work, and mark begin and end of the user's own activation modules.

Hooks alone would not do: one activation module shared by several layers would show its last call only, and functions
called on tensors none at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from actbench.errors import UsageError
from actbench.health.modules import calls
from actbench.health.modules.aliases import version
from actbench.health.modules.flow import CONSTANT, INPUT, Flow, Origin
from actbench.health.modules.inputs import TO_BATCHES, Batch
from actbench.health.modules.inventory import Inventory
from actbench.health.modules.masks import carried, has_positions
from actbench.health.modules.submodules import is_one_layer, is_packed, plain_name, scripted, visible
from actbench.health.units.probe import UnitObserver, slope_by_autograd
from actbench.nn.networks import ELEMENTWISE_NORMS, TrainedActivation
from actbench.nn.unit_axes.labels import Labels, Status, varying
from actbench.nn.unit_axes.layout import UnitLayout, unit_layout
from actbench.nn.unit_axes.torch_calls import held_tensors, name_of, tensors
from actbench.nn.unit_axes.tracker import UnitTracker
from actbench.schema.spec import HealthSettings
from actbench.schema.unit_groups import UnitGroup

GATE = UnitGroup(inputs=2, kind="gate")
"""Of ``torch.nn.functional.glu``."""

UnitAxis = int | Mapping[str, int] | None


@dataclass
class Sighting:
    """An activation that was observed.

    Args:
        kind: Name of the function or of the user's class.
        units: The number of its units.
        examples: Inputs on which it was observed.
        certain: Whether its units were followed from a weight layer; else their dimension is a guess.
        masked: Whether the inputs' mask, if any, could be carried over to its positions; else all of them count.
    """

    kind: str
    units: int
    examples: int = 0
    certain: bool = True
    masked: bool = True


@dataclass
class _Pass:
    """The state of one forward pass.

    Args:
        examples: In the batch.
        mask: Where the inputs hold examples rather than padding.
        inputs: The shapes of the batch's tensors.
        used: The identities of the tensors that entered a call.
        stack: The submodules at work, innermost last.
        calls: How often each label was used.
        inside: The user's own activation at work; the functions that it calls inside are not looked at.
        result: The origin of the result of ``inside``.
        labels: The labels of the result of ``inside``.
    """

    examples: int
    mask: Tensor | None
    inputs: tuple[torch.Size, ...]
    used: set[int] = field(default_factory=set)
    stack: list[nn.Module] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    inside: nn.Module | None = None
    result: Origin = INPUT
    labels: Labels = Status.INPUT


class Watch(TorchFunctionMode):
    """Observes a module's forward passes; enter it around each, after ``begin``.

    Args:
        module: The network; its hooks are removed when the watch is closed.
        health: Thresholds.
        activations: The user's own activation classes.
        unit_axis: The dimension of units, for all layers or by layer; None decides by the layer before.
        batch_axis: The dimension of examples.
    """

    def __init__(
        self,
        module: nn.Module,
        health: HealthSettings,
        activations: Sequence[type[nn.Module]] = (),
        unit_axis: UnitAxis = None,
        batch_axis: int = 0,
    ) -> None:
        super().__init__()
        self.flow = Flow()
        self.seen: dict[str, Sighting] = {}
        self.observer = UnitObserver(slope_by_autograd(lambda layer, z: self._function(z)), health)
        self._own: tuple[type[nn.Module], ...] = (TrainedActivation, *activations)
        self._module, self._unit_axis = module, unit_axis
        self._batch_axis = batch_axis
        self._names = {part: plain_name(name) for name, part in module.named_modules()}
        self._parts: dict[str, nn.Module] = {name: part for part, name in self._names.items()}
        self.inventory = Inventory(module, self._names)
        self._layers: dict[str, str] = {}
        self._constants = [*module.buffers(), *held_tensors(module)]
        self._function: Callable[[Tensor], Tensor] = torch.relu
        # Of the present pass; ``begin`` sets both.
        self._pass: _Pass
        self._units: UnitTracker
        self._hooks = ExitStack()

    def __enter__(self) -> Watch:
        """Hook the submodules and begin to receive the calls of torch's functions."""
        for part in visible(self._module):
            self._hooks.callback(part.register_forward_pre_hook(self._enter_module, with_kwargs=True).remove)
            self._hooks.callback(part.register_forward_hook(self._leave_module, always_call=True).remove)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove every hook, also after an error."""
        self._hooks.close()
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]

    def begin(self, batch: Batch) -> None:
        """Prepare for a forward pass on a batch."""
        inputs = [tensor for _, tensor in batch.tensors]
        self._pass = _Pass(batch.examples, batch.mask, tuple(tensor.shape for tensor in inputs))
        weights = list(self._module.parameters())
        self.flow.begin([*weights, *self._constants], inputs)
        self._units = UnitTracker(weights, self._constants, inputs)
        for part in scripted(self._module):
            self.flow.conceal(self._names[part])

    def has_used(self, tensor: Tensor) -> bool:
        """Return whether a tensor of the present batch entered a call that was observed."""
        return id(tensor) in self._pass.used

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Carry out a call of a torch function, and record its effect on the units."""
        kwargs = kwargs or {}
        if self._pass.inside is not None:
            return function(*args, **kwargs)
        name, written = name_of(function), [*tensors(kwargs.get("out"))]
        own = {key: value for key, value in kwargs.items() if key != "out"}
        given = [*tensors(args), *tensors(own)]
        origin = None
        observable = given and calls.is_plain(given[0]) and not self.flow.is_constant(given[0])
        labels = self._units.of(given[0]) if given else Status.INPUT
        if observable and calls.is_activation(name, args, own):
            origin = self._activate(name, given[0], self._label(name), _of_first(function, args, own))
        elif observable and name in calls.GATED:
            groups = _Groups(GATE, _dimension(args, own))
            if groups.layout(given[0], labels, self._examples_of(given[0], labels)) is not None:
                origin = self._activate(name, given[0], self._label(name), _of_first(function, args, own), groups)
                labels = groups.labels(labels, given[0].ndim)
        versions = [version(tensor) for tensor in given]
        result = function(*args, **kwargs)
        made = [*tensors(result)]
        if made:  # not a look at its shape
            self._pass.used.update(map(id, given))
        for one, before in zip(given, versions, strict=True):
            if version(one) != before:
                self.flow.count_write(one, before)
            if _is_written(one, before, made):
                written.append(one)
        if name == "setitem" or getattr(function, "__self__", None) is Tensor.data:  # both return nothing
            written = given[:1]
        if origin is None:
            self._units.record(function, args, kwargs, made or written)
            self._trace(name, given, made, written)
        else:
            self._units.assign(made, labels)
            self.inventory.meet(given, made, constant=False)
            self.flow.assign(made, origin)
            for tensor in written:
                self.flow.write(tensor, origin)
        return result

    def _trace(self, name: str, given: Sequence[Tensor], made: Sequence[Tensor], written: Sequence[Tensor]) -> None:
        """Record the origin of the result of a function that is not an activation, and of tensors it has written."""
        if name in calls.LEAVING:
            self.flow.leave(given)
        if not (made or written) or (not given and self._may_be_signal(name)):
            return  # no origin for random numbers: they may be the input of a generator network
        if name in ("copy", "set") and len(given) > 1:
            name, given = "copy", given[1:]  # nothing is left of the first one's numbers
        origin = CONSTANT if name in calls.CONSTANTS else self._result(name, given)
        self.inventory.meet(given, made, constant=origin is CONSTANT)
        for tensor in made:
            self.flow.assign([tensor], origin if origin is CONSTANT else _carried(origin, tensor))
        for tensor in written:
            self.flow.write(tensor, origin if origin is CONSTANT else _carried(origin, tensor))

    def _may_be_signal(self, name: str) -> bool:
        """Return whether a tensor that is made of no other may depend on the input all the same."""
        return "rand" in name or (name in calls.ENTERING and (self.flow.has_left or not self._pass.inputs))

    def _result(self, name: str, given: Sequence[Tensor]) -> Origin:
        """Return the origin of a function's result."""
        origin = self.flow.of(given)
        if origin is CONSTANT:
            return origin
        signals = [tensor for tensor in given if not self.flow.is_constant(tensor)]
        if name in calls.UNBATCHED:
            self._check_batched(calls.UNBATCHED[name], signals[0].shape)
        constants = [tensor for tensor in given if self.flow.is_constant(tensor)]
        if name in calls.WEIGHTED | calls.FUSED or (name in calls.PRODUCTS and constants):
            return self.flow.enter_weights(self._weight_label(name, constants), origin, recurrent=name in calls.FUSED)
        if name not in calls.KNOWN and self._pass.stack and is_packed(self._pass.stack[-1]):
            # A recurrent cell, say: its weights are packed where no tensor is given.
            return self.flow.enter_weights(self._weight_label(name, constants), origin, recurrent=True)
        if name not in calls.KNOWN and any(map(self._is_weight, constants)):
            # An operator of someone's own: its results may be a layer's pre-activations, or have passed more than that.
            label = self._weight_label(name, constants)
            return replace(self.flow.enter_weights(label, origin, recurrent=False), opaque=True)
        if name in calls.SCALINGS and len(signals) > 1:
            self.flow.multiply(signals)
            return replace(origin, opaque=True)
        return origin if name in calls.PASSAGES else replace(origin, opaque=True)

    def _check_batched(self, alone: int, shape: torch.Size) -> None:
        """Refuse inputs that a layer takes for one example, having so few dimensions.

        Raises:
            UsageError: When the layer's input is as good as the network's.
        """
        own = next(iter(self._pass.inputs), torch.Size())
        if len(shape) == alone and (own == shape or (alone > 2 and len(own) == alone) or own == shape[:1]):
            part = self._names[self._pass.stack[-1]] if self._pass.stack else ""
            raise UsageError(
                f"{part or type(self._module).__name__} takes a tensor of shape {tuple(shape)} for one example: the "
                "inputs have no dimension for examples. inputs[None] makes a batch of one, torch.stack(inputs) one of "
                f"a list, and {TO_BATCHES}"
            )

    def _activate(
        self, kind: str, z: Tensor, layer: str, function: Callable[[Tensor], Any], groups: _Groups | None = None
    ) -> Origin:
        """Observe an activation before it is called. Return the origin of its result.

        Args:
            kind: Its name.
            z: What it sees.
            layer: The layer's name.
            function: f.
            groups: Where the numbers of a unit lie in z, if there are several or f makes several of one.
        """
        origin = self.flow.of([z])
        if z.numel():
            chosen = self._unit_axis.get(layer) if isinstance(self._unit_axis, Mapping) else self._unit_axis
            with torch.inference_mode(False), torch.no_grad():
                labels, examples = self._units.of(z), self._pass.examples
                batch_axis = self._examples_of(z, labels)
                layout = unit_layout(z.shape, labels, chosen=chosen, batch_axis=batch_axis, examples=examples)
                if groups is not None:
                    found = groups.layout(z, labels, batch_axis)
                    if found is None:
                        raise UsageError(f"{layer}: the units of its input lie in no one dimension")
                    layout = found
                units = layout.units if groups is None else layout.units // groups.group.inputs
                sighting = self.seen.setdefault(layer, Sighting(kind, units))
                if sighting.units != units:
                    raise UsageError(
                        f"{layer} has {sighting.units} units in one batch and {units} in another; "
                        f"name the dimension of its units: unit_axis={{'{layer}': …}}"
                    )
                sighting.examples += examples
                sighting.certain &= layout.certain
                mask = self._pass.mask
                keep = None if mask is None else carried(mask, z.shape, layout)
                sighting.masked &= mask is None or keep is not None or not has_positions(z.shape, layout)
                # A copy: an activation that works in place is about to overwrite z. The probe takes f' of
                # ``_function``: the activation itself with its arguments, where it sees z.
                copy = z.detach().clone()
                if groups is None:
                    self._function = lambda values: _same_shape(function, values, layer)
                    self.observer.observe(layer, copy, layout.to_units, layout.order, keep)
                else:
                    self._function = groups.moved(function, layout)
                    (moved,) = layout.to_units(copy)
                    there = None if keep is None else layout.to_units(keep.to(torch.uint8))[0].bool()
                    self.observer.observe(layer, moved, keep=there, group=groups.group)
        return self.flow.activate(layer, kind, origin)

    def _examples_of(self, z: Tensor, labels: Labels) -> int:
        """Return the dimension of examples: the inputs' own where it has their number and no units, else the first."""
        axis = self._batch_axis
        is_there = z.ndim > axis + 1 and z.shape[axis] == self._pass.examples
        return axis if is_there and not (isinstance(labels, Tensor) and axis in varying(labels)) else 0

    def _is_weight(self, tensor: Tensor) -> bool:
        """Return whether a constant may be a layer's weight: a matrix of the network's own that is no mask."""
        return tensor.ndim > 1 and tensor.dtype != torch.bool and bool(self.inventory.owners([tensor]))

    def _weight_label(self, function: str, constants: Sequence[Tensor]) -> str:
        """Return the name of a weight layer: of the submodule at work, or of the one that the weight belongs to."""
        owners = self.inventory.owners([tensor for tensor in constants if tensor.ndim > 1][:1])
        label = self._label(function, of="weights", owner=next(iter(owners)) if len(owners) == 1 else None)
        self.inventory.cover(label, constants)
        return label

    def _label(self, function: str, of: str = "activations", owner: str | None = None) -> str:
        """Return the submodule's name, and the function's unless it is a leaf; a second call in a pass ends in #2.

        An owner is a submodule with a weight that the submodule at work uses without calling its owner.
        """
        part = self._pass.stack[-1] if self._pass.stack else self._module
        name = self._names[part]
        label = name if name and is_one_layer(part) else ".".join(filter(None, (name, function)))
        if owner is not None and owner in self._parts and owner != name != label:
            part, label = self._parts[owner], owner
        self._pass.calls[f"{of}/{label}"] += 1
        count = self._pass.calls[f"{of}/{label}"]
        full = label if count == 1 else f"{label}#{count}"
        torchs = type(part).__module__.startswith(("torch.nn.", "torch.ao.nn."))
        self._layers[full] = label if owner == label or torchs else full
        return full

    def layers_of(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Return the weight layers behind these calls, each once: a module of torch's has one weight for all calls."""
        return tuple(dict.fromkeys(self._layers.get(label, label) for label in labels))

    def _enter_module(self, part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._pass.stack.append(part)
        self.inventory.call(part)
        first = next(tensors(args), None)
        if isinstance(part, nn.RNNBase) and first is not None and args[0] is first:
            self._check_batched(2, first.shape)
        if self._pass.inside is None and isinstance(part, ELEMENTWISE_NORMS) and first is not None:
            # The tanh or erf inside is no activation: z is what comes out, as of any other normalisation.
            self._pass.inside = part
            self._pass.labels, self._pass.result = self._units.of(first), self.flow.of([first])
            self.inventory.meet([first, *part.parameters()], [], constant=False)
        if self._pass.inside is None and isinstance(part, self._own):
            self._pass.inside = part
            kind, z = type(part).__name__, next(tensors([args, kwargs]), None)
            if z is None:
                raise UsageError(f"{self._names[part]} ({kind}) was called without a tensor: it is not an activation")
            forward = _of_first(part.forward, args, kwargs)
            self._pass.labels = self._units.of(z)
            groups = None
            if isinstance(part, TrainedActivation) and not part.group.is_elementwise:
                groups = _Groups(part.group, 1)
                self._pass.labels = groups.labels(self._pass.labels, z.ndim)
            self._pass.result = self._activate(kind, z, self._label(kind), forward, groups)

    def _leave_module(self, part: nn.Module, args: tuple[Any, ...], result: Any) -> None:
        self._pass.stack.pop()
        if self._pass.inside is part:
            self._pass.inside = None
            self.flow.assign(tensors(result), self._pass.result)
            self._units.assign(tensors(result), self._pass.labels)


@dataclass(frozen=True)
class _Groups:
    """Say where the numbers of a unit lie in the input of an activation that changes the width.

    Args:
        group: How many pre-activations and outputs a unit has.
        axis: The dimension in which their blocks lie one behind another.
    """

    group: UnitGroup
    axis: int

    def layout(self, z: Tensor, labels: Labels, batch_axis: int) -> UnitLayout | None:
        """Return the layout of the input; None where the blocks lie along something else than the units."""
        axis = self.axis % z.ndim
        followed = unit_layout(z.shape, labels, batch_axis=batch_axis)
        if axis == batch_axis or (followed.certain and followed.axis != axis) or z.shape[axis] % self.group.inputs:
            return None
        certain = followed.certain and followed.axis == axis
        return UnitLayout(z.shape[axis], batch_axis, axis, certain=certain)

    def labels(self, labels: Labels, ndim: int) -> Labels:
        """Return the labels of the result: those of the first block of pre-activations, for each block of outputs."""
        axis = self.axis % ndim
        if not isinstance(labels, Tensor) or labels.ndim != ndim or labels.shape[axis] == 1:
            return labels
        first = labels.narrow(axis, 0, labels.shape[axis] // self.group.inputs)
        return torch.cat([first] * self.group.outputs, axis)

    def moved(self, function: Callable[[Tensor], Any], layout: UnitLayout) -> Callable[[Tensor], Tensor]:
        """Return the function of pre-activations as the observer has them, (1, B, U, …positions)."""
        there = (layout.batch_axis, self.axis)

        def apply(values: Tensor) -> Tensor:
            result: Tensor = function(values.squeeze(0).movedim((0, 1), there))
            return result.movedim(there, (0, 1)).unsqueeze(0)

        return apply


def _dimension(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """Return the dimension that ``glu`` halves; the last unless given."""
    return int(args[1] if len(args) > 1 else kwargs.get("dim", -1))


def _is_written(tensor: Tensor, before: int, made: Sequence[Tensor]) -> bool:
    """Return whether a call wrote into an argument; one that counts no writes is taken for written if returned."""
    if tensor.is_inference():
        return any(tensor is result for result in made)
    return version(tensor) != before


def _carried(origin: Origin, tensor: Tensor) -> Origin:
    """Return the origin of one result.

    A comparison or an index ends a signal; if it began at a weight layer, a result made of it is a step function.
    """
    if tensor.is_floating_point() or tensor.is_complex():
        return origin
    return Origin(weights=origin.weights, opaque=bool(origin.weights))


def _of_first(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Callable[[Tensor], Any]:
    """Return the function of its first argument alone, the others as they were; never in place on its argument."""
    if args:
        return lambda z: function(z.clone(), *args[1:], **kwargs)
    first = next(key for key, value in kwargs.items() if isinstance(value, Tensor))
    return lambda z: function(**{**kwargs, first: z.clone()})


def _same_shape(function: Callable[[Tensor], Any], z: Tensor, layer: str) -> Tensor:
    a = function(z)
    if not isinstance(a, Tensor) or a.shape != z.shape:
        raise UsageError(
            f"{layer} does not return a tensor of its input's shape {tuple(z.shape)}: it is not an activation"
        )
    return a
