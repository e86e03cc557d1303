"""Units are followed from the last weight layer to the activation, never found by size.

Every network here has sizes that are equal on purpose (examples = channels = height = width), and channels of which it
is known by construction that they are dead: their bias is so low that no input reaches them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision import models

from actbench import measure_health
from actbench.errors import ModelError
from actbench.nn.unit_axes.layout import unit_layout

N = 6
"""Examples, channels, height and width."""
DEAD = (1, 4)
X = torch.rand(N, 3, N, N, generator=torch.Generator().manual_seed(0))


def conv(channels: int = N, dead: tuple[int, ...] = DEAD) -> nn.Conv2d:
    """Channels far above zero everywhere, and dead ones far below."""
    layer = nn.Conv2d(3, channels, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.rand(layer.weight.shape, generator=torch.Generator().manual_seed(1)))
        layer.bias.copy_(torch.tensor([-100.0 if channel in dead else 5.0 for channel in range(channels)]))
    return layer


class After(nn.Module):
    """A convolution, steps that only ``steps`` knows, an activation."""

    def __init__(self, steps: Callable[[Tensor], Tensor], channels: int = N) -> None:
        super().__init__()
        self.conv, self.other, self.steps = conv(channels), conv(channels), steps
        self.register_buffer("matrix", torch.rand(N, N, generator=torch.Generator().manual_seed(2)) / N)
        self.scale = nn.Parameter(torch.rand(N, generator=torch.Generator().manual_seed(3)) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv(x)
        return F.relu(self.steps(h) if self.steps.__code__.co_argcount == 1 else self.steps(h, self, x))


def counted(network: nn.Module, inputs: Tensor = X) -> tuple[int, int]:
    """Return units and dead ones of the only activation, which must be certain."""
    report = measure_health(network, inputs, exclude_last=False)
    (layer,) = report.layers
    assert not layer.uncertain
    assert (report.units, report.dead, report.uncertain) == (layer.units, layer.dead, ())
    return layer.units, layer.dead


def windows(h: Tensor) -> Tensor:
    """Cut (B, C, H, W) into windows of 2 × 3, each an example with its positions and channels, as Swin does."""
    b, c, height, width = h.shape
    cut = h.permute(0, 2, 3, 1).view(b, height // 2, 2, width // 3, 3, c)
    return cut.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, 6, c)


def written(h: Tensor) -> Tensor:
    out = torch.zeros(h.shape[0], h.shape[2], h.shape[1])
    for place in range(h.shape[2]):
        out[:, place] = h[:, :, place, 0]
    return out


def halves_copied(h: Tensor) -> Tensor:
    out = torch.zeros(N, N, N, N)
    out[:, :3].copy_(h[:, 3:])
    out[:, 3:].copy_(h[:, :3])
    return out.transpose(1, 2)


def shuffled(h: Tensor) -> Tensor:
    b, c, height, width = h.shape
    return h.view(b, 2, c // 2, height, width).transpose(1, 2).reshape(b, c, height, width)


def scattered(h: Tensor) -> Tensor:
    nodes = h.permute(0, 2, 3, 1).reshape(-1, N)
    return torch.zeros(N, N).index_add(0, torch.arange(len(nodes)) % N, nodes)


def aggregated(h: Tensor) -> Tensor:
    nodes = h.permute(0, 2, 3, 1).reshape(-1, N)
    goal = (torch.arange(len(nodes)) % N)[:, None].expand(-1, N)
    return torch.zeros(N, N).scatter_add_(0, goal, nodes)


def attended(h: Tensor) -> Tensor:
    tokens = h.flatten(2).transpose(1, 2)
    return torch.softmax(tokens @ tokens.transpose(1, 2), -1) @ tokens


def heads(h: Tensor) -> Tensor:
    b, c = h.shape[:2]
    tokens = h.flatten(2).transpose(1, 2).view(b, -1, 2, c // 2).transpose(1, 2)
    return F.scaled_dot_product_attention(tokens, tokens, tokens).transpose(1, 2).reshape(b, -1, c)


STEPS: dict[str, Callable[..., Tensor]] = {
    "nothing": lambda h: h,
    "transpose of channels and height": lambda h: h.transpose(1, 2),
    "transpose of channels and width": lambda h: h.transpose(1, -1),
    "permute to channels last": lambda h: h.permute(0, 2, 3, 1),
    "torch.permute": lambda h: torch.permute(h, (0, 3, 1, 2)),
    "movedim": lambda h: h.movedim(1, -1),
    "moveaxis of two": lambda h: torch.moveaxis(h, (1, 2), (3, 1)),
    "swapaxes": lambda h: h.swapaxes(1, 3),
    "mT": lambda h: h.flatten(2).mT,
    "T of one position": lambda h: h[:, :, 0, 0].T.T,
    "flatten": lambda h: h.flatten(1),
    "flatten of positions": lambda h: h.flatten(2),
    "flatten, transpose": lambda h: h.flatten(2).transpose(1, 2),
    "channels last, flatten": lambda h: h.permute(0, 2, 3, 1).flatten(1),
    "view": lambda h: h.view(N, -1),
    "reshape across channels and height": lambda h: h.reshape(N, N * N, N),
    "channels split": lambda h: h.view(N, 2, 3, N, N),
    "unflatten": lambda h: h.unflatten(1, (3, 2)),
    "nn.Flatten and nn.Unflatten": lambda h: nn.Unflatten(1, (N, N, N))(nn.Flatten()(h)),
    "view_as": lambda h: h.view_as(h.transpose(1, 2)),
    "squeeze, unsqueeze": lambda h: h[:, :, :1].squeeze(2).unsqueeze(1),
    "unsqueeze in place": lambda h: h.clone().unsqueeze_(1).transpose_(1, 2),
    "Tensor.unfold": lambda h: h.unfold(2, 3, 2),
    "F.unfold": lambda h: F.unfold(h, 2),
    "F.unfold with padding": lambda h: F.unfold(h, 3, padding=1),
    "fold after unfold": lambda h: F.fold(F.unfold(h, 2, stride=2), (N, N), 2, stride=2),
    "chunk, cat in another order": lambda h: torch.cat(h.chunk(3, 1)[::-1], 1),
    "split, stack": lambda h: torch.stack(h.split(2, 1), -1),
    "tensor_split along positions": lambda h: torch.cat(h.tensor_split(4, 2)[1:], 3 - 1),
    "unbind, stack": lambda h: torch.stack(h.unbind(2), 1),
    "cat with a token of its own": lambda h, net, x: torch.cat([net.scale.expand(N, 1, N), h.flatten(2).mT], 1),
    "slice of positions": lambda h: h[..., 1:, ::2],
    "new axis": lambda h: h[:, None].transpose(1, 2),
    "index by a list": lambda h: h[:, [5, 4, 3, 2, 1, 0]],
    "index by a mask": lambda h: h.permute(0, 2, 3, 1)[torch.arange(N * N * N).view(N, N, N) % 2 == 0],
    "index_select": lambda h: h.index_select(1, torch.tensor([2, 0, 1, 4, 3, 5])),
    "gather": lambda h: h.flatten(2).gather(2, torch.arange(4).expand(N, N, 4)),
    "take_along_dim": lambda h: torch.take_along_dim(h, torch.zeros(N, N, 1, N, dtype=torch.long), 2),
    "narrow": lambda h: h.narrow(3, 1, 2).transpose(1, 2),
    "roll of positions": lambda h: h.permute(0, 2, 3, 1).roll((1, 2), (1, 2)),
    "roll of channels": lambda h: h.roll(2, 1),
    "flip": lambda h: h.flip(1, 2),
    "rot90": lambda h: h.rot90(1, (1, 2)),
    "pixel_shuffle": lambda h: F.pixel_shuffle(h.repeat(1, 2, 1, 1)[:, [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]], 2),
    "pixel_unshuffle": lambda h: F.pixel_unshuffle(h, 2),
    "channel shuffle": shuffled,
    "repeat": lambda h: h.repeat(1, 2, 1, 2),
    "repeat_interleave": lambda h: h.repeat_interleave(2, 1),
    "tile": lambda h: h.tile(1, 1, 2, 1),
    "expand": lambda h: h[..., :1].expand(N, N, N, N),
    "broadcast_to": lambda h: torch.broadcast_to(h[:, :, None], (N, N, 4, N, N)),
    "pad": lambda h: F.pad(h, (1, 0, 2, 1)).transpose(1, 2),
    "pad by reflection": lambda h: F.pad(h, (1, 1, 1, 1), mode="reflect").flatten(1),
    "average pooling": lambda h: F.avg_pool2d(h, 2).flatten(1),
    "pooling to one": lambda h: F.adaptive_avg_pool2d(h, 1).flatten(1),
    "max pooling, channels last": lambda h: nn.MaxPool2d(2)(h).permute(0, 2, 3, 1),
    "mean over positions": lambda h: h.mean((2, 3)),
    "mean over height, kept": lambda h: h.mean(2, keepdim=True).transpose(1, 3),
    "amax over positions": lambda h: h.flatten(2).amax(-1),
    "max with indices": lambda h: h.max(2)[0].mT,
    "sum over flattened windows": lambda h: h.unfold(3, 2, 2).sum(-1).transpose(1, 2),
    "norm over positions": lambda h: h.sum(3) - h.norm(dim=3),
    "interpolation": lambda h: F.interpolate(h, scale_factor=2).permute(0, 2, 3, 1),
    "bilinear interpolation": lambda h: F.interpolate(h, size=N - 1, mode="bilinear").flatten(1),
    "arithmetic with constants": lambda h, net, x: (net.scale * h.permute(0, 2, 3, 1) + 1) / 2,
    "arithmetic with the input": lambda h, net, x: h.transpose(1, 2) + x[:, :1],
    "sum of two layers": lambda h, net, x: (h + net.other(x)).transpose(1, 3),
    "residual of a pooled signal": lambda h: (h + h.mean((2, 3), keepdim=True)).flatten(1),
    "where, clamp, abs": lambda h: torch.where(h > 0, h.abs(), h.clamp(max=-1)).transpose(1, 2),
    "batch norm in a transposed view": lambda h: nn.BatchNorm2d(N).eval()(h).transpose(1, 2),
    "local response norm": lambda h: F.local_response_norm(h, 2).permute(0, 3, 1, 2),
    "softmax over positions": lambda h: (h * torch.softmax(h.detach() * 0, 2)).transpose(1, 2),
    "cumsum over positions": lambda h: h.cumsum(2).transpose(1, 2),
    "sort over positions": lambda h: h.sort(2)[0].transpose(1, 2),
    "topk over positions": lambda h: h.flatten(2).topk(4, -1)[0].mT,
    "window partition": windows,
    "windows, flattened": lambda h: windows(h).flatten(1),
    "channels merged with examples": lambda h: h.reshape(N * N, 1, N, N),
    "channels merged with examples, last": lambda h: h.permute(0, 2, 3, 1).reshape(-1, N),
    "positions first": lambda h: h.flatten(2).permute(2, 0, 1),
    "written by index": written,
    "written where constants were": lambda h: torch.zeros(N, N, N, N).index_copy(3, torch.arange(N), h).mT,
    "copy_ into a buffer": lambda h: torch.empty(N, N, N, N).copy_(h.transpose(1, 2)),
    "halves copied into views": halves_copied,
    "part of it scaled in place": lambda h: (h[:, :3].mul_(2), h.transpose(1, 2))[1],
    "Fourier transform of positions": lambda h: torch.fft.ifft2(torch.fft.fft2(h)).real.transpose(1, 2),
    "complex numbers and back": lambda h: torch.view_as_real(torch.complex(h, h)).transpose(1, 4),
    "zeroed by index": lambda h: h.masked_fill(torch.arange(N) > 3, -1.0).transpose(1, 2),
    "scatter of nodes": scattered,
    "scatter_add of nodes": aggregated,
    "graph convolution by @": lambda h, net, x: net.matrix @ h.permute(0, 2, 3, 1),
    "graph convolution by __rmatmul__": lambda h, net, x: h.permute(0, 2, 3, 1).__rmatmul__(net.matrix),
    "graph convolution by matmul from the right": lambda h, net, x: h @ net.matrix,
    "graph convolution by einsum": lambda h, net, x: torch.einsum("nctv,vw->nctw", h, net.matrix).transpose(1, 2),
    "graph convolution by tensordot": lambda h, net, x: torch.tensordot(h, net.matrix, ([3], [0])).permute(0, 3, 2, 1),
    "einsum that only transposes": lambda h: torch.einsum("nchw->nhwc", h),
    "einsum with an ellipsis": lambda h, net, x: torch.einsum("...v,vw->w...", h[0:N], net.matrix).permute(1, 0, 2, 3),
    "attention over tokens": attended,
    "attention by heads": heads,
    "half precision and back": lambda h: h.half().transpose(1, 2).float(),
    "channels_last memory": lambda h: h.contiguous(memory_format=torch.channels_last).transpose(1, 2),
    "checkpoints of detach and clone": lambda h: h.detach().clone().contiguous().permute(0, 2, 1, 3),
    "meshed halves": lambda h: torch.hstack([h[:, 3:], h[:, :3]]).swapdims(1, 2),
    "diagonal": lambda h: h.diagonal(dim1=2, dim2=3).mT,
    "dropout": lambda h: F.dropout(h, 0.5, training=False).flatten(1),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_channel_stays_a_unit_through(name: str) -> None:
    """However a convolution's output is laid out, it has N channels of which two are dead."""
    assert counted(After(STEPS[name])) == (N, len(DEAD))


