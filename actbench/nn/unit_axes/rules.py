"""Find the labels of a torch function's result, by one rule for each family of functions.

Functions that only move numbers (``permute``, ``chunk``, ``cat``, indexing …) are applied to the labels themselves: so
no table of axes has to be right, and none can be wrong by equal lengths. A function in no family here has results whose
labels are ``LOST``: the layer after it is reported as uncertain, never counted by a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

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
from actbench.nn.unit_axes.products import Factor, Fresh, equation, product
from actbench.nn.unit_axes.torch_calls import tensors


@dataclass(frozen=True)
class Call:
    """A call of a torch function, as the rules read it.

    Args:
        function: Carried out on labels where it only moves numbers.
        name: Its name in the tables above.
        args: Positional arguments.
        kwargs: Named ones.
        labels: The labels of a floating-point tensor among the arguments.
        shape: A tensor's shape before the call, which may have changed it in place.
        made: The tensors that it returned.
    """

    function: Callable[..., Any]
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    labels: Callable[[Tensor], Labels]
    shape: Callable[[Tensor], torch.Size]
    made: Sequence[Tensor]

    @property
    def given(self) -> list[Tensor]:
        """The floating-point tensors among the arguments."""
        return [tensor for tensor in self._tensors if _has_labels(tensor)]

    @property
    def indices(self) -> list[Tensor]:
        """The other tensors among the arguments."""
        return [tensor for tensor in self._tensors if not _has_labels(tensor)]

    @property
    def _tensors(self) -> list[Tensor]:
        return [*tensors(self.args), *tensors({key: value for key, value in self.kwargs.items() if key != "out"})]

    def argument(self, place: int, *names: str, default: Any = None) -> Any:
        """Return an argument given by place or by one of its names."""
        if len(self.args) > place:
            return self.args[place]
        return next((self.kwargs[name] for name in names if name in self.kwargs), default)


def _has_labels(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def results(call: Call, fresh: Fresh) -> list[Labels]:
    """Return the labels of each tensor that a call returned.

    Args:
        call: The call.
        fresh: Makes labels of new units.
    """
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
    for family, rule in _RULES:
        if call.name in family:
            found = rule(call, fresh)
            fits = zip(found, call.made, strict=True)
            return [labels if _broadcasts(labels, made.shape) else Status.LOST for labels, made in fits]
    return [Status.LOST for _ in call.made]


def _broadcasts(labels: Labels, shape: torch.Size) -> bool:
    return not isinstance(labels, Tensor) or (
        labels.ndim == len(shape) and all(ours in (1, theirs) for ours, theirs in zip(labels.shape, shape, strict=True))
    )


def _of_constants(call: Call, given: Sequence[Labels], made: Tensor) -> Labels:
    """Return whether the result is still one whole parameter, in another order perhaps."""
    moves = call.name in MOVES | RESHAPES or call.name in ("contiguous", "clone", "detach", "to", "float", "half")
    weight = given[0] if len(given) == 1 and moves and made.numel() == call.given[0].numel() else None
    return weight if isinstance(weight, Weight) else Status.CONSTANT


def _key(call: Call) -> object:
    """Return the identity of the weight of a layer's call."""
    weight = call.argument(1, "weight")
    labels = call.labels(weight) if isinstance(weight, Tensor) and _has_labels(weight) else None
    return labels if isinstance(labels, Weight) else None


def _convolution(call: Call, fresh: Fresh) -> list[Labels]:
    (made,) = call.made
    weight = call.argument(1, "weight")
    groups = call.argument(8 if call.name == "convolution" else 6, "groups", default=1)
    if not isinstance(weight, Tensor) or (not is_constant(call.labels(weight)) and groups != 1):
        return [Status.LOST]  # packed weights; filters made for each example, the examples side by side as groups
    axis = made.ndim - weight.ndim + 1
    shape = [size if place == axis else 1 for place, size in enumerate(made.shape)]
    return [fresh(shape, _key(call))]


def _last(call: Call, fresh: Fresh) -> list[Labels]:
    first, *others = call.made
    found: list[Labels] = [fresh([*(1 for _ in first.shape[1:]), first.shape[-1]], _key(call))]
    for made in others:
        if call.name in RECURRENT:
            found.append(fresh([made.shape[0], *(1 for _ in made.shape[2:]), made.shape[-1]], None))
        else:
            found.append(found[0] if call.name == "lstm_cell" else Status.LOST)
    return found


