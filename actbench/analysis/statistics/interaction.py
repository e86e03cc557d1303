"""Does the effect of one factor depend on the other, beyond what seeds do by chance?"""

from __future__ import annotations

import numpy as np

from actbench.analysis.statistics.samples import MIN_VALUES, ROUNDING, Floats, checked, size
from actbench.analysis.statistics.sign_flips import sign_patterns


def interaction_p(values: Floats) -> float | None:
    """Test whether two factors add up: sign flips of the per-seed double-centred residuals.

    In each seed, r_ab = y_ab − mean of row a − mean of column b + overall mean is what the two factors do beyond their
    sum. The statistic is Σ_ab (Σ_s r_sab)²; p is the share of sign patterns over the seeds in which it is as large.
    Exact up to 12 seeds, by 10,000 flips beyond.

    It keeps its level (type-I error .030 to .050) where cells differ in noise, which here is the normal case; the F
    test of a repeated-measures analysis of variance then rejects .09 to .10 of true nulls in a table of 6 × 2 cells,
    one of them four times noisier (``docs/statistics.md``). How large an interaction is, is a paired number:
    ``paired_difference`` of (act − baseline | bias b) and (act − baseline | bias 0).

    Args:
        values: (S, A, B), seed × level of the one factor × level of the other; seeds that lack a cell left out.

    Returns:
        p; None for fewer than three seeds, a factor of one level, or values that add up exactly in every seed.

    Raises:
        ValueError: For a number that is NaN, infinite or beyond 1e300.

    Reference: Winkler et al. (2014), Permutation inference for the general linear model, NeuroImage 92 (sign flips of
    errors that are independent and symmetric).
    """
    data = checked(values)
    if len(data) < MIN_VALUES or min(data.shape[1:]) < 2 or not data.any():
        return None
    residuals = _double_centred(data / size(data))
    scale = size(residuals)
    if scale <= ROUNDING:
        return None
    return _p(residuals.reshape(len(data), -1) / scale)


def _double_centred(data: Floats) -> Floats:
    rows, columns = data.mean(axis=2, keepdims=True), data.mean(axis=1, keepdims=True)
    centred: Floats = data - rows - columns + data.mean(axis=(1, 2), keepdims=True)
    return centred


def _p(residuals: Floats) -> float:
    """From (S, cells); through products of seeds, (S, S), so that a thousand cells cost no more than ten."""
    products = residuals @ residuals.T
    signs = sign_patterns(len(residuals))
    statistics = ((signs @ products) * signs).sum(axis=1)
    return float(np.mean(statistics >= statistics[0] - ROUNDING * float(np.abs(products).sum())))