@pytest.mark.parametrize("name", ["permute to channels last", "flatten", "window partition", "channels split"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_units_are_followed_in_every_precision(name: str, dtype: torch.dtype) -> None:
    assert counted(After(STEPS[name]).to(dtype), X.to(dtype)) == (N, len(DEAD))


def overwritten(h: Tensor) -> Tensor:
    h[:, 0] = torch.full((N, N, N), -1.0)
    return h


def rows_of_two(h: Tensor, net: After, x: Tensor) -> Tensor:
    out = torch.zeros(N, N, N, N)
    out[::2], out[1::2] = h[::2], net.other(x)[1::2]
    return out


SPLITS: dict[str, tuple[Callable[..., Tensor], int, int]] = {
    "graph convolution with parts": (
        lambda h, net, x: torch.einsum("nkctv,kvw->nctw", h.view(N, 2, 3, N, N), net.matrix.expand(2, N, N)), 3, 1
    ),
    "weights of a single unit": (lambda h, net, x: h[:, 2:3].permute(0, 2, 3, 1) @ net.scale[None], N, 0),
    "padding that lives": (lambda h: F.pad(h[:, 1:], (1, 1), value=9.0), 5, 2),
    "a channel overwritten": (overwritten, N, 3),
    "rows of two layers": (rows_of_two, 2 * N, 2 * len(DEAD)),
    "one half by chunk": (lambda h: h.chunk(2, 1)[0].transpose(1, 2), 3, 1),
    "one channel": (lambda h: h[:, 4], 1, 1),
    "one position of a vector": (lambda h: h.flatten(1)[:, N * N], 1, 1),
    "every other channel": (lambda h: h[:, ::2], 3, 1),
    "two layers side by side": (lambda h, net, x: torch.cat([h, net.other(x)], 1), 2 * N, 2 * len(DEAD)),
    "two layers after each other": (lambda h, net, x: torch.cat([h.flatten(2), net.other(x).flatten(2)], 2).mT, 12, 4),
    "two layers stacked": (lambda h, net, x: torch.stack([h, net.other(x)], 1), 2 * N, 2 * len(DEAD)),
    "maxout by view": (lambda h: h.view(N, 3, 2, N, N).amax(2), 3, 0),
    "maxout by pooling": (lambda h: F.max_pool1d(h.flatten(2).mT, 2), 3, 0),
    "sum of halves": (lambda h: h.view(N, 2, 3, N, N).sum(1), 3, 1),
    "weighted sum over the channels": (lambda h, net, x: torch.einsum("nchw,c->nhw", h, net.scale), 1, 1),
    "parts of unequal size": (
        lambda h, net, x: torch.cat([h.flatten(1), net.other(x).mean((2, 3))], 1), 2 * N, 2 * len(DEAD)
    ),
    "a shared layer is one layer": (lambda h, net, x: torch.cat([h, net.conv(x * 2)], 1), N, len(DEAD)),
    "channels made by a matrix of weights": (
        lambda h, net, x: h.permute(0, 2, 3, 1).matmul(torch.eye(N) * net.scale) - 1, N, len(DEAD)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SPLITS)
def test_units_are_counted_once_each_in(name: str) -> None:
    steps, units, dead = SPLITS[name]
    assert counted(After(steps)) == (units, dead)


def test_masks_are_in_the_order_of_the_units_first_numbers() -> None:
    for steps, mask in (
        (STEPS["flatten"], [False, True, False, False, True, False]),
        (STEPS["index by a list"], [False, True, False, False, True, False]),
        (lambda h: h.flip(1).flatten(1)[:, : 2 * N * N], [False, True]),
        (SPLITS["parts of unequal size"][0], [False, True, False, False, True, False] * 2),
        (
            lambda h, net, x: torch.cat([h.flatten(1), net.other(x).mean((2, 3))[:, :1]], 1),
            [False, True, False, False, True, False, False],
        ),
    ):
        (layer,) = measure_health(After(steps), X, exclude_last=False).layers
        assert layer.dead_mask.tolist() == mask


def test_statistics_of_units_of_unequal_size_are_those_of_each_alone() -> None:
    steps = SPLITS["parts of unequal size"][0]
    net = After(steps)
    (both,) = measure_health(net, X, exclude_last=False).layers
    with torch.no_grad():
        one, other = net.conv(X).flatten(2), net.other(X).mean((2, 3))
    for unit in range(N):
        for alone, place in ((one[:, unit], unit), (other[:, unit], N + unit)):
            expected = float(alone.relu().std(correction=0)) <= 1e-3
            assert bool(both.constant_mask[place]) is expected
            assert bool(both.always_on_mask[place]) is bool((alone > 0).float().mean() > 0.99)
    zeros = torch.cat([(one <= 0).float().mean((0, 2)), (other <= 0).float().mean(0)])
    assert both.sparsity == pytest.approx(float(zeros.mean()))


def mixed_written(h: Tensor) -> Tensor:
    h[:, :3].copy_(torch.fft.fft(h, dim=1).real[:, :3])
    return h


UNKNOWN: dict[str, Callable[..., Tensor]] = {
    "a Fourier transform of channels": lambda h: torch.fft.fft(h, dim=1).real,
    "as_strided": lambda h: h.contiguous().as_strided((N, N, N, N), (N**3, 1, N**2, N)),
    "numpy": lambda h: torch.from_numpy(h.numpy().transpose(0, 2, 1, 3).copy()),
    "overlapping windows of channels": lambda h: h.permute(0, 2, 3, 1).unfold(3, 3, 1).sum(-1),
    "sums that share a channel": lambda h: h[:, [[0, 1], [0, 2]]].sum(2),
    "overlapping maxima of channels": lambda h: F.max_pool1d(h.flatten(2).mT, 2, stride=1),
    "averages of channels": lambda h: F.avg_pool1d(h.flatten(2).mT, 2),
    "attention over channels": lambda h: F.scaled_dot_product_attention(*[h.flatten(2)] * 3),
    "filters made for each example": lambda h, net, x: F.conv2d(
        x.reshape(1, -1, N, N), h.mean((2, 3)).reshape(2 * N, 3, 1, 1), groups=N
    ),
    "one channel times many constants": lambda h, net, x: h[:, :1] * net.scale[:, None, None],
    "a vector of mixed channels": lambda h: torch.fft.fft(h, dim=1).real.mean((2, 3)),
    "mixed channels written into a view": mixed_written,
    "sorted channels": lambda h: h.sort(1)[0],
    "every pair of two layers": lambda h, net, x: h.flatten(2)[:, :, None, 0] + net.other(x).flatten(2)[:, None, :, 1],
    "scores of attention": lambda h: h.flatten(2).mT @ h.flatten(2),
    "a learned mixing of positions": lambda h, net, x: h @ (net.mixing),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_where_units_cannot_be_followed_the_layer_is_uncertain_and_in_no_total(name: str) -> None:
    net = After(UNKNOWN[name])
    net.mixing = nn.Parameter(torch.rand(N, N))
    report = measure_health(net, X, exclude_last=False)
    (layer,) = report.layers
    assert layer.uncertain
    assert (report.uncertain, report.units, report.dead, report.dead_fraction) == ((layer.name,), 0, 0, None)
    assert report.to_dict()["uncertain"] == [layer.name]
    assert report.to_dict()["layers"][0]["uncertain"] is True
    text = str(report)
    assert f"{layer.units}?" in text
    assert f"units uncertain, in no total (choose unit_axis): {layer.name}" in text
    assert "dead 0" not in text


def test_the_guess_is_channels_first_in_images_and_last_in_sequences() -> None:
    for cut, units in (((..., slice(4)), N), ((slice(None), slice(None), 0, slice(4)), 4)):
        mixed = partial(lambda place, h: torch.fft.fft(h[place], dim=1).real, cut)
        (layer,) = measure_health(After(lambda h: mixed(h)), X, exclude_last=False).layers  # noqa: B023
        assert (layer.units, layer.uncertain) == (units, True)


def test_a_value_for_each_unit_is_spread_over_its_numbers() -> None:
    labels = torch.tensor([[5, 3, 3, 5, 3, 7]], dtype=torch.int32)
    layout = unit_layout(torch.Size((2, 6)), labels)
    spread = layout.spread(torch.tensor([10.0, 20.0, 30.0]), torch.Size((2, 6)))
    assert spread.tolist() == [[10, 20, 20, 10, 20, 30]] * 2
    padded = unit_layout(torch.Size((2, 3)), torch.tensor([[4, 0, 4]], dtype=torch.int32))
    with pytest.raises(ModelError, match="belong to no unit"):
        padded.spread(torch.ones(1), torch.Size((2, 3)))


def test_the_user_settles_an_uncertain_layer() -> None:
    net = After(UNKNOWN["as_strided"])
    report = measure_health(net, X, exclude_last=False, unit_axis={"relu": 1})
    assert (report.units, report.uncertain) == (N, ())
    assert measure_health(After(STEPS["flatten"]), X, exclude_last=False, unit_axis=1).units == N**3


def test_a_weight_layer_or_a_normalisation_after_an_unknown_step_is_certain_again() -> None:
    def through(layer: nn.Module, place: int) -> int:
        report = measure_health(
            After(lambda h: layer(torch.fft.fft(h, dim=1).real.movedim(1, place))), X, exclude_last=False
        )
        assert report.uncertain == ()
        return report.units

    assert through(nn.Linear(N, 7), -1) == 7
    assert through(nn.Conv2d(N, 5, 1), 1) == 5
    assert through(nn.BatchNorm2d(N), 1) == N
    assert through(nn.LayerNorm(N), -1) == N


class Mixer(nn.Module):
    """Weights over tokens: their units are in the dimension of tokens."""

    def __init__(self, tokens: int, features: int) -> None:
        super().__init__()
        self.features, self.tokens = nn.Linear(3, features), nn.Linear(tokens, tokens)
        nn.init.constant_(self.tokens.bias, 50)
        self.tokens.bias.data[:2] = -100

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.tokens(self.features(x).transpose(1, 2)).transpose(1, 2))


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "grouped convolution": (lambda: nn.Conv2d(6, 12, 3, groups=3), (6, 6, 12, 12), 12),
    "depthwise convolution": (lambda: nn.Conv2d(8, 8, 3, groups=8, padding=1), (8, 8, 8, 8), 8),
    "transposed convolution": (lambda: nn.ConvTranspose2d(4, 6, 2, stride=2), (6, 4, 3, 3), 6),
    "convolution of one image": (lambda: nn.Sequential(nn.Conv1d(5, 5, 1), nn.BatchNorm1d(5)), (5, 5, 5), 5),
    "convolution in three dimensions": (lambda: nn.Conv3d(2, 4, 1), (4, 2, 4, 4, 4), 4),
    "recurrent": (lambda: First(nn.LSTM(5, 7, batch_first=True)), (7, 7, 5), 7),
    "recurrent, both ways": (lambda: First(nn.GRU(5, 7, batch_first=True, bidirectional=True)), (14, 14, 5), 14),
    "recurrent, last state": (lambda: Last(nn.GRU(5, 7, num_layers=2, batch_first=True)), (14, 14, 5), 7),
    "recurrent, last states of both ways": (
        lambda: States(nn.GRU(5, 7, batch_first=True, bidirectional=True)),
        (14, 14, 5),
        14,
    ),
    "attention": (lambda: First(nn.MultiheadAttention(6, 2, batch_first=True), 3), (6, 6, 6), 6),
    "linear on tokens": (lambda: nn.Linear(6, 6), (6, 6, 6), 6),
    "layer norm": (lambda: nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6)), (6, 6, 6), 6),
    "group norm": (lambda: nn.Sequential(nn.Conv2d(3, 6, 1), nn.GroupNorm(2, 6)), (6, 3, 6, 6), 6),
    "instance norm": (lambda: nn.Sequential(nn.Conv2d(3, 6, 1), nn.InstanceNorm2d(6)), (6, 3, 6, 6), 6),
    "norm of the input": (lambda: nn.BatchNorm1d(6), (6, 6, 6), 6),
    "bilinear": (lambda: Twice(nn.Bilinear(5, 5, 6)), (6, 6, 5), 6),
    "one unit": (lambda: nn.Sequential(nn.Linear(6, 1), nn.Flatten(0)), (6, 6), 1),
    "one channel, squeezed": (lambda: Squeezed(nn.Conv2d(3, 1, 1)), (6, 3, 6, 6), 1),
}