def _product(call: Call, fresh: Fresh) -> list[Labels]:
    read = equation(call.name, call.args, call.kwargs)
    if read is None:
        return [Status.LOST for _ in call.made]
    operands, letters, out = read
    factors = [
        Factor(call.labels(tensor), term, dict(zip(term, tensor.shape, strict=True)), _repeated(call, tensor, term))
        for tensor, term in zip(operands, letters, strict=True)
    ]
    labels = product(factors, out, fresh)
    if call.name in ("addmm", "addmv", "baddbmm", "addbmm"):
        labels = joined(labels, call.labels(call.given[0]))
    return [labels]


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


def _norm(call: Call, fresh: Fresh) -> list[Labels]:
    made, before = call.made[0], call.labels(call.given[0])
    rest: list[Labels] = [Status.LOST for _ in call.made[1:]]
    last = call.name in ("layer_norm", "native_layer_norm", "rms_norm")
    several = last and len(call.argument(1, "normalized_shape", default=())) != 1
    if isinstance(before, Tensor) or several or made.ndim < 2:
        return [before, *rest]
    axis = made.ndim - 1 if last else 1
    shape = [size if place == axis else 1 for place, size in enumerate(made.shape)]
    weights = [labels for labels in map(call.labels, call.given[1:]) if isinstance(labels, Weight)]
    return [fresh(shape, weights[-1] if weights else None), *rest]


def _elementwise(call: Call, fresh: Fresh) -> list[Labels]:
    sources = call.given[1:] if call.name in REPLACED else call.given
    shape = call.made[0].shape
    found: Labels = Status.CONSTANT
    labelled = [tensor for tensor in sources if isinstance(call.labels(tensor), Tensor)]
    for tensor in sources:
        labels = call.labels(tensor)
        if isinstance(labels, Tensor):
            labels = raised(labels, len(shape))
            if labels.numel() == 1 and len(labelled) == 1 and call.shape(tensor).numel() < shape.numel():
                return [Status.LOST for _ in call.made]  # one unit and many constants: are they units or positions?
        found = joined(found, labels)
    return [found if _has_labels(made) else Status.CONSTANT for made in call.made]


def _reshape(call: Call, fresh: Fresh) -> list[Labels]:
    (made,), source = call.made, call.given[0]
    labels, before, after = call.labels(source), call.shape(source), made.shape
    if not isinstance(labels, Tensor):
        return [labels]
    if before.numel() != after.numel() or (call.name == "view" and isinstance(call.argument(1, "dtype"), torch.dtype)):
        return [labels if before == after else Status.LOST]
    # Leading and trailing dimensions that stay as they are need not be written out where labels are equal along them.
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start] and labels.shape[start] == 1:
        start += 1
    stop = 0
    while (
        stop < min(len(before), len(after)) - start
        and before[-1 - stop] == after[-1 - stop]
        and labels.shape[-1 - stop] == 1
    ):
        stop += 1
    inner = before[start : len(before) - stop]
    moved = labels.reshape(labels.shape[start : labels.ndim - stop]).expand(inner)
    moved = moved.reshape(after[start : len(after) - stop])
    shortened = compressed(moved)
    if not isinstance(shortened, Tensor):
        return [shortened]
    return [shortened.reshape((1,) * start + tuple(shortened.shape) + (1,) * stop)]


def _moved(call: Call, fresh: Fresh) -> list[Labels]:
    first, *others = (call.labels(tensor) for tensor in call.given)
    if any(labels is Status.LOST for labels in (first, *others)):
        return [Status.LOST for _ in call.made]
    if call.name in ("roll", "flip") and isinstance(first, Tensor) and not set(varying(first)) & set(_dims(call)):
        return [first]
    if call.name in ("cat", "concat", "concatenate"):
        return [_concatenated(call)]
    if call.name == "setitem" and not any(isinstance(labels, Tensor) for labels in others):
        return [first]  # constants written into a signal, such as zeros at padding, are its units' numbers
    if call.name == "unfold" and call.function is F.unfold:
        return [_blockwise_labels(call)]
    return _carried_out(call, lambda tensor: full(call.labels(tensor), call.shape(tensor)))


def _dims(call: Call) -> list[int]:
    """Return the dimensions that ``roll`` or ``flip`` works on; all of them for a roll of the flattened tensor."""
    ndim = call.made[0].ndim
    dims = call.argument(2, "dims") if call.name == "roll" else call.args[1:] or call.kwargs.get("dims")
    if dims is None or dims == ():
        return list(range(ndim))
    flat = [dims] if isinstance(dims, int) else dims[0] if isinstance(dims[0], (tuple, list)) else dims
    return [int(place) % ndim for place in flat]


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


