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
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from actbench.training.steps.arena import Arena, memory_of

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


class OpTracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down what is computed while the context lasts; every result is kept, so none takes another's memory.

    Once it refuses, it lets go of all that it kept and writes down nothing more; the computation goes on.

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
        self._copied = 0

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Do it and write it down, unless it only looks at memory or sets some aside."""
        options = kwargs or {}
        result = operation(*args, **options)
        if not self.refusal:
            self._note(operation, args, options, tuple(result) if isinstance(result, (tuple, list)) else (result,))
        return result

    def _note(self, operation: Any, args: tuple[Any, ...], options: dict[str, Any], results: tuple[Any, ...]) -> None:
        if torch.Tag.nondeterministic_seeded in operation.tags or not all(map(_is_tensor_or_none, results)):
            self._refuse(f"{operation} would give something else in a replay")
            return
        known = {memory_of(one) for one in _tensors((args, options))}
        made = {memory_of(one): one for one in results if one is not None and memory_of(one) not in known}
        mutates = operation._schema.is_mutable
        if made and (mutates or operation.is_view):
            self._refuse(f"{operation} gives fresh memory beside what it changes or shows")
            return
        self._made |= made
        if mutates or (made and operation.overloadpacket.__name__ not in ALLOCATIONS):
            self._add(Call(operation, args, options, results))

    def _add(self, call: Call) -> None:
        """Keep it, and count what a replay would have to copy besides the copies of the computation itself."""
        if self.calls and _is_copy_of(call, self.calls[-1]):
            self._copied -= _copied_bytes(self.calls[-1])
        self.calls.append(call)
        self._copied += _copied_bytes(call)
        if self._copied > COPIED:
            self._refuse("copying results takes longer than what a replay saves")

    def _refuse(self, reason: str) -> None:
        self.refusal = reason
        self.calls.clear()
        self._made.clear()

    def replay(self, scratch: Arena) -> list[Callable[[], object]]:
        """The calls, one after another; what the recorded computation made for itself lies in ``scratch`` instead.

        No calls at all after a refusal.
        """
        calls = list(_without_copies(self._varying()))
        places = scratch.plan(_uses(calls), self._made)

        def moved(tensor: Tensor) -> Tensor:
            return scratch.view(tensor, places.get(memory_of(tensor)))

        return [_bound(call.moved(moved)) for call in calls]

    def _varying(self) -> list[Call]:
        """The calls without those whose results stay as they are; these keep their memory."""
        written = {memory_of(one) for call in self.calls for one in call.written}
        varying = []
        for call in self.calls:
            memories = {memory_of(one) for one in call.results if one is not None}
            if call.operation.overloadpacket.__name__ in FILLS and not memories & written:
                for memory in memories:
                    self._made.pop(memory, None)
            else:
                varying.append(call)
        return varying


def _uses(calls: Sequence[Call]) -> dict[int, tuple[int, int]]:
    """Piece of memory -> the first and the last of the calls that use it."""
    uses: dict[int, tuple[int, int]] = {}
    for index, call in enumerate(calls):
        for piece in map(memory_of, call.tensors):
            uses[piece] = (uses.get(piece, (index, index))[0], index)
    return uses


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
    """Whether the next call copies the whole result to where nothing is read meanwhile, and nobody else uses it."""
    if not _is_copy_of(rest[0], call):
        return False
    target, made = rest[0].arguments[0], call.results[0]
    later = (tensor for call in islice(rest, 1, None) for tensor in call.tensors)
    return all(memory_of(tensor) != memory_of(target) for tensor in _tensors((call.arguments, call.options))) and all(
        made is not None and memory_of(tensor) != memory_of(made) for tensor in later
    )


def _is_copy_of(following: Call, call: Call) -> bool:
    """Whether a call copies all that the one before it made, as it lies."""
    if following.operation is not aten.copy_.default or len(call.results) != 1 or call.operation._schema.is_mutable:
        return False
    made: Tensor | None = call.results[0]
    target, source = following.arguments[:2]
    if made is None or source.data_ptr() != made.data_ptr() or made.dtype != target.dtype:
        return False
    alike: bool = made.shape == source.shape == target.shape
    return alike and made.stride() == source.stride() == target.stride()


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
