"""Hold and check a whole dataset before anything is cut from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from actbench.errors import DatasetError

if TYPE_CHECKING:
    from actbench.datasets._data import Images, Labels

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True, eq=False)
class Source:
    """All examples of a dataset.

    Args:
        train_images: (N, C, H, W), grey levels 0 … 255.
        train_labels: (N,), each an index into ``classes``.
        test_images: As ``train_images``.
        test_labels: As ``train_labels``.
        classes: The classes' names.
    """

    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    classes: tuple[str, ...]

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 over type, shape and bytes of each array."""
        digest = hashlib.sha256()
        for name in ARRAYS:
            array = np.ascontiguousarray(getattr(self, name))
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(array.data)
        return digest.hexdigest()


def numbered_classes(*labels: NDArray[Any]) -> tuple[str, ...]:
    """Return names for classes that have none: ``"0"`` up to the largest label."""
    return tuple(map(str, range(1 + max(int(part.max(initial=0)) for part in labels))))


def checked(name: str, source: Source) -> Source:
    """Return the source itself, when its arrays fit each other.

    Raises:
        DatasetError: Naming the dataset, the array and the expected one.
    """
    check_part(name, "train", source.train_images, source.train_labels, source.classes)
    check_part(name, "test", source.test_images, source.test_labels, source.classes)
    check_same_shape(name, source.train_images, "test_images", source.test_images)
    return source


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
    if images.dtype != np.uint8:
        return f"images are {images.dtype}; expected uint8, grey levels 0 … 255"
    if images.ndim != 4:
        return f"images have the shape {images.shape}; expected (examples, channels, height, width)"
    if images.size == 0:
        return f"images are empty: their shape is {images.shape}"
    return None


def _labels_problem(images: NDArray[Any], labels: NDArray[Any], classes: tuple[str, ...]) -> str | None:
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        return f"labels are {labels.dtype} of shape {labels.shape}; expected one whole number an example"
    if len(labels) != len(images):
        return f"labels are {len(labels)}, but there are {len(images)} images"
    if labels.min() < 0 or labels.max() >= len(classes):
        return f"labels run from {labels.min()} to {labels.max()}; expected 0 … {len(classes) - 1}, one a class"
    return None


def _shape(images: Images) -> str:
    return "×".join(map(str, images.shape[1:]))
