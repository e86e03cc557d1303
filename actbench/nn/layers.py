"""Layers for tensors whose dimension 0 is the run: R networks in one call, none of which sees another.

Axes: ``R`` runs, ``B`` examples, ``U`` units, ``C`` channels, ``H W`` pixels. On the CPU every product is done run by
run with the kernel that a run of its own would use, so a run's numbers do not depend on its company; a batched product
of many runs picks other blockings there and its last bits move. On other devices, where launches cost more than
arithmetic, the runs go in one batched or grouped call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, overload

import torch
import torch.nn.functional as F
from torch import Tensor

from actbench.nn import cpu_linear

MOMENTUM, EPSILON = 0.1, 1e-5
"""Batch normalisation's, as in ``torch.nn.BatchNorm2d``."""

VECTOR_STEP = 128
"""Bytes that an elementwise loop of torch takes at once on a CPU with AVX-512; shorter registers divide it."""

BUFFERS = ("running_mean", "running_var")
"""Last part of the names of tensors that a run carries along but does not train."""

Params = Mapping[str, Tensor]


class Activate(Protocol):
    """What a model's ``apply`` calls between its layers; the cohort supplies it.

    Attributes:
        training: Whether this is a training step.
        sizes: How many neighbouring runs have the same activation, for one activation after another.
    """

    training: bool

    @property
    def sizes(self) -> Sequence[int]:
        """See above."""
        ...

    @overload
    def __call__(self, layer: str, z: Tensor) -> Tensor: ...
    @overload
    def __call__(self, layer: str, z: Hidden) -> Hidden: ...
    def __call__(self, layer: str, z: Hidden) -> Hidden:
        """Each run's own activation of ``z`` (R, B, …), for the hidden layer of that name."""
        ...

    def uniform(self, x: Tensor) -> Tensor:
        """Numbers in [0, 1) shaped like ``x`` (R, B, …), equal for runs with equal seeds (for dropout)."""
        ...


def is_buffer(name: str) -> bool:
    """Whether the tensor of this name is carried along but not trained."""
    return name.rpartition(".")[2] in BUFFERS


@dataclass(frozen=True)
class Parts:
    """A tensor (R, B, …) in pieces: neighbouring runs of one activation in a tensor each, one after another.

    Where each piece is computed by itself on both sides, putting them together and cutting them again would cost two
    copies a layer, forward and backward.
    """

    pieces: tuple[Tensor, ...]

    def flatten(self, start: int) -> Parts:
        """As of one tensor."""
        return Parts(tuple(piece.flatten(start) for piece in self.pieces))


Hidden = Tensor | Parts


def joined(x: Hidden) -> Tensor:
    """The tensor (R, B, …) itself."""
    return join(x.pieces) if isinstance(x, Parts) else x


@overload
def linear(x: Hidden, weight: Tensor, bias: Tensor | None) -> Tensor: ...
@overload
def linear(x: Hidden, weight: Tensor, bias: Tensor | None, *, act: Activate) -> Hidden: ...
def linear(x: Hidden, weight: Tensor, bias: Tensor | None, *, act: Activate | None = None) -> Hidden:
    """y_r = x_r W_rᵀ + b_r.

    Args:
        x: (R, B, in); may be an expanded view when the runs share their batch.
        weight: (R, out, in).
        bias: (R, out) or None.
        act: Who will use the result; a CPU then gives it in the pieces that suit this user.

    Returns:
        (R, B, out).
    """
    if weight.device.type != "cpu":
        return linear_batched(joined(x), weight, bias)
    sizes = (len(weight),) if act is None else act.sizes
    pieces = cpu_linear.linear(x.pieces if isinstance(x, Parts) else (x,), weight, bias, sizes)
    return Parts(pieces) if len(pieces) > 1 else pieces[0]


