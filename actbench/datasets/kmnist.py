"""Kuzushiji-MNIST, the full set."""

from __future__ import annotations

from pathlib import Path

from actbench.datasets._data import Data, DatasetOptions


class KMNIST(DatasetOptions):
    """70,000 cursive Japanese characters, 28×28 grey, in 10 classes: 60,000 to train, 10,000 to test.

    Reference: Clanuwat et al., "Deep Learning for Classical Japanese Literature", arXiv:1812.01718.
    """

    image_shape = (1, 28, 28)

    def load(self, folder: Path) -> Data:
        """Read ``folder/KMNIST/raw``; download it when it is not there."""
        from actbench.datasets._split import split
        from actbench.datasets._torchvision import mnist_family

        return split("kmnist", mnist_family("kmnist", "KMNIST", folder), self)


plugin = KMNIST
