"""A computation on a CPU, recorded while it is done and replayed afterwards: a CPU's counterpart of a CUDA graph.

A step of a small network is some dozens of kernels; autograd, Python and fresh memory for every result take a third of
their time on top. A replay calls the same kernels with the same arguments in the same order, and each writes into
memory set aside for it, so its numbers are those of the recorded computation, to the last bit.

What is recorded is what reaches torch's kernels, below autograd. Python's own decisions are baked in: record only what
decides by shapes and settings. Random numbers and numbers read back into Python are noticed, and refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

ALIGNED = 128
"""Bytes: every piece of scratch memory begins on a multiple. Torch's own allocations begin on multiples of 64, and
products of operands that lie otherwise may be rounded otherwise."""

ALLOCATIONS = frozenset({"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"})
"""Operations that leave open what their result holds."""

COPIED = 4 * 2**20
"""Most bytes of results that a replay may have to copy, where an operation has no form that writes into given memory.

Saved are some 400 µs of Python and autograd; a copy of so much takes as long. A convolution of 128 CIFAR images into 32
channels gives 16 MiB, and replays of such networks were 2 to 3 % slower than ordinary steps."""

FILLS = frozenset({"full", "full_like", "ones", "ones_like", "zeros", "zeros_like"})
"""Operations whose result is the same every time; it need not be made again unless something writes into it."""

aten = torch.ops.aten
SAME: Mapping[Any, tuple[OpOverload, tuple[Any, ...]]] = {aten.relu.default: (aten.clamp_min.out, (0,))}
"""Operations without a form that writes into given memory -> the one that they call, which has, and what it is told."""


@dataclass(frozen=True)
class Call:
    """An operation, the tensors that it was given among its arguments, and those that it made or changed."""

    operation: OpOverload
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    results: tuple[Tensor | None, ...]

    @property
    def tensors(self) -> Iterator[Tensor]:
        """All of them."""
        return _tensors((self.arguments, self.options, self.results))

    @property
    def written(self) -> Iterator[Tensor]:
        """Those of its arguments that it changes."""
        schema = self.operation._schema.arguments
        given = dict(zip((one.name for one in schema), self.arguments, strict=False)) | self.options
        return _tensors([given.get(one.name) for one in schema if one.alias_info and one.alias_info.is_write])

    def moved(self, move: Callable[[Tensor], Tensor]) -> Call:
        """The same with other tensors."""
        return Call(self.operation, *_moved((self.arguments, self.options, self.results), move))


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down what is computed while the context lasts; every result is kept, so none takes another's memory.

    Attributes:
        calls: What a replay has to do.
        refusal: Why there can't be a replay; empty if there can.
    """

    def __init__(self) -> None:
        """Nothing is recorded yet."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []
        self.refusal = ""
        self._made: dict[int, Tensor] = {}

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Do it and write it down, unless it only looks at memory or sets some aside."""
        options = kwargs or {}
        result = operation(*args, **options)
        results = tuple(result) if isinstance(result, (tuple, list)) else (result,)
        if operation.is_view:
            return result
        if torch.Tag.nondeterministic_seeded in operation.tags or not all(map(_is_tensor_or_none, results)):
            self.refusal = f"{operation} would give something else in a replay"
            return result
        if operation._schema.is_mutable:
            self.calls.append(Call(operation, args, options, results))
            return result
        known = {_memory(one) for one in _tensors((args, options))}
        made = {_memory(one): one for one in results if one is not None and _memory(one) not in known}
        self._made |= made
        if made and operation.overloadpacket.__name__ not in ALLOCATIONS:
            self.calls.append(Call(operation, args, options, results))
        return result

    def replay(self, scratch: Scratch) -> list[Callable[[], object]]:
        """The calls, one after another; what the recorded computation made for itself lies in ``scratch`` instead.

        None if there is a refusal, which may only be found here.
        """
        calls = list(_without_copies(self._varying()))
        if sum(map(_copied_bytes, calls)) > COPIED:
            self.refusal = "copying results takes longer than what a replay saves"
        if self.refusal:
            return []
        places = scratch.plan(calls, self._made)
        return [_bound(call.moved(lambda tensor: scratch.view(tensor, places.get(_memory(tensor))))) for call in calls]

    def _varying(self) -> list[Call]:
        """The calls without those whose results stay as they are; these keep their memory."""
        written = {_memory(one) for call in self.calls for one in call.written}
        varying = []
        for call in self.calls:
            memories = {_memory(one) for one in call.results if one is not None}
            if call.operation.overloadpacket.__name__ in FILLS and not memories & written:
                for memory in memories:
                    del self._made[memory]
            else:
                varying.append(call)
        return varying