def _blockwise(call: Call, fresh: Fresh) -> list[Labels]:
    return [_blockwise_labels(call)]


def _blockwise_labels(call: Call) -> Labels:
    labels = call.labels(call.given[0])
    if not isinstance(labels, Tensor):
        return labels
    shape = call.shape(call.given[0])
    if len(shape) > 3 and labels.shape[0] == 1:
        shape = torch.Size((1, *shape[1:]))
    return _exact(call, labels.expand(shape))


def _exact(call: Call, labels: Tensor) -> Labels:
    """Return the function of labels as float64, which holds them exactly; some functions take no integers."""
    return compressed(_again(call, {id(call.given[0]): labels.double()}).round().int())


def _again(call: Call, instead: Mapping[int, Tensor]) -> Any:
    """Carry the function out once more, with other tensors instead of those given."""

    def replaced(content: Any) -> Any:
        if isinstance(content, Tensor):
            return instead[id(content)] if id(content) in instead else content.cpu()
        if isinstance(content, Mapping):
            return {key: replaced(value) for key, value in content.items() if key != "out"}
        if isinstance(content, (tuple, list)):
            return type(content)(map(replaced, content)) if type(content) in (tuple, list) else content
        return content

    return call.function(*replaced(call.args), **replaced(call.kwargs))


def _carried_out(call: Call, labels_of: Callable[[Tensor], Tensor]) -> list[Labels]:
    instead = {id(tensor): labels_of(tensor) for tensor in call.given}
    if call.name == "setitem" or str(getattr(call.function, "__name__", "")).endswith("_"):
        instead[id(call.given[0])] = instead[id(call.given[0])].clone()  # about to be written to
    done = _again(call, instead)
    found = [instead[id(call.given[0])]] if call.name == "setitem" else [*tensors(done)]
    if len(found) != len(call.made):
        return [Status.LOST for _ in call.made]
    pairs = zip(found, call.made, strict=True)
    return [
        compressed(labels) if _has_labels(made) and labels.shape == made.shape else Status.LOST
        for labels, made in pairs
    ]


def _reduction(call: Call, fresh: Fresh) -> list[Labels]:
    source = call.given[0]
    if len(call.given) > 1 and call.name in ("max", "min"):
        return _elementwise(call, fresh)
    labels, ndim = call.labels(source), len(call.shape(source))
    if not isinstance(labels, Tensor):
        return [labels if _has_labels(made) else Status.CONSTANT for made in call.made]
    dims = call.kwargs.get("dim") if call.name == "aminmax" else call.argument(REDUCTIONS[call.name], "dim", "axis")
    if dims is None and call.name in ("kthvalue", "mode"):
        dims = -1
    if isinstance(dims, bool):
        dims = None  # ``x.std(True)``: whether it is unbiased
    places = list(range(ndim)) if dims is None or dims == () else [dims] if isinstance(dims, int) else list(dims)
    places = [int(place) % max(ndim, 1) for place in places]
    left = merged(labels, places)
    if isinstance(left, Tensor):
        if call.made[0].ndim == ndim - len(places):
            kept = [place for place in range(ndim) if place not in places]
            left = left.reshape([left.shape[place] for place in kept])
        elif call.made[0].ndim != ndim:
            left = Status.LOST
    return [left for _ in call.made]


def _transform(call: Call, fresh: Fresh) -> list[Labels]:
    """Return the labels of a Fourier transform: one over positions keeps units, one over units makes others."""
    labels, ndim = call.labels(call.given[0]), call.made[0].ndim
    if not isinstance(labels, Tensor):
        return [labels]
    default = [-1] if call.name.endswith("fft") else [-2, -1] if call.name.endswith("2") else list(range(ndim))
    dims = call.argument(2, "dim")
    chosen = default if dims is None else [dims] if isinstance(dims, int) else dims
    left = merged(labels, [int(place) % ndim for place in chosen])
    return [left if isinstance(left, Tensor) and varying(left) else Status.LOST if varying(labels) else labels]


def _complex_view(call: Call, fresh: Fresh) -> list[Labels]:
    labels = call.labels(call.given[0])
    if not isinstance(labels, Tensor):
        return [labels]
    if call.name == "view_as_real":
        return [labels.unsqueeze(-1)]
    return [labels.squeeze(-1) if labels.shape[-1] == 1 else Status.LOST]


