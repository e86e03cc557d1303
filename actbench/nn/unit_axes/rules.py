"""Find the labels of a torch function's result, by one rule for each family of functions.

Functions that only move numbers (``permute``, ``chunk``, ``cat``, indexing …) are applied to the labels themselves: so
no table of axes has to be right, and none can be wrong by equal lengths. A function in no family here has results whose
labels are ``LOST``: the layer after it is reported as uncertain, never counted by a guess.

``results`` settles the calls that need no rule: of constants alone, and of the network's input before any layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce, wraps
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from actbench.nn.unit_axes.call import Call, has_labels
from actbench.nn.unit_axes.families import (
    BLOCKWISE,
    CONVOLUTIONS,
    ELEMENTWISE,
    LAST,
    MADE_ALIKE,
    MOVES,
    NORMS,
    ORDERINGS,
    POOLS,
    PRODUCTS,
    RECURRENT,
    REDUCTIONS,
    REPLACED,
    RESHAPES,
    SUMS,
    TRANSFORMS,
    WITH_SUMMAND,
)
from actbench.nn.unit_axes.labels import (
    NO_UNIT,
    Labels,
    Status,
    Weight,
    between,
    compressed,
    full,
    is_constant,
    joined,
    merged,
    raised,
    varying,
)
from actbench.nn.unit_axes.products import Factor, equation, product
from actbench.nn.unit_axes.torch_calls import tensors

Found = Labels | list[Labels]
"""The labels of all results of a call, or of each of them."""


def results(call: Call) -> list[Labels]:
    """Return the labels of each tensor that a call returned."""
    given = [call.labels(tensor) for tensor in call.given]
    # Integers that the input decides, such as words, choose among rows of a weight: the result is no constant.
    of_input = any(not is_constant(call.labels(tensor)) for tensor in call.indices)
    if call.name in MADE_ALIKE or not given:
        of_input = of_input and call.name not in MADE_ALIKE
        return [Status.INPUT if "rand" in call.name or of_input else Status.CONSTANT for _ in call.made]
    if all(map(is_constant, given)) and not of_input:
        return [_of_constants(call, given, made) for made in call.made]
    of_units = any(isinstance(labels, Tensor) or labels is Status.LOST for labels in given)
    if not of_units and call.name not in CONVOLUTIONS | LAST | PRODUCTS | NORMS:
        return [Status.INPUT for _ in call.made]
    rule = next((rule for family, rule in _RULES if call.name in family), None)
    found = Status.LOST if rule is None else rule(call)
    each = zip(found if isinstance(found, list) else [found for _ in call.made], call.made, strict=True)
    return [labels if _broadcasts(labels, made.shape) else Status.LOST for labels, made in each]


def _broadcasts(labels: Labels, shape: torch.Size) -> bool:
    return not isinstance(labels, Tensor) or (
        labels.ndim == len(shape) and all(ours in (1, theirs) for ours, theirs in zip(labels.shape, shape, strict=True))
    )


def _of_constants(call: Call, given: Sequence[Labels], made: Tensor) -> Labels:
    """Return whether the result is still one whole parameter, in another order perhaps."""
    moves = call.name in MOVES | RESHAPES or call.name in ("contiguous", "clone", "detach", "to", "float", "half")
    weight = given[0] if len(given) == 1 and moves and made.numel() == call.given[0].numel() else None
    return weight if isinstance(weight, Weight) else Status.CONSTANT


def _of_one(rule: Callable[[Call, Tensor], Found]) -> Callable[[Call], Found]:
    """Turn a rule for the labels of a function's first tensor into one that leaves a status as it is."""

    @wraps(rule)
    def whole(call: Call) -> Found:
        labels = call.labels(call.given[0])
        return rule(call, labels) if isinstance(labels, Tensor) else labels

    return whole


def _key(call: Call) -> object:
    """Return the identity of the weight of a layer's call."""
    weight = call.argument(1, "weight")
    labels = call.labels(weight) if isinstance(weight, Tensor) and has_labels(weight) else None
    return labels if isinstance(labels, Weight) else None


def _along(shape: torch.Size, *axes: int) -> list[int]:
    """Return a shape with size 1 in all dimensions but these."""
    kept = {axis % len(shape) for axis in axes}
    return [size if place in kept else 1 for place, size in enumerate(shape)]


def _places(dims: Any, ndim: int) -> list[int]:
    """Return the dimensions that an argument names: all for none, and for a flag in its place (``x.std(True)``)."""
    if dims is None or dims == () or isinstance(dims, bool):
        return list(range(ndim))
    return [int(place) % max(ndim, 1) for place in ([dims] if isinstance(dims, int) else dims)]


