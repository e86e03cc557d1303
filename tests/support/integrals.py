"""Integrals over the normal distribution, found independently of the product."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import integrate

FUNCTIONS: dict[str, Callable[[float], float]] = {
    "relu": lambda z: max(z, 0.0),
    "leaky_relu": lambda z: max(z, 0.01 * z),
    "elu": lambda z: z if z > 0 else math.expm1(z),
    "selu": lambda z: 1.0507009873554805 * (z if z > 0 else 1.6732632423543772 * math.expm1(z)),
    "gelu": lambda z: z * (1 + math.erf(z / math.sqrt(2))) / 2,
    "silu": lambda z: z / (1 + math.exp(-z)),
    "mish": lambda z: z * math.tanh(math.log1p(math.exp(z))),
    "tanh": math.tanh,
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
}


def adaptive_mean(function: Callable[[float], float], mean: float = 0.0, variance: float = 1.0) -> float:
    def integrand(z: float) -> float:
        return function(z) * math.exp(-((z - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)

    return sum(integrate.quad(integrand, *half, epsabs=1e-13, epsrel=1e-13)[0] for half in ((-30, 0), (0, 30)))
