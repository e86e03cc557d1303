"""Define the interface of every dataset: its options, and the examples that its ``load`` returns.

An example is an image with a class; or numbers, as the coordinates of a point, with a class or with numbers as its
target.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from pydantic import Field

from actbench.schema.components import Options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Images = NDArray[np.uint8] | NDArray[np.float64]
    """Grey levels; or the numbers of examples that are no images."""
    Labels = NDArray[np.int64] | NDArray[np.float64]
    """Classes; or the numbers that are to be learned."""


Scale = Literal["standard", "unit", "symmetric"]


@dataclass(frozen=True, eq=False)
class Data:
    """Examples and their targets, ready to train on: split, in their final order, not yet normalised.

    Arrays of a cached dataset are memory-mapped copy-on-write, so processes on one machine share their pages.

    Args:
        name: The dataset's name in the config.
        train_images: (N, C, H, W): uint8, grey levels 0 … 255; or float64 (N, C, 1, 1), C numbers of each example.
        train_labels: int64 (N,), each an index into ``classes``; or float64 (N, K), K numbers to be learned.
        val_images: As ``train_images``; empty when ``val_fraction`` is 0.
        val_labels: As ``train_labels``.
        test_images: As ``train_images``.
        test_labels: As ``train_labels``.
        classes: The classes' names; none where the targets are numbers.
        mean: Per channel, over ``train_images``, where a grey level of 255 counts as 1.
        std: The same for the standard deviation; at least one grey level (1/255), and 1 where a number is the same in
            all examples, so that a constant channel can be divided by it.
        fingerprint: sha256 of the full dataset's arrays, before anything is split off or cut.
        notes: Sentences about the data that its user should read, such as files that were skipped.
        scale: How a network sees a grey level: see ``DatasetOptions``.
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
    scale: Scale = "standard"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    @cached_property
    def input_moment(self) -> float:
        """E[x²] of a number as the network sees it, over the training images: 1 when they are standardised."""
        if self.scale == "standard":
            return 1.0
        from actbench.datasets._moments import moments

        # Not ``mean`` and ``std``: those of a user's own Data may be any numbers.
        of_channels = zip(*moments(self.train_images), strict=True)
        if self.scale == "unit":
            squares = [mean**2 + std**2 for mean, std in of_channels]
        else:
            squares = [(2 * mean - 1) ** 2 + 4 * std**2 for mean, std in of_channels]
        return sum(squares) / len(squares)

    @property
    def outputs(self) -> int:
        """The number of outputs that a network needs: one a class, or one for each number of a target."""
        return len(self.classes) or int(self.train_labels.shape[1])


class DatasetOptions(Options):
    """The options that every dataset has; a dataset's own are the further fields of its class.

    Attributes:
        train_size: Use only the first so many training examples; None for all. The validation examples stay the same.
        test_size: Use only the first so many test examples; None for all.
        val_fraction: The part of the training examples that is set aside for validation, rounded to whole examples.
        max_examples: At most this many examples of each part (training, validation, test), after all else; None for
            no limit. Unlike the sizes it may be more than there are.
        scale: How a network sees a grey level x of 0 … 255: ``standard`` subtracts each channel's mean over the
            training examples and divides by their standard deviation; ``unit`` is x/255, ``symmetric`` 2x/255 − 1.
    """

    image_shape: ClassVar[tuple[int, int, int] | None] = None
    """(C, H, W) of every image, where all copies of the dataset have the same."""

    targets: ClassVar[int | None] = None
    """How many numbers each target holds; None where the targets are classes."""

    train_size: int | None = Field(default=None, ge=1)
    test_size: int | None = Field(default=None, ge=1)
    val_fraction: float = Field(default=0.1, ge=0, lt=1)
    max_examples: int | None = Field(default=None, ge=1)
    scale: Scale = "standard"


class Dataset(Protocol):
    """A source of examples; its options are the fields of its class, a ``DatasetOptions``."""

    def load(self, folder: Path) -> Data:
        """Read the dataset, from ``folder`` where it needs one.

        Raises:
            DatasetError: When it is absent, unreadable or too small for the options.
        """
        ...
