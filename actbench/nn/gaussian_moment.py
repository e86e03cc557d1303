"""E[f(Z)²] of an activation under a standard normal Z."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from actbench.nn.quadrature import NODES, panels


def mean_square_under_gauss(function: Callable[..., Tensor], kinks: Iterable[float], *, noisy: bool) -> float:
    """Return E[f(Z)²] for Z ~ N(0, 1), by quadrature on 12,000 panels over |z| ≤ 12, split at the kinks.

    Panels of width h = 0.002 keep the error near h²/100 = 4e-8 of a jump in slope that was not announced and does not
    lie at a multiple of h. The scheme ``matched`` draws weights from this moment: another number of panels would move
    their last bits.

    Args:
        function: Elementwise f(z), float64; f(z, noise=…) if noisy.
        kinks: Where the slope of f jumps.
        noisy: Whether to take the mean over noise uniform in [0, 1) as well.

    Returns:
        The moment; infinity where the integrand has not vanished at |z| = 12, as for exp(z²); NaN where f is.
    """
    points, weights = panels(12_000, kinks)
    z = torch.from_numpy(points)  # (panels, nodes)
    with torch.no_grad():
        if noisy:
            nodes, shares = np.polynomial.legendre.leggauss(NODES)  # on [-1, 1]; the noise is uniform in [0, 1)
            pairs = zip((nodes + 1) / 2, shares / 2, strict=True)
            squares = sum(w * function(z, noise=torch.full_like(z, u)).square() for u, w in pairs)
        else:
            squares = function(z).square()
    integrand = squares * torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    moment = float((torch.from_numpy(weights) * integrand).sum())
    at_the_ends = float(torch.maximum(integrand[0, 0], integrand[-1, -1]))
    return math.inf if at_the_ends > 1e-10 * moment else moment


def mean_square_of_largest(count: int) -> float:
    """Return E[max(Z₁ … Z_k)²] for independent standard normals: ∫ z²·k·φ(z)·Φ(z)^(k−1) dz.

    1 for k = 2, 1 + √3/(2π) for k = 3, 1 + √3/π for k = 4.

    >>> round(mean_square_of_largest(3) - 1 - 3**0.5 / (2 * math.pi), 12)
    0.0
    """
    points, weights = panels(12_000, ())
    z = torch.from_numpy(points)
    density = count * torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi) * torch.special.ndtr(z) ** (count - 1)
    return float((torch.from_numpy(weights) * z.square() * density).sum())
