"""Spirals wound around each other: a few hidden units are too few."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from actbench.datasets._data import Data
from actbench.datasets._toys import Toy, normal, points, uniform

if TYPE_CHECKING:
    from actbench.datasets._toys import Made


class Spiral(Toy):
    """Points on the arms of a spiral around 0, one class an arm; no network.

    An arm goes from the radius 0 to 1 while it turns, evenly in the radius: (r·cos φ, r·sin φ) with
    φ = 2π·(turns·r + arm/arms). A fixed fifth of each class is the test set.

    Attributes:
        arms: Arms, which are the classes.
        turns: Full turns of each arm.
        noise: Standard deviation of the normal numbers that are added to both coordinates.
    """

    image_shape = (2, 1, 1)

    arms: int = Field(default=2, ge=2, le=100)
    turns: float = Field(default=1.5, gt=0, le=100)
    noise: float = Field(default=0.02, ge=0, le=1000)

    def load(self, folder: Path) -> Data:
        """Make the points; ``folder`` only holds the cache."""
        return points("spiral", self, self._made, folder)

    def _made(self) -> Made:
        import numpy as np

        labels = np.arange(self.examples) % self.arms
        radius = uniform(self.examples, "spiral")
        angle = 2 * np.pi * (self.turns * radius + labels / self.arms)
        places = radius[:, None] * np.stack((np.cos(angle), np.sin(angle)), 1)
        return places + self.noise * normal(2 * self.examples, "spiral.noise").reshape(-1, 2), labels


plugin = Spiral
