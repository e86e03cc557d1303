"""CIFAR-10, the full set."""

from __future__ import annotations

from pathlib import Path

from actbench.datasets._data import Data, DatasetOptions

BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")
FILES = tuple(f"cifar-10-batches-py/{batch}" for batch in BATCHES)


class CIFAR10(DatasetOptions):
    """60,000 photographs, 32×32 colour, in 10 classes: 50,000 to train, 10,000 to test.

    Reference: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """

    image_shape = (3, 32, 32)

    def load(self, folder: Path) -> Data:
        """Read ``folder/cifar-10-batches-py``; download it when it is not there."""
        from actbench.datasets._split import split
        from actbench.datasets._torchvision import cifar_family

        return split("cifar10", cifar_family("cifar10", "CIFAR10", FILES, folder), self)


plugin = CIFAR10
