"""Units that are followed, held against the units that a number depends on, found by changing one after another.

The oracle knows no table of functions: it carries the steps out again with the numbers of one channel drawn anew, and
looks at which results differ. Numbers that depend on the same channels are one unit. Where weights are multiplied the
units are new: numbers are one unit if they depend on the same entries of the weight.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from math import prod

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actbench.errors import ModelError, UsageError
from actbench.nn.unit_axes.labels import Labels, Status
from actbench.nn.unit_axes.layout import UnitLayout, unit_layout
from actbench.nn.unit_axes.products import Factor, equation, product
from actbench.nn.unit_axes.tracker import FollowedPass

Steps = Callable[[Tensor], Tensor]
Partition = Collection[frozenset[int]]

EXAMPLES, CHANNELS, HEIGHT, WIDTH = 2, 6, 4, 3
X = torch.rand(EXAMPLES, 2, HEIGHT, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
WEIGHT = nn.Parameter(torch.rand(CHANNELS, 2, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
MATRIX = nn.Parameter(torch.rand(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(5)))
GAIN = nn.Parameter(torch.rand(6, dtype=torch.float64, generator=torch.Generator().manual_seed(8)))
GATES = nn.Parameter(torch.rand(20, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(9)))
SQUARE = nn.Parameter(torch.rand(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(6)))
BLOCKS = nn.Parameter(torch.rand(2, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(7)))
PARAMETERS = [WEIGHT, GATES, GAIN, MATRIX, SQUARE, BLOCKS]
GRID = torch.rand(EXAMPLES, 5, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) - 0.5
ORDER = torch.tensor([3, 0, 5, 1, 4, 2])
ROWS = torch.tensor([0, 1, 1, 0])
ODD = torch.arange(EXAMPLES * CHANNELS * HEIGHT * WIDTH).view(EXAMPLES, CHANNELS, HEIGHT, WIDTH) % 2 == 1


def followed(steps: Steps) -> tuple[UnitLayout, Tensor]:
    """Return the layout of the result of these steps after a convolution, and the result."""
    with torch.no_grad():
        follow = FollowedPass(PARAMETERS, [GRID], [X])
        with follow:
            z = steps(F.conv2d(X, WEIGHT))
        return follow.layout_of(z, None), z


def numbers_of_units(layout: UnitLayout, z: Tensor) -> list[frozenset[int]]:
    """Return the places of each unit's numbers in the flattened result, units in the order of the layout."""
    places = torch.arange(z.numel()).view(z.shape).double()
    units = [
        frozenset(map(int, part[0, :, unit].flatten()))
        for part in layout.to_units(places)
        for unit in range(part.shape[2])
    ]
    return units if layout.order is None else [units[place] for place in layout.order]


def depending(run: Callable[[Tensor], Tensor], given: Tensor, parts: list[tuple[object, ...]]) -> Partition:
    """Return the places of the result's numbers that depend on the same parts of an argument, each such set."""
    generator = torch.Generator().manual_seed(4)

    def drawn() -> Tensor:
        return torch.randn(given.shape, dtype=given.dtype, generator=generator) * 3

    found: list[Tensor] = []
    with torch.no_grad():
        for part in parts:
            differ = torch.tensor(False)
            for _ in range(12):  # a maximum passes on one number, another one in each draw
                before = drawn()
                after = before.clone()
                after[part] = drawn()[part]
                differ = differ | (run(before.clone()) != run(after)).flatten()
            found.append(differ)
    sets: dict[tuple[bool, ...], set[int]] = {}
    for place, on in enumerate(torch.stack(found, 1).tolist()):
        if any(on):
            sets.setdefault(tuple(on), set()).add(place)
    return {frozenset(places) for places in sets.values()}


def by_channel(steps: Steps) -> Partition:
    shape = (EXAMPLES, CHANNELS, HEIGHT, WIDTH)
    return depending(
        lambda h: steps(h).clone(),
        torch.zeros(shape, dtype=torch.float64),
        [(slice(None), one) for one in range(CHANNELS)],
    )


def filters(h: Tensor) -> Tensor:
    """Return a filter of each channel, for images of two channels."""
    return h.mean((0, 2, 3)).view(CHANNELS, 1, 1, 1).expand(CHANNELS, 2, 1, 1)


def lost(h: Tensor) -> Tensor:
    """Return numbers made of several channels each, by a function that mixes them."""
    return torch.fft.fft(h, dim=1).abs()


def written(write: Callable[[Tensor, Tensor], object]) -> Steps:
    """Return steps that write a signal into zeros."""

    def steps(h: Tensor) -> Tensor:
        target = torch.zeros(2, 7, 4, 3, dtype=torch.float64)
        write(target, h)
        return target

    return steps


