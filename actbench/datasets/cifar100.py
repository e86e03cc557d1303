"""CIFAR-100, the full set."""

from __future__ import annotations

from pathlib import Path

from actbench.datasets._data import Data, DatasetOptions

FILES = tuple(f"cifar-100-python/{batch}" for batch in ("train", "test", "meta"))


class CIFAR100(DatasetOptions):
    """60,000 photographs, 32×32 colour, in 100 fine classes: 50,000 to train, 10,000 to test.

    Reference: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """

    image_shape = (3, 32, 32)

    def load(self, folder: Path) -> Data:
        """Read ``folder/cifar-100-python``; download it when it is not there."""
        from actbench.datasets._split import split
        from actbench.datasets._torchvision import cifar_family

        return split("cifar100", cifar_family("cifar100", "CIFAR100", FILES, folder), self)


plugin = CIFAR100
