"""Find the units of a matrix product by its equation, such as ``nctv,vw->nctw`` for a graph convolution.

A letter stands for a dimension. Those along which a signal's labels differ are its unit letters. Where they survive
the product they stay the units, and a constant's new letters are positions, as those of an adjacency matrix are. Where
they are summed over the constant is a weight matrix, and its new letters are the units.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from actbench.nn.unit_axes.families import WITH_SUMMAND
from actbench.nn.unit_axes.labels import Fresh, Labels, Status, Weight, is_constant, joined, merged, varying
from actbench.nn.unit_axes.torch_calls import tensors


@dataclass(frozen=True)
class Factor:
    """One operand of a product.

    Args:
        labels: Its labels.
        letters: One for each of its dimensions.
        sizes: Letter -> length.
        repeated: Letters along which it repeats itself.
    """

    labels: Labels
    letters: str
    sizes: Mapping[str, int]
    repeated: str = ""

    @property
    def units(self) -> set[str]:
        """The letters along which its labels differ."""
        return {self.letters[place] for place in varying(self.labels)} if isinstance(self.labels, Tensor) else set()

    def onto(self, out: str) -> Labels:
        """Return the labels with their dimensions in the order of ``out``, merged over the letters missing there."""
        if not isinstance(self.labels, Tensor):
            return self.labels
        labels = merged(self.labels, [place for place, letter in enumerate(self.letters) if letter not in out])
        if not isinstance(labels, Tensor):
            return labels
        kept = [place for place, letter in enumerate(self.letters) if letter in out]
        for place in reversed(range(labels.ndim)):
            labels = labels if place in kept else labels.select(place, 0)
        left = [self.letters[place] for place in kept]
        order = [left.index(letter) for letter in out if letter in left]
        moved = labels.permute(order)
        for place, letter in enumerate(out):
            moved = moved if letter in left else moved.unsqueeze(place)
        return moved


def equation(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[list[Tensor], list[str], str] | None:
    """Return a product's operands, the letters of each, and those of the result; None for a form not known."""
    given = [*tensors(args), *tensors(kwargs)]
    if name == "einsum":
        return _einsum(args, given)
    if name == "tensordot":
        return _tensordot(given, args[2] if len(args) > 2 else kwargs.get("dims", 2))
    if name in WITH_SUMMAND:
        given = given[1:]
    if name == "rmatmul":
        given = given[::-1]
    if len(given) != 2:
        return None
    one, other = given
    batch, row, inner, column = string.ascii_letters[3:], "a", "b", "c"
    kept = max(one.ndim, other.ndim, 2) - 2
    left = ("" if one.ndim == 1 else batch[kept - max(one.ndim - 2, 0) : kept] + row) + inner
    right = "" if other.ndim == 1 else batch[kept - max(other.ndim - 2, 0) : kept]
    right += inner if other.ndim == 1 else inner + column
    out = batch[:kept] + (row if one.ndim > 1 else "") + (column if other.ndim > 1 else "")
    return given, [left, right], out.replace(batch[0], "") if name == "addbmm" else out


def _einsum(args: tuple[Any, ...], given: list[Tensor]) -> tuple[list[Tensor], list[str], str] | None:
    if not args or not isinstance(args[0], str):
        return None
    sources, arrow, out = args[0].replace(" ", "").partition("->")
    terms = sources.split(",")
    if not arrow:
        counted = sources.replace(",", "").replace("...", "")
        out = "..." * ("..." in sources) + "".join(sorted(letter for letter in counted if counted.count(letter) == 1))
    spare = [letter for letter in string.ascii_letters if letter not in args[0]]
    if len(terms) != len(given) or any(len(set(term) - {"."}) != len(term.replace("...", "")) for term in terms):
        return None
    more = [tensor.ndim - len(term.replace("...", "")) for tensor, term in zip(given, terms, strict=True)]
    most = max((many for many, term in zip(more, terms, strict=True) if "..." in term), default=0)
    if most > len(spare):
        return None
    filled = [term.replace("...", "".join(spare[most - many : most])) for many, term in zip(more, terms, strict=True)]
    return given, filled, out.replace("...", "".join(spare[:most]))


