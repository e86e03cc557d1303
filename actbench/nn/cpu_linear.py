"""Compute the matrix products of dense layers on a CPU run by run: y_r = x_r W_rᵀ + b_r and its gradients.

Every matrix product of a run is done with the call, and from operands that lie in memory, as if the run were alone: a
product of many runs is split into other blocks, and last bits move (``nn.alignment`` explains and measures it).

Which library computes is the process's choice (``use_library``): torch's default, or oneDNN, which is twice as fast as
MKL on processors that MKL was not written for. ``nn.cpu_library`` makes that choice once per machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from actbench.nn.alignment import begins_on_lines, runs_on_lines
from actbench.nn.native.functions import sum_rows


@dataclass(frozen=True)
class Library:
    """Name one library's matrix products; each writes into ``out``, its last argument.

    Args:
        forward: x (B, in), weight (out, in), bias (out,) or None -> (B, out).
        input_gradient: dy (B, out), weight (out, in) -> (B, in).
        weight_gradient: dy (B, out), x (B, in) -> (out, in).
    """

    forward: Callable[[Tensor, Tensor, Tensor | None, Tensor], object]
    input_gradient: Callable[[Tensor, Tensor, Tensor], object]
    weight_gradient: Callable[[Tensor, Tensor, Tensor], object]


def _default_forward(x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> object:
    return torch.mm(x, weight.t(), out=out) if bias is None else torch.addmm(bias, x, weight.t(), out=out)


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> object:
    """Compute x weightᵀ + bias with oneDNN, whose inner product takes float32 alone.

    It reads transposed views at full speed, so the gradients need no copies, but has no out variant.
    """
    if x.dtype is not torch.float32:
        return _default_forward(x, weight, bias, out)
    return out.copy_(torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], ""))


LIBRARIES = {
    "default": Library(
        forward=_default_forward,
        input_gradient=lambda dy, weight, out: torch.mm(dy, weight, out=out),
        weight_gradient=lambda dy, x, out: torch.mm(dy.t(), x, out=out),
    ),
    "onednn": Library(
        forward=_onednn,
        input_gradient=lambda dy, weight, out: _onednn(dy, weight.t(), None, out),
        weight_gradient=lambda dy, x, out: _onednn(dy.t(), x.t(), None, out),
    ),
}
"""The choices of ``--products``."""

_library = "default"
_slots: dict[int, Tensor] = {}
"""Slots: memory set aside for the gradient of the next use of a leaf, by the leaf's ``id``."""


@contextmanager
def use_library(name: str) -> Iterator[None]:
    """Compute with this one of ``LIBRARIES`` while the context lasts."""
    global _library
    before, _library = _library, name
    try:
        yield
    finally:
        _library = before


def library_in_use() -> str:
    """Return the name of the library in use."""
    return _library


def offer_slot(leaf: Tensor, slot: Tensor) -> None:
    """Let the next use of this leaf compute its gradient in ``slot`` and make that the leaf's ``grad``.

    Saves allocating and touching fresh memory at every step. A second use of the leaf adds to it, as always.
    """
    _slots[id(leaf)] = slot


def withdraw_slots() -> None:
    """Forget the slots that were offered and not used; after a step, because another tensor may get the same ``id``."""
    _slots.clear()


def slots_offered() -> int:
    """Return the number of slots that are offered and not used; read by tests only."""
    return len(_slots)


def linear(x: Sequence[Tensor], weight: Tensor, bias: Tensor | None, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    """Compute ``layers.linear`` from and to parts (see ``nn.parts``).

    Args:
        x: (R_i, B, in) each, R runs in all.
        weight: (R, out, in).
        bias: (R, out) or None.
        sizes: Runs of each part of the result, R in all.

    Returns:
        (R_j, B, out) for each of the sizes, in the type of x. In bfloat16 the weights are cast once, forward, and their
        gradients are computed in bfloat16 and kept in the weights' own type.
    """
    return _Linear.apply(weight, bias, sizes, *x)  # type: ignore[no-any-return]


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor | None, sizes: Sequence[int], *x: Tensor) -> tuple[Tensor, ...]:
        cast = weight.to(x[0].dtype)  # the weights themselves, but for bfloat16, where backward needs the copy again
        ctx.save_for_backward(weight, bias, cast, *x)
        ctx.slots = tuple(_slots.pop(id(leaf), None) if leaf is not None else None for leaf in (weight, bias))
        y = tuple(x[0].new_empty(size, x[0].shape[1], weight.shape[1]) for size in sizes)
        biases = [None] * len(weight) if bias is None else runs_on_lines(bias.to(x[0].dtype))
        _run_by_run(LIBRARIES[_library].forward, y, _runs(x), runs_on_lines(cast), biases)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weight, bias, cast, *x = ctx.saved_tensors
        slopes, library = _runs([gradient.contiguous() for gradient in gradients]), LIBRARIES[_library]
        dx: list[Tensor | None] = [None] * len(x)
        dw = db = None
        if any(ctx.needs_input_grad[3:]):
            targets = [torch.empty(part.shape, dtype=part.dtype) for part in x]
            _run_by_run(library.input_gradient, targets, slopes, runs_on_lines(cast))
            dx = [*targets]
        if ctx.needs_input_grad[0]:
            target = _target(weight, ctx.slots[0])
            _run_by_run(library.weight_gradient, [target], slopes, _runs(x))
            dw = _delivered(target, weight, ctx.slots[0])
        if ctx.needs_input_grad[1]:
            target = _target(bias, ctx.slots[1])
            for slope, out in zip(slopes, target.unbind(), strict=True):
                sum_rows(slope, out)
            db = _delivered(target, bias, ctx.slots[1])
        return dw, db, None, *dx


def _target(leaf: Tensor, slot: Tensor | None) -> Tensor:
    """Return memory for a leaf's gradient: the slot, unless an earlier use of the leaf has filled it in this step."""
    return torch.empty_like(leaf) if slot is None or leaf.grad is not None else slot


def _delivered(target: Tensor, leaf: Tensor, slot: Tensor | None) -> Tensor | None:
    """Return what autograd still has to add to the leaf's gradient: nothing where the gradient lies in its slot."""
    if target is not slot:
        return target
    # Autograd would copy or keep what ``backward`` returns. Setting ``grad`` here and returning None leaves the slot as
    # the gradient itself; hooks on the leaf see nothing of it.
    leaf.grad = target
    return None


def _run_by_run(product: Callable[..., object], targets: Sequence[Tensor], *operands: Sequence[Tensor | None]) -> None:
    """Compute one product per run, into the run's share of the targets (R_i, …), in the type of the operands."""
    rows = zip(*operands, strict=True)
    for target in targets:
        on_lines = begins_on_lines(target)
        for out in target.unbind():
            row = next(rows)
            assert row[0] is not None
            if on_lines and row[0].dtype is out.dtype:
                product(*row, out)
            else:
                fresh = torch.empty_like(out, dtype=row[0].dtype)
                product(*row, fresh)
                out.copy_(fresh)


def _runs(parts: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the runs of all the parts, each from a cache line on."""
    return runs_on_lines(parts[0]) if len(parts) == 1 else [run for part in parts for run in runs_on_lines(part)]
