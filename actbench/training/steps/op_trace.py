"""Trace a computation on a CPU while it is done, and replay it afterwards: a CPU's counterpart of a CUDA graph.

A step of a small network is some dozens of kernels; autograd, Python and fresh memory for every result take a third of
their time on top. A replay calls the same kernels with the same arguments in the same order, and each writes into
memory set aside for it, so its numbers are those of the traced computation, to the last bit.

The trace holds what reaches torch's kernels, below autograd. Python's own decisions are baked in: trace only what
decides by shapes and settings. Random numbers and numbers read back into Python are noticed: such a computation can't
be traced.
docs/internals.md shows a trace, before and after.
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

from actbench.nn.native import operations as native
from actbench.training.steps.arena import Arena, memory_of

ALLOCATIONS = frozenset({"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"})
"""Operations that leave open what their result holds: a replay has the memory already, and need not call them."""

MAX_COPIED_BYTES = 4 * 2**20
"""Results that a replay may have to copy, where an operation has no out variant (PyTorch's word for the overload that
writes into memory given as ``out``).

Saved are some 400 µs of Python and autograd; a copy of so much takes as long. A convolution of 128 CIFAR images into 32
channels gives 16 MiB, and replays of such networks were 2 to 3 % slower than eager steps."""

FILLS = frozenset({"full", "full_like", "ones", "ones_like", "zeros", "zeros_like"})
"""Operations whose result is the same every time; it need not be made again unless something writes into it."""

Replay = list[Callable[[], object]]
"""The calls of a replay, to be made one after another."""

aten = torch.ops.aten
OUT_VARIANTS: Mapping[Any, tuple[OpOverload, tuple[Any, ...]]] = {aten.relu.default: (aten.clamp_min.out, (0,))}
"""Operations without an out variant -> that of the operation they call, and its further arguments."""


@dataclass(frozen=True)
class Call:
    """Hold an operation, its arguments, and the tensors that it made or changed."""

    operation: OpOverload
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    results: tuple[Tensor | None, ...]

    @property
    def mutates(self) -> bool:
        """Whether the operation changes one of its arguments."""
        return self.operation._schema.is_mutable

    @property
    def tensors(self) -> Iterator[Tensor]:
        """All tensors among the arguments and results."""
        return _tensors((self.arguments, self.options, self.results))

    @property
    def written(self) -> Iterator[Tensor]:
        """Those of its arguments that the operation changes."""
        schema = self.operation._schema.arguments
        given = dict(zip((one.name for one in schema), self.arguments, strict=False)) | self.options
        return _tensors([given.get(one.name) for one in schema if one.alias_info and one.alias_info.is_write])

    def moved(self, move: Callable[[Tensor], Tensor]) -> Call:
        """Return the same call with each tensor replaced by ``move`` of it."""
        return Call(self.operation, *_moved((self.arguments, self.options, self.results), move))


class OpTracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Record the operations that are called while the context lasts; ``build_replay`` makes a replay of them.

    At the first operation that can't be replayed the tracer discards the trace and records nothing more; the
    computation goes on.

    Attributes:
        calls: The operations that a replay has to call.
        untraceable: Why the computation can't be replayed; empty if it can.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []
        self.untraceable = ""
        # Piece of memory -> a tensor in it, for all that the computation made for itself. A piece is known by its
        # address; holding on to a tensor keeps torch from giving the same address to a later result.
        self._made: dict[int, Tensor] = {}
        self._copied = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: to keep ``torch.compile`` away from the method below, torch would import it, for a second.

        What is traced is never compiled: a user's own code, which may be, is not traced.
        """
        return False

    # A dispatch mode is called below autograd: it sees the operations of ``forward`` and those of ``backward`` (which
    # runs on the calling thread on a CPU) alike, each as the kernel that will run, with views and in-place changes
    # spelled out. torch.fx and torch.jit.trace record the forward pass alone. torch.compile took 23 s to begin with and
    # gained nothing on these networks, whose time goes to matrix products and launches.
    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call the operation and record it."""
        options = kwargs or {}
        result = operation(*args, **options)
        if not self.untraceable:
            results = tuple(result) if isinstance(result, (tuple, list)) else (result,)
            self.untraceable = self._record(Call(operation, args, options, results))
            if self.untraceable:
                self.calls.clear()
                self._made.clear()
        return result

    def _record(self, call: Call) -> str:
        """Record a call, unless it only views memory or allocates; return why it can't be replayed, or ""."""
        operation = call.operation
        # A number (``item``) went to Python, which may decide by it; a random operation would draw something else.
        only_tensors = all(one is None or isinstance(one, Tensor) for one in call.results)
        if torch.Tag.nondeterministic_seeded in operation.tags or not only_tensors:
            return f"{operation} would give something else in a replay"
        # A result in memory that no argument has is fresh, and a replay must find a place for it. All else is a view of
        # an argument, or an argument itself that was changed in place.
        given = {memory_of(one) for one in _tensors((call.arguments, call.options))}
        made = {memory_of(one): one for one in call.results if one is not None and memory_of(one) not in given}
        # No out variant takes memory for the one and leaves the other alone; no such operation is needed so far.
        if made and (call.mutates or operation.is_view):
            return f"{operation} returns new memory as well as mutating or viewing an argument"
        self._made |= made
        if not call.mutates and (not made or operation.overloadpacket.__name__ in ALLOCATIONS):
            return ""  # a view, which is computed once and for all, or memory yet to be filled
        if self.calls and _is_copy_of(call, self.calls[-1]):
            self._copied -= _copied_bytes(self.calls[-1])  # one copy does for both, see _without_copies
        self.calls.append(call)
        self._copied += _copied_bytes(call)
        return "copying results takes longer than what a replay saves" if self._copied > MAX_COPIED_BYTES else ""

    def build_replay(self, arena: Arena) -> Replay:
        """Return the calls to make one after another; none where the computation can't be replayed.

        Tensors that existed before (parameters, gradients, the batch) are read and written where they are. Memory that
        the traced computation made for itself lies in the ``arena`` instead.
        """
        return self.build_replays(arena, [{}])[0]

    def build_replays(self, arena: Arena, shifts: Sequence[Mapping[int, int]]) -> list[Replay]:
        """Return a replay for each of the shifts: one trace serves for batches that lie in several places.

        Args:
            arena: Memory for intermediate results.
            shifts: Memory (see ``memory_of``) that existed before -> how many bytes further a replay finds all that it
                uses of it. So one trace serves for batches that lie in several places.
        """
        calls = list(_without_copies(self._varying()))
        places = arena.plan(_uses(calls), self._made)
        calls = [call.moved(lambda one: arena.view(one, places.get(memory_of(one)))) for call in calls]
        as_they_are = [_bound(call) for call in calls]
        return [
            [
                _bound(call.moved(partial(_shifted, shift=shift))) if _is_shifted(call, shift) else bound
                for call, bound in zip(calls, as_they_are, strict=True)
            ]
            for shift in shifts
        ]

    def _varying(self) -> list[Call]:
        """Return the calls without those whose results stay as they are; these keep their own memory."""
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


