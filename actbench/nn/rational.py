"""The rational function of a Padé activation unit, P/Q with P of degree 5 and Q = 1 + |sum of degree 4|, and its slope.

z⁵ overflows in float32 from 3e7 on, where P/Q is an everyday number. So powers of max(1, |z|) are taken out of both:
with s = 1/max(1, |z|) and t = z·s a term c·zᵏ becomes c·tᵏ·s⁵⁻ᵏ, of numbers that are at most 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

Coefficients = Mapping[str, float | Tensor]
"""a0 to a5 and b1 to b4."""

FAR = 1e18
"""Where the function is its own limit; 1e18 and its square are numbers of float32."""


def value(z: Tensor, coefficients: Coefficients) -> Tensor:
    """Return P(z)/Q(z); (a5/|b4|)·z far out."""
    t, s = _scaled_argument(z)
    p, q = _polynomials(coefficients)
    ratio = _scaled(p, t, s) / (s.square().square() + _scaled(q, t, s).abs())  # P·s⁵/(Q·s⁴)
    return ratio * z.abs().clamp(min=1)


def slope(z: Tensor, coefficients: Coefficients) -> Tensor:
    """Return (P′ − (P/Q)·Q′)/Q; where the sum in Q is 0, its absolute value counts with a slope of 0."""
    t, s = _scaled_argument(z)
    p, q = _polynomials(coefficients)
    inside = _scaled(q, t, s)
    denominator = s.square().square() + inside.abs()
    ratio = _scaled(p, t, s) / denominator
    # P′·s⁴ and Q′·s³; what is missing in the second is in the ratio, which is s·P/Q.
    of_p, of_q = (_scaled([power * one for power, one in enumerate(poly)][1:], t, s) for poly in (p, q))
    return (of_p - ratio * of_q * inside.sign()) / denominator


def _scaled_argument(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return t = z·s and s = 1/max(1, |z|), ±∞ as ±1e18."""
    size = z.abs().clamp(1, FAR)
    return z.clamp(-FAR, FAR) / size, 1 / size


def _polynomials(coefficients: Coefficients) -> tuple[list[float | Tensor], list[float | Tensor]]:
    """Return the coefficients of 1, z, z², … of P, and of the sum in Q."""
    return [coefficients[f"a{power}"] for power in range(6)], [
        0.0,
        *(coefficients[f"b{power}"] for power in range(1, 5)),
    ]


def _scaled(coefficients: Sequence[float | Tensor], t: Tensor, s: Tensor) -> Tensor:
    """Return Σ cₖ·tᵏ·sⁿ⁻ᵏ, where n is the degree: sⁿ times the polynomial at t/s, by Horner's rule."""
    power, total = s, coefficients[-1] * t + coefficients[-2] * s
    for coefficient in reversed(coefficients[:-2]):
        power, total = power * s, total * t
        if isinstance(coefficient, Tensor) or coefficient:
            total = total + coefficient * power
    return total
