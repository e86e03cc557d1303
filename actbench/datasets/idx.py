"""A folder of IDX files, the format in which MNIST and its successors are published."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from actbench.datasets import _idx
from actbench.datasets._cache import cached, stamps
from actbench.datasets._data import Data, DatasetOptions
from actbench.datasets._split import split
from actbench.errors import DatasetError
from actbench.system.files import expanded


class Idx(DatasetOptions):
    """Your folder of IDX files (MNIST's format), plain or ``.gz``; grey (N, H, W), or colour (N, H, W, 3 | N, 3, H, W).

    Attributes:
        root: The folder with the four files ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and ``t10k-…``;
            ``~`` is the home folder, a relative path starts at the current folder.
    """

    root: str = Field(min_length=1)

    def load(self, folder: Path) -> Data:
        """Read the files in ``root``; ``folder`` only holds the cache."""
        root = expanded(self.root).absolute()
        if not root.is_dir():
            raise DatasetError(
                f"dataset 'idx': 'root' {root} is not a folder; expected one with {', '.join(_idx.FILES)}"
            )
        paths = _idx.files(root)
        return split("idx", cached("idx", stamps(paths), lambda: _idx.decode(paths), folder), self)


plugin = Idx
