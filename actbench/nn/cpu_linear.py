"""The dense product on a CPU, run by run: y_r = x_r W_rᵀ + b_r and its two gradients.

Every product of a run is done with the call, and from operands that lie in memory, as if the run were alone: a product
of many runs picks other blockings, and one whose operands start elsewhere other instructions, and last bits move.

Which library does it is the process's choice (``use``): torch's own default, or oneDNN, which is twice as fast as MKL
on processors that MKL was not written for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

CACHE_LINE = 64
"""Bytes; torch's own allocations start on one."""


@dataclass(frozen=True)
class Products:
    """One library's products; each writes into ``out``, its last argument.

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
    """The inner product of oneDNN takes float32 alone, reads transposed views at full speed and has no ``out``."""
    if x.dtype is not torch.float32:
        return _default_forward(x, weight, bias, out)
    return out.copy_(torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], ""))


PRODUCTS = {
    "default": Products(
        forward=_default_forward,
        input_gradient=lambda dy, weight, out: torch.mm(dy, weight, out=out),
        weight_gradient=lambda dy, x, out: torch.mm(dy.t(), x, out=out),
    ),
    "onednn": Products(
        forward=_onednn,
        input_gradient=lambda dy, weight, out: _onednn(dy, weight.t(), None, out),
        weight_gradient=lambda dy, x, out: _onednn(dy.t(), x.t(), None, out),
    ),
}

_chosen = "default"
_places: dict[int, Tensor] = {}
"""Where the gradient of the next use of a weight belongs, by the weight's ``id``."""


@contextmanager
def use(name: str) -> Iterator[None]:
    """Compute with these of ``PRODUCTS`` while the context lasts."""
    global _chosen
    before, _chosen = _chosen, name
    try:
        yield
    finally:
        _chosen = before


def in_use() -> str:
    """The name of the products in use."""
    return _chosen


def offer(weight: Tensor, place: Tensor) -> None:
    """Let the next use of this leaf put its gradient into ``place`` and make that the leaf's ``grad``.

    Saves allocating and touching fresh memory at every step. A second use of the leaf adds to it, as always.
    """
    _places[id(weight)] = place


def withdraw() -> None:
    """Take back what has been offered and not used."""
    _places.clear()


def offered() -> int:
    """How many places are offered and not used."""
    return len(_places)


def linear(x: Sequence[Tensor], weight: Tensor, bias: Tensor | None, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    """As ``layers.linear``, from and to parts: neighbouring runs in one tensor each.

    Args:
        x: (R_i, B, in) each, R runs in all.
        weight: (R, out, in).
        bias: (R, out) or None.
        sizes: Runs of each part of the result, R in all.

    Returns:
        (R_j, B, out) for each of the sizes.
    """
    return _Linear.apply(weight, bias, sizes, *x)  # type: ignore[no-any-return]


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor | None, sizes: Sequence[int], *x: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(weight, bias, *x)
        ctx.places = tuple(_places.pop(id(leaf), None) if leaf is not None else None for leaf in (weight, bias))
        y = tuple(weight.new_empty(size, x[0].shape[1], weight.shape[1]) for size in sizes)
        biases = [None] * len(weight) if bias is None else _as_if_alone(bias)
        _each(PRODUCTS[_chosen].forward, y, _runs(x), _as_if_alone(weight), biases)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weight, bias, *x = ctx.saved_tensors
        slopes, products = _runs([gradient.contiguous() for gradient in gradients]), PRODUCTS[_chosen]
        dx: list[Tensor | None] = [None] * len(x)
        dw = db = None
        if any(ctx.needs_input_grad[3:]):
            targets = [torch.empty(part.shape, dtype=part.dtype) for part in x]
            _each(products.input_gradient, targets, slopes, _as_if_alone(weight))
            dx = [*targets]
        if ctx.needs_input_grad[0]:
            target = _target(weight, ctx.places[0])
            _each(products.weight_gradient, [target], slopes, _runs(x))
            dw = _delivered(target, weight, ctx.places[0])
        if ctx.needs_input_grad[1]:
            target = _target(bias, ctx.places[1])
            for slope, out in zip(slopes, target.unbind(), strict=True):
                torch.sum(slope, 0, out=out)
            db = _delivered(target, bias, ctx.places[1])
        return dw, db, None, *dx


def _target(leaf: Tensor, place: Tensor | None) -> Tensor:
    """Where the gradient of the leaf is computed: in the place offered, unless an earlier use has filled it."""
    return torch.empty_like(leaf) if place is None or leaf.grad is not None else place


def _delivered(target: Tensor, leaf: Tensor, place: Tensor | None) -> Tensor | None:
    """What autograd still has to add to the leaf's gradient: nothing where it lies in its place."""
    if target is not place:
        return target
    leaf.grad = target
    return None


def _each(product: Callable[..., object], targets: Sequence[Tensor], *operands: Sequence[Tensor | None]) -> None:
    """One product a run, into the run's part of the targets (R_i, …)."""
    rows = zip(*operands, strict=True)
    for target in targets:
        aligned = _lies_aligned(target)
        for out in target.unbind():
            if aligned:
                product(*next(rows), out)
            else:
                fresh = torch.empty_like(out)
                product(*next(rows), fresh)
                out.copy_(fresh)


def _runs(parts: Sequence[Tensor]) -> Sequence[Tensor]:
    return _as_if_alone(parts[0]) if len(parts) == 1 else [run for part in parts for run in _as_if_alone(part)]


def _as_if_alone(x: Tensor) -> Sequence[Tensor]:
    """The runs of (R, …), those that start off a cache line copied to one: results depend on where operands lie."""
    runs = x.unbind()
    if _lies_aligned(x):
        return runs
    return [run if run.data_ptr() % CACHE_LINE == 0 else run.clone() for run in runs]


def _lies_aligned(x: Tensor) -> bool:
    return x.data_ptr() % CACHE_LINE == 0 and x.stride(0) * x.element_size() % CACHE_LINE == 0