FOLLOWED: dict[str, Steps] = {
    "norm(2, 3)": lambda h: h.norm(2, 3),
    "norm of two dimensions": lambda h: h.norm(1, (2, 3)),
    "norm(dim=2)": lambda h: h.norm(dim=2),
    "vector_norm": lambda h: torch.linalg.vector_norm(h, 2, 2),
    "vector_norm of two, kept": lambda h: torch.linalg.vector_norm(h, dim=(2, 3), keepdim=True),
    "kthvalue(1, 2)": lambda h: h.kthvalue(1, 2)[0],
    "kthvalue(2)": lambda h: h.kthvalue(2)[0],
    "quantile(0.5, 2)": lambda h: h.quantile(0.5, 2),
    "nanquantile, kept": lambda h: h.nanquantile(0.5, dim=3, keepdim=True),
    "mode()": lambda h: h.mode()[0],
    "mode(2)": lambda h: h.mode(2)[0],
    "aminmax": lambda h: h.aminmax(dim=2)[1],
    "std over positions": lambda h: h.std((2, 3)),
    "std of all": lambda h: h.std(True),
    "sum of all": lambda h: h.sum(),
    "sum over the channels": lambda h: h.sum(1),
    "sum over negative dimensions": lambda h: h.sum((-1, -2)),
    "sum, kept": lambda h: h.sum(-2, keepdim=True),
    "var_mean": lambda h: torch.var_mean(h, 2)[0],
    "std_mean": lambda h: torch.std_mean(h, 3)[0],
    "prod": lambda h: h.prod(2),
    "logsumexp": lambda h: h.logsumexp((2, 3), True),
    "median": lambda h: h.median(2)[0],
    "min of one dimension": lambda h: h.min(2)[0],
    "the larger of two": lambda h: torch.max(h, h.roll(1, 2)),
    "the smaller of two": lambda h: h.flip(3).min(h),
    "halves added": lambda h: h.view(2, 2, 3, 4, 3).sum(1),
    "neighbours added": lambda h: h.view(2, 3, 2, 4, 3).mean(2),
    "sort(2)": lambda h: h.sort(2)[0],
    "sort()": lambda h: h.sort()[0],
    "sort by keyword": lambda h: torch.sort(h, stable=True, dim=2)[0],
    "topk(2)": lambda h: h.topk(2)[0],
    "topk(2, 2)": lambda h: h.topk(2, 2)[0],
    "topk by keyword": lambda h: h.topk(2, dim=-2)[0],
    "msort of positions first": lambda h: h.movedim(2, 0).msort(),
    "avg_pool2d": lambda h: F.avg_pool2d(h, 2),
    "avg_pool of single channels": lambda h: F.avg_pool1d(h.flatten(2).mT, 1),
    "avg_pool with padding of single channels": lambda h: F.avg_pool2d(h.movedim(1, 3), (2, 1), padding=(1, 0)),
    "max_pool2d of positions": lambda h: F.max_pool2d(h, 2),
    "max_pool2d of channels and positions": lambda h: F.max_pool2d(h.transpose(1, 2), (2, 3)),
    "max_pool1d of channels with indices": lambda h: F.max_pool1d(h.flatten(2).mT, 3, return_indices=True)[0],
    "max_pool3d of channels": lambda h: F.max_pool3d(h[:, None], (2, 1, 1)),
    "lp_pool2d": lambda h: F.lp_pool2d(h, 2, 2),
    "adaptive_max_pool2d": lambda h: F.adaptive_max_pool2d(h, (2, 1)),
    "adaptive_avg_pool1d": lambda h: F.adaptive_avg_pool1d(h.flatten(2), 5),
    "fractional_max_pool2d of positions": lambda h: F.fractional_max_pool2d(
        h, 2, output_size=1, _random_samples=torch.full((2, 6, 2), 0.5, dtype=torch.float64)
    ),
    "interpolation to the nearest channel": lambda h: F.interpolate(h.flatten(2).mT, size=12),
    "bilinear interpolation of positions": lambda h: F.interpolate(h, size=(5, 4), mode="bilinear"),
    "grid_sample": lambda h: F.grid_sample(h, GRID, align_corners=False),
    "index_add of positions": lambda h: torch.zeros(2, 6, 2, 3).double().index_add(2, ROWS, h),
    "index_add of channels in another order": lambda h: torch.zeros_like(h).index_add(1, ORDER, h),
    "index_add to every other channel": lambda h: torch.zeros(2, 12, 4, 3).double().index_add(1, ORDER * 2, h),
    "scatter_add of channels in another order": lambda h: torch.zeros_like(h).scatter_add(
        1, ORDER[None, :, None, None].expand(h.shape), h
    ),
    "scatter_reduce of positions": lambda h: torch.zeros_like(h).scatter_reduce(
        2, ROWS[None, None, :, None].expand(h.shape), h, "sum", include_self=False
    ),
    "fold of windows": lambda h: F.fold(F.unfold(h, 2, padding=1), (4, 3), 2, padding=1),
    "padding of channels": lambda h: F.pad(h, (0, 0, 0, 0, 1, 2)),
    "padding with a number": lambda h: F.pad(h, (1, 0, 0, 2), value=7.0),
    "channels cut off by padding": lambda h: F.pad(h, (0, 0, 0, 0, -1, -2)),
    "padding of channels by reflection": lambda h: F.pad(h.flatten(2).mT, (1, 2), mode="reflect"),
    "circular padding of channels": lambda h: F.pad(h.flatten(2).mT, (2, 1), mode="circular"),
    "padding of positions by their border": lambda h: F.pad(h, (2, 1, 0, 1), mode="replicate"),
    "roll(5)": lambda h: h.roll(5),
    "roll of two dimensions": lambda h: h.roll((1, 2), (1, -1)),
    "roll by keyword": lambda h: torch.roll(h, shifts=1, dims=-3),
    "roll of positions": lambda h: h.roll(1, (2,)),
    "flip of two dimensions": lambda h: h.flip((1, 2)),
    "flip by keyword": lambda h: torch.flip(h, dims=[-3]),
    "flip of positions": lambda h: h.flip(2, -1),
    "fliplr": lambda h: torch.fliplr(h),
    "rot90 of channels and height": lambda h: h.rot90(1, (1, 2)),
    "cat by keyword": lambda h: torch.cat(tensors=[h, h + 1], dim=-2),
    "cat of channels": lambda h: torch.cat([h[:, 3:], h[:, :2]], dim=1),
    "cat beside nothing": lambda h: torch.cat([torch.empty(0).double(), h]),
    "cat of unequal parts": lambda h: torch.cat([h[:, :2, :1], h[:, 2:4, 1:]], 2),
    "stack of channels": lambda h: torch.stack([h[:, 4], h[:, 1]], -1),
    "column_stack": lambda h: torch.column_stack([h[:, 1], h[:, 0]]),
    "dstack": lambda h: torch.dstack([h[:, 1], h[:, 0]]),
    "block_diag": lambda h: torch.block_diag(h[:, 0, 0], h[:, 1, 0]),
    "diag_embed": lambda h: h.diag_embed(),
    "diagonal of channels and height": lambda h: h.diagonal(dim1=1, dim2=2),
    "slice_scatter": lambda h: torch.zeros_like(h).slice_scatter(h[:, 2:4], 1, 0, 2),
    "select_scatter": lambda h: torch.zeros_like(h).select_scatter(h[:, 2], 1, 5),
    "index_put": lambda h: torch.zeros_like(h).index_put((torch.tensor([1]),), h[0]),
    "masked_select": lambda h: h.masked_select(ODD),
    "masked_scatter": lambda h: torch.zeros_like(h).masked_scatter(ODD, h),
    "take": lambda h: h.take(torch.tensor([0, 40, 13, 40])),
    "gather of channels": lambda h: h.gather(1, ORDER[None, :2, None, None].expand(2, 2, 4, 3)),
    "repeat": lambda h: h.repeat(1, 2, 1, 1),
    "repeat_interleave of channels": lambda h: h.repeat_interleave(torch.tensor([1, 2, 0, 1, 1, 3]), 1),
    "tensor_split by places": lambda h: h.tensor_split((1, 4), 1)[1],
    "hsplit": lambda h: h.hsplit(3)[1],
    "unfold of channels": lambda h: h.unfold(1, 2, 2),
    "F.unfold": lambda h: F.unfold(h, 2, padding=1),
    "channels by a mask": lambda h: h[:, torch.tensor([True, False, True, True, False, False])],
    "channel_shuffle": lambda h: F.channel_shuffle(h, 3),
    "pixel_shuffle of one channel": lambda h: F.pixel_shuffle(h[:, :1].repeat(1, 4, 1, 1), 2),
    "pixel_unshuffle": lambda h: F.pixel_unshuffle(h[..., :2], 2),
    "squeeze": lambda h: h[:, 2:3].squeeze(),
    "reshape of channels and height": lambda h: h.reshape(2, 8, 3, 3),
    "reshape across everything": lambda h: h.reshape(9, 16),
    "reshape to threes": lambda h: h.reshape(3, 48),
    "reshape that keeps a size elsewhere": lambda h: h.reshape(6, 2, 3, 4),
    "pixel_shuffle of one image": lambda h: F.pixel_shuffle(h[0, :1].expand(4, 4, 3), 2),
    "channel_shuffle of sequences": lambda h: F.channel_shuffle(h.flatten(2)[..., None], 2),
    "view of one example": lambda h: h[:1].view(-1),
    "view of the tail": lambda h: h.view(2, 6, 2, 2, 3),
    "view of the head": lambda h: h.view(2, 3, 2, 4, 3),
    "unflatten of the examples": lambda h: h.unflatten(0, (2, 1)),
    "transpose, flatten": lambda h: h.transpose(1, 3).flatten(2),
    "fft of positions": lambda h: torch.fft.fft(h, dim=2).real,
    "fft of the last": lambda h: torch.fft.rfft(h).abs(),
    "fft2": lambda h: torch.fft.fft2(h).abs(),
    "fftn of positions": lambda h: torch.fft.fftn(h, dim=(2, 3)).abs(),
    "irfft to another length": lambda h: torch.fft.irfft(torch.fft.rfft(h, 4), n=5),
    "view_as_real": lambda h: torch.view_as_real(torch.complex(h, h + 1)),
    "view_as_complex": lambda h: torch.view_as_complex(torch.stack([h, h * 2], -1)).abs(),
    "one channel doubled": lambda h: h[:, 2:3] * 2.0 + 1,
    "one channel and as many constants": lambda h: h[:, 2] * torch.ones(4, 3).double(),
    "lerp": lambda h: torch.lerp(h, h * 2 + 1, 0.25),
    "where": lambda h: torch.where(ODD, h, -h),
    "a constant of more dimensions": lambda h: h + torch.ones(5, 1, 1, 1, 1).double(),
    "padding by one channel": lambda h: F.pad(h, (0, 0, 0, 0, 1, 0)),
    "scores of the input @ values": lambda h: X[:, 0] @ X[:, 1].mT @ h.mean(3).mT,
    "values @ scores of the input": lambda h: h.mean(3) @ (X[:, 0] @ X[:, 1].mT),
    "times each number of a parameter": lambda h: torch.einsum("nchw,k->nkchw", h, SQUARE[0]),
    "times a parameter for each position": lambda h: torch.einsum("nchw,hk->nchwk", h, SQUARE),
    "one channel, padded by one plus padded by two": lambda h: F.pad(h[:, :1], (1, 0)) + F.pad(h[:, :1, :, 1:], (2, 0)),
    "one channel, padded by two plus padded by one": lambda h: F.pad(h[:, :1, :, 1:], (2, 0)) + F.pad(h[:, :1], (1, 0)),
    "zeros in place of mixed numbers": lambda h: lost(h).zero_() + h,
    "a number in place of mixed numbers": lambda h: lost(h).fill_(2.0) * h,
    "copies in place of mixed numbers": lambda h: lost(h).copy_(h),
    "a shape of mixed numbers": lambda h: torch.full_like(lost(h), 2.0) * h + lost(h).new_zeros(h.shape),
    "mixed numbers that choose a position": lambda h: h.gather(2, h.argsort(2)),
    "the largest positions": lambda h: torch.take_along_dim(h, h.argmax(2, keepdim=True), 2),
    "written by index of the channel": written(lambda z, h: z.__setitem__((slice(None), ORDER), h)),
    "written by slices": written(lambda z, h: z.__setitem__((slice(None), slice(1, 5), 2), h[:, 2:, 1])),
    "written at one place": written(lambda z, h: z.__setitem__((..., 3, 2), h[:, :1, 1, 1])),
    "copied into a part": written(lambda z, h: z[:, 2:5, 1:, ::2].copy_(h[:, 1:4, 1:, ::2])),
    "copied into the second example": written(lambda z, h: z[1:][0, 1:].copy_(h[0])),
    "copied into a transposed part": written(lambda z, h: z.transpose(1, 2)[:, 1, :6].copy_(h[:, :, 2])),
    "copied into a diagonal": written(lambda z, h: z[:, 1:5].diagonal(dim1=1, dim2=2).copy_(h[:, 0].mT)),
    "copied into a flat view": written(lambda z, h: z.view(-1)[5:17].copy_(h[0, 2].flatten())),
    "added into a part": written(lambda z, h: z[:, 1:, :, 0].add_(h[:, :, :, 1])),
    "written and overwritten": written(lambda z, h: (z[:, 1:].copy_(h), z[:, :6].copy_(h))),
    "out=": written(lambda z, h: torch.add(h, 1, out=z[:, 1:])),
    "batch_norm": lambda h: F.batch_norm(h, torch.zeros(6).double(), torch.ones(6).double()),
    "filters made by a network": lambda h: F.conv2d(X, filters(h), None, 1, 0, 1, 1),
    "filters made by a network, by keyword": lambda h: F.conv2d(X, weight=filters(h), groups=1),
    "filters made by a network, by torch.convolution": lambda h: torch.convolution(
        X, filters(h), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1
    ),
    "padded by one plus padded by two": lambda h: F.pad(h, (1, 0))[..., :3] + F.pad(h, (2, 0))[..., :3],
    "padded by two plus padded by one": lambda h: F.pad(h, (2, 0))[..., :3] + F.pad(h, (1, 0))[..., :3],
    "cumsum of positions": lambda h: h.cumsum(3),
    "copied": lambda h: torch.empty_like(h.mT).copy_(h.mT),
    "written into rows": lambda h: torch.zeros(3, 2, 6, 4, 3).double().index_copy(0, torch.tensor([1]), h[None]),
    "a sum of positions by @": lambda h: h @ torch.ones(3, 2).double(),
    "a vector of positions by @": lambda h: h @ torch.ones(3).double(),
    "tensordot of positions": lambda h: torch.tensordot(h, torch.ones(4, 5).double(), ([2], [0])),
    "tensordot of the last": lambda h: torch.tensordot(h, torch.ones(3, 5).double(), 1),
    "einsum of positions": lambda h: torch.einsum("nchw, hk -> nkcw", h, torch.ones(4, 5).double()),
    "einsum without an arrow": lambda h: torch.einsum("bchw,hk", h, torch.ones(4, 5).double()),
    "einsum without an arrow, letters from the back": lambda h: torch.einsum("zchw", h),
    "einsum of the trace": lambda h: torch.einsum("...hw->...", h),
    "einsum of two ellipses": lambda h: torch.einsum("...h,...h->...", h, h.roll(1, 2)),
    "bmm": lambda h: torch.bmm(torch.ones(2, 5, 4).double(), h.sum(3).mT),
    "baddbmm": lambda h: torch.baddbmm(torch.ones(2, 5, 6).double(), torch.ones(2, 5, 4).double(), h.sum(3).mT),
    "mm": lambda h: torch.ones(5, 2).double().mm(h.sum((2, 3))),
    "addmm": lambda h: torch.addmm(torch.ones(6).double(), torch.ones(5, 2).double(), h.sum((2, 3))),
    "addmm of its own units": lambda h: torch.addmm(h[0, :, 0, 0], torch.ones(5, 2).double(), h.sum((2, 3))),
    "mv": lambda h: h.sum((2, 3)).mT.mv(torch.ones(2).double()),
    "a pooled gate of its own": lambda h: h * torch.sigmoid(h.mean((2, 3), keepdim=True)),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLLOWED)