class First(nn.Module):
    def __init__(self, part: nn.Module, times: int = 1) -> None:
        super().__init__()
        self.part, self.times = part, times

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.part(*[x] * self.times)[0]
        return out


class Last(First):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.part(x)[1][-1]
        return out


class States(First):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([*self.part(x)[1]], 1)


class Twice(First):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.part(x, x)
        return out


class Squeezed(First):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.part(x).squeeze(1)
        return out


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_has_its_units_where_its_weights_put_them(name: str) -> None:
    make, shape, units = LAYERS[name]
    report = measure_health(nn.Sequential(make(), nn.ReLU()), torch.rand(shape), exclude_last=False)
    assert [layer.units for layer in report.layers] == [units]
    assert report.uncertain == ()


@pytest.mark.parametrize(("tokens", "features"), [(7, 5), (6, 6)])
def test_weights_over_tokens_make_units_of_tokens(tokens: int, features: int) -> None:
    assert counted(Mixer(tokens, features), torch.rand(4, tokens, 3)) == (tokens, 2)


PRODUCTS: dict[str, tuple[str, tuple[int, ...], int]] = {
    "a matrix from the right": ("nhwc,co->nhwo", (N, 8), 8),
    "a matrix from the left": ("nhwc,oc->nohw", (8, N), 8),
    "a matrix of each group": ("nhgi,gio->nhgo", (2, 3, 4), 8),
    "a matrix for each example, all the same": ("nhwc,nco->nhwo", (N, N, 8), 8),
    "a matrix for all heads": ("nhgi,io->nhgo", (3, 4), 4),
    "positions and channels at once": ("nhwc,hwco->no", (N, N, N, 8), 8),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_the_equation_of_a_product_decides_which_letters_are_units(name: str) -> None:
    equation, shape, units = PRODUCTS[name]
    weight = nn.Parameter(torch.rand(shape))

    def steps(h: Tensor) -> Tensor:
        h = h.permute(0, 2, 3, 1)
        given = net.weight[:1].expand(shape) if "same" in name else net.weight
        return torch.einsum(equation, h.flatten(1, 2).unflatten(2, (2, 3)) if "g" in equation else h, given)

    net = After(steps)
    net.weight = weight
    report = measure_health(net, X, exclude_last=False)
    assert ([layer.units for layer in report.layers], report.uncertain) == ([units], ())


def permuted(draw: st.DrawFn, h: Tensor) -> tuple[str, Tensor]:
    order = [0, *draw(st.permutations(range(1, h.ndim)))]
    return f"permute{order}", h.permute(order)


def flattened(draw: st.DrawFn, h: Tensor) -> tuple[str, Tensor]:
    start = draw(st.integers(1, max(h.ndim - 1, 1)))
    stop = draw(st.integers(start, h.ndim - 1))
    return f"flatten{start, stop}", h.flatten(start, stop)


def split(draw: st.DrawFn, h: Tensor) -> tuple[str, Tensor]:
    place = draw(st.integers(1, h.ndim - 1))
    divisor = draw(st.sampled_from([one for one in (1, 2, 3) if h.shape[place] % one == 0]))
    return f"unflatten{place, divisor}", h.unflatten(place, (divisor, -1))


def chunked(draw: st.DrawFn, h: Tensor) -> tuple[str, Tensor]:
    place, parts = draw(st.integers(1, h.ndim - 1)), draw(st.integers(1, 3))
    onto = draw(st.integers(1, h.ndim - 1))
    pieces = h.chunk(parts, place)
    return f"chunk{place, parts}", torch.cat(pieces[::-1], onto if len({p.shape for p in pieces}) == 1 else place)


def mirrored(draw: st.DrawFn, h: Tensor) -> tuple[str, Tensor]:
    place = draw(st.integers(1, h.ndim - 1))
    return (f"flip{place}", h.flip(place)) if draw(st.booleans()) else (f"roll{place}", h.roll(1, place))


def reshaped(draw: st.DrawFn, h: Tensor) -> tuple[str, Tensor]:
    sizes = draw(st.permutations(h.shape[1:]))
    return f"reshape{sizes}", h.reshape(h.shape[0], *sizes)


def merged(draw: st.DrawFn, h: Tensor) -> tuple[str, Tensor]:
    """Put a dimension into that of the examples, or cut one out of it."""
    if h.ndim > 2 and draw(st.booleans()):
        return "flatten(0, 1)", h.flatten(0, 1)
    return "unflatten(0)", h.unflatten(0, (-1, draw(st.sampled_from([one for one in (1, 2, 3) if len(h) % one == 0]))))


def padded(draw: st.DrawFn, h: Tensor) -> tuple[str, Tensor]:
    return "pad", F.pad(h, (draw(st.integers(0, 2)), draw(st.integers(0, 2))))


def halved(draw: st.DrawFn, h: Tensor) -> tuple[str, Tensor]:
    """Reduce by a function that gives a dead unit no life, in pairs that one unit makes or none."""
    place = draw(st.integers(1, h.ndim - 1))
    twice = torch.stack([h, h + 1], place)
    return f"amax{place}", twice.amax(place) if draw(st.booleans()) else twice.mean(place)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.data())