def _ordering(call: Call, fresh: Fresh) -> list[Labels]:
    source = call.given[0]
    labels, ndim = call.labels(source), len(call.shape(source))
    if not isinstance(labels, Tensor):
        return [labels for _ in call.made]
    place = 2 if call.name == "topk" else 1
    dim = 0 if call.name == "msort" else call.argument(place, "dim", default=-1)
    same = not isinstance(dim, bool) and labels.shape[int(dim) % ndim] == 1
    return [labels if same else Status.LOST for _ in call.made]


def _pool(call: Call, fresh: Fresh) -> list[Labels]:
    source = call.given[0]
    labels, ndim = call.labels(source), len(call.shape(source))
    if not isinstance(labels, Tensor):
        return [labels for _ in call.made]
    digits = [int(letter) for letter in call.name if letter in "123"]
    positions = list(range(ndim - digits[0] if digits else 2, ndim))
    if not set(positions) & set(varying(labels)):
        return [labels for _ in call.made]
    if call.name.startswith("fractional"):
        return [Status.LOST for _ in call.made]  # its windows are drawn at random: a second call takes others
    everything = labels.expand(call.shape(source)).double()
    if "max_pool" in call.name:
        low, high = (next(tensors(_again(call, {id(source): sign * everything}))) * sign for sign in (-1, 1))
        return [between(low.round().int(), high.round().int()) for _ in call.made]
    return [_averaged(call, {id(source): everything}) for _ in call.made]


def _averaged(call: Call, labels: Mapping[int, Tensor]) -> Labels:
    """Return the labels of a result that sums numbers with weights ≥ 0, where all that a sum takes have one label.

    Over labels l > 0 of one value, (Σ w l)² = Σ w · Σ w l²; by Cauchy and Schwarz only then.
    """
    weights, first, second = (
        next(tensors(_again(call, {key: power(one) for key, one in labels.items()})))
        for power in (lambda one: (one > 0).double(), lambda one: one, torch.square)
    )
    some = weights > 1e-12
    mean = torch.where(some, first / torch.where(some, weights, 1.0), 0.0)
    spread = torch.where(some, second / torch.where(some, weights, 1.0) - mean.square(), 0.0)
    if bool((spread.abs() > 1e-9 * (1 + mean.square())).any()) or bool((weights < -1e-12).any()):
        return Status.LOST
    return compressed(mean.round().int())


def _summed(call: Call, fresh: Fresh) -> list[Labels]:
    found = [call.labels(tensor) for tensor in call.given]
    if Status.LOST in [labels for labels in found if not isinstance(labels, Tensor)]:
        return [Status.LOST]
    dim = call.argument(1, "dim", default=0)
    if call.name != "fold" and isinstance(dim, int):
        parts = [labels for labels in found if isinstance(labels, Tensor)]
        if all(labels.shape[dim] == 1 for labels in parts if labels.ndim):
            return [_joined_all(parts)]
    if call.name in ("scatter_reduce", "index_reduce", "segment_reduce"):
        return [Status.LOST]
    instead = {
        id(tensor): full(labels, call.shape(tensor)).double().clone()
        for tensor, labels in zip(call.given, found, strict=True)
    }
    return [_averaged(call, instead)]


def _joined_all(parts: Sequence[Labels]) -> Labels:
    found: Labels = Status.CONSTANT
    for labels in parts:
        found = joined(found, labels)
    return found


def _pad(call: Call, fresh: Fresh) -> list[Labels]:
    labels, shape = call.labels(call.given[0]), call.shape(call.given[0])
    if not isinstance(labels, Tensor):
        return [labels]
    widths = list(call.argument(1, "pad"))
    ndim = len(shape)
    padded = {ndim - 1 - place // 2 for place, width in enumerate(widths) if width}
    small = [size if place in padded else labels.shape[place] for place, size in enumerate(shape)]
    mode = call.argument(2, "mode", default="constant")
    if mode == "constant" or call.name == "constant_pad_nd":
        # What is put there is no unit's output, and 0 is the label that says so.
        return [compressed(F.pad(labels.expand(small), widths, value=NO_UNIT))]
    if not padded & set(varying(labels)):
        return [labels]
    return [compressed(F.pad(labels.expand(shape).double(), widths, mode=mode).round().int())]


def _attention(call: Call, fresh: Fresh) -> list[Labels]:
    """Return the values' labels: attention mixes positions alone."""
    value = call.argument(2, "value")
    labels = call.labels(value)
    if isinstance(labels, Tensor) and (labels.ndim < 2 or labels.shape[-2] != 1):
        return [Status.LOST]
    return [labels]


_RULES: tuple[tuple[frozenset[str], Callable[[Call, Fresh], list[Labels]]], ...] = (
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
