"""Layers for tensors whose dimension 0 is the run: R networks in one call, none of which sees another.

Axes: ``R`` runs, ``B`` examples, ``U`` units, ``C`` channels, ``H W`` pixels. On a CPU every layer computes run by run,
with the kernel that a run of its own would use, so a run's numbers do not depend on its company (``nn.alignment``). On
other devices, where launches cost more than arithmetic, the runs go in one batched or grouped call.

A dense layer or convolution computes in the type of its input and takes gradients back to the type of its parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, overload

import torch
import torch.nn.functional as F
from torch import Tensor

from actbench.nn import cpu_linear
from actbench.nn.native import functions as native
from actbench.nn.parts import Hidden, Parts, cut, join, split_runs, whole
from actbench.nn.unit_axes.layout import UnitLayout

EPSILON = 1e-5
"""Added to the variance by batch and layer normalisation, as in torch."""

MOMENTUM = 0.1
"""Of batch normalisation's running statistics, as in ``torch.nn.BatchNorm2d``."""

SELU_LIMIT = 1.7580993408473766
"""λα, where −λα is SELU's limit for z → −∞, to all digits that torch has."""

BUFFERS = ("running_mean", "running_var")
"""Last part of the names of tensors that a run carries along but does not train."""

Params = Mapping[str, Tensor]


class Activate(Protocol):
    """Apply each run's own activation: what a model's ``apply`` calls between its layers. The cohort supplies it.

    Attributes:
        training: Whether this is a training step.
        as_script: Whether the runs are to have the bits of a plain PyTorch script (``draws: torch``).
    """

    training: bool
    as_script: bool

    @property
    def sizes(self) -> Sequence[int]:
        """How many neighbouring runs have the same activation, for one activation after another."""
        ...

    @overload
    def __call__(self, layer: str, z: Tensor, units: UnitLayout | None = None) -> Tensor: ...
    @overload
    def __call__(self, layer: str, z: Hidden, units: UnitLayout | None = None) -> Hidden: ...
    def __call__(self, layer: str, z: Hidden, units: UnitLayout | None = None) -> Hidden:
        """Return each run's own activation of ``z`` (R, B, …), for the hidden layer of that name.

        Args:
            layer: The hidden layer's name.
            z: Its pre-activations.
            units: Where they lie in the z of one run; None for (R, B, U, …positions).
        """
        ...

    @property
    def watches_norms(self) -> bool:
        """Whether ``before_norm`` is to be called."""
        ...

    def before_norm(self, name: str, x: Tensor, mean: Tensor, variance: Tensor) -> None:
        """Show the input (R, B, U, …) of a batch normalisation, and its running statistics (R, U), to be set in place.

        May raise to end the pass.
        """
        ...

    def uniform(self, x: Tensor) -> Tensor:
        """Draw numbers in [0, 1) shaped like ``x`` (R, B, …), equal for runs with equal seeds, for dropout."""
        ...

    def torch_dropout_noise(self, x: Tensor, rate: float) -> Tensor | None:
        """Draw the factors by which ``nn.Dropout`` multiplies ``x`` (R, B, …); None where the runs draw otherwise."""
        ...


def is_buffer(name: str) -> bool:
    """Return whether the tensor of this name is carried along but not trained."""
    return name.rpartition(".")[2] in BUFFERS


@overload
def linear(x: Hidden, weight: Tensor, bias: Tensor | None) -> Tensor: ...
@overload
def linear(x: Hidden, weight: Tensor, bias: Tensor | None, *, sizes: Sequence[int]) -> Hidden: ...
def linear(x: Hidden, weight: Tensor, bias: Tensor | None, *, sizes: Sequence[int] | None = None) -> Hidden:
    """Compute y_r = x_r W_rᵀ + b_r for each run r.

    Args:
        x: (R, B, in); may be an expanded view when the runs share their batch.
        weight: (R, out, in).
        bias: (R, out) or None.
        sizes: Runs of each part in which the result will be used (``Activate.sizes``), which a CPU then gives it in;
            None for one tensor.

    Returns:
        (R, B, out).
    """
    if weight.device.type != "cpu":
        x = whole(x)
        return linear_batched(x, *_in_the_type_of(x, weight, bias))
    pieces = cpu_linear.linear(x.pieces if isinstance(x, Parts) else (x,), weight, bias, sizes or (len(weight),))
    return Parts(pieces) if len(pieces) > 1 else pieces[0]