def test_any_chain_keeps_the_units_of_a_linear_layer_on_tokens(data: st.DataObject) -> None:
    choices = [permuted, flattened, split, chunked, mirrored, reshaped, merged, padded, halved]

    def steps(h: Tensor) -> Tensor:
        h = torch.movedim(h, 1, -1).flatten(1, 2)
        for _ in range(data.draw(st.integers(1, 4))):
            name, h = data.draw(st.composite(data.draw(st.sampled_from(choices)))(h))
            said.append(name)
        return h

    said: list[str] = []
    assert counted(After(steps)) == (N, len(DEAD)), said


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.data())
def test_any_chain_of_layouts_keeps_the_units_and_the_dead_ones(data: st.DataObject) -> None:
    choices = [permuted, flattened, split, chunked, mirrored, reshaped]

    def steps(h: Tensor) -> Tensor:
        for _ in range(data.draw(st.integers(1, 5))):
            name, h = data.draw(st.composite(data.draw(st.sampled_from(choices)))(h))
            said.append(name)
        return h

    said: list[str] = []
    assert counted(After(steps)) == (N, len(DEAD)), said


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "swin", "vit", "convnext"])
def test_units_of_known_networks_are_their_channels(name: str) -> None:
    made = {
        "vit": lambda: models.VisionTransformer(32, 8, 2, 4, 16, 32, num_classes=3),
        "swin": lambda: models.SwinTransformer([4, 4], 16, [2, 2], [2, 2], [4, 4], num_classes=3),
        "convnext": lambda: models.ConvNeXt([models.convnext.CNBlockConfig(16, None, 2)], num_classes=3),
    }.get(name, lambda: getattr(models, name)(weights=None))()
    widths = {part: layer for part, layer in made.named_modules() if isinstance(layer, (nn.Linear, nn.Conv2d))}
    report = measure_health(made, torch.rand(4, 3, 32, 32))
    assert report.layers
    assert report.uncertain == ()
    for layer in report.layers:
        made_by = {part.weight.shape[0] for part in (widths[name] for name in layer.after)}
        assert made_by == {layer.units}, layer.name
