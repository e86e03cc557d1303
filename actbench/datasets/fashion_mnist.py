"""Fashion-MNIST, the full set."""

from __future__ import annotations

from pathlib import Path

from actbench.datasets._data import Data, DatasetOptions


class FashionMNIST(DatasetOptions):
    """70,000 pictures of clothes, 28×28 grey, in 10 classes: 60,000 to train, 10,000 to test.

    Reference: Xiao, Rasul, Vollgraf, "Fashion-MNIST", arXiv:1708.07747.
    """

    image_shape = (1, 28, 28)

    def load(self, folder: Path) -> Data:
        """Read ``folder/FashionMNIST/raw``; download it when it is not there."""
        from actbench.datasets._split import split
        from actbench.datasets._torchvision import mnist_family

        return split("fashion_mnist", mnist_family("fashion_mnist", "FashionMNIST", folder), self)


plugin = FashionMNIST
