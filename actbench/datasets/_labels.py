"""Make class indices of labels that come without the classes' names, and refuse labels that are something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from actbench.errors import DatasetError

if TYPE_CHECKING:
    from actbench.datasets._data import Labels

TOY_CLASSES = 10
"""So many labels are taken for classes even where each stands for one image, as in a first trial."""


@dataclass(frozen=True, eq=False)
class NumberedLabels:
    """Labels as indices into classes.

    Args:
        train: (N,).
        test: (M,).
        classes: The classes' names.
        notes: What was done to the labels, a sentence; none where they were indices.
    """

    train: Labels
    test: Labels
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def numbered(source: str, train: NDArray[Any], test: NDArray[Any]) -> NumberedLabels:
    """Return whole numbers as indices into classes that are named after them.

    Labels 0 … K-1 stay as they are. Others, from 1 or with gaps, are numbered anew in their order: 41 outputs for four
    classes 3, 17, 20 and 40 would be trained for nothing.

    Args:
        source: The dataset or the folder, for messages.
        train: (N,) whole numbers.
        test: (M,) whole numbers.

    Raises:
        DatasetError: When a label is negative, or most training images have one of their own.
    """
    for part, labels in (("train", train), ("test", test)):
        if labels.size and labels.min() < 0:
            raise DatasetError(
                f"{source}: {part}_labels run from {labels.min()} to {labels.max()}; expected 0 … K-1 for K classes: "
                "number classes such as -1 and 1 from 0, and leave out examples without a label"
            )
    values, seen = np.unique(np.concatenate([train, test])), len(np.unique(train))
    if seen > TOY_CLASSES and 2 * seen > len(train):
        raise DatasetError(
            f"{source}: {len(train)} training images have {seen} different labels, from {train.min()} to "
            f"{train.max()}; expected each image's class, not an id or a measurement"
        )
    classes = tuple(map(str, values.tolist()))
    if not len(values) or values[-1] == len(values) - 1:
        return NumberedLabels(train.astype(np.int64), test.astype(np.int64), classes)
    return NumberedLabels(
        np.searchsorted(values, train),
        np.searchsorted(values, test),
        classes,
        (f"the labels are {len(values)} numbers from {values[0]} to {values[-1]}: read as {len(values)} classes",),
    )


def whole_numbers(array: NDArray[Any]) -> Labels:
    """Return labels as 64-bit integers.

    Raises:
        ValueError: For anything but one whole number an example; the text says how to mend it.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        raise ValueError(f"have the shape {array.shape}; expected one whole number an example: return .ravel()")
    if array.ndim == 2:
        raise ValueError(
            f"have the shape {array.shape}, as one-hot rows do; expected one whole number an example: return "
            ".argmax(axis=1)"
        )
    if array.dtype.kind in "UST":
        raise ValueError(
            "are texts; expected whole numbers, each a class's index: return "
            "np.unique(labels, return_inverse=True)[1], and the unique texts as 'classes'"
        )
    if array.dtype.kind not in "iu":
        is_whole = array.dtype.kind in "bf" and bool(np.all(array == np.rint(array.astype(np.float64))))
        raise ValueError(
            f"are {array.dtype}; expected whole numbers, each a class's index"
            f"{': return .astype(np.int64)' if is_whole else ''}"
        )
    if array.size and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"go up to {array.max()}; expected whole numbers, each a class's index")
    return array.astype(np.int64)
