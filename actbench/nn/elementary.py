"""Parts of activations and slopes that are right far out and near 0, where the obvious formula is not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

QUICK_GELU = 1.702
"""The sharpness with which z·σ(bz) comes close to GELU."""

FAR = 1000.0
"""exp(−1000) is 0 in float64."""


def within(z: Tensor) -> Tensor:
    """Return z within ±1000, beyond which each gate is 0 or 1 in float64: so no product of ±∞ and 0 comes about."""
    return z.clamp(-FAR, FAR)


def finite_below(z: Tensor) -> Tensor:
    """Return z with the lowest finite number for −∞, whose product with a gate of 0 is 0, as the limit, not NaN."""
    return z.clamp(min=torch.finfo(z.dtype).min)


def linear_or_expm1(z: Tensor) -> Tensor:
    """Return z for z ≥ 0, exp(z) − 1 below: an ELU that keeps its digits near 0, without a backward pass of its own."""
    return torch.relu(z) + torch.expm1(z.clamp(max=0))


def sech_squared(z: Tensor) -> Tensor:
    """Return 1 − tanh(z)² without the difference, which loses its digits from |z| = 5 on."""
    e = torch.exp(-2 * z.abs())
    return 4 * e / (1 + e).square()


def exact_softplus(z: Tensor) -> Tensor:
    """Return log(1 + exp(z)) at every z; torch's own is z itself above 20, which is off by 2e-9 there."""
    return -functional.logsigmoid(-z)


def xielu_coefficients(
    alpha_p: float | Tensor, alpha_n: float | Tensor, beta: float
) -> tuple[float | Tensor, float | Tensor]:
    """Return p = softplus(alpha_p) and n = β + softplus(alpha_n)."""
    return _softplus(alpha_p), beta + _softplus(alpha_n)


def xielu_options(trained: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return alpha_p and alpha_n of xielu, as its options state them, from the tensors that are trained."""
    return {
        "alpha_p": exact_softplus(trained["alpha_p"]),
        "alpha_n": options["beta"] + exact_softplus(trained["alpha_n"]),
    }


def _softplus(x: float | Tensor) -> float | Tensor:
    return exact_softplus(x) if isinstance(x, Tensor) else max(x, 0.0) + math.log1p(math.exp(-abs(x)))
