"""Hold a whole dataset before anything is cut from it, its images with the channels first."""

from __future__ import annotations

import hashlib
from collections.abc import Container
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from actbench.datasets._data import Images, Labels

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True, eq=False)
class Source:
    """All examples of a dataset.

    Args:
        train_images: (N, C, H, W): uint8, grey levels 0 … 255; or float64 (N, C, 1, 1), C numbers of each example.
        train_labels: int64 (N,), each an index into ``classes``; or float64 (N, K), K numbers to be learned.
        test_images: As ``train_images``.
        test_labels: As ``train_labels``.
        classes: The classes' names; none where the targets are numbers.
        notes: Sentences about the data that its user should read.
    """

    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 over type, shape and bytes of each array."""
        digest = hashlib.sha256()
        for name in ARRAYS:
            array = np.ascontiguousarray(getattr(self, name))
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(array.data)
        return digest.hexdigest()


def channels_first(images: NDArray[Any], channels: Container[int]) -> NDArray[Any]:
    """Return images as (N, C, H, W): grey ones (N, H, W) get a channel, channels that come last are moved.

    Where both axes could be the channels, as in (N, 3, H, 3), the second is, which is the layout of ``Data``. A last
    axis as long as the one before it is no channel: (N, 64, 1, 1) are 64 features. Other arrays are returned as they
    are.

    Args:
        images: The images.
        channels: The numbers of channels that images may have.
    """
    if images.ndim == 3:
        return images[:, None]
    if images.ndim != 4 or images.shape[1] in channels or images.shape[3] not in channels:
        return images
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if images.shape[3] < images.shape[2] else images
