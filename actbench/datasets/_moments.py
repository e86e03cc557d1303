"""Take mean and standard deviation of images, exactly."""

from __future__ import annotations

from math import fsum, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

GREY_LEVEL = 1 / 255
BLOCK = 256
"""Images summed at a time: a block's 32-bit copy should stay in the processor's cache."""


def moments(images: NDArray[Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, where 255 counts as 1.

    Of grey levels the sums are whole numbers, hence exact: std² = (n·Σx² - (Σx)²) / n², over all n pixels of a channel.
    Of other numbers they are rounded once, so that no machine's order of adding shows.

    Args:
        images: (N, C, H, W).

    Returns:
        Two tuples of C numbers; no standard deviation is below one grey level, or 0 for other numbers.
    """
    if images.dtype != np.uint8:
        return _moments_of_numbers(images)
    pixels = images.reshape(*images.shape[:2], -1)  # (N, C, H·W)
    total = np.zeros(images.shape[1], dtype=np.int64)
    squares = np.zeros(images.shape[1], dtype=np.int64)
    for start in range(0, len(pixels), BLOCK):
        block = pixels[start : start + BLOCK]
        total += block.sum(axis=(0, 2), dtype=np.int64)
        squares += np.square(block, dtype=np.uint32).sum(axis=(0, 2), dtype=np.int64)
    count = pixels.shape[0] * pixels.shape[2]
    # Python's integers below: n·Σx² passes 2⁶³ for a large dataset.
    variances = [(count * int(q) - int(t) ** 2) / count**2 for t, q in zip(total, squares, strict=True)]
    mean = tuple(int(t) / count * GREY_LEVEL for t in total)
    return mean, tuple(max(variance**0.5, 1.0) * GREY_LEVEL for variance in variances)


def _moments_of_numbers(values: NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    columns = values.swapaxes(0, 1).reshape(values.shape[1], -1).tolist()  # (C, N·H·W)
    mean = tuple(fsum(column) / len(column) for column in columns)
    spread = (
        sqrt(fsum((value - middle) ** 2 for value in column) / len(column))
        for column, middle in zip(columns, mean, strict=True)
    )
    return mean, tuple(one or 1.0 for one in spread)
