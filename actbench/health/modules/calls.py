"""Classify torch functions by their effect on hidden units: activations, weight layers, linear steps, or unknown.

Functions go by their names without underscores, so that ``F.relu``, ``torch.relu_`` and ``Tensor.relu`` are one entry.
A function in no table counts as a non-linearity that was not recognised: the layer before it is reported as unseen,
never as alive. So a function that is missing here costs a figure, but never makes one wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload, OpOverloadPacket


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ACTIVATIONS = _names(
    """celu elu expit gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu log_sigmoid logsigmoid mish prelu relu
    relu6 rrelu selu sigmoid silu softplus softshrink softsign tanh tanhshrink threshold"""
)
"""Elementwise functions that are activations whatever their arguments, which are kept."""

CLAMPS = frozenset({"clamp", "clamp_min", "clip"})
"""Activations when their lower bound is 0 (ReLU, ReLU6); with another bound they count as unknown."""

GATING = frozenset({"expit", "hardsigmoid", "sigmoid"})
"""Functions that, multiplied by another signal, are a gate on that signal rather than a unit's activation."""

LIBRARIES = frozenset({"aten", "onednn", "quantized"})
"""Torch's own libraries of operators."""

CHANNELS_FIRST = _names("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution")
WEIGHTED = CHANNELS_FIRST | _names("linear bilinear multi_head_attention_forward linear_dynamic linear_dynamic_fp16")
"""Functions that are weight layers; of the first, units are dimension 1, of the others the last."""

FUSED = _names(
    """gru gru_cell lstm lstm_cell rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell
    linear_relu linear_relu_dynamic linear_leaky_relu linear_tanh conv1d_relu conv2d_relu conv3d_relu conv2d_add_relu"""
)
"""Weight layers with their activations inside one fused function, where no hook and no mode sees them."""

PRODUCTS = _names("addbmm addmm addmv baddbmm bmm einsum matmul mm mv rmatmul tensordot")
"""Weight layers when one factor is made of parameters alone; attention and the like when both are signals."""

CHANNEL_NORMS = _names("batch_norm group_norm instance_norm native_batch_norm_legit_no_training native_group_norm")
UNIT_NORMS = _names("layer_norm native_layer_norm rms_norm")
"""Normalisations: of the former, units are dimension 1, of the latter the last."""

SCALINGS = _names("div divide imul mul multiply rmul rdiv rtruediv true_divide truediv")
"""Linear when all factors but one are constants; otherwise one signal gates another."""

LEAVING = frozenset({"array", "numpy", "tolist"})
"""Functions that hand a tensor's numbers, and mostly its memory, to code that is not torch's."""

ENTERING = frozenset({"as_tensor", "asarray", "frombuffer", "tensor"})
"""Functions that make a tensor of numbers that are not torch's."""

CONSTANTS = _names("empty_like full_like new_empty new_full new_ones new_tensor new_zeros ones_like zeros_like")
"""Functions that take shape and type from their argument but no numbers."""

PASSAGES = (
    PRODUCTS
    | CHANNEL_NORMS
    | UNIT_NORMS
    | SCALINGS
    | _names(
        """add iadd radd isub rsub sub subtract neg negative sum mean cumsum
        alpha_dropout dropout dropout1d dropout2d dropout3d feature_alpha_dropout feature_dropout
        local_response_norm normalize softmax softmin log_softmax scaled_dot_product_attention masked_fill
        adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
        adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d lp_pool1d lp_pool2d
        max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices max_unpool1d max_unpool2d
        channel_shuffle fold grid_sample interpolate pad pixel_shuffle pixel_unshuffle unfold upsample
        atleast_2d atleast_3d broadcast_to cat chunk clone concat concatenate contiguous detach diagonal embedding
        expand expand_as flatten flip gather get getitem hstack index_select moveaxis movedim narrow permute
        alias lift_fresh_copy native_dropout slice to_copy unsafe_view
        positive ravel repeat repeat_interleave reshape reshape_as roll select setitem split split_with_sizes squeeze
        stack swapaxes swapdims t take_along_dim tensor_split tile transpose tril triu type_as unbind unflatten
        unsqueeze view view_as vstack
        complex conj conj_physical imag real resolve_conj resolve_neg view_as_complex view_as_real
        as_subclass bfloat16 copy cpu cuda double float half requires_grad to type"""
    )
)
"""Functions that are not activations of units: linear maps, pooling, normalisation, attention's softmax, layouts."""


def name_of(function: Callable[..., Any]) -> str:
    """Return a function's name in the tables: ``relu`` for ``F.relu``, ``torch.relu_`` and ``Tensor.relu`` alike.

    Operators that exported and quantised programs call go by the same names. Those of a library that is not torch's go
    by their full name: they count as unknown, whatever they are called.
    """
    if isinstance(function, (OpOverload, OpOverloadPacket)):
        library, name = str(function).split(".")[:2]
        return name.strip("_") if library in LIBRARIES else str(function)
    return str(getattr(function, "__name__", "")).strip("_")


def is_activation(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Return whether a call with these arguments is an activation of its first argument."""
    if name in CLAMPS:
        lower = args[1] if len(args) > 1 else kwargs.get("min")
        return isinstance(lower, (int, float)) and lower == 0
    return name in ACTIVATIONS


def unit_axis(name: str) -> int | None:
    """Return the dimension of units in the result of a weight layer or normalisation; None for other functions."""
    if name in CHANNELS_FIRST | CHANNEL_NORMS:
        return 1
    return -1 if name in WEIGHTED | FUSED | PRODUCTS | UNIT_NORMS else None


def is_plain(tensor: Tensor) -> bool:
    """Return whether a tensor holds floating-point numbers that can be looked at element by element.

    Not so: sparse, nested and quantised ones, and those that a function transform (``vmap``, ``grad``) has wrapped.
    """
    plain = tensor.is_floating_point() and tensor.layout == torch.strided and not tensor.is_meta
    return plain and not torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def tensors(content: Any) -> Iterator[Tensor]:
    """Yield every tensor in nested tuples, lists and mappings."""
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from tensors(value)
    elif isinstance(content, (tuple, list)):
        for value in content:
            yield from tensors(value)
