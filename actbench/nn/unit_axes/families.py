"""Sort torch functions into families by how they treat the units of their arguments, one rule for each in ``rules``.

Functions go by their names without underscores. One that is in no family has results of which the units are lost: a
function that is missing here costs a figure, but never makes one wrong.
"""

from __future__ import annotations

from collections.abc import Mapping


def names(text: str) -> frozenset[str]:
    """Return the names in a text, as the tables are written."""
    return frozenset(text.split())


CONVOLUTIONS = names(
    """conv1d conv1d_relu conv2d conv2d_add_relu conv2d_relu conv3d conv3d_relu conv_transpose1d conv_transpose2d
    conv_transpose3d convolution"""
)
"""Weight layers with their units in dimension 1, before the positions."""

LAST = names(
    """bilinear embedding embedding_bag gru gru_cell linear linear_dynamic linear_dynamic_fp16 linear_leaky_relu
    linear_relu linear_relu_dynamic linear_tanh lstm lstm_cell multi_head_attention_forward rnn_relu
    rnn_relu_cell rnn_tanh rnn_tanh_cell"""
)
"""Weight layers with their units in the last dimension of each result."""
RECURRENT = names("gru lstm rnn_relu rnn_tanh")
"""Weight layers with a second result, the last states (layers and directions, …, units)."""

PRODUCTS = names("addbmm addmm addmv baddbmm bmm einsum matmul mm mv rmatmul sparse_mm tensordot")
WITH_SUMMAND = names("addbmm addmm addmv baddbmm")
"""Products that are added to their first argument."""

NORMS = names(
    """batch_norm group_norm instance_norm layer_norm native_batch_norm_legit_no_training native_group_norm
    native_layer_norm rms_norm"""
)
"""Normalisations, after which units are what they were; without a layer before, each feature is one."""

RESHAPES = names("flatten ravel reshape reshape_as squeeze unflatten unsafe_view unsqueeze view view_as")
"""Functions that keep the order of the numbers, in C's order of the dimensions."""

MOVES = names(
    """H T adjoint atleast_1d atleast_2d atleast_3d block_diag broadcast_tensors broadcast_to cat chunk
    column_stack concat concatenate diag diag_embed diagonal diagonal_scatter dsplit dstack expand expand_as
    flip fliplr flipud gather get getitem hsplit hstack index_copy index_put index_select mH mT masked_scatter
    masked_select meshgrid moveaxis movedim narrow narrow_copy permute repeat repeat_interleave roll rot90
    row_stack scatter select select_scatter setitem slice slice_scatter split split_with_sizes stack swapaxes
    swapdims t take take_along_dim tensor_split tile transpose unbind unfold unsafe_chunk unsafe_split vsplit
    vstack"""
)
"""Functions that only move numbers; indices are taken as they are."""

TRANSFORMS = names(
    """fft_fft fft_fft2 fft_fftn fft_hfft fft_ifft fft_ifft2 fft_ifftn fft_ihfft fft_irfft fft_irfft2 fft_irfftn
    fft_rfft fft_rfft2 fft_rfftn"""
)
"""Fourier transforms: each result is made of all numbers along the transformed dimensions."""

BLOCKWISE = names("channel_shuffle native_channel_shuffle pixel_shuffle pixel_unshuffle")
"""Moves that treat each example alike, so that labels equal for all examples need only one."""

ELEMENTWISE = names(
    """abs absolute acos acosh add addcdiv addcmul alias alpha_dropout angle arccos arccosh arcsin arcsinh arctan
    arctan2 arctanh as_subclass asin asinh atan atan2 atanh bernoulli bfloat16 celu clamp clamp_max clamp_min
    clip clone complex conj conj_physical contiguous copy copysign cos cosh cpu cuda cummax cummin cumprod
    cumsum data deg2rad detach digamma div divide double dropout dropout1d dropout2d dropout3d elu erf erfc
    erfinv exp exp2 expit expm1 exponential feature_alpha_dropout feature_dropout fill fill_diagonal float
    float_power floor floor_divide fmax fmin fmod frac gelu gumbel_softmax half hardshrink hardsigmoid hardswish
    hardtanh heaviside hypot i0 iadd imag imul index_fill isub itruediv ldexp leaky_relu lerp lgamma
    lift_fresh_copy local_response_norm log log10 log1p log2 log_sigmoid log_softmax logaddexp logaddexp2
    logcumsumexp logit logsigmoid masked_fill maximum minimum mish mul multiply nan_to_num native_dropout neg
    negative normal normalize pin_memory polar positive pow prelu rad2deg radd random rdiv real reciprocal relu
    relu6 remainder requires_grad resolve_conj resolve_neg rmul round rpow rrelu rsqrt rsub rtruediv selu set
    sgn sigmoid sign silu sin sinc sinh softmax softmin softplus softshrink softsign sqrt square sub subtract
    tan tanh tanhshrink threshold to to_copy tril triu true_divide truediv trunc type type_as uniform where
    xlogy zero"""
)
"""Functions whose result at a place comes from its arguments at that place; those that compute along a dimension
(``softmax``, ``cumsum``) but put a result beside each number are among them."""

REPLACED = names("bernoulli copy exponential fill normal random set uniform zero")
"""Elementwise functions that replace the numbers of their first argument."""

REDUCTIONS: Mapping[str, int] = {
    **dict.fromkeys(
        names(
            """amax amin aminmax logsumexp max mean median min mode nanmean nanmedian nansum prod std std_mean sum var
    var_mean"""
        ),
        1,
    ),
    **dict.fromkeys(names("kthvalue nanquantile norm quantile vector_norm"), 2),
}
"""Functions that leave a dimension out, and the place of ``dim`` among their arguments."""

ORDERINGS = names("msort sort topk")
"""Functions that order the numbers along a dimension."""

POOLS = names(
    """adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d
    adaptive_max_pool1d_with_indices adaptive_max_pool2d adaptive_max_pool2d_with_indices adaptive_max_pool3d
    adaptive_max_pool3d_with_indices avg_pool1d avg_pool2d avg_pool3d fractional_max_pool2d
    fractional_max_pool3d grid_sample interpolate lp_pool1d lp_pool2d lp_pool3d max_pool1d
    max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices max_unpool1d
    max_unpool2d max_unpool3d upsample upsample_bilinear upsample_nearest"""
)
"""Functions that treat each channel (dimension 1) for itself and mix only neighbouring positions."""

SUMS = names("fold index_add index_reduce scatter_add scatter_reduce segment_reduce")
"""Functions that sum (or reduce) numbers of several places into one."""

MADE_ALIKE = names(
    """empty_like full_like new_empty new_full new_ones new_tensor new_zeros ones_like rand_like randint_like
    randn_like zeros_like"""
)
"""Functions that take shape and type from their argument but no numbers."""
