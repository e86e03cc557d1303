"""Sign flips: under the null hypothesis a seed's difference could as well have had the other sign.

The patterns are shared by the one-sample test below, ``max_t`` and the interaction (``interaction``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from actbench.analysis.pairs_needed import FLIPS, MAX_EXACT_PAIRS
from actbench.analysis.statistics.samples import ROUNDING, Floats, checked, size


@lru_cache(maxsize=4)  # a table asks for one or two numbers of seeds, a thousand times
def sign_patterns(n: int) -> Floats:
    """Return the patterns of n signs, (patterns, n) of ±1; the observed one, all +1, stands first.

    All of them up to 12 seeds, with the last sign kept at +; beyond, 10,000 from a fixed seed, so that p is the same
    each time.
    """
    if n <= MAX_EXACT_PAIRS:
        # Row k holds the binary digits of k, the n-th of which is always 0: the mirror images are left out.
        bits = np.arange(2 ** max(n - 1, 0))[:, None] >> np.arange(n) & 1
    else:
        bits = np.random.default_rng(0).integers(0, 2, size=(FLIPS, n))
        bits[0] = 0  # the observed signs, without which p could be 0
    signs = np.where(bits, -1.0, 1.0)
    signs.flags.writeable = False
    return signs


def sign_flip_p(differences: Sequence[float] | Floats) -> float:
    """Return the two-sided p of differences symmetric about 0: the share of sign patterns with as extreme a sum.

    p = #{signs s : |Σ s_i·d_i| ≥ |Σ d_i|} / #{signs}. For differences that are not normal, such as those of a bounded,
    zero-inflated dead fraction. Its price is that n pairs reach no p below 2^(1 − n): .0625 with five. Exact up to 12
    pairs; beyond, by 10,000 patterns from a fixed seed, the observed one counted among them.

    Args:
        differences: Finite numbers, one per seed.

    Returns:
        p; 1 when every difference is 0.

    Raises:
        ValueError: For a number that is NaN, infinite or beyond 1e300.

    Reference: Fisher (1935), The Design of Experiments, section 21.

    >>> sign_flip_p([1.0, 2.0, 3.0])
    0.25
    """
    data = checked(differences)
    if not data.any():
        return 1.0
    data = data / size(data)
    sums = np.abs(sign_patterns(len(data)) @ data)
    # Sums that are equal on paper may differ by rounding.
    return float(np.mean(sums >= sums[0] - ROUNDING * float(np.abs(data).sum())))
