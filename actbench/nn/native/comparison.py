"""Compare the compiled kernels with torch's on a few hundred numbers, and measure both."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from actbench.nn.chosen_activations import function_of
from actbench.nn.native.activation_codes import CODES, OPTION, code_of
from actbench.schema.components import Component, resolve

TOLERANCE = {torch.float32: 4e-6, torch.bfloat16: 2e-2}
"""Largest difference, absolute and relative, that rounding explains. (tests/nn/test_native_activations.py has the tight
bounds, number by number; here a compiler that computes wrongly is to be found.)"""

SHAPE = (128, 256)
"""Examples and units of the activations that are timed; the loss is that of ten classes."""

TIMED = ("relu", "elu", "gelu")
"""Activations that are timed with their derivatives, beside the loss: one of each kind of cost."""

ROUNDS = 20
"""The kernels take turns in so many rounds, and the best one counts: a busy machine only adds time."""

OTHER_OPTION = 0.5
"""A value of each option that is not its default."""


def differences(kernels: Mapping[str, Callable[..., None]]) -> Iterator[str]:
    """Yield each way in which the kernels differ from torch by more than rounding; nothing where they are right."""
    with torch.enable_grad():
        for chosen in _activations():
            for dtype in TOLERANCE:
                yield from _activation_differences(kernels, chosen, dtype)
        yield from _loss_differences(kernels)
        for dtype in TOLERANCE:
            yield from _sum_differences(kernels, dtype)
            yield from _pooling_differences(kernels, dtype)
        yield from _unit_differences(kernels)


def measure(kernels: Mapping[str, Callable[..., None]]) -> dict[str, float]:
    """Return the seconds of ``TIMED``, forward and backward, and the loss with its slope: ``native`` and ``torch``."""
    z, da = (_normal(*SHAPE, seed=seed) for seed in (1, 2))
    logits, labels = _normal(SHAPE[0], 10, seed=3), torch.arange(SHAPE[0]) % 10
    chosen = [resolve("activations", name) for name in TIMED]
    a, dz = torch.empty_like(z), torch.empty_like(z)

    def native() -> None:
        for one in chosen:
            _forward(kernels, one, z, a)
            _backward(kernels, one, z, da, dz)
        _loss(kernels, logits, labels)

    functions = [function_of(one) for one in chosen]
    leaf, loss_leaf = z.requires_grad_(), logits.requires_grad_()

    def by_torch() -> None:
        for function in functions:
            torch.autograd.grad(_Weighed.apply(function(leaf), da), leaf)
        torch.autograd.grad(functional.cross_entropy(loss_leaf, labels), loss_leaf)

    best = {"native": math.inf, "torch": math.inf}
    with torch.enable_grad():
        for _ in range(ROUNDS):
            for name, work in (("native", native), ("torch", by_torch)):
                began = time.perf_counter()
                work()
                best[name] = min(best[name], time.perf_counter() - began)
    return best


class _Weighed(torch.autograd.Function):
    """Stand for a number whose gradient with respect to ``output`` is ``slope``, without computing it.

    To hand ``slope`` to ``torch.autograd.grad`` itself would import sympy, in the first process of a machine.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return output.new_zeros(())

    @staticmethod
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return slope, None


def _activations() -> Iterator[Component]:
    for name in CODES:
        yield resolve("activations", name)
        if name in OPTION:
            yield resolve("activations", {"name": name, OPTION[name]: OTHER_OPTION})


def _activation_differences(
    kernels: Mapping[str, Callable[..., None]], chosen: Component, dtype: torch.dtype
) -> Iterator[str]:
    z = torch.cat([torch.linspace(-12, 12, 301), torch.tensor([math.nan, math.inf, -math.inf])]).to(dtype)
    da = torch.linspace(-1, 1, len(z)).to(dtype)
    a, dz = _unwritten(z), _unwritten(z)
    _forward(kernels, chosen, z, a)
    _backward(kernels, chosen, z, da, dz)
    leaf = z.double().requires_grad_()
    exact = function_of(chosen)(leaf)
    (slope,) = torch.autograd.grad(_Weighed.apply(exact, da.double()), leaf)
    if not a[-3].isnan():
        yield f"{chosen.label} of NaN is {a[-3].item()}"
    # Behind the 301 numbers stand those that are not finite, whose slopes torch's own kernels don't agree about.
    for name, found, right in (("value", a, exact), ("slope", dz, slope)):
        if not _is_near(found[:-3], right[:-3]):
            yield f"{name} of {chosen.label} in {dtype}"
    for found, right in zip(a[-2:].tolist(), exact[-2:].tolist(), strict=True):
        if math.isfinite(found) and not math.isclose(found, right, rel_tol=TOLERANCE[dtype]):
            yield f"{chosen.label} of an infinite number is {found}"


