"""Test whether the effect of one factor depends on another: sign flips of per-seed double-centred residuals."""

from __future__ import annotations

import numpy as np

from actbench.analysis.pairs_needed import MIN_VALUES
from actbench.analysis.statistics.samples import ROUNDING, Floats, checked, size
from actbench.analysis.statistics.sign_flips import sign_patterns


def interaction_p(values: Floats) -> float | None:
    """Test whether two factors add up: sign flips of the per-seed double-centred residuals.

    In each seed, r_ab = y_ab − mean of row a − mean of column b + overall mean is the effect of the two factors beyond
    their sum. The statistic is Σ_ab (Σ_s r_sab)²; p is the share of sign patterns over the seeds in which it is as
    large. Exact up to 12 seeds, by 10,000 flips beyond.

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
    # In each seed, take out both factors' own effects; the interaction is in the rest, and the seed's level is in none.
    data = data / size(data)
    rows, columns = data.mean(axis=2, keepdims=True), data.mean(axis=1, keepdims=True)
    residuals: Floats = data - rows - columns + data.mean(axis=(1, 2), keepdims=True)
    scale = size(residuals)
    if scale <= ROUNDING:
        return None
    # With residuals as (S, cells) and signs e, Σ_ab (Σ_s e_s·r_sab)² = e·(R·Rᵀ)·e: the flips need only the products of
    # seeds, (S, S), so that a thousand cells cost no more than ten.
    flat = residuals.reshape(len(data), -1) / scale
    products = flat @ flat.T
    signs = sign_patterns(len(flat))
    statistics = ((signs @ products) * signs).sum(axis=1)
    # Patterns that tie on paper may differ by rounding.
    return float(np.mean(statistics >= statistics[0] - ROUNDING * float(np.abs(products).sum())))