def _is_shifted(call: Call, shift: Mapping[int, int]) -> bool:
    return any(shift.get(memory_of(one)) for one in call.tensors)


def _shifted(tensor: Tensor, shift: Mapping[int, int]) -> Tensor:
    """Return the tensor of the same form so many bytes further in its memory; itself where that is not shifted."""
    further = shift.get(memory_of(tensor))
    if not further:
        return tensor
    start = tensor.storage_offset() + further // tensor.element_size()
    return torch.as_strided(tensor.detach(), tensor.size(), tensor.stride(), start)


def _uses(calls: Sequence[Call]) -> dict[int, tuple[int, int]]:
    """Return each piece of memory with the first and the last of the calls that use it."""
    uses: dict[int, tuple[int, int]] = {}
    for index, call in enumerate(calls):
        for piece in map(memory_of, call.tensors):
            uses[piece] = (uses.get(piece, (index, index))[0], index)
    return uses


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested containers."""
    # torch.utils._pytree does the same, and made the whole trace four times as slow.
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def _moved(value: Any, move: Callable[[Tensor], Tensor]) -> Any:
    """Return the same containers with each tensor replaced by ``move`` of it."""
    if isinstance(value, Tensor):
        return move(value)
    if isinstance(value, (tuple, list)):
        return type(value)([_moved(part, move) for part in value])
    if isinstance(value, dict):
        return {key: _moved(part, move) for key, part in value.items()}
    return value


def _without_copies(calls: Sequence[Call]) -> Iterator[Call]:
    """Yield the calls, but let a result that is made only to be copied be made where it is copied to.

    A matrix product of oneDNN, which has no out variant, is always made and copied (``nn.cpu_linear``): replayed as it
    was traced it would be copied twice, first to the arena.
    """
    rest = deque(calls)
    while rest:
        call = rest.popleft()
        if rest and _is_copied_only(call, rest):
            call = Call(call.operation, call.arguments, call.options, rest.popleft().arguments[:1])
        yield call


def _is_copied_only(call: Call, rest: Sequence[Call]) -> bool:
    """Return whether the next call copies the whole result, and nothing else ever reads the result itself."""
    if not _is_copy_of(rest[0], call):
        return False
    target, made = rest[0].arguments[0], call.results[0]
    # The operation would write into the target while it still reads its arguments: none of them may lie there.
    reads_target = any(memory_of(one) == memory_of(target) for one in _tensors((call.arguments, call.options)))
    later = (tensor for following in islice(rest, 1, None) for tensor in following.tensors)
    return not reads_target and all(made is not None and memory_of(one) != memory_of(made) for one in later)


def _is_copy_of(following: Call, call: Call) -> bool:
    """Return whether a call copies all that the one before it made, to memory of the same form and type."""
    if following.operation is not aten.copy_.default or len(call.results) != 1 or call.mutates:
        return False
    made: Tensor | None = call.results[0]
    target, source = following.arguments[:2]
    if made is None or source.data_ptr() != made.data_ptr() or made.dtype != target.dtype:
        return False
    alike: bool = made.shape == source.shape == target.shape
    return alike and made.stride() == source.stride() == target.stride()


def _copied_bytes(call: Call) -> int:
    """Return the bytes that a replay of this call has to copy, as ``_bound`` does it."""
    operation = call.operation
    if call.mutates or operation is aten._to_copy.default or operation in OUT_VARIANTS or _out_variant(operation):
        return 0
    return sum(one.numel() * one.element_size() for one in call.results if one is not None)


def _bound(call: Call) -> Callable[[], object]:
    """Return the call as a function without arguments that writes its results to where ``call.results`` lie."""
    operation, arguments, options = call.operation, call.arguments, call.options
    if (kernel := native.bound(operation, arguments)) is not None:
        return kernel
    if call.mutates:
        return partial(operation, *arguments, **options)
    if operation is aten._to_copy.default and call.results[0] is not None:
        return partial(aten.copy_.default, call.results[0], arguments[0])
    if operation in OUT_VARIANTS:
        other, more = OUT_VARIANTS[operation]
        return partial(other, *arguments, *more, out=call.results[0])
    variant = _out_variant(operation)
    if variant is None:
        return partial(_copied, partial(operation, *arguments, **options), call.results)
    other, names = variant
    return partial(other, *arguments, **options, **dict(zip(names, call.results, strict=True)))


def _copied(operation: Callable[[], Any], targets: Sequence[Tensor | None]) -> None:
    """Call an operation that has no out variant, and copy its results to the targets."""
    made = operation()
    for target, result in zip(targets, made if isinstance(made, (tuple, list)) else (made,), strict=True):
        if target is not None:
            target.copy_(result)


@cache
def _out_variant(operation: OpOverload) -> tuple[OpOverload, tuple[str, ...]] | None:
    """Return the operation's out variant and the names of its out arguments; None without one.

    ``aten.mm`` has ``aten.mm.out(self, mat2, *, out)``. A variant that torch's build has generated gains nothing: it
    computes as always, allocates, and then copies.
    """
    packet, wanted = operation.overloadpacket, [(one.name, str(one.type)) for one in operation._schema.arguments]
    for other in (getattr(packet, name) for name in packet.overloads()):
        arguments = other._schema.arguments
        names = tuple(one.name for one in arguments if one.is_out)
        rest = [(one.name, str(one.type)) for one in arguments if not one.is_out]
        if names and rest == wanted and torch.Tag.generated not in other.tags:
            return other, names
    return None
