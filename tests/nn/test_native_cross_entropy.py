"""The compiled loss and its slope: torch's numbers in float64."""

from __future__ import annotations

import math

import pytest
import torch
from native_kernels import bits, cross_entropy, needs_kernels
from torch import Tensor
from torch.nn import functional

pytestmark = needs_kernels


def drawn(examples: int, classes: int, *, width: float = 4.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(examples * 1009 + classes)
    logits = width * torch.randn(examples, classes, generator=generator)
    return logits, torch.randint(classes, (examples,), generator=generator)


def by_torch(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    leaf = logits.double().requires_grad_()
    loss = functional.cross_entropy(leaf, labels)
    (slope,) = torch.autograd.grad(loss, leaf)
    return loss.detach(), slope


@pytest.mark.parametrize("classes", [2, 10, 100, 1000])
@pytest.mark.parametrize("examples", [1, 2, 3, 17, 128, 257])
@pytest.mark.parametrize("width", [1.0, 30.0])
def test_loss_and_slope_are_torchs_in_float64(examples: int, classes: int, width: float) -> None:
    logits, labels = drawn(examples, classes, width=width)
    (loss, slope), (exact, right) = cross_entropy(logits, labels), by_torch(logits, labels)
    assert abs(loss.double() - exact) <= 3e-7 * (1 + exact)
    # A softmax is off by rounding of logits' differences: 6e-8 of their size, and 30 sigma here.
    assert ((slope.double() - right).abs() * examples <= 2e-7 + 1e-6 * (right * examples).abs() * width).all()


def test_large_logits_neither_overflow_nor_lose_the_loss() -> None:
    logits, labels = drawn(17, 10)
    logits[::2, 3], logits[1::2, 7], labels[4], labels[5] = 1e4, -1e4, 3, 7
    (loss, slope), (exact, right) = cross_entropy(logits, labels), by_torch(logits, labels)
    assert loss.item() == pytest.approx(exact.item(), rel=1e-6)
    assert torch.allclose(slope.double(), right, atol=1e-7)


@pytest.mark.parametrize("place", [0, 1, 4, 9])
@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_give_torchs_loss_and_slope(odd: float, place: int) -> None:
    """NaN and +inf make the example's slope and the loss NaN; -inf is a class of probability 0."""
    logits, labels = drawn(5, 10)
    logits[2, place], labels[2] = odd, 4
    (loss, slope), (exact, right) = cross_entropy(logits, labels), by_torch(logits, labels)
    assert torch.allclose(loss.double(), exact, rtol=1e-6, equal_nan=True)
    assert torch.allclose(slope.double(), right, atol=1e-7, equal_nan=True)


def test_an_example_with_no_finite_logit_is_nan() -> None:
    logits, labels = drawn(3, 4)
    logits[1] = -math.inf
    loss, slope = cross_entropy(logits, labels)
    assert loss.isnan()
    assert slope[1].isnan().all()
    assert slope[[0, 2]].isfinite().all()


def test_an_examples_slope_does_not_depend_on_its_place_in_the_batch() -> None:
    logits, labels = drawn(16, 10)
    _, slope = cross_entropy(logits, labels)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(2))
    _, moved = cross_entropy(logits[order].contiguous(), labels[order].contiguous())
    assert bits(moved) == bits(slope[order])


def test_slopes_of_an_example_add_up_to_nothing() -> None:
    _, slope = cross_entropy(*drawn(128, 10))
    assert slope.double().sum(1).abs().max() < 1e-8
