"""Make toy datasets: points with two coordinates and a class, or curves with one coordinate and a number.

All are made from fixed seeds, whatever the run's own, so that every run sees the same examples. Coordinates and targets
are rounded to six decimals: sines of different machines differ in their last bits, and the data should not.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from actbench.datasets._data import Data, DatasetOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from actbench.datasets._source import Source

    Floats = NDArray[np.float64]
    Made = tuple[Floats, NDArray[np.int64]]

DECIMALS = 6
MAX_EXAMPLES = 1_000_000
SEED = 0
"""Of scikit-learn's draws, as its own examples have it."""


class Toy(DatasetOptions):
    """The options of a toy dataset, a fifth of which is its test set.

    Attributes:
        examples: Points that are made, those for validation and the test set included.
        noise: Standard deviation of the normal numbers that are added.
    """

    examples: int = Field(default=2000, ge=10, le=MAX_EXAMPLES)
    noise: float = Field(default=0.1, ge=0, le=1000)


def points(name: str, options: Toy, make: Callable[[], Made], folder: Path, *, package: str = "numpy") -> Data:
    """Return a dataset of classes in the plane, cached as the others are.

    Args:
        name: The dataset's name.
        options: All its options.
        make: Returns points (N, 2) and labels (N,).
        folder: The data folder.
        package: The package whose version may change the points.
    """
    import numpy as np

    from actbench.datasets._cache import cached
    from actbench.datasets._split import hold_out, split

    def decode() -> Source:
        places, labels = make()
        return hold_out(rounded(places)[:, :, None, None], labels, tuple(map(str, range(1 + int(np.max(labels))))))

    return split(name, cached(name, _key(options, package), decode, folder), options)


def curve(name: str, options: Toy, make: Callable[[], tuple[Floats, Floats]], folder: Path) -> Data:
    """Return a dataset of numbers x (N,) with targets y (N,), as ``points`` does for classes."""
    from actbench.datasets._cache import cached
    from actbench.datasets._split import hold_out_any, split

    def decode() -> Source:
        x, y = make()
        return hold_out_any(rounded(x)[:, None, None, None], rounded(y)[:, None])

    return split(name, cached(name, _key(options, "torch"), decode, folder), options)


def rounded(values: Floats) -> Floats:
    """Return the values to six decimals, with one zero: -0.0 would be other bytes for the same data."""
    import numpy as np

    return np.round(values, DECIMALS) + 0.0


def uniform(count: int, purpose: str) -> Floats:
    """Return numbers (count,) between 0 and 1, from a stream of their own: of PCG64's raw output, as splits are."""
    import hashlib

    import numpy as np

    seed = int.from_bytes(hashlib.sha256(f"{SEED}/data.{purpose}".encode()).digest()[:8], "big")
    raw: NDArray[np.uint64] = np.random.PCG64(seed).random_raw(count)
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(count: int, purpose: str) -> Floats:
    """Return standard normal numbers (count,), by the transform of Box and Muller."""
    import numpy as np

    radius, angle = (uniform(count, f"{purpose}.{part}") for part in ("radius", "angle"))
    found: Floats = np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * angle)
    return found


def _key(options: Toy, package: str) -> list[Any]:
    """Return all that the points depend on: how they are cut does not change them."""
    cuts = DatasetOptions.model_fields.keys()
    own = {key: value for key, value in options.model_dump(mode="json").items() if key not in cuts}
    return [own, importlib.metadata.version(package)]