def linear_batched(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute ``linear`` as one batched matrix product."""
    product: Tensor = _Batched.apply(x, weight)
    return product if bias is None else product + bias.unsqueeze(1)


class _Batched(torch.autograd.Function):
    """Compute x_r W_rᵀ, with a gradient of the weights that lies in memory as they do.

    Autograd's own gradient is that of Wᵀ, transposed: copying it to its slot took a fifth of a step on an H200.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.bmm(x, weight.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        dx = torch.bmm(slope, weight) if ctx.needs_input_grad[0] else None
        return dx, torch.bmm(slope.transpose(1, 2), x) if ctx.needs_input_grad[1] else None


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, *, padding: int, channels_last: bool = True) -> Tensor:
    """Cross-correlate with stride 1, each run with its own kernels.

    Args:
        x: (R, B, C, H, W).
        weight: (R, out, C, K, K).
        bias: (R, out) or None.
        padding: Zeros on every side.
        channels_last: Whether a CPU computes with the channels last in memory, which is faster; the gradients of a
            script, which has them first, have other last bits.

    Returns:
        (R, B, out, H', W').
    """
    weight, bias = _in_the_type_of(x, weight, bias)
    if x.device.type == "cpu":
        function = _conv2d_channels_last if channels_last else F.conv2d
        return per_run(partial(function, padding=padding), x, weight, bias)
    return conv2d_grouped(x, weight, bias, padding=padding)


def conv2d_grouped(x: Tensor, weight: Tensor, bias: Tensor | None, *, padding: int) -> Tensor:
    """Compute ``conv2d`` as one convolution with a group for each run."""
    runs, examples = x.shape[:2]
    stacked = x.transpose(0, 1).flatten(1, 2)  # (B, R·C, H, W)
    flat_bias = None if bias is None else bias.flatten()
    y = F.conv2d(stacked, weight.flatten(0, 1), flat_bias, padding=padding, groups=runs)
    return y.view(examples, runs, -1, *y.shape[2:]).transpose(0, 1)


def max_pool2d(x: Tensor, size: int) -> Tensor:
    """Take the maximum over windows of size × size: (R, B, C, H, W) -> (R, B, C, H // size, W // size)."""
    images = x.flatten(0, 1)
    pool = native.max_pool if native.has_max_pool(images, size) else F.max_pool2d
    return split_runs(pool(images, size), x.shape[1])


def avg_pool2d(x: Tensor, size: int) -> Tensor:
    """Take the mean over windows of size × size: (R, B, C, H, W) -> (R, B, C, H // size, W // size)."""
    return split_runs(F.avg_pool2d(x.flatten(0, 1), size), x.shape[1])


def batch_norm(x: Hidden, params: Params, name: str, act: Activate) -> Tensor:
    """Normalise every channel of every run over its own batch (and positions); running statistics in evaluation.

    Args:
        x: (R, B, U) or (R, B, C, H, W).
        params: Holds ``{name}.weight``, ``.bias``, ``.running_mean``, ``.running_var``, each (R, U); the running
            ones are updated in place while training.
        name: The layer's.
        act: Decides by its ``training`` whether to use the batch's statistics.

    Reference:
        Ioffe and Szegedy, arXiv 1502.03167.
    """
    x, tensors = whole(x), [params[f"{name}.{part}"] for part in ("weight", "bias", *BUFFERS)]
    if act.watches_norms:
        act.before_norm(name, x, *tensors[2:])
    if x.device.type == "cpu":
        return per_run(partial(_normalise, training=act.training), x, *tensors)
    return batch_norm_folded(x, *tensors, training=act.training)


def batch_norm_folded(
    x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor, *, training: bool
) -> Tensor:
    """Compute ``batch_norm`` in one call, every unit of every run being a channel of its own."""
    runs, examples = x.shape[:2]
    stacked = x.transpose(0, 1).flatten(1, 2)  # (B, R·C, …)
    tensors = (tensor.flatten() for tensor in (scale, shift, mean, variance))  # views of the running ones
    y = _normalise(stacked, *tensors, training=training)
    return y.view(examples, runs, -1, *y.shape[2:]).transpose(0, 1)


def _normalise(x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor, *, training: bool) -> Tensor:
    return F.batch_norm(x, mean, variance, scale, shift, training, MOMENTUM, EPSILON)


def layer_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Normalise each example of every run over its own units (and positions).

    In images all of an example's numbers share a mean and a variance, and a channel has one scale and one shift: the
    layer normalisation of Wu and He, which is ``torch.nn.GroupNorm`` with one group. It is computed in the type of the
    scale, and rounded once to that of x.

    Args:
        x: (R, B, U) or (R, B, C, H, W).
        scale: (R, U).
        shift: (R, U).

    Reference:
        Ba, Kiros and Hinton, arXiv 1607.06450; for images, Wu and He, arXiv 1803.08494, figure 2.
    """
    if x.device.type == "cpu":
        return per_run(_normalise_examples, x, scale, shift)
    return layer_norm_folded(x, scale, shift)


def layer_norm_folded(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Compute ``layer_norm`` in one call for all examples of all runs, and then each run's scale and shift."""
    exact = x.to(scale.dtype)
    normal = F.group_norm(exact.flatten(0, 1), 1, eps=EPSILON).view(x.shape)
    return torch.addcmul(spread(shift, x), normal, spread(scale, x)).to(x.dtype)


