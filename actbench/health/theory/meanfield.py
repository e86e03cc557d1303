"""Map the variance of z and the size of gradients from layer to layer of a wide network at initialisation.

The mean-field maps: iterated from the first layer on, they predict whether the signal and its gradients survive the
depth. Exact as the widths go to infinity, in evaluation mode, for one input; numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from actbench.errors import UsageError
from actbench.nn.quadrature import INTEGRATION_LIMIT, panels

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]

PANELS = 2400
"""Of the quadrature: each 0.01 standard deviations wide."""


def gaussian_mean(function: Function, mean: float, variance: float, kinks: Iterable[float] = ()) -> float:
    """Return E[g(z)] for z ~ N(mean, variance), by Gauss–Legendre quadrature with 8 nodes a panel, split at the kinks.

    A jump in slope that was not announced costs at most about 1e-6 of itself.

    Args:
        function: g, elementwise on a float64 array of any shape.
        mean: Of z.
        variance: Of z, at least 0; at 0 the mean is g(mean).
        kinks: Where g or its slope jumps.

    Returns:
        The mean; infinity where the integrand has not vanished at 12 standard deviations, NaN where g is.

    >>> round(gaussian_mean(lambda z: np.maximum(z, 0) ** 2, 0.0, 2.0), 12)
    1.0
    """
    if variance == 0:
        return float(function(np.array([mean]))[0])
    deviation = math.sqrt(variance)
    cuts = np.clip([(kink - mean) / deviation for kink in kinks], -INTEGRATION_LIMIT, INTEGRATION_LIMIT)
    z, weights = panels(PANELS, cuts)  # (panels, nodes)
    with np.errstate(over="ignore", invalid="ignore"):  # an infinite mean is an answer, told by the return value
        integrand = weights * function(mean + deviation * z) * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        total, mass = float(integrand.sum()), float(abs(integrand).sum())
    # Two panels out of thousands. Held against the mass, since positive and negative parts may cancel in the total.
    at_the_ends = float(abs(integrand[[0, -1]]).sum())
    return math.inf if at_the_ends > 1e-10 * mass else total


def weight_gain(
    scheme: str, fan_in: int, fan_out: int, *, moment: float, scale: float = 1.0, first: bool = False
) -> float:
    """Return fan_in times the variance of a weight: the factor between E[input²] and the variance of z.

    he 2 · lecun 1 · xavier 2·fan_in/(fan_in + fan_out) · pytorch 1/3 · matched, lsuv 1/moment · orthogonal,
    delta_orthogonal scale²·min(1, fan_in/fan_out), its mean over the units · siren 2·scale², and 1/(3·fan_in) in the
    first layer.

    Args:
        scheme: A row of ``WEIGHT_INITS``.
        fan_in: Inputs of one unit.
        fan_out: Units.
        moment: E[input²] of the layer: E[f(Z)²] of the activation before it, or that of the data. Only ``matched`` and
            ``lsuv`` read it; for the latter it is that of the network itself, whose layers have variance 1.
        scale: The option ``gain`` of ``orthogonal`` and ``delta_orthogonal``; 1/w0 of ``siren``.
        first: Whether the layer sees the data. Only ``siren`` reads it.

    Raises:
        UsageError: For a scheme that is not in the list. Such is ``rai``, whose weights are neither of mean 0 nor
            independent.

    >>> weight_gain("he_normal", 784, 256, moment=0.5), weight_gain("orthogonal", 128, 256, moment=0.5)
    (2.0, 0.5)
    """
    orthogonal = scale**2 * min(1.0, fan_in / fan_out)
    gains = {
        "he": 2.0,
        "lecun": 1.0,
        "xavier": 2 * fan_in / (fan_in + fan_out),
        "pytorch": 1 / 3,
        "matched": 1 / moment,
        "lsuv": 1 / moment,
        "orthogonal": orthogonal,
        "delta_orthogonal": orthogonal,
        "siren": 1 / (3 * fan_in) if first else 2 * scale**2,
    }
    kind = scheme.removesuffix("_normal").removesuffix("_uniform")
    if kind not in gains:
        raise UsageError(f"no theory of weight_init '{scheme}'; known: {', '.join(gains)}")
    return gains[kind]


def next_variance(
    function: Function,
    variance: float,
    *,
    gain: float,
    bias: float = 0.0,
    bias_variance: float = 0.0,
    kinks: Iterable[float] = (),
) -> float:
    """Return the variance of z in the next layer, q′ = gain·E[f(z)²] + σ_b² for z ~ N(bias, q).

    Exact for infinitely wide layers with independent weights at initialisation. A bias that is equal in all units
    shifts the mean of z and adds nothing to its variance.

    Args:
        function: f, elementwise.
        variance: q of this layer.
        gain: Of the next layer's weights, as ``weight_gain`` gives it.
        bias: The mean of z in this layer.
        bias_variance: σ_b² in the next layer.
        kinks: Of f.

    Reference:
        Poole, Lahiri, Raghu, Sohl-Dickstein, Ganguli 2016, arXiv:1606.05340.

    >>> round(next_variance(lambda z: np.maximum(z, 0), 2.0, gain=2.0), 12)
    2.0
    """
    return gain * gaussian_mean(lambda z: function(z) ** 2, bias, variance, kinks) + bias_variance


def gradient_factor(
    slope: Function, variance: float, *, gain: float, bias: float = 0.0, kinks: Iterable[float] = ()
) -> float:
    """Return χ = gain·E[f′(z)²], z ~ N(bias, q): the factor that a layer puts on the gradient's squared norm.

    ‖∂loss/∂z_l‖² = χ·‖∂loss/∂z_(l+1)‖² in the mean, whatever the widths, with the gain of the weights in between.
    Below 1 gradients vanish with depth, above 1 they explode. Exact for infinitely wide layers, on the usual
    assumption that weights of the backward pass are independent of the forward pass.

    Args:
        slope: f′, elementwise.
        variance: q of the layer below those weights.
        gain: Of those weights, as ``weight_gain`` gives it.
        bias: The mean of z.
        kinks: Of f.

    Reference:
        Schoenholz, Gilmer, Ganguli, Sohl-Dickstein 2016, arXiv:1611.01232.

    >>> round(gradient_factor(lambda z: np.where(z > 0, 1.0, 0.0), 1.0, gain=2.0, kinks=[0]), 12)
    1.0
    """
    return gain * gaussian_mean(lambda z: slope(z) ** 2, bias, variance, kinks)