def test_numbers_that_depend_on_the_same_channels_are_one_unit_after(name: str) -> None:
    layout, z = followed(FOLLOWED[name])
    expected = by_channel(FOLLOWED[name])
    dependent = frozenset().union(*expected)
    assert layout.certain
    found = numbers_of_units(layout, z)
    assert len(found) == layout.units == len(expected)
    assert {places & dependent for places in found} == expected


LOST: dict[str, Steps] = {
    "sorted channels": lambda h: h.sort(1)[0],
    "the largest channels": lambda h: h.topk(2, 1)[0],
    "the largest channels by keyword": lambda h: h.topk(2, dim=-3)[0],
    "msort of channels first": lambda h: h.movedim(1, 0).msort(),
    "averages of neighbouring channels": lambda h: F.avg_pool1d(h.flatten(2).mT, 2),
    "random windows of channels": lambda h: F.fractional_max_pool2d(h.movedim(1, 3), 2, output_size=1),
    "channels interpolated": lambda h: F.interpolate(h.flatten(2).mT, size=12, mode="linear"),
    "overlapping maxima of channels": lambda h: F.max_pool1d(h.flatten(2).mT, 2, stride=1),
    "channels added in pairs by index": lambda h: torch.zeros(2, 3, 4, 3).double().index_add(
        1, torch.tensor([0, 0, 1, 1, 2, 2]), h
    ),
    "scatter_reduce of channels": lambda h: torch.zeros_like(h).scatter_reduce(
        1, ORDER[None, :, None, None].expand(h.shape) // 2, h, "sum"
    ),
    "overlapping sums": lambda h: h.unfold(1, 3, 1).sum(-1),
    "a Fourier transform of channels": lambda h: torch.fft.fft(h, dim=1).abs(),
    "a Fourier transform of all": lambda h: torch.fft.fftn(h).abs(),
    "pairs of channels": lambda h: h[:, :, None, 0] + h[:, None, :, 1],
    "one channel times many constants": lambda h: h[:, :1] * torch.ones(4, 1, 1).double(),
    "scores": lambda h: h.flatten(2).mT @ h.flatten(2),
    "attention over channels": lambda h: F.scaled_dot_product_attention(*[h.flatten(2)] * 3),
    "a learned mixing of positions": lambda h: torch.einsum("nchw,hk->nckw", h, SQUARE),
    "filters made for groups": lambda h: F.conv2d(X, filters(h)[:, :1], None, 1, 0, 1, 2),
    "filters made for groups, by keyword": lambda h: F.conv2d(X, weight=filters(h)[:, :1], groups=2),
    "filters made for groups, by torch.convolution": lambda h: torch.convolution(
        X, filters(h)[:, :1], None, [1, 1], [0, 0], [1, 1], False, [0, 0], 2
    ),
    "weights over positions of mixed numbers": lambda h: SQUARE.T @ lost(h),
    "a norm of several dimensions of mixed numbers": lambda h: F.layer_norm(lost(h), (4, 3)),
    "mixed numbers written into a part": written(lambda z, h: z[:, 1:].copy_(lost(h))),
    "mixed numbers beside others": lambda h: torch.cat([h, lost(h)], 1),
    "mixed numbers added": lambda h: h + lost(h),
    "mixed numbers as windows": lambda h: F.unfold(lost(h), 2),
    "mixed numbers in order": lambda h: lost(h).sort(2)[0],
    "the sum of mixed numbers": lambda h: lost(h).sum(2),
    "a function in no family": lambda h: torch.matrix_exp(h[..., :3, :]),
}  # fmt: skip