def _normalise_examples(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    exact = x.to(scale.dtype)
    if x.ndim == 2:
        return F.layer_norm(exact, x.shape[1:], scale, shift, EPSILON).to(x.dtype)
    return F.group_norm(exact, 1, scale, shift, EPSILON).to(x.dtype)


def elementwise_norm(function: Callable[..., Tensor], x: Tensor, scale: Tensor, shift: Tensor, *more: Tensor) -> Tensor:
    """Compute an elementwise function in the place of a normalisation, ``dyt`` or ``derf``.

    Args:
        function: It takes x and the tensors, with or without the run's axis.
        x: (R, B, U) or (R, B, C, H, W).
        scale: (R, U).
        shift: (R, U).
        more: Further tensors with one number for each run, (R,).
    """
    single = [tensor.unsqueeze(1) for tensor in more]
    if x.device.type == "cpu":
        # Run by run even so: a vector loop leaves over other elements of many runs than of one (nn.alignment).
        return per_run(function, x, scale, shift, *single)
    return function(x, scale, shift, *single)


def dyt(x: Tensor, scale: Tensor, shift: Tensor, alpha: Tensor) -> Tensor:
    """Compute γ·tanh(α·x) + β, in the type of γ, and round once to that of x.

    Args:
        x: (…, B, U) or (…, B, C, H, W).
        scale: γ (…, U).
        shift: β (…, U).
        alpha: (…, 1).

    Reference:
        Zhu, Chen, He, LeCun and Liu, arXiv 2503.10622.
    """
    exact = x.to(scale.dtype)
    bounded = torch.tanh(exact * spread(alpha, x))
    return torch.addcmul(spread(shift, x), bounded, spread(scale, x)).to(x.dtype)


def derf(x: Tensor, scale: Tensor, shift: Tensor, alpha: Tensor, offset: Tensor) -> Tensor:
    """Compute γ·erf(α·x + s) + β, in the type of γ, and round once to that of x.

    Args:
        x: (…, B, U) or (…, B, C, H, W).
        scale: γ (…, U).
        shift: β (…, U).
        alpha: (…, 1).
        offset: s (…, 1).

    Reference:
        Chen, Lu, Zhu, Sun and Liu, arXiv 2512.10938, equation 10.
    """
    exact = x.to(scale.dtype)
    bounded = torch.erf(torch.addcmul(spread(offset, x), exact, spread(alpha, x)))
    return torch.addcmul(spread(shift, x), bounded, spread(scale, x)).to(x.dtype)


def spread(values: Tensor, x: Tensor) -> Tensor:
    """Return a number for each unit, (…, U), or one for all, (…, 1), shaped to broadcast over x (…, B, U, …)."""
    positions = x.ndim - values.ndim - 1
    return values.unsqueeze(-2).view(*values.shape[:-1], 1, values.shape[-1], *(1 for _ in range(positions)))


def dropout(x: Hidden, rate: float, act: Activate, *, kind: str = "standard") -> Hidden:
    """Drop each element with probability ``rate`` in training; the identity in evaluation.

    ``standard`` zeroes it and scales the rest by 1 / (1 - rate). ``alpha`` sets it to −λα, SELU's limit for z → −∞, and
    maps all to a·x + b, a = ((1 - rate)·(1 + rate·(λα)²))^(-1/2), b = a·rate·λα: so elements of mean 0 and variance 1,
    as SELU gives them, keep both.

    Reference:
        Klambauer, Unterthiner, Mayr, Hochreiter 2017, arXiv:1706.02515.
    """
    if rate == 0 or not act.training:
        return x
    x = whole(x)
    noise = act.torch_dropout_noise(x, rate)
    if kind == "standard":
        return x * (act.uniform(x) >= rate) / (1 - rate) if noise is None else x * noise
    # Each number as torch's own kernel computes it, so that equal draws give equal bits.
    kept = ((act.uniform(x) >= rate) if noise is None else noise != 0).to(x.dtype)
    scale = 1 / math.sqrt((SELU_LIMIT * SELU_LIMIT * rate + 1) * (1 - rate))
    shift = (kept - 1) * (SELU_LIMIT * scale) + SELU_LIMIT * scale * rate
    return x * (kept * scale) + shift


def per_run(function: Callable[..., Tensor], *tensors: Tensor | None) -> Tensor:
    """Apply ``function`` to each run by itself and join the results: arguments (R, …) or None -> (R, B, …)."""
    runs = next(len(tensor) for tensor in tensors if tensor is not None)
    alone = [1] * runs
    columns = [[None] * runs if x is None else [part.squeeze(0) for part in cut(x, alone)] for x in tensors]
    return join([function(*row).unsqueeze(0) for row in zip(*columns, strict=True)])


def _in_the_type_of(x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Cast a layer's tensors to its input's type: in bfloat16, a copy of them is made once a step."""
    return weight.to(x.dtype), None if bias is None else bias.to(x.dtype)


def _conv2d_channels_last(x: Tensor, weight: Tensor, bias: Tensor | None, *, padding: int) -> Tensor:
    # A quarter faster than channels-first in oneDNN (102 against 81 GFLOP/s a core). From images of one channel oneDNN
    # returns channels-first all the same, hence the outer conversion: the next layer must find one format always.
    return _channels_last(F.conv2d(_channels_last(x), _channels_last(weight), bias, padding=padding))


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
