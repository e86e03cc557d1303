"""Evaluate closed forms: theorems on ReLU networks of any width at initialisation, and constants of activations.

The maps of wide networks (variance, gradient) are in ``meanfield``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from actbench.errors import UsageError


def normal_below(z: float) -> float:
    """Return Φ(z), the probability that a standard normal number lies below z, to full relative precision.

    >>> normal_below(0.0)
    0.5
    """
    return math.erfc(-z / math.sqrt(2)) / 2


def probability_of_silence(widths: Sequence[int]) -> float:
    """Return the probability that some hidden layer of a ReLU network is zero in all units, at one given input.

    P = 1 − ∏ₗ (1 − 2^−Nₗ), the product over the hidden layers. Each unit's z is symmetric around 0 and, given the layer
    below, independent of the others; so a layer is silent with probability 2^−N whatever the layers before it did.
    Exact for weights drawn symmetrically around 0 without an atom there, biases zero or drawn the same way, and an
    input that is not 0 (with random biases any input). Also an upper bound of the probability that the network is born
    dead, silent on a whole set of inputs that holds this one.

    Args:
        widths: Units of each hidden layer, at least 1.

    Reference:
        Lu, Shin, Su, Karniadakis 2019, arXiv:1903.06733, theorem on the upper bound.

    >>> probability_of_silence([1, 1]), probability_of_silence([2, 2])
    (0.75, 0.4375)
    """
    if any(width < 1 for width in widths):
        raise UsageError(f"a hidden layer has at least one unit; got widths {list(widths)}")
    return -math.expm1(math.fsum(math.log1p(-(2.0**-width)) for width in widths))


def born_dead_lower_bound(widths: Sequence[int]) -> float:
    """Return a lower bound of the probability that a ReLU network of one input is born dead, silent on all of (−r, r).

    For L − 1 hidden layers of equal width N it is 1 − a₁^(L−2) + (1−2^(1−N))·(1−2^−N)/(1+(N−1)·2^−N) ·
    (a₂^(L−2) − a₁^(L−2)) with a₁ = 1−2^−N and a₂ = 1−2^(1−N)−(N−1)·4^−N. Exact for up to two hidden layers and where
    all have one unit; a strict lower bound beyond. ``probability_of_silence`` is the upper bound.

    Such a network maps each half-line to a ray, so after a layer both rays are distinct, or one direction is left (one
    ray silenced, or both merged in a single unit), or none. Their angle is at most 90°, and the chances of the next
    layer at 90° are the most favourable; they are summed layer by layer here, which keeps every digit when N is large
    and lets each layer have a width of its own.

    Args:
        widths: Units of each hidden layer, at least 1; one input, symmetric weights without an atom at 0, zero biases.

    Reference:
        Lu, Shin, Su, Karniadakis 2019, arXiv:1903.06733, theorem on one-dimensional inputs.

    >>> born_dead_lower_bound([2, 2]), born_dead_lower_bound([1, 1, 1]), round(born_dead_lower_bound([2] * 9), 4)
    (0.15625, 0.75, 0.8703)
    """
    if not widths or min(widths) < 1:
        raise UsageError(f"a network has a hidden layer, and each has at least one unit; got widths {list(widths)}")
    first, *further = (2.0**-width for width in widths)
    # The probabilities that no direction, one or two are left after a layer. The first layer can't silence both
    # half-lines: a unit that is 0 on one of them is not on the other.
    dead, one, both = 0.0, 2 * first, 1 - 2 * first
    for silent, width in zip(further, widths[1:], strict=True):
        merging = silent * (2 + (width - 2) * silent)  # exactly one of two rays is zeroed, or one unit alone has both
        dead += one * silent + both * silent**2
        one, both = one * (1 - silent) + both * merging, both * (1 - 2 * silent - (width - 1) * silent**2)
    return dead


def variance_spread(kurtosis: float, widths: Sequence[int]) -> float:
    """Return the standard deviation of the variance q of z between networks, over its mean, at one given input.

    E[q²]/E[q]² = ∏ₗ (1 + (κ − 1)/nₗ), the product over the hidden layers below z, so the spread is its root after 1 is
    taken away. κ = E[f(Z)⁴]/E[f(Z)²]² with Z ~ N(0, 1), which is 6 for ReLU. Exact at any width where
    f(c·z) = c·f(z) for c > 0, weights are independent and normal, and biases are zero; it grows with the sum of 1/nₗ.

    q is the mean square of the layer's input times the weights' gain: the variance of each z over its own weights.

    Args:
        kurtosis: κ.
        widths: nₗ, units of each hidden layer below; empty for the first layer, whose q is the same in every network.

    Reference:
        Hanin, Rolnick 2018, arXiv:1803.01719, on the sum of reciprocal widths; the product follows layer by layer from
        Var(mean of n values) = Var/n.

    >>> variance_spread(6, []), variance_spread(6, [5]), round(variance_spread(6, [256] * 7), 3)
    (0.0, 1.0, 0.381)
    """
    return math.sqrt(math.expm1(math.fsum(math.log1p((kurtosis - 1) / width) for width in widths)))


def probability_of_a_silent_second_layer_neuron(inputs: int, first_layer: int) -> float:
    """Return the probability that a neuron of a ReLU network's second hidden layer is zero on every input in R^n₀.

    2^−(n₁+1) for n₁ ≤ n₀; (2^n₀ + 1)/4^(n₀+1) for n₁ = n₀ + 1. Nothing is proved for wider first layers. Exact for
    weights and biases drawn independently and symmetrically around 0 from continuous distributions; with zero biases
    it is another number (2^−n₁ for n₁ ≤ n₀).

    Args:
        inputs: n₀ ≥ 1.
        first_layer: n₁, units of the first hidden layer, 1 … n₀ + 1.

    Raises:
        UsageError: Outside of the two cases.

    Reference:
        Brownlowe, Cornwell, Montes, Quijano, Stulman, Zhang 2024, arXiv:2412.06829.

    >>> probability_of_a_silent_second_layer_neuron(2, 2), probability_of_a_silent_second_layer_neuron(1, 2)
    (0.125, 0.1875)
    """
    if inputs < 1 or not 1 <= first_layer <= inputs + 1:
        raise UsageError(f"known for 1 to {max(inputs, 0) + 1} units above {inputs} inputs, not for {first_layer}")
    if first_layer <= inputs:
        return 2.0 ** -(first_layer + 1)
    return (2.0**-inputs + 4.0**-inputs) / 4


def max_unseen_firing_rate(inputs: int) -> float:
    """Return 3/N: a unit silent on N independent inputs fires on less of such inputs, with 95 % confidence.

    3/N is above 1 − 0.05^(1/N), the exact bound, for every N; never more than 1.

    Reference:
        Hanley, Lippman-Hand 1983, JAMA 249.

    >>> max_unseen_firing_rate(2000)
    0.0015
    """
    if inputs < 1:
        raise UsageError(f"the probe holds at least one input, not {inputs}")
    return min(1.0, 3 / inputs)


def selu_constants() -> tuple[float, float]:
    """Return SELU's (α, λ), for which mean 0 and variance 1 are a fixed point: E f(Z) = 0, E f(Z)² = 1, Z ~ N(0, 1).

    α = φ(0)/(½ − √e·Φ(−1)); λ = (½ + α²·(e²·Φ(−2) − 2√e·Φ(−1) + ½))^−½.

    Reference:
        Klambauer, Unterthiner, Mayr, Hochreiter 2017, arXiv:1706.02515.

    >>> selu_constants()
    (1.6732632423543778, 1.0507009873554805)
    """
    alpha = 1 / math.sqrt(2 * math.pi) / (0.5 - math.sqrt(math.e) * normal_below(-1))
    return alpha, 1 / math.sqrt(elu_second_moment(alpha))


def elu_second_moment(alpha: float) -> float:
    """Return E[f(Z)²] of ELU: ½ + α²·(e²·Φ(−2) − 2√e·Φ(−1) + ½).

    >>> round(elu_second_moment(1.0), 6)
    0.644945
    """
    below = math.exp(2) * normal_below(-2) - 2 * math.sqrt(math.e) * normal_below(-1) + 0.5
    return 0.5 + alpha**2 * below


SECOND_MOMENTS: dict[str, float] = {
    "relu": 1 / 2,
    "leaky_relu": (1 + 0.01**2) / 2,
    "elu": elu_second_moment(1.0),
    "selu": 1.0,
    "gelu": 1 / 3 + 1 / (2 * math.pi * math.sqrt(3)),
    "silu": 0.3557755198,
    "mish": 0.4523421924,
    "tanh": 0.3942944904,
    "sigmoid": 0.2933790359,
}
"""E[f(Z)²] under N(0, 1): closed forms, and for the last four an adaptive quadrature of QUADPACK to ten digits."""

MINIMA: dict[str, tuple[float, float]] = {
    "gelu": (-0.1699712075, -0.7517915),
    "silu": (-0.2784645428, -1.2784645),
    "mish": (-0.3088434130, -1.1924312),
}
"""(lowest value, its place). SiLU's are −W(1/e) and −1 − W(1/e) with Lambert's W; the others by Brent's method."""