def linear_batched(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``linear`` as one batched product."""
    product = torch.bmm(x, weight.transpose(1, 2))
    return product if bias is None else product + bias.unsqueeze(1)


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, *, padding: int) -> Tensor:
    """Cross-correlation with stride 1, for each run with its own kernels.

    Args:
        x: (R, B, C, H, W).
        weight: (R, out, C, K, K).
        bias: (R, out) or None.
        padding: Zeros on every side.

    Returns:
        (R, B, out, H', W').
    """
    if x.device.type == "cpu":
        return per_run(partial(_conv2d_channels_last, padding=padding), x, weight, bias)
    return conv2d_grouped(x, weight, bias, padding=padding)


def conv2d_grouped(x: Tensor, weight: Tensor, bias: Tensor | None, *, padding: int) -> Tensor:
    """``conv2d`` as one convolution with a group for each run."""
    runs, examples = x.shape[:2]
    stacked = x.transpose(0, 1).flatten(1, 2)  # (B, R·C, H, W)
    flat_bias = None if bias is None else bias.flatten()
    y = F.conv2d(stacked, weight.flatten(0, 1), flat_bias, padding=padding, groups=runs)
    return y.view(examples, runs, -1, *y.shape[2:]).transpose(0, 1)


def max_pool2d(x: Tensor, size: int) -> Tensor:
    """Maximum over windows of size × size: (R, B, C, H, W) -> (R, B, C, H // size, W // size)."""
    return _split_runs(F.max_pool2d(x.flatten(0, 1), size), x.shape[1])


def avg_pool2d(x: Tensor, size: int) -> Tensor:
    """Mean over windows of size × size: (R, B, C, H, W) -> (R, B, C, H // size, W // size)."""
    return _split_runs(F.avg_pool2d(x.flatten(0, 1), size), x.shape[1])


def batch_norm(x: Hidden, params: Params, name: str, *, training: bool) -> Tensor:
    """Normalise every channel of every run over its own batch (and positions); running statistics in evaluation.

    Args:
        x: (R, B, U) or (R, B, C, H, W).
        params: Holds ``{name}.weight``, ``.bias``, ``.running_mean``, ``.running_var``, each (R, U); the running
            ones are updated in place while training.
        name: The layer's.
        training: Whether to use the batch's statistics.

    Reference:
        Ioffe and Szegedy, arXiv 1502.03167.
    """
    x, tensors = joined(x), [params[f"{name}.{part}"] for part in ("weight", "bias", *BUFFERS)]
    if x.device.type == "cpu":
        return per_run(partial(_normalise, training=training), x, *tensors)
    return batch_norm_folded(x, *tensors, training=training)


def batch_norm_folded(
    x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor, *, training: bool
) -> Tensor:
    """``batch_norm`` in one call, every unit of every run being a channel of its own."""
    runs, examples = x.shape[:2]
    stacked = x.transpose(0, 1).flatten(1, 2)  # (B, R·C, …)
    tensors = (tensor.flatten() for tensor in (scale, shift, mean, variance))  # views of the running ones
    y = _normalise(stacked, *tensors, training=training)
    return y.view(examples, runs, -1, *y.shape[2:]).transpose(0, 1)


def _normalise(x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor, *, training: bool) -> Tensor:
    return F.batch_norm(x, mean, variance, scale, shift, training, MOMENTUM, EPSILON)


def batch_norm_tensors(units: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """One run's tensors of a batch normalisation at its start: scale 1, shift 0, mean 0, variance 1."""
    zeros, ones = torch.zeros(units, dtype=dtype), torch.ones(units, dtype=dtype)
    return {"weight": ones, "bias": zeros, "running_mean": zeros.clone(), "running_var": ones.clone()}


def dropout(x: Hidden, rate: float, act: Activate) -> Hidden:
    """Zero each element with probability ``rate`` and scale the rest by 1 / (1 - rate); the identity in evaluation."""
    if rate == 0 or not act.training:
        return x
    x = joined(x)
    return x * (act.uniform(x) >= rate) / (1 - rate)


def per_run(function: Callable[..., Tensor], *tensors: Tensor | None) -> Tensor:
    """``function`` of every run by itself, then joined: each argument (R, …) or None, results (B, …) -> (R, B, …)."""
    runs = next(len(tensor) for tensor in tensors if tensor is not None)
    columns = [[None] * runs if tensor is None else _each(tensor) for tensor in tensors]
    return join([function(*row).unsqueeze(0) for row in zip(*columns, strict=True)])


def separate(x: Tensor, sizes: Sequence[int]) -> Sequence[Tensor]:
    """Cut (R, B, …) into parts of that many runs each; the inverse of ``join``.

    A split, because its gradient is one concatenation, where each slice would add a full-size tensor of zeros; and of
    images (R·B, …), so that the gradient keeps their memory format too.
    """
    if len(sizes) == 1:
        return (x,)
    examples = x.shape[1]
    parts = torch.split(x.flatten(0, 1), [size * examples for size in sizes])
    return [_split_runs(part, examples) for part in parts]


def _split_runs(x: Tensor, examples: int) -> Tensor:
    """(R·B, …) -> (R, B, …), a view."""
    return torch.unflatten(x, 0, (-1, examples))


def _each(x: Tensor) -> list[Tensor]:
    return [part.squeeze(0) for part in separate(x, [1] * len(x))]


def join(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate (R_i, B, …) over the runs, keeping the images' memory format; one part costs nothing.

    Joined as images (R·B, …), because ``cat`` keeps channels-last for those alone; another format would let a run's
    sums be taken in another order among others than alone.
    """
    if len(parts) == 1:
        return parts[0]
    examples = parts[0].shape[1]
    return _split_runs(torch.cat([part.flatten(0, 1) for part in parts]), examples)


def _conv2d_channels_last(x: Tensor, weight: Tensor, bias: Tensor | None, *, padding: int) -> Tensor:
    """A quarter faster than channels-first in oneDNN; from images of one channel its result is channels-first."""
    return _channels_last(F.conv2d(_channels_last(x), _channels_last(weight), bias, padding=padding))


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
