"""Compiled sums and poolings: the numbers of torch, where they apply, whatever the shape."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from actbench.nn import layers
from actbench.nn.native import functions, library


@pytest.fixture(autouse=True)
def _kernels() -> Iterator[None]:
    if library.load() is None:
        pytest.skip(library.remembered().reason)
    with library.use_kernels(library.load()):
        yield


def images(*shape: int, dtype: torch.dtype) -> Tensor:
    """Whole numbers, so that many windows hold their maximum twice; channels last."""
    found = (2 * torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))).round().to(dtype)
    return found.contiguous(memory_format=torch.channels_last)


SHAPES = [(5, 32, 32, 32), (3, 7, 9, 11), (2, 3, 9, 9), (1, 2, 4, 6), (2, 17, 3, 3)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_maxima_and_their_slopes_are_torchs_ties_and_nan_included(
    dtype: torch.dtype, shape: tuple[int, ...], size: int
) -> None:
    x = images(*shape, dtype=dtype)
    x[0, 0, 0, 0] = x[-1, -1, 1, 1] = torch.nan
    own, theirs = (x.clone(memory_format=torch.preserve_format).requires_grad_() for _ in range(2))
    assert functions.has_max_pool(own, size)
    found, expected = functions.max_pool(own, size), F.max_pool2d(theirs, size)
    slope = torch.randn_like(expected)
    found.backward(slope)
    expected.backward(slope)
    assert torch.equal(found.nan_to_num(77), expected.nan_to_num(77))
    assert torch.equal(own.grad, theirs.grad)  # type: ignore[arg-type]
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_pooling_takes_torchs_way_where_the_kernel_does_not_apply() -> None:
    plain = torch.randn(2, 3, 8, 8)
    assert not functions.has_max_pool(plain, 2)  # channels first
    assert not functions.has_max_pool(plain.double().contiguous(memory_format=torch.channels_last), 2)
    assert not functions.has_max_pool(images(2, 3, 32, 32, dtype=torch.float32), 16)  # a place needs more than a byte
    with library.use_kernels(None):
        assert not functions.has_max_pool(images(2, 3, 8, 8, dtype=torch.float32), 2)


def test_a_layer_pools_runs_as_each_alone() -> None:
    x = images(6, 5, 8, 8, dtype=torch.float32)
    together = layers.max_pool2d(torch.unflatten(x, 0, (3, 2)), 2)
    for run in range(3):
        assert torch.equal(together[run], F.max_pool2d(x[2 * run : 2 * run + 2], 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 1), (128, 256), (33, 7), (257, 10)], ids=str)
def test_sums_of_rows_are_those_of_double_precision(dtype: torch.dtype, shape: tuple[int, int]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    found = torch.full(shape[1:], torch.nan)
    functions.sum_rows(x, found)
    assert torch.allclose(found.double(), x.double().sum(0), rtol=1e-6, atol=1e-5)


def test_sums_of_rows_keep_nan_in_its_column_and_double_precision_where_it_is() -> None:
    x = torch.ones(4, 3)
    x[2, 1] = torch.nan
    found = torch.empty(3)
    functions.sum_rows(x, found)
    assert found.isnan().tolist() == [False, True, False]
    exact = torch.empty(3, dtype=torch.float64)
    functions.sum_rows(x.double() / 3, exact)
    assert torch.equal(exact[[0, 2]], (x.double() / 3).sum(0)[[0, 2]])


def test_an_activation_of_an_expanded_tensor_and_a_slope_in_another_layout_are_right() -> None:
    z = torch.randn(1, 4).expand(3, 4)
    assert torch.allclose(functions.activation(z, 1, 0.0), torch.relu(z))
    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
    a, da = functions.activation(x, 1, 0.0), torch.randn(2, 3, 4, 4)  # channels first
    (found,) = torch.autograd.grad(a, x, da)
    assert torch.equal(found, da * (x > 0))
