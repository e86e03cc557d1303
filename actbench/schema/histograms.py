"""The bins in which a layer's pre-activations and outputs are counted: one grid for all runs, so that they compare.

The edges lie at ``SCALE``·sinh(``STEP``·k) for k = −``HALF`` … ``HALF``: nearly equal near 0 and in equal ratios far
from it, so that a network whose signal has vanished and one whose signal has exploded fit the same 80 bins.
The lowest and the highest bin hold what lies beyond, too. 0 lies in the first bin above it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

SCALE, STEP, HALF = 0.5, 0.15, 40
"""Bins of 0.075 near 0 and of 15 % far from it, up to ±100."""

BINS = 2 * HALF

HISTOGRAMS = ("z_histogram", "a_histogram")
"""Of a layer's pre-activations z and outputs a = f(z) over probe, units and positions.

In the rows of epoch 0 and the last one: ``{"first": k, "counts": [...]}``, the counts of the bins from k on, which
leave out the empty bins at both ends.
"""


def edges() -> list[float]:
    """Return the ``BINS`` + 1 edges.

    >>> [round(edge, 3) for edge in edges()[38:43]], round(edges()[-1])
    ([-0.152, -0.075, 0.0, 0.075, 0.152], 101)
    """
    return [SCALE * math.sinh(STEP * (k - HALF)) for k in range(BINS + 1)]


def packed(counts: Sequence[int]) -> dict[str, Any] | None:
    """Return counts of all bins as a record holds them; None where nothing was counted.

    >>> packed([0] * 40 + [3, 0, 1] + [0] * 37)
    {'first': 40, 'counts': [3, 0, 1]}
    """
    filled = [index for index, count in enumerate(counts) if count]
    if not filled:
        return None
    return {"first": filled[0], "counts": list(counts[filled[0] : filled[-1] + 1])}


def unpacked(found: Any) -> list[int]:
    """Return the counts of all bins.

    >>> sum(unpacked({"first": 40, "counts": [3, 0, 1]})), len(unpacked(None)), sum(unpacked(None))
    (4, 80, 0)

    Raises:
        ValueError: When it is no histogram of this grid.
    """
    check_histogram(found)
    if found is None:
        return [0] * BINS
    first, counts = found["first"], list(found["counts"])
    return [0] * first + counts + [0] * (BINS - first - len(counts))


def check_histogram(found: Any) -> None:
    """Refuse what is neither None nor a histogram of this grid.

    Raises:
        ValueError: With the reason.
    """
    if found is None:
        return
    if not isinstance(found, Mapping) or not isinstance(found.get("counts"), (list, tuple)):
        raise ValueError("it is no histogram: a first bin and counts")
    first = found.get("first")
    values = (first, *found["counts"])
    # True is no count, though it is an int. A look at all types at once takes a tenth of one at each value.
    if not isinstance(first, int) or not set(map(type, values)) <= {int} or min(values) < 0 or max(values) >= 2**63:
        raise ValueError("it is no histogram: a first bin and counts")
    if first + len(values) - 1 > BINS:
        raise ValueError(f"it has more than {BINS} bins")
