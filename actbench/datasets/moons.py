"""Two half moons in the plane."""

from __future__ import annotations

from pathlib import Path

from actbench.datasets._data import Data
from actbench.datasets._toys import SEED, Toy, points


class Moons(Toy):
    """Points on two half circles that reach into each other, by scikit-learn's ``make_moons``; no network.

    Equal to its points with ``random_state=0`` to six decimals. A fixed fifth of each class is the test set.
    """

    image_shape = (2, 1, 1)

    def load(self, folder: Path) -> Data:
        """Make the points; ``folder`` only holds the cache."""

        def make():  # type: ignore[no-untyped-def]
            from sklearn.datasets import make_moons

            return make_moons(self.examples, noise=self.noise, random_state=SEED)

        return points("moons", self, make, folder, package="scikit-learn")


plugin = Moons