def _loss_differences(kernels: Mapping[str, Callable[..., None]]) -> Iterator[str]:
    for classes in (2, 10, 37):
        logits, labels = 5 * _normal(17, classes, seed=classes), torch.arange(17) % classes
        loss, slope = _loss(kernels, logits, labels)
        leaf = logits.double().requires_grad_()
        exact = functional.cross_entropy(leaf, labels)
        (right,) = torch.autograd.grad(exact, leaf)
        if not _is_near(loss, exact) or not _is_near(slope, right):
            yield f"the loss of {classes} classes"
        logits[3, 1] = math.nan
        if not _loss(kernels, logits, labels)[0].isnan():
            yield "the loss of NaN"


def _sum_differences(kernels: Mapping[str, Callable[..., None]], dtype: torch.dtype) -> Iterator[str]:
    x, sums = _normal(17, 37, seed=1).to(dtype), torch.full((37,), math.nan)
    kernels["column_sums"](dtype is torch.bfloat16, x.data_ptr(), sums.data_ptr(), *x.shape)
    if not _is_near(sums, x.double().sum(0)):
        yield f"sums in {dtype}"


def _pooling_differences(kernels: Mapping[str, Callable[..., None]], dtype: torch.dtype) -> Iterator[str]:
    """Compare maxima over windows of 2 × 2 and their slopes, which are copies: equal to the last bit."""
    x = _normal(2, 5, 6, 9, seed=2).to(dtype, memory_format=torch.channels_last)
    images, channels, height, width = x.shape
    leaf = x.clone().requires_grad_()
    right = functional.max_pool2d(leaf, 2)
    slope = _normal(*right.shape, seed=3).to(dtype, memory_format=torch.channels_last)
    (right_slope,) = torch.autograd.grad(_Weighed.apply(right, slope), leaf)
    found, place, dx = _unwritten(slope), torch.zeros_like(slope, dtype=torch.uint8), _unwritten(x)
    sizes = images, height, width, channels, 2
    half = dtype is torch.bfloat16
    kernels["max_pool"](half, x.data_ptr(), found.data_ptr(), place.data_ptr(), *sizes)
    kernels["max_pool_backward"](half, slope.data_ptr(), place.data_ptr(), dx.data_ptr(), *sizes)
    if not torch.equal(found, right) or not torch.equal(dx, right_slope):
        yield f"pooling in {dtype}"


def _unit_differences(kernels: Mapping[str, Callable[..., None]]) -> Iterator[str]:
    """Compare five statistics of tanh units: mean and largest z, largest f′, the counts of z > 0 and of f′ ≤ 1/2."""
    z = _normal(37, 21, seed=6)
    rows, units = z.shape
    state, slopes = torch.zeros(13, units, dtype=torch.float64), torch.zeros(units)
    kernels["observe_units"](
        CODES["tanh"], 0.0, 0.5, z.data_ptr(), 1, rows, units, 0, units, 1, 1, 1,
        state.data_ptr(), slopes.data_ptr(), 0, None, None,
    )  # fmt: skip
    exact = z.double()
    slope = 1 - exact.tanh().square()
    z_first, z_sum, z_max, flat, positive = state[[0, 1, 7, 10, 11]]
    pairs = {
        "mean": (z_first + z_sum / rows, exact.mean(0)),
        "largest": (z_max, exact.abs().amax(0)),
        "flat": (flat, (slope <= 0.5).sum(0).double()),
        "positive": (positive, (exact > 0).sum(0).double()),
        "slope": (slopes, slope.amax(0)),
    }
    for name, (found, right) in pairs.items():
        if not torch.allclose(found.double(), right, rtol=1e-5, atol=1e-6):
            yield f"{name} of units"


def _is_near(found: Tensor, exact: Tensor) -> bool:
    tolerance = TOLERANCE[found.dtype]
    return torch.allclose(found.double(), exact, rtol=tolerance, atol=tolerance)


def _forward(kernels: Mapping[str, Callable[..., None]], chosen: Component, z: Tensor, a: Tensor) -> None:
    code, option = _code(chosen)
    kernels["activate"](code, option, z.dtype is torch.bfloat16, z.data_ptr(), a.data_ptr(), z.numel())


def _backward(kernels: Mapping[str, Callable[..., None]], chosen: Component, z: Tensor, da: Tensor, dz: Tensor) -> None:
    code, option = _code(chosen)
    pointers = z.data_ptr(), da.data_ptr(), dz.data_ptr()
    kernels["activate_backward"](code, option, z.dtype is torch.bfloat16, *pointers, z.numel())


def _code(chosen: Component) -> tuple[int, float]:
    found = code_of(chosen)
    assert found is not None, chosen
    return found


def _loss(kernels: Mapping[str, Callable[..., None]], logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    loss, slope = torch.full((), math.nan), _unwritten(logits)
    pointers = logits.data_ptr(), labels.data_ptr(), loss.data_ptr(), slope.data_ptr()
    kernels["cross_entropy"](*pointers, *logits.shape)
    return loss, slope


def _unwritten(x: Tensor) -> Tensor:
    """Return memory for a result like x: NaN, so that none is taken for right that was never written."""
    return torch.full_like(x, math.nan)


def _normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