@dataclass
class Scratch:
    """Memory for what is made on the way, shared by computations that never run at the same time."""

    memory: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.uint8))

    def plan(self, calls: Sequence[Call], made: Mapping[int, Tensor]) -> dict[int, int]:
        """Where each piece of memory that was made will lie, in bytes; pieces that are in use together lie apart.

        In the order of their first use, each at the lowest place that is free. The memory grows if need be; what has
        been planned before stays where it is.
        """
        uses: dict[int, tuple[int, int]] = {}
        for index, call in enumerate(calls):
            for piece in {_memory(tensor) for tensor in call.tensors} & made.keys():
                uses[piece] = (uses.get(piece, (index, index))[0], index)
        places: dict[int, int] = {}
        for piece, (first, _) in sorted(uses.items(), key=lambda item: item[1]):
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


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested containers; torch's own walker takes a recording's time four times over."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def _moved(value: Any, move: Callable[[Tensor], Tensor]) -> Any:
    """The same containers with other tensors."""
    if isinstance(value, Tensor):
        return move(value)
    if isinstance(value, (tuple, list)):
        return type(value)([_moved(part, move) for part in value])
    if isinstance(value, dict):
        return {key: _moved(part, move) for key, part in value.items()}
    return value


def _lowest_gap(taken: Sequence[tuple[int, int]], size: int) -> int:
    """The lowest place at which ``size`` bytes are free; ``taken`` holds places and sizes in order."""
    place = 0
    for start, length in taken:
        if start - place >= size:
            break
        place = max(place, start + length)
    return place


def _memory(tensor: Tensor) -> int:
    """The same for tensors that share memory, as long as it is kept."""
    return tensor.untyped_storage().data_ptr()


def _size(tensor: Tensor) -> int:
    """Bytes of a tensor's whole memory, rounded up."""
    return -(-tensor.untyped_storage().nbytes() // ALIGNED) * ALIGNED


def _is_tensor_or_none(value: object) -> bool:
    return value is None or isinstance(value, Tensor)


def _without_copies(calls: Sequence[Call]) -> Iterator[Call]:
    """The calls, but that what is made only to be copied is made where it is copied to."""
    rest = deque(calls)
    while rest:
        call = rest.popleft()
        if rest and _is_copied_only(call, rest):
            call = Call(call.operation, call.arguments, call.options, rest.popleft().arguments[:1])
        yield call


def _is_copied_only(call: Call, rest: Sequence[Call]) -> bool:
    """Whether the next call copies the whole result, and nobody else uses it."""
    if rest[0].operation is not aten.copy_.default or len(call.results) != 1 or call.operation._schema.is_mutable:
        return False
    (made,), (target, source) = call.results, rest[0].arguments[:2]
    if made is None or source.data_ptr() != made.data_ptr():
        return False
    later = (tensor for call in islice(rest, 1, None) for tensor in call.tensors)
    alike = made.shape == source.shape == target.shape and made.dtype == target.dtype
    return alike and all(_memory(tensor) != _memory(made) for tensor in later)


def _copied_bytes(call: Call) -> int:
    operation = call.operation
    if operation._schema.is_mutable or operation in SAME or _form_with_out(operation):
        return 0
    return sum(one.numel() * one.element_size() for one in call.results if one is not None)


def _bound(call: Call) -> Callable[[], object]:
    """Do it without arguments: the results are written where they were before."""
    operation, arguments, options = call.operation, call.arguments, call.options
    if operation._schema.is_mutable:
        return partial(operation, *arguments, **options)
    if operation in SAME:
        other, more = SAME[operation]
        return partial(other, *arguments, *more, out=call.results[0])
    form = _form_with_out(operation)
    if form is None:
        return partial(_copied, partial(operation, *arguments, **options), call.results)
    other, names = form
    return partial(other, *arguments, **options, **dict(zip(names, call.results, strict=True)))


def _copied(operation: Callable[[], Any], targets: Sequence[Tensor | None]) -> None:
    made = operation()
    for target, result in zip(targets, made if isinstance(made, (tuple, list)) else (made,), strict=True):
        if target is not None:
            target.copy_(result)


@cache
def _form_with_out(operation: OpOverload) -> tuple[OpOverload, tuple[str, ...]] | None:
    """The operation's form that writes into given memory, and the names of those arguments; None without a true one.

    A form that torch's build has generated computes as always and then copies.
    """
    packet, wanted = operation.overloadpacket, [(one.name, str(one.type)) for one in operation._schema.arguments]
    for other in (getattr(packet, name) for name in packet.overloads()):
        arguments = other._schema.arguments
        names = tuple(one.name for one in arguments if one.is_out)
        rest = [(one.name, str(one.type)) for one in arguments if not one.is_out]
        if names and rest == wanted and torch.Tag.generated not in other.tags:
            return other, names
    return None
