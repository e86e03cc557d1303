"""Compare the compiled kernels with torch's on a few hundred numbers, and measure both."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from actbench.nn.activations import function_of
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
            torch.autograd.grad(function(leaf), leaf, da)
        torch.autograd.grad(functional.cross_entropy(loss_leaf, labels), loss_leaf)

    best = {"native": math.inf, "torch": math.inf}
    with torch.enable_grad():
        for _ in range(ROUNDS):
            for name, work in (("native", native), ("torch", by_torch)):
                began = time.perf_counter()
                work()
                best[name] = min(best[name], time.perf_counter() - began)
    return best


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
    a, dz = torch.empty_like(z), torch.empty_like(z)
    _forward(kernels, chosen, z, a)
    _backward(kernels, chosen, z, da, dz)
    leaf = z.double().requires_grad_()
    exact = function_of(chosen)(leaf)
    (slope,) = torch.autograd.grad(exact, leaf, da.double())
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
    loss, slope = torch.empty(()), torch.empty_like(logits)
    pointers = logits.data_ptr(), labels.data_ptr(), loss.data_ptr(), slope.data_ptr()
    kernels["cross_entropy"](*pointers, *logits.shape)
    return loss, slope


def _normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
