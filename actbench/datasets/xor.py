"""The exclusive or of two signs: no straight line parts its classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from actbench.datasets._data import Data
from actbench.datasets._toys import Toy, normal, points, uniform

if TYPE_CHECKING:
    from actbench.datasets._toys import Made


class Xor(Toy):
    """Points spread evenly over [-1, 1]², class 1 where the signs of the coordinates differ; no network.

    The noise is added after the classes are given, so that points near an axis stray to the other side. A fixed fifth
    of each class is the test set.
    """

    image_shape = (2, 1, 1)

    def load(self, folder: Path) -> Data:
        """Make the points; ``folder`` only holds the cache."""
        return points("xor", self, self._made, folder)

    def _made(self) -> Made:
        import numpy as np

        shape = (self.examples, 2)
        places = 2 * uniform(2 * self.examples, "xor").reshape(shape) - 1
        labels = ((places[:, 0] > 0) != (places[:, 1] > 0)).astype(np.int64)
        return places + self.noise * normal(2 * self.examples, "xor.noise").reshape(shape), labels


plugin = Xor