def _tensordot(given: list[Tensor], dims: Any) -> tuple[list[Tensor], list[str], str] | None:
    if len(given) != 2 or isinstance(dims, Tensor):
        return None
    one, other = given
    if isinstance(dims, int):
        dims = (range(one.ndim - dims, one.ndim), range(dims))
    pairs = {int(theirs) % other.ndim: int(ours) % one.ndim for ours, theirs in zip(*dims, strict=True)}
    left = string.ascii_letters[: one.ndim]
    new = string.ascii_letters[one.ndim : one.ndim + other.ndim]
    right = "".join(left[pairs[place]] if place in pairs else new[place] for place in range(other.ndim))
    out = "".join(letter for letter in left + right if (letter in left) != (letter in right))
    return given, [left, right], out


def product(factors: Sequence[Factor], out: str, fresh: Fresh) -> Labels:
    """Return the labels of a product with these letters.

    Args:
        factors: The operands.
        out: The result's letters.
        fresh: Makes labels of new units.
    """
    constants = [factor for factor in factors if is_constant(factor.labels)]
    signals = [factor for factor in factors if not is_constant(factor.labels)]
    if not signals:
        return Status.CONSTANT
    if len(signals) == 1:
        return _of_one_signal(signals[0], constants, out, fresh)
    if len(signals) == 2 and not constants:
        return _of_two_signals(signals[0], signals[1], out)
    return Status.LOST


def _of_one_signal(signal: Factor, constants: Sequence[Factor], out: str, fresh: Fresh) -> Labels:
    """Return the labels of a signal multiplied by constants.

    Mixing the positions of a signal by a *parameter* has two readings, a learned adjacency matrix or a weight layer
    over positions (as in an MLP-mixer): ``LOST``, since units are counted otherwise in each.
    """
    new = {
        letter for factor in constants for letter in factor.letters if letter in out and letter not in signal.letters
    }
    summed = {letter for letter in signal.letters if letter not in out and signal.sizes[letter] > 1}

    def weighted(owners: Sequence[Factor]) -> Labels:
        """Return new units: one for each of the weights' letters in the result, as no two of them share weights."""
        letters = {letter for factor in owners for letter in factor.letters if letter not in factor.repeated}
        keys = [factor.labels for factor in owners if isinstance(factor.labels, Weight)]
        sizes = {letter: size for factor in constants for letter, size in factor.sizes.items()}
        shape = [sizes[letter] if letter in letters else 1 for letter in out]
        return fresh(shape, keys[0] if len(owners) == 1 and keys else None)

    if signal.labels is Status.INPUT:
        return weighted(constants) if new else Status.INPUT
    if signal.labels is Status.LOST:
        # As a linear layer does, a parameter that replaces the last dimension begins anew.
        layer = [factor for factor in constants if isinstance(factor.labels, Weight)]
        return weighted(layer) if len(layer) == len(constants) == 1 and out[-1:] in new and summed else Status.LOST
    assert isinstance(signal.labels, Tensor)
    units = signal.units
    if not units and signal.labels.numel() == 1 and new and not summed:
        return weighted(constants)  # a layer of one unit is multiplied by the weights of the next
    gone, kept = units - set(out), units & set(out)
    owners = [factor for factor in constants if gone & set(factor.letters)]
    mixed = summed - gone  # positions that are summed over
    if gone and not (kept and any(mixed & set(factor.letters) for factor in owners)):
        if kept and not any(new & set(factor.letters) for factor in owners):
            return signal.onto(out)  # a weighted sum of units, such as of branches
        return weighted(owners)
    mixers = [factor for factor in constants if new & set(factor.letters) and mixed & set(factor.letters)]
    return Status.LOST if any(isinstance(factor.labels, Weight) for factor in mixers) else signal.onto(out)


def _of_two_signals(one: Factor, other: Factor, out: str) -> Labels:
    """Return the labels of a product of two signals, such as of attention's scores and values."""
    for mixing, values in ((one, other), (other, one)):
        shared = set(mixing.letters) & set(values.letters) - set(out)
        if values.labels is Status.INPUT:
            continue
        if mixing.labels in (Status.LOST, Status.INPUT):
            # Scores that sum over positions of the values alone: the values' units are the result's.
            safe = isinstance(values.labels, Tensor) and values.units and values.units <= set(out) and shared
            return values.onto(out) if safe else Status.LOST
    if not isinstance(one.labels, Tensor) or not isinstance(other.labels, Tensor):
        return Status.INPUT if one.labels is other.labels is Status.INPUT else Status.LOST
    left, right = one.units & set(out), other.units & set(out)
    if one.units <= set(out) and other.units <= set(out):
        return joined(one.onto(out), other.onto(out))
    if left and not right:
        return one.onto(out)  # weights made by a network: their remaining letters are the units
    if right and not left:
        return other.onto(out)
    return Status.LOST  # scores: every unit is summed over