def _convolution(call: Call) -> Found:
    (made,) = call.made
    weight = call.argument(1, "weight")
    groups = call.argument(8 if call.name == "convolution" else 6, "groups", default=1)
    if not isinstance(weight, Tensor) or (not is_constant(call.labels(weight)) and groups != 1):
        return Status.LOST  # packed weights; filters made for each example, the examples side by side as groups
    return call.fresh(_along(made.shape, made.ndim - weight.ndim + 1), _key(call))


def _last(call: Call) -> Found:
    first, *others = call.made
    units = call.fresh(_along(first.shape, -1), _key(call))
    if call.name in RECURRENT:
        return [units, *(call.fresh(_along(made.shape, 0, -1), None) for made in others)]
    return [units, *(units if call.name == "lstm_cell" else Status.LOST for _ in others)]


def _product(call: Call) -> Found:
    read = equation(call.name, call.args, call.kwargs)
    if read is None:
        return Status.LOST
    operands, letters, out = read
    factors = [
        Factor(call.labels(tensor), term, dict(zip(term, tensor.shape, strict=True)), _repeated(call, tensor, term))
        for tensor, term in zip(operands, letters, strict=True)
    ]
    labels = product(factors, out, call.fresh)
    return joined(labels, call.labels(call.given[0])) if call.name in WITH_SUMMAND else labels


def _repeated(call: Call, tensor: Tensor, letters: str) -> str:
    """Return the letters along which a constant repeats itself, as a weight does that was expanded to the batch."""
    if tensor.layout != torch.strided or not is_constant(call.labels(tensor)):
        return ""
    found = [place for place, stride in enumerate(tensor.stride()) if stride == 0 and tensor.shape[place] > 1]
    for place in range(tensor.ndim - 2):  # matrices side by side: those of a ``repeat`` are equal and not all zero
        first = tensor.narrow(place, 0, 1)
        if tensor.shape[place] > 1 and bool((tensor == first).all()) and bool(first.any()):
            found.append(place)
    return "".join(letters[place] for place in found)


def _norm(call: Call) -> Found:
    made, labels = call.made[0], call.labels(call.given[0])
    last = call.name in ("layer_norm", "native_layer_norm", "rms_norm")
    several = last and len(call.argument(1, "normalized_shape", default=())) != 1
    if not (isinstance(labels, Tensor) or several or made.ndim < 2):
        weights = [found for found in map(call.labels, call.given[1:]) if isinstance(found, Weight)]
        labels = call.fresh(_along(made.shape, -1 if last else 1), weights[-1] if weights else None)
    return [labels, *(Status.LOST for _ in call.made[1:])]


def _elementwise(call: Call) -> Found:
    sources = call.given[1:] if call.name in REPLACED else call.given
    shape = call.made[0].shape
    found: Labels = Status.CONSTANT
    labelled = [tensor for tensor in sources if isinstance(call.labels(tensor), Tensor)]
    for tensor in sources:
        labels = call.labels(tensor)
        if isinstance(labels, Tensor):
            labels = raised(labels, len(shape))
            if labels.numel() == 1 and len(labelled) == 1 and call.shape(tensor).numel() < shape.numel():
                return Status.LOST  # one unit and many constants: are they units or positions?
        found = joined(found, labels)
    return [found if has_labels(made) else Status.CONSTANT for made in call.made]


@_of_one
def _reshape(call: Call, labels: Tensor) -> Found:
    (made,) = call.made
    before, after = call.shape(call.given[0]), made.shape
    if before.numel() != after.numel() or (call.name == "view" and isinstance(call.argument(1, "dtype"), torch.dtype)):
        return labels if before == after else Status.LOST
    # Leading and trailing dimensions that stay as they are need not be written out where labels are equal along them.
    shared = min(len(before), len(after))
    start = 0
    while start < shared and before[start] == after[start] and labels.shape[start] == 1:
        start += 1
    stop = 0
    while stop < shared - start and before[-1 - stop] == after[-1 - stop] and labels.shape[-1 - stop] == 1:
        stop += 1
    inner = labels.reshape(labels.shape[start : labels.ndim - stop]).expand(before[start : len(before) - stop])
    moved = compressed(inner.reshape(after[start : len(after) - stop]))
    return moved.reshape((1,) * start + tuple(moved.shape) + (1,) * stop) if isinstance(moved, Tensor) else moved


