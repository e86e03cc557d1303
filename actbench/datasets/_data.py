"""Define the interface of every dataset: its options, and the images with labels that its ``load`` returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from pydantic import Field

from actbench.schema.components import Options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Images = NDArray[np.uint8]
    Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Data:
    """Images and labels, ready to train on: split, in their final order, not yet normalised.

    Arrays of a cached dataset are memory-mapped copy-on-write, so processes on one machine share their pages.

    Args:
        name: The dataset's name in the config.
        train_images: (N, C, H, W), grey levels 0 … 255.
        train_labels: (N,), each an index into ``classes``.
        val_images: As ``train_images``; empty when ``val_fraction`` is 0.
        val_labels: As ``train_labels``.
        test_images: As ``train_images``.
        test_labels: As ``train_labels``.
        classes: The classes' names.
        mean: Per channel, over ``train_images``, where 255 counts as 1.
        std: The same for the standard deviation; at least one grey level (1/255), so that a constant channel
            can be divided by it.
        fingerprint: sha256 of the full dataset's arrays, before anything is split off or cut.
        notes: Sentences about the data that its user should read, such as files that were skipped.
    """

    name: str
    train_images: Images
    train_labels: Labels
    val_images: Images
    val_labels: Labels
    test_images: Images
    test_labels: Labels
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width


class DatasetOptions(Options):
    """The options that every dataset has; a dataset's own are the further fields of its class.

    Attributes:
        train_size: Use only the first so many training examples; None for all. The validation examples stay the same.
        test_size: Use only the first so many test examples; None for all.
        val_fraction: The part of the training examples that is set aside for validation, rounded to whole examples.
        max_examples: At most this many examples of each part (training, validation, test), after all else; None for
            no limit. Unlike the sizes it may be more than there are.
    """

    image_shape: ClassVar[tuple[int, int, int] | None] = None
    """(C, H, W) of every image, where all copies of the dataset have the same."""

    train_size: int | None = Field(default=None, ge=1)
    test_size: int | None = Field(default=None, ge=1)
    val_fraction: float = Field(default=0.1, ge=0, lt=1)
    max_examples: int | None = Field(default=None, ge=1)


class Dataset(Protocol):
    """A source of images; its options are the fields of its class, a ``DatasetOptions``."""

    def load(self, folder: Path) -> Data:
        """Read the dataset, from ``folder`` where it needs one.

        Raises:
            DatasetError: When it is absent, unreadable or too small for the options.
        """
        ...