@pytest.mark.parametrize("name", LOST)
def test_units_that_cannot_be_told_apart_are_uncertain_after(name: str) -> None:
    layout, _ = followed(LOST[name])
    assert not layout.certain


def cell(h: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the states of a recurrent cell of five units after a step."""
    before = torch.full((2, 2, 5), 0.5, dtype=torch.float64)
    found: tuple[Tensor, Tensor] = torch.lstm_cell(
        h.mean((2, 3)), (before[0], before[1]), weight, torch.ones(20, 5).double() / 9
    )
    return found


WEIGHTED: dict[str, tuple[nn.Parameter, Callable[[Tensor, Tensor], Tensor]]] = {
    "channels last @ matrix": (MATRIX, lambda h, w: h.movedim(1, -1) @ w),
    "matrix.T @ channels": (MATRIX, lambda h, w: w.T @ h.flatten(2)),
    "__rmatmul__": (MATRIX, lambda h, w: h.flatten(2).__rmatmul__(w.T)),
    "mm": (MATRIX, lambda h, w: h[:, :, 0, 0].mm(w)),
    "addmm": (MATRIX, lambda h, w: torch.addmm(torch.ones(5).double(), h[:, :, 0, 0], w)),
    "mv": (MATRIX, lambda h, w: w.T.mv(h[0, :, 0, 0])[None]),
    "tensordot": (MATRIX, lambda h, w: torch.tensordot(h, w, ([1], [0]))),
    "tensordot with an int": (MATRIX, lambda h, w: torch.tensordot(h.movedim(1, -1), w, 1)),
    "tensordot by keyword": (MATRIX, lambda h, w: torch.tensordot(h.movedim(1, -1), w, dims=1)),
    "tensordot from the left": (MATRIX, lambda h, w: torch.tensordot(w, h, ([-2], [-3])).movedim(0, 1)),
    "einsum": (MATRIX, lambda h, w: torch.einsum("nchw,co->nohw", h, w)),
    "einsum with spaces and an ellipsis": (MATRIX, lambda h, w: torch.einsum("n c ..., c o -> n ... o", h, w)),
    "einsum without an arrow": (MATRIX, lambda h, w: torch.einsum("nchw,cz", h, w)),
    "einsum by blocks": (BLOCKS, lambda h, w: torch.einsum("nbchw,bco->nbohw", h.view(2, 2, 3, 4, 3), w)),
    "bmm by blocks": (BLOCKS, lambda h, w: h[0, :, :, 0].view(2, 3, 4).mT.bmm(w)[None]),
    "matmul by blocks": (BLOCKS, lambda h, w: h.view(2, 2, 3, 12).mT @ w),
    "expanded to the batch": (MATRIX, lambda h, w: h.flatten(2).mT.bmm(w.expand(2, 6, 5))),
    "repeated for the batch": (MATRIX, lambda h, w: h.flatten(2).mT.bmm(w.repeat(2, 1, 1))),
    "linear": (MATRIX, lambda h, w: F.linear(h.movedim(1, -1), w.T)),
    "conv2d": (MATRIX, lambda h, w: F.conv2d(h, w.T[..., None, None])),
    "conv_transpose2d": (MATRIX, lambda h, w: F.conv_transpose2d(h, w[..., None, None])),
    "grouped conv2d": (BLOCKS, lambda h, w: F.conv2d(h, w.mT.reshape(10, 3, 1, 1), groups=2)),
    "one unit times a row of weights": (MATRIX, lambda h, w: h[:, 2:3].movedim(1, -1) @ w[:1]),
    "one unit times a vector of weights": (MATRIX, lambda h, w: torch.einsum("nhw,o->nohw", h[:, 2], w[0])),
    "batch_norm of mixed numbers": (
        GAIN,
        lambda h, w: F.batch_norm(lost(h), torch.zeros(6).double(), torch.ones(6).double(), w),
    ),
    "group_norm of mixed numbers": (GAIN, lambda h, w: F.group_norm(lost(h), 2, w)),
    "instance_norm of mixed numbers": (GAIN, lambda h, w: F.instance_norm(lost(h), weight=w)),
    "layer_norm of mixed numbers": (GAIN, lambda h, w: F.layer_norm(lost(h).movedim(1, -1), (6,), w)),
    "rms_norm of mixed numbers": (GAIN, lambda h, w: F.rms_norm(lost(h).movedim(1, -1), (6,), w)),
    "the same norm twice": (
        GAIN,
        lambda h, w: torch.cat([F.layer_norm(lost(one).movedim(1, -1), (6,), w) for one in (h, h + 1)], 1),
    ),
    "linear of mixed numbers": (MATRIX, lambda h, w: F.linear(lost(h).movedim(1, -1), w.T)),
    "conv2d of mixed numbers": (MATRIX, lambda h, w: F.conv2d(lost(h), w.T[..., None, None])),
    "mixed numbers @ matrix": (MATRIX, lambda h, w: lost(h).movedim(1, -1) @ w),
    "input @ a part of a matrix": (MATRIX, lambda h, w: X.movedim(1, -1) @ w[:2]),
    "a copy of the matrix": (MATRIX, lambda h, w: h.movedim(1, -1) @ w.clone().detach().contiguous()),
    "used twice, one copied": (
        MATRIX,
        lambda h, w: torch.cat([h.mT.flatten(2).mT @ w, h.flatten(2).mT @ w.clone()], 1),
    ),
    "lstm_cell": (GATES, lambda h, w: cell(h, w)[0]),
    "the second state of lstm_cell": (GATES, lambda h, w: cell(h, w)[1]),
    "used twice": (MATRIX, lambda h, w: torch.cat([h.movedim(1, -1) @ w, (2 * h + 1).movedim(1, -1) @ w], 1)),
    "used twice, transposed": (MATRIX, lambda h, w: torch.stack([w.T @ h.flatten(2), w.mT @ h.flatten(2)])),
    "linear used twice": (MATRIX, lambda h, w: torch.cat([F.linear(h.movedim(1, -1), w.T)] * 2, 1)),
    "conv1d": (MATRIX, lambda h, w: F.conv1d(h.flatten(2), w.T[..., None])),
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_numbers_that_depend_on_the_same_weights_are_one_unit_after(name: str) -> None:
    weight, steps = WEIGHTED[name]
    h = F.conv2d(X, WEIGHT).detach()
    places = [tuple(place) for place in torch.ones(weight.shape).nonzero().tolist()]
    expected = depending(lambda w: steps(h, w), weight.detach(), places)
    with torch.no_grad():
        follow = FollowedPass(PARAMETERS, [], [X])
        with follow:
            z = steps(F.conv2d(X, WEIGHT), weight)
        layout = follow.layout_of(z, None)
    assert layout.certain
    found = numbers_of_units(layout, z)
    assert len(found) == layout.units == len(expected)
    assert set(found) == expected


def test_units_of_a_layout_are_in_the_order_of_their_first_numbers() -> None:
    for steps in FOLLOWED.values():
        layout, z = followed(steps)
        if layout.axis is None:
            firsts = [min(places) for places in numbers_of_units(layout, z)]
            assert firsts == sorted(firsts)


@pytest.mark.parametrize("name", [name for name in FOLLOWED if "pad" not in name and "scatter" not in name])
def test_a_value_for_each_unit_lands_on_its_numbers(name: str) -> None:
    layout, z = followed(FOLLOWED[name])
    units = numbers_of_units(layout, z)
    if len(frozenset().union(*units)) < z.numel():
        with pytest.raises(ModelError, match="belong to no unit that has a parameter"):
            layout.spread(torch.zeros(layout.units), z.shape)
        return
    spread = layout.spread(torch.arange(layout.units) * 10.0, z.shape).expand(z.shape).flatten()
    for unit, places in enumerate(units):
        assert {float(spread[place]) for place in places} == {10.0 * unit}


@pytest.mark.parametrize(
    ("steps", "other", "fits"),
    [
        (lambda h: h, (9, 6, 4, 3), True),
        (lambda h: h, (2, 6, 8, 1), True),
        (lambda h: h, (2, 5, 4, 3), False),
        (lambda h: h, (6,), False),
        (lambda h: h.sum((1, 2, 3)), (9,), True),
        (lambda h: h.flatten(1), (9, 72), True),
        (lambda h: h.flatten(1), (9, 73), False),
        (lambda h: h.flatten(1), (72,), False),
        (lambda h: h.reshape(2, 8, 3, 3), (9, 8, 3, 3), True),
        (lambda h: h.reshape(2, 8, 3, 3), (9, 8, 3, 4), False),
        (lambda h: h.movedim(1, 3), (9, 4, 3, 6), True),
        (lambda h: h.movedim(1, 3), (9, 4, 6, 3), False),
    ],
)
def test_a_layout_fits_any_number_of_examples_and_no_other_units(
    steps: Steps, other: tuple[int, ...], fits: bool
) -> None:
    layout, z = followed(steps)
    assert layout.fits(z.shape)
    assert layout.fits(torch.Size(other)) is fits


@pytest.mark.parametrize(
    ("shape", "labels", "batch_axis", "axis", "units", "certain"),
    [
        ((5,), Status.INPUT, 0, 0, 1, True),
        ((5,), Status.LOST, 0, 0, 1, False),
        ((5,), torch.tensor([9]), 0, 0, 1, True),
        ((), Status.INPUT, 0, None, 1, True),
        ((4, 3), Status.INPUT, 0, 1, 3, True),
        ((4, 3), Status.LOST, 0, 1, 3, False),
        ((4, 3), Status.INPUT, 1, 0, 4, True),
        ((4, 3, 5), Status.INPUT, 0, 2, 5, False),
        ((4, 3, 5), Status.LOST, 1, 2, 5, False),
        ((4, 3, 5, 6), Status.INPUT, 0, 1, 3, False),
        ((4, 3, 5, 6), Status.LOST, 1, 0, 4, False),
        ((7, 2, 6), torch.arange(1, 7).view(1, 1, 6), 1, 2, 6, True),
        ((7, 2, 6), torch.arange(1, 8).view(7, 1, 1), 1, 0, 7, True),
        ((7, 1, 6), torch.tensor([[[9]]]), 0, 1, 1, True),
        ((7, 1, 6), torch.tensor([[[9]]]), 1, None, 1, True),
        ((7, 6, 2), torch.arange(1, 7).view(1, 6, 1), 2, 1, 6, True),
    ],
)
def test_the_dimension_of_units_by_labels_and_the_dimension_of_examples(
    shape: tuple[int, ...], labels: Labels, batch_axis: int, axis: int | None, units: int, certain: bool
) -> None:
    layout = unit_layout(torch.Size(shape), labels, batch_axis=batch_axis)
    assert (layout.axis, layout.units, layout.certain) == (axis, units, certain)
    assert (layout.batch_axis, layout.is_second) == (batch_axis, axis == 1 and batch_axis == 0)
    values = torch.arange(prod(shape)).view(shape).double()
    (part,) = layout.to_units(values)
    examples = shape[batch_axis] if shape else 1
    assert part.shape[:3] == (1, examples, units)
    for example in range(examples):
        found = sorted(map(int, part[0, example].flatten()))
        assert found == sorted(map(int, (values.select(batch_axis, example) if shape else values).flatten()))


@pytest.mark.parametrize("batch_axis", [0, 1, 2])
def test_units_that_share_a_dimension_with_the_examples_are_found_by_their_numbers(batch_axis: int) -> None:
    labels = torch.tensor([4, 9]).view([2 if place == batch_axis else 1 for place in range(3)])
    layout = unit_layout(torch.Size((2, 2, 2)), labels, batch_axis=batch_axis)
    assert (layout.axis, layout.units, layout.certain) == (None, 2, True)
    (part,) = layout.to_units(torch.arange(8).view(2, 2, 2).double())
    for unit in range(2):
        places = torch.arange(8).view(2, 2, 2).select(batch_axis, unit).flatten().tolist()
        assert sorted(map(int, part[0, :, unit].flatten())) == places


@pytest.mark.parametrize(
    ("labels", "batch_axis", "units"),
    [
        (torch.arange(1, 13).view(1, 3, 2, 2), 0, 3),  # a vector that was viewed as an image
        (torch.arange(1, 13).flip(0).view(1, 3, 2, 2), 0, 12),
        (torch.arange(0, 12).view(1, 3, 2, 2), 0, 11),  # with a number that no unit made
        (torch.arange(1, 13).view(1, 1, 3, 4), 0, 12),
        (torch.arange(1, 13).view(1, 3, 4), 0, 12),
        (torch.arange(1, 13).view(3, 1, 2, 2), 1, 12),
        (torch.arange(1, 4).view(1, 3, 1, 1).expand(1, 3, 2, 2), 0, 3),
    ],
)
def test_a_vector_that_is_viewed_as_an_image_has_its_channels_as_units(
    labels: Tensor, batch_axis: int, units: int
) -> None:
    shape = [5 if place == batch_axis else size for place, size in enumerate(labels.shape)]
    assert unit_layout(torch.Size(shape), labels, batch_axis=batch_axis).units == units


@pytest.mark.parametrize("chosen", [-4, 4, 0, -3, 3])
def test_a_dimension_of_units_that_is_not_there_or_the_examples_is_refused(chosen: int) -> None:
    with pytest.raises(UsageError, match=f"unit_axis {chosen} is none of the dimensions 1 … 2 of z"):
        unit_layout(torch.Size((4, 5, 6)), Status.LOST, chosen=chosen)


@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 5, 6, 7)])
@pytest.mark.parametrize("batch_axis", [0, 1, 2])
def test_a_chosen_dimension_of_units_is_taken(shape: tuple[int, ...], batch_axis: int) -> None:
    for axis in set(range(len(shape))) - {batch_axis}:
        for chosen in (axis, axis - len(shape)):
            layout = unit_layout(torch.Size(shape), Status.LOST, chosen=chosen, batch_axis=batch_axis)
            assert (layout.axis, layout.units) == (axis, shape[axis])
            assert (layout.batch_axis, layout.certain) == (batch_axis, True)
            assert layout.is_second is (axis == 1 and batch_axis == 0)


def test_a_layout_of_many_units_fits_other_examples() -> None:
    sizes = [2, 5, 1000]  # two integers of 1000: one and the same object would be equal even by identity
    layout = unit_layout(torch.Size((sizes[0], sizes[2])), Status.LOST)
    assert layout.fits(torch.Size((sizes[1], sum([999, 1]))))


@pytest.mark.parametrize("labels", [Status.LOST, torch.tensor([[1, 2, 1]])])
@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_the_statistics_see_numbers_in_single_precision_or_better(
    labels: Labels, dtype: torch.dtype, kept: torch.dtype
) -> None:
    layout = unit_layout(torch.Size((2, 3)), labels)
    assert {part.dtype for part in layout.to_units(torch.ones(2, 3, dtype=dtype))} == {kept}


def drawn(*shape: int) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


EQUATIONS: list[tuple[str, Callable[..., Tensor], tuple[object, ...], dict[str, object]]] = [
    *(
        ("matmul", torch.matmul, (drawn(*one), drawn(*other)), {})
        for one in ((3,), (2, 3), (4, 2, 3), (5, 4, 2, 3))
        for other in ((3,), (3, 6), (4, 3, 6), (5, 4, 3, 6))
    ),
    ("rmatmul", Tensor.__rmatmul__, (drawn(3, 6), drawn(2, 3)), {}),
    ("mm", torch.mm, (drawn(2, 3), drawn(3, 4)), {}),
    ("mv", torch.mv, (drawn(2, 3), drawn(3)), {}),
    ("bmm", torch.bmm, (drawn(5, 2, 3), drawn(5, 3, 4)), {}),
    ("addmm", torch.addmm, (torch.zeros(2, 4).double(), drawn(2, 3), drawn(3, 4)), {}),
    ("addmv", torch.addmv, (torch.zeros(2).double(), drawn(2, 3), drawn(3)), {}),
    ("baddbmm", torch.baddbmm, (torch.zeros(5, 2, 4).double(), drawn(5, 2, 3), drawn(5, 3, 4)), {}),
    ("addbmm", torch.addbmm, (torch.zeros(2, 4).double(), drawn(5, 2, 3), drawn(5, 3, 4)), {}),
    ("tensordot", torch.tensordot, (drawn(5, 2, 3), drawn(2, 3, 4)), {}),
    ("tensordot", torch.tensordot, (drawn(5, 2, 3), drawn(3, 4, 2), 1), {}),
    ("tensordot", torch.tensordot, (drawn(2, 3), drawn(3, 4)), {"dims": 0}),
    ("tensordot", torch.tensordot, (drawn(5, 2, 3), drawn(3, 4, 2), ([-1, 1], [0, -1])), {}),
    ("tensordot", torch.tensordot, (drawn(5, 2, 3), drawn(3, 4, 2)), {"dims": ([1], [2])}),
    ("einsum", torch.einsum, ("ij,jk->ik", drawn(2, 3), drawn(3, 4)), {}),
    ("einsum", torch.einsum, ("zy,yx", drawn(2, 3), drawn(3, 4)), {}),
    ("einsum", torch.einsum, (" i j , j k ", drawn(2, 3), drawn(3, 4)), {}),
    ("einsum", torch.einsum, ("ij->", drawn(2, 3)), {}),
    ("einsum", torch.einsum, ("...a,ab->...b", drawn(5, 2, 3), drawn(3, 4)), {}),
    ("einsum", torch.einsum, ("...a,ab", drawn(5, 2, 3), drawn(3, 4)), {}),
    ("einsum", torch.einsum, ("a...,...b->b...a", drawn(3, 5, 2), drawn(2, 4)), {}),
    ("einsum", torch.einsum, ("i,j,k->kji", drawn(2), drawn(3), drawn(4)), {}),
]


@pytest.mark.parametrize("place", range(len(EQUATIONS)))
def test_the_equation_of_a_product_is_that_of_an_einsum_with_the_same_result(place: int) -> None:
    name, function, args, kwargs = EQUATIONS[place]
    read = equation(name, args, kwargs)
    assert read is not None
    operands, letters, out = read
    result = torch.einsum(f"{','.join(letters)}->{out}", *operands)
    assert torch.allclose(result, function(*args, **kwargs))


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("einsum", ("ii->i", drawn(3, 3))),
        ("einsum", (drawn(2, 3), [0, 1], drawn(3, 4), [1, 2])),
        ("einsum", ("ij,jk->ik", [drawn(2, 3)])),
        ("tensordot", (drawn(2, 3), drawn(3, 4), torch.tensor(1))),
        ("matmul", (drawn(2, 3),)),
    ],
)
def test_a_form_of_a_product_that_is_not_known_has_no_equation(name: str, args: tuple[object, ...]) -> None:
    assert equation(name, args, {}) is None


C, V = torch.tensor([1, 2, 3]), torch.tensor([7, 8, 9])


@pytest.mark.parametrize(
    ("one", "other", "out", "expected"),
    [
        # Scores of a signal that was lost, or of the input, times values that keep their units.
        ((Status.LOST, "bqk"), (V.view(1, 1, 3), "bkc"), "bqc", V.view(1, 1, 3)),
        ((Status.INPUT, "bqk"), (V.view(1, 1, 3), "bkc"), "bqc", V.view(1, 1, 3)),
        ((V.view(1, 3, 1), "bck"), (Status.LOST, "bkq"), "bcq", V.view(1, 3, 1)),
        # Nothing that both have is summed over: each number is multiplied by another one.
        ((Status.LOST, "bqk"), (V.view(1, 3), "bc"), "bqkc", Status.LOST),
        # The units of the values are summed over.
        ((Status.LOST, "bqc"), (V.view(1, 1, 3), "bkc"), "bqk", Status.LOST),
        ((Status.INPUT, "bqc"), (V.view(1, 1, 3), "bkc"), "bqk", Status.LOST),
        ((Status.LOST, "bqk"), (Status.LOST, "bkc"), "bqc", Status.LOST),
        ((Status.INPUT, "bqk"), (Status.LOST, "bkc"), "bqc", Status.LOST),
        ((Status.INPUT, "bqk"), (Status.INPUT, "bkc"), "bqc", Status.INPUT),
        # Two signals with units: the same ones, ones that are summed over, pairs of them.
        ((C.view(1, 3), "bc"), (C.view(1, 3), "bc"), "bc", C.view(1, 3)),
        ((C.view(1, 3), "bc"), (V.view(1, 3, 1), "bcq"), "bq", Status.LOST),
        ((C.view(1, 1, 3), "bqc"), (C.view(1, 1, 3), "bkc"), "bqk", Status.LOST),
        ((C.view(1, 3), "bc"), (V.view(1, 3), "bd"), "bcd", Status.LOST),
        ((C.view(1, 3, 1), "bcd"), (V.view(1, 3), "bd"), "bc", C.view(1, 3)),
        ((V.view(1, 3), "bd"), (C.view(1, 3, 1), "bcd"), "bc", C.view(1, 3)),
    ],
)
def test_a_product_of_two_signals_has_the_units_of_the_one_that_keeps_them(
    one: tuple[Labels, str], other: tuple[Labels, str], out: str, expected: Labels
) -> None:
    sizes = {"b": 2, "q": 4, "k": 5, "c": 3, "d": 3}

    def fresh(shape: object, key: object) -> Tensor:
        raise AssertionError("no new units")

    found = product([Factor(labels, letters, sizes) for labels, letters in (one, other)], out, fresh)
    assert torch.equal(found, expected) if isinstance(found, Tensor) else found is expected