def _moved(call: Call) -> Found:
    first, *others = (call.labels(tensor) for tensor in call.given)
    if any(labels is Status.LOST for labels in (first, *others)):
        return Status.LOST
    if call.name in ("roll", "flip") and isinstance(first, Tensor) and not set(varying(first)) & set(_turned(call)):
        return first
    if call.name in ("cat", "concat", "concatenate"):
        return _concatenated(call)
    if call.name == "setitem" and not any(isinstance(labels, Tensor) for labels in others):
        return first  # constants written into a signal, such as zeros at padding, are its units' numbers
    if call.name == "unfold" and call.function is F.unfold:
        return _blockwise(call)
    return _carried_out(call)


def _turned(call: Call) -> list[int]:
    """Return the dimensions that ``roll`` or ``flip`` works on; all of them for a roll of the flattened tensor."""
    dims: Any = call.argument(2, "dims") if call.name == "roll" else call.args[1:] or call.kwargs.get("dims")
    is_nested = isinstance(dims, tuple) and dims and isinstance(dims[0], (tuple, list))
    return _places(dims[0] if is_nested else dims, call.made[0].ndim)


def _concatenated(call: Call) -> Labels:
    """Return the labels of a ``cat``, written out only in the dimensions in which they have to be."""
    parts = [tensor for tensor in tensors(call.argument(0, "tensors")) if call.shape(tensor).numel()]
    axis = int(call.argument(1, "dim", "axis", default=0)) % call.made[0].ndim
    found = [call.labels(part) for part in parts]
    differ = {axis}.union(*(varying(labels) for labels in found if isinstance(labels, Tensor)))
    written = [full(labels, call.shape(part)) for labels, part in zip(found, parts, strict=True)]
    for place in set(range(call.made[0].ndim)) - differ:
        written = [labels.narrow(place, 0, 1) for labels in written]
    return compressed(torch.cat(written, axis))


def _carried_out(call: Call) -> Found:
    """Return what the function makes of the labels themselves."""
    instead = {id(tensor): full(call.labels(tensor), call.shape(tensor)) for tensor in call.given}
    first = id(call.given[0])
    if call.name == "setitem" or str(getattr(call.function, "__name__", "")).endswith("_"):
        instead[first] = instead[first].clone()  # about to be written to
    done = call.again(instead)
    found = [instead[first]] if call.name == "setitem" else [*tensors(done)]
    if len(found) != len(call.made):
        return Status.LOST
    return [
        compressed(labels) if has_labels(made) and labels.shape == made.shape else Status.LOST
        for labels, made in zip(found, call.made, strict=True)
    ]


@_of_one
def _blockwise(call: Call, labels: Tensor) -> Found:
    """Return the function of the labels of one example, where all have the same; as float64, which holds them exactly.

    Some of these functions take no integers.
    """
    shape = call.shape(call.given[0])
    if len(shape) > 3 and labels.shape[0] == 1:
        shape = torch.Size((1, *shape[1:]))
    return compressed(call.again({id(call.given[0]): labels.expand(shape).double()}).round().int())


def _reduction(call: Call) -> Found:
    if len(call.given) > 1 and call.name in ("max", "min"):
        return _elementwise(call)
    labels, ndim = call.labels(call.given[0]), len(call.shape(call.given[0]))
    if not isinstance(labels, Tensor):
        return [labels if has_labels(made) else Status.CONSTANT for made in call.made]
    dims = call.kwargs.get("dim") if call.name == "aminmax" else call.argument(REDUCTIONS[call.name], "dim", "axis")
    places = _places(-1 if dims is None and call.name in ("kthvalue", "mode") else dims, ndim)
    left = merged(labels, places)
    if not isinstance(left, Tensor) or call.made[0].ndim == ndim:
        return left
    if call.made[0].ndim != ndim - len(places):
        return Status.LOST
    return left.reshape([size for place, size in enumerate(left.shape) if place not in places])


@_of_one
def _transform(call: Call, labels: Tensor) -> Found:
    """Return the labels of a Fourier transform: one over positions keeps units, one over units makes others."""
    default = -1 if call.name.endswith("fft") else (-2, -1) if call.name.endswith("2") else None
    left = merged(labels, _places(call.argument(2, "dim", default=default), call.made[0].ndim))
    return left if isinstance(left, Tensor) and varying(left) else Status.LOST if varying(labels) else labels


@_of_one
def _complex_view(call: Call, labels: Tensor) -> Found:
    if call.name == "view_as_real":
        return labels.unsqueeze(-1)
    return labels.squeeze(-1) if labels.shape[-1] == 1 else Status.LOST


