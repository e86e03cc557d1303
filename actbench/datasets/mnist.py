"""MNIST, the full set."""

from __future__ import annotations

from pathlib import Path

from actbench.datasets._data import Data, DatasetOptions


class MNIST(DatasetOptions):
    """70,000 handwritten digits, 28×28 grey, in 10 classes: 60,000 to train, 10,000 to test.

    Reference: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998.
    """

    image_shape = (1, 28, 28)

    def load(self, folder: Path) -> Data:
        """Read ``folder/MNIST/raw``; download it when it is not there."""
        from actbench.datasets._split import split
        from actbench.datasets._torchvision import mnist_family

        return split("mnist", mnist_family("mnist", "MNIST", folder), self)


plugin = MNIST
