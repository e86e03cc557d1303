"""A sample of finite numbers: its mean and standard deviation, spoilt neither by rounding nor by overflow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from actbench.schema.record import MAX_MAGNITUDE

ROUNDING = 1e-12
"""Numbers that differ by less than this share of their size differ by floating-point rounding only."""

Floats = NDArray[np.float64]


def checked(values: Sequence[float] | Floats) -> Floats:
    """Return the values as float64.

    Raises:
        ValueError: When one of them is NaN, infinite or beyond 1e300.
    """
    data = np.asarray(values, dtype=np.float64)
    if not (np.abs(data) < MAX_MAGNITUDE).all():
        raise ValueError("statistics are for finite numbers: count diverged runs beside the mean")
    return data


def size(data: Floats) -> float:
    """Return the largest magnitude; 0 for no values."""
    return float(np.abs(data).max(initial=0.0))


def scaled(data: Floats) -> Floats:
    """Return the data divided by their largest magnitude, as tests may that are free of scale; not all may be 0."""
    found: Floats = data / size(data)
    return found


def varies(data: Floats, scale: float) -> bool:
    """Whether non-empty data vary by more than rounding does among numbers as large as ``scale``."""
    return float(np.ptp(data)) > ROUNDING * scale


def centre(data: Floats) -> float:
    """Return the mean, exactly so for constant data, whose computed mean may be off by rounding."""
    return float(data[0]) if data.min() == data.max() else float(data.mean())


def standard_deviation(data: Floats) -> float | None:
    """Return the standard deviation with n − 1; None for fewer than two values.

    Scaled first, because the square of a loss of 1e200 would overflow.
    """
    if len(data) < 2:
        return None
    if data.min() == data.max():
        return 0.0
    scale = size(data)
    return float((data / scale).std(ddof=1)) * scale
