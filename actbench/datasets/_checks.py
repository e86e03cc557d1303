"""Check a whole dataset before anything is cut from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from actbench.datasets._oddities import oddities, unlearnable
from actbench.datasets._source import Source
from actbench.errors import DatasetError

if TYPE_CHECKING:
    from actbench.datasets._data import Images


def checked(name: str, source: Source) -> Source:
    """Return the source with notes on what is odd about it, when its arrays fit each other and can be learned from.

    Raises:
        DatasetError: Naming the dataset, the array and the expected one.
    """
    _check_names(name, source.classes)
    check_part(name, "train", source.train_images, source.train_labels, source.classes)
    check_part(name, "test", source.test_images, source.test_labels, source.classes)
    check_same_shape(name, source.train_images, "test_images", source.test_images)
    if problem := unlearnable(source):
        raise DatasetError(f"dataset '{name}': {problem}")
    return replace(source, notes=(*source.notes, *oddities(source)))


def _check_names(name: str, classes: tuple[str, ...]) -> None:
    """Refuse classes of one name: nothing could tell them apart."""
    twice = [label for label, count in Counter(classes).items() if count > 1]
    if twice:
        raise DatasetError(
            f"dataset '{name}': classes holds {', '.join(map(repr, twice))} more than once; expected a name of its own "
            "for each class"
        )


def check_same_shape(name: str, train_images: Images, other_name: str, other: Images) -> None:
    """Refuse images that have another (C, H, W) than the training images."""
    if train_images.shape[1:] != other.shape[1:]:
        raise DatasetError(
            f"dataset '{name}': train_images are {_shape(train_images)} each, {other_name} are {_shape(other)}; "
            "all must have one (channels, height, width)"
        )


def check_part(name: str, part: str, images: NDArray[Any], labels: NDArray[Any], classes: tuple[str, ...]) -> None:
    """Refuse images and labels of other types, shapes or ranges than ``Source`` describes."""
    if problem := _images_problem(images) or _labels_problem(images, labels, classes):
        raise DatasetError(f"dataset '{name}': {part}_{problem}")


def _images_problem(images: NDArray[Any]) -> str | None:
    if images.ndim != 4:
        return f"images have the shape {images.shape}; expected (examples, channels, height, width)"
    if images.size == 0:
        return f"images are empty: their shape is {images.shape}"
    if images.dtype == np.float64 and images.shape[2:] == (1, 1):
        return None if np.isfinite(images).all() else "examples hold NaN or infinity; expected finite numbers"
    if images.dtype != np.uint8:
        return f"images are {images.dtype}{_range(images)}; expected uint8, grey levels 0 … 255{_conversion(images)}"
    return None


def _range(images: NDArray[Any]) -> str:
    return f" from {images.min():g} to {images.max():g}" if images.dtype.kind in "iuf" else ""


def _conversion(images: NDArray[Any]) -> str:
    """Name the conversion to grey levels that the numbers suggest; none where none is obvious."""
    if images.dtype.kind == "b":
        return ": return 255 * x.astype(np.uint8)"
    if images.dtype.kind not in "iuf":
        return ""
    low, high = images.min(), images.max()
    if images.dtype.kind == "f" and 0 <= low <= high <= 1:
        return ": return np.rint(255 * x).astype(np.uint8)"
    if images.dtype.kind == "f" and -1 <= low < 0 <= high <= 1:
        return ": return np.rint(127.5 * (x + 1)).astype(np.uint8)"
    if 0 <= low <= high <= 255:
        return f": return {'x' if images.dtype.kind in 'iu' else 'np.rint(x)'}.astype(np.uint8)"
    return ": scale them yourself, all parts alike"


def _labels_problem(images: NDArray[Any], labels: NDArray[Any], classes: tuple[str, ...]) -> str | None:
    if not classes:
        return _targets_problem(images, labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        return f"labels are {labels.dtype} of shape {labels.shape}; expected one whole number an example"
    if len(labels) != len(images):
        return f"labels are {len(labels)}, but there are {len(images)} images"
    if labels.min() < 0 or labels.max() >= len(classes):
        return f"labels run from {labels.min()} to {labels.max()}; expected 0 … {len(classes) - 1}, one a class"
    return None


def _targets_problem(images: NDArray[Any], targets: NDArray[Any]) -> str | None:
    if targets.ndim != 2 or targets.dtype != np.float64 or not targets.shape[1]:
        return f"targets are {targets.dtype} of shape {targets.shape}; expected float64 (examples, numbers)"
    if len(targets) != len(images):
        return f"targets are {len(targets)}, but there are {len(images)} examples"
    return None if np.isfinite(targets).all() else "targets hold NaN or infinity; expected finite numbers"


def _shape(images: Images) -> str:
    return "×".join(map(str, images.shape[1:]))
