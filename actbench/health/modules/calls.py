"""Classify torch functions by their effect on hidden units: activations, weight layers, linear steps, or unknown.

Functions go by their names without underscores, so that ``F.relu``, ``torch.relu_`` and ``Tensor.relu`` are one entry.
A function in no table counts as a non-linearity that was not recognised: the layer before it is reported as unseen,
never as alive. So a function that is missing here costs a figure, but never makes one wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from actbench.nn.unit_axes import families
from actbench.nn.unit_axes.families import NORMS, RESHAPES, names

ACTIVATIONS = names(
    """celu elu expit gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu log_sigmoid logsigmoid mish prelu relu
    relu6 rrelu selu sigmoid silu softplus softshrink softsign tanh tanhshrink threshold"""
)
"""Elementwise functions that are activations whatever their arguments, which are kept."""

GATED = frozenset({"glu"})
"""Functions of two halves of their first argument: of the dimension of units, the value and its gate."""

CLAMPS = frozenset({"clamp", "clamp_min", "clip"})
"""Activations when their lower bound is 0 (ReLU, ReLU6); with another bound they count as unknown."""

GATING = frozenset({"expit", "hardsigmoid", "sigmoid"})
"""Functions that, multiplied by another signal, are a gate on that signal rather than a unit's activation."""

WEIGHTED = names(
    """bilinear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution linear
    linear_dynamic linear_dynamic_fp16 multi_head_attention_forward"""
)
"""Functions that are weight layers."""

UNBATCHED = {name: int(name[-2]) + 1 for name in WEIGHTED if name.startswith("conv") and name.endswith("d")} | {
    "linear": 1,
    "multi_head_attention_forward": 2,
}
"""Functions that take one example as well as a batch, and the dimensions of one."""

FUSED = names(
    """gru gru_cell lstm lstm_cell rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell
    linear_relu linear_relu_dynamic linear_leaky_relu linear_tanh conv1d_relu conv2d_relu conv3d_relu conv2d_add_relu"""
)
"""Weight layers with their activations inside one fused function, where no hook and no mode sees them."""

PRODUCTS = families.PRODUCTS - {"sparse_mm"}  # a sparse weight can't be looked at: its layer counts as unseen
"""Weight layers when one factor is made of parameters alone; attention and the like when both are signals."""

SCALINGS = names("div divide imul mul multiply rmul rdiv rtruediv true_divide truediv")
"""Linear when all factors but one are constants; otherwise one signal gates another."""

LEAVING = names("array data_ptr dlpack numpy storage tolist typed_storage untyped_storage")
"""Functions that hand a tensor's numbers, and mostly its memory, to code that is not torch's."""

ENTERING = frozenset({"as_tensor", "asarray", "frombuffer", "tensor"})
"""Functions that make a tensor of numbers that are not torch's."""

CONSTANTS = frozenset(name for name in families.MADE_ALIKE if "rand" not in name)
"""Functions that take shape and type from their argument but no numbers."""

PASSAGES = (
    PRODUCTS
    | SCALINGS
    | NORMS
    | RESHAPES
    | names(
        """add iadd radd isub rsub sub subtract neg negative sum mean cumsum
        alpha_dropout dropout dropout1d dropout2d dropout3d feature_alpha_dropout feature_dropout
        local_response_norm normalize softmax softmin log_softmax scaled_dot_product_attention masked_fill
        adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
        adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d lp_pool1d lp_pool2d
        max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices max_unpool1d max_unpool2d
        channel_shuffle fold grid_sample interpolate pad pixel_shuffle pixel_unshuffle unfold upsample
        atleast_2d atleast_3d broadcast_to cat chunk clone concat concatenate contiguous detach diagonal embedding
        expand expand_as flip gather get getitem hstack index_select moveaxis movedim narrow permute
        alias embedding_bag lift_fresh_copy native_dropout slice to_copy
        positive repeat repeat_interleave roll select setitem split split_with_sizes
        stack swapaxes swapdims t take_along_dim tensor_split tile transpose tril triu type_as unbind vstack
        complex conj conj_physical imag real resolve_conj resolve_neg view_as_complex view_as_real
        as_subclass bfloat16 copy cpu cuda double float half requires_grad to type"""
    )
)
"""Functions that are not activations of units: linear maps, pooling, normalisation, attention's softmax, layouts."""


KNOWN = PASSAGES | WEIGHTED | FUSED | CONSTANTS
"""Functions of which it is known that they are no weight layer, or that they are one."""


def is_activation(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Return whether a call with these arguments is an activation of its first argument."""
    if name in CLAMPS:
        lower = args[1] if len(args) > 1 else kwargs.get("min")
        return isinstance(lower, (int, float)) and lower == 0
    return name in ACTIVATIONS


def is_plain(tensor: Tensor) -> bool:
    """Return whether a tensor holds floating-point numbers that can be looked at element by element.

    Not so: sparse, nested and quantised ones, and those that a function transform (``vmap``, ``grad``) has wrapped.
    """
    plain = tensor.is_floating_point() and tensor.layout == torch.strided and not tensor.is_meta
    return plain and not torch._C._functorch.is_functorch_wrapped_tensor(tensor)