@_of_one
def _ordering(call: Call, labels: Tensor) -> Found:
    dim = 0 if call.name == "msort" else call.argument(2 if call.name == "topk" else 1, "dim", default=-1)
    same = not isinstance(dim, bool) and labels.shape[int(dim) % labels.ndim] == 1
    return labels if same else Status.LOST


@_of_one
def _pool(call: Call, labels: Tensor) -> Found:
    source = call.given[0]
    ndim = len(call.shape(source))
    digits = [int(letter) for letter in call.name if letter in "123"]
    if not set(range(ndim - digits[0] if digits else 2, ndim)) & set(varying(labels)):
        return labels
    if call.name.startswith("fractional"):
        return Status.LOST  # its windows are drawn at random: a second call takes others
    everything = labels.expand(call.shape(source)).double()
    if "max_pool" in call.name:
        low, high = (next(tensors(call.again({id(source): sign * everything}))) * sign for sign in (-1, 1))
        return between(low.round().int(), high.round().int())
    return _averaged(call, {id(source): everything})


def _averaged(call: Call, labels: Mapping[int, Tensor]) -> Labels:
    """Return the labels of a result that sums numbers with weights ≥ 0, where all that a sum takes have one label.

    Over labels l > 0 of one value, (Σ w l)² = Σ w · Σ w l²; by Cauchy and Schwarz only then.
    """
    weights, first, second = (
        next(tensors(call.again({key: power(one) for key, one in labels.items()})))
        for power in (lambda one: (one > 0).double(), lambda one: one, torch.square)
    )
    some = weights > 1e-12
    mean = torch.where(some, first / torch.where(some, weights, 1.0), 0.0)
    spread = torch.where(some, second / torch.where(some, weights, 1.0) - mean.square(), 0.0)
    if bool((spread.abs() > 1e-9 * (1 + mean.square())).any()) or bool((weights < -1e-12).any()):
        return Status.LOST
    return compressed(mean.round().int())


def _summed(call: Call) -> Found:
    found = [call.labels(tensor) for tensor in call.given]
    if any(labels is Status.LOST for labels in found):
        return Status.LOST
    dim, no_labels = call.argument(1, "dim", default=0), cast(Labels, Status.CONSTANT)
    if call.name != "fold" and isinstance(dim, int):
        parts = [labels for labels in found if isinstance(labels, Tensor)]
        if all(labels.shape[dim] == 1 for labels in parts if labels.ndim):
            return reduce(joined, parts, no_labels)
    if call.name in ("scatter_reduce", "index_reduce", "segment_reduce"):
        return Status.LOST
    each = zip(call.given, found, strict=True)
    return _averaged(call, {id(tensor): full(labels, call.shape(tensor)).double().clone() for tensor, labels in each})


@_of_one
def _pad(call: Call, labels: Tensor) -> Found:
    shape, widths = call.shape(call.given[0]), list(call.argument(1, "pad"))
    padded = {len(shape) - 1 - place // 2 for place, width in enumerate(widths) if width}
    mode = call.argument(2, "mode", default="constant")
    if mode == "constant" or call.name == "constant_pad_nd":
        # What is put there is no unit's output, and 0 is the label that says so.
        small = [size if place in padded else labels.shape[place] for place, size in enumerate(shape)]
        return compressed(F.pad(labels.expand(small), widths, value=NO_UNIT))
    if not padded & set(varying(labels)):
        return labels
    return compressed(F.pad(labels.expand(shape).double(), widths, mode=mode).round().int())


def _attention(call: Call) -> Found:
    """Return the values' labels: attention mixes positions alone."""
    labels = call.labels(call.argument(2, "value"))
    return Status.LOST if isinstance(labels, Tensor) and (labels.ndim < 2 or labels.shape[-2] != 1) else labels


_RULES: tuple[tuple[frozenset[str], Callable[[Call], Found]], ...] = (
    (CONVOLUTIONS, _convolution),
    (LAST, _last),
    (PRODUCTS, _product),
    (NORMS, _norm),
    (RESHAPES, _reshape),
    (MOVES, _moved),
    (TRANSFORMS, _transform),
    (frozenset({"view_as_real", "view_as_complex"}), _complex_view),
    (BLOCKWISE, _blockwise),
    (ELEMENTWISE, _elementwise),
    (frozenset(REDUCTIONS), _reduction),
    (ORDERINGS, _ordering),
    (POOLS, _pool),
    (SUMS, _summed),
    (frozenset({"pad", "constant_pad_nd"}), _pad),
    (frozenset({"scaled_dot_product_attention"}), _attention),
)
"""A family of functions and the rule for their labels, the first that fits."""
