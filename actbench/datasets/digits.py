"""The smallest real images: for smoke runs and tests."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING

from actbench.datasets._data import Data, DatasetOptions

if TYPE_CHECKING:
    from actbench.datasets._source import Source

LEVELS = 16
"""The images count black pixels in 4×4 blocks of a bitmap: 0 … 16."""


class Digits(DatasetOptions):
    """1,797 real 8×8 grey digits (UCI optical recognition) from inside the scikit-learn wheel; no network.

    Levels 0 … 16 are scaled to 0 … 255. They ship without a split: a fixed fifth of every class is the test set.
    """

    image_shape = (1, 8, 8)

    def load(self, folder: Path) -> Data:
        """Read the dataset; ``folder`` only holds the cache."""
        from actbench.datasets._cache import cached
        from actbench.datasets._split import split

        key = importlib.metadata.version("scikit-learn")
        return split("digits", cached("digits", key, _decode, folder), self)


def _decode() -> Source:
    import numpy as np
    from sklearn.datasets import load_digits

    from actbench.datasets._split import hold_out

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / LEVELS)).astype(np.uint8)[:, None]  # (N, 1, 8, 8)
    return hold_out(images, bunch.target.astype(np.int64), tuple("0123456789"))


plugin = Digits
