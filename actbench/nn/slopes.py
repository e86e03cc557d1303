"""The slopes f′(z) of the activations in the table, a function for each row, of the row's name and options.

Each returns what autograd of f returns, at kinks too, without its detour: no graph, no copies for a backward pass.
Health is measured by them. A user's own function and a formula have none: there, autograd takes the slope.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from actbench.nn import rational
from actbench.nn.elementary import (
    FAR,
    QUICK_GELU,
    exact_softplus,
    linear_or_expm1,
    sech_squared,
    within,
    xielu_coefficients,
)

_BACKWARD = torch.ops.aten


def identity(z: Tensor) -> Tensor:
    """Return 1."""
    return torch.ones_like(z)


def relu(z: Tensor) -> Tensor:
    """Return 0 for z ≤ 0, 1 above."""
    # Written as numbers at once: comparing to bool and converting takes three times as long.
    return torch.gt(z, 0, out=torch.empty_like(z))


def leaky_relu(z: Tensor, *, negative_slope: float) -> Tensor:
    """Return ``negative_slope`` for z ≤ 0, 1 above."""
    return prelu(z, slope=negative_slope)


def prelu(z: Tensor, *, slope: float | Tensor) -> Tensor:
    """Return ``slope``, a number or a tensor that broadcasts against z, for z ≤ 0, 1 above."""
    if isinstance(slope, (int, float)):
        return _by_backward(_BACKWARD.leaky_relu_backward, z, slope, False)
    return torch.where(z > 0, 1.0, slope).to(z.dtype)


def rrelu(z: Tensor, *, lower: float, upper: float) -> Tensor:
    """Return the middle of the interval for z ≤ 0, 1 above, as in evaluation."""
    return prelu(z, slope=(lower + upper) / 2)


def relu6(z: Tensor) -> Tensor:
    """Return 1 for 0 < z < 6, 0 elsewhere."""
    return _by_backward(_BACKWARD.hardtanh_backward, z, 0.0, 6.0)


def hardtanh(z: Tensor) -> Tensor:
    """Return 1 for −1 < z < 1, 0 elsewhere."""
    return _by_backward(_BACKWARD.hardtanh_backward, z, -1.0, 1.0)


def hardsigmoid(z: Tensor) -> Tensor:
    """Return 1/6 for −3 < z < 3, 0 elsewhere."""
    return _by_backward(_BACKWARD.hardsigmoid_backward, z)


def hardswish(z: Tensor) -> Tensor:
    """Return 0 for z ≤ −3, 1 for z ≥ 3, z/3 + 1/2 between."""
    return _by_backward(_BACKWARD.hardswish_backward, z)


def squared_relu(z: Tensor) -> Tensor:
    """Return 2·max(0, z)."""
    return torch.relu(z).mul_(2)


def elu(z: Tensor, *, alpha: float) -> Tensor:
    """Return alpha·exp(z) for z ≤ 0, 1 above."""
    return _by_backward(_elu, z, alpha, 1.0, 1.0)


def selu(z: Tensor) -> Tensor:
    """Return λα·exp(z) for z ≤ 0, λ above."""
    return _by_backward(_elu, z, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946, 1.0)


def celu(z: Tensor, *, alpha: float) -> Tensor:
    """Return exp(z/alpha) for z ≤ 0, 1 above."""
    return _by_backward(_elu, z, alpha, 1.0, 1.0 / alpha)


def gelu(z: Tensor) -> Tensor:
    """Return Φ(z) + z·φ(z)."""
    return _by_backward(_BACKWARD.gelu_backward, z)


def gelu_tanh(z: Tensor) -> Tensor:
    """Return the derivative of the tanh approximation of GELU."""
    return _by_backward(partial(_BACKWARD.gelu_backward, approximate="tanh"), z)


def silu(z: Tensor) -> Tensor:
    """Return σ(z)·(1 + z·(1 − σ(z)))."""
    return _by_backward(_BACKWARD.silu_backward, z)


def swish(z: Tensor, *, beta: float | Tensor) -> Tensor:
    """Return σ(βz)·(1 + βz·(1 − σ(βz))), β a number or a tensor that broadcasts against z."""
    scaled = beta * z
    gate = torch.sigmoid(scaled)
    return (1 - gate).mul_(scaled).add_(1).mul_(gate)


def mish(z: Tensor) -> Tensor:
    """Return t + z·σ(z)·(1 − t²) with t = tanh(log(1 + exp(z)))."""
    return _by_backward(_BACKWARD.mish_backward, z)


def softplus(z: Tensor, *, beta: float) -> Tensor:
    """Return σ(beta·z); 1 for beta·z > 20, where torch's softplus is z."""
    return _by_backward(_BACKWARD.softplus_backward, z, beta, 20.0)


def tanh(z: Tensor) -> Tensor:
    """Return 1 − t², where t is the activation itself."""
    return torch.tanh(z).square_().neg_().add_(1)


def sigmoid(z: Tensor) -> Tensor:
    """Return σ(z)·(1 − σ(z))."""
    gate = torch.sigmoid(z)
    return (1 - gate).mul_(gate)


def softsign(z: Tensor) -> Tensor:
    """Return 1/(1 + |z|)²."""
    return z.abs().add_(1).square_().reciprocal_()


def log_sigmoid(z: Tensor) -> Tensor:
    """Return σ(−z)."""
    return torch.sigmoid(-z)


def tanhshrink(z: Tensor) -> Tensor:
    """Return tanh(z)²."""
    return torch.tanh(z).square()


def softshrink(z: Tensor, *, lambd: float) -> Tensor:
    """Return 0 for |z| ≤ lambd, 1 elsewhere."""
    return hardshrink(z, lambd=lambd)


def hardshrink(z: Tensor, *, lambd: float) -> Tensor:
    """Return 0 for |z| ≤ lambd, 1 elsewhere."""
    return torch.gt(z.abs(), lambd).to(z.dtype)


def threshold(z: Tensor, *, threshold: float, value: float) -> Tensor:
    """Return 0 for z ≤ threshold, 1 above."""
    return torch.gt(z, threshold).to(z.dtype)


def squareplus(z: Tensor, *, b: float) -> Tensor:
    """Return (1 + z/√(z² + b))/2."""
    size = z.abs()
    root = torch.sqrt(z * z + b)
    small = (b / 2) / (size + root) / root  # of the two sides the one below zero, without a difference
    return torch.where(z > 0, 1 - small, small)


def sparse_plus(z: Tensor) -> Tensor:
    """Return min(max(0, (z + 1)/2), 1)."""
    return (z.clamp(-1, 1) + 1) / 2


def sparse_sigmoid(z: Tensor) -> Tensor:
    """Return 1/2 for −1 < z < 1, 0 elsewhere."""
    return torch.lt(z.abs(), 1).to(z.dtype) / 2


def quick_gelu(z: Tensor) -> Tensor:
    """Return σ(u)·(1 + u·σ(−u)) with u = 1.702z."""
    u = within(QUICK_GELU * z)
    return torch.sigmoid(u) * (1 + u * torch.sigmoid(-u))


def xielu(z: Tensor, *, alpha_p: float | Tensor, alpha_n: float | Tensor, beta: float) -> Tensor:
    """Return 2pz + β for z > 0, n·(exp(z) − 1) + β otherwise; p = softplus(alpha_p), n = β + softplus(alpha_n)."""
    p, n = xielu_coefficients(alpha_p, alpha_n, beta)
    return 2 * p * torch.relu(z) + n * torch.expm1(z.clamp(max=0)) + beta


def golu(z: Tensor) -> Tensor:
    """Return exp(−exp(−z)) + z·exp(−z − exp(−z))."""
    z = z.clamp(-20, FAR)  # exp(20) = 5e8, whose own negative exponential is 0
    inner = torch.exp(-z)
    return torch.exp(-inner) + z * torch.exp(-z - inner)


def star_relu(z: Tensor, *, scale: float | Tensor, offset: float | Tensor) -> Tensor:
    """Return 2·scale·max(0, z)."""
    return torch.relu(z) * 2 * scale


def serf(z: Tensor) -> Tensor:
    """Return erf(s) + z·(2/√π)·exp(−s²)·σ(z) with s = log(1 + exp(z))."""
    z = within(z)
    s = exact_softplus(z)
    return torch.erf(s) + z * (2 / math.sqrt(math.pi)) * torch.exp(-s * s) * torch.sigmoid(z)


def telu(z: Tensor) -> Tensor:
    """Return tanh(e) + z·e·(1 − tanh(e)²) with e = exp(z)."""
    z = z.clamp(-FAR, 20)  # exp(20) = 5e8, where tanh is 1 and its slope 0
    e = torch.exp(z)
    return torch.tanh(e) + z * e * sech_squared(e)


def lisht(z: Tensor) -> Tensor:
    """Return tanh(z) + z·(1 − tanh(z)²)."""
    z = within(z)
    return torch.tanh(z) + z * sech_squared(z)


def aptx(z: Tensor, *, alpha: float, beta: float, gamma: float) -> Tensor:
    """Return γ·(α − 1 + 2σ(u)·(1 + u·σ(−u))) with u = 2βz."""
    u = within(2 * beta * z)
    return gamma * ((alpha - 1) + 2 * torch.sigmoid(u) * (1 + u * torch.sigmoid(-u)))


def isrlu(z: Tensor, *, alpha: float) -> Tensor:
    """Return 1 for z ≥ 0, (1 + αz²)^−3/2 otherwise."""
    scaled = (alpha**0.5 * z).clamp(-1e18, 0)
    inverse = 1 / torch.sqrt(1 + scaled * scaled)
    return inverse * inverse * inverse


def snake(z: Tensor, *, alpha: float | Tensor) -> Tensor:
    """Return 1 + sin(2αz), as 1 + 2·sin(αz)·cos(αz), in which 2αz does not overflow."""
    angle = alpha * z
    return 1 + 2 * torch.sin(angle) * torch.cos(angle)


def sine(z: Tensor, *, w0: float) -> Tensor:
    """Return w0·cos(w0·z)."""
    return w0 * torch.cos(w0 * z)


def elish(z: Tensor) -> Tensor:
    """Return σ(z)·(1 + z·σ(−z)) for z ≥ 0, σ(z)·(exp(z) + (exp(z) − 1)·σ(−z)) otherwise."""
    z = within(z)
    return torch.sigmoid(z) * (torch.exp(z.clamp(max=0)) + linear_or_expm1(z) * torch.sigmoid(-z))


def logish(z: Tensor) -> Tensor:
    """Return log(1 + σ(z)) + z·σ(z)·σ(−z)/(1 + σ(z))."""
    z = within(z)
    gate = torch.sigmoid(z)
    return torch.log1p(gate) + z * gate * torch.sigmoid(-z) / (1 + gate)


def smish(z: Tensor) -> Tensor:
    """Return t + z·dt/dz with t = q/(2 + q), q = σ(z)·(2 + σ(z)), dt/dz = 4·(1 + σ(z))·σ(z)·σ(−z)/(2 + q)²."""
    z = within(z)
    gate = torch.sigmoid(z)
    q = gate * (2 + gate)
    return q / (2 + q) + z * 4 * (1 + gate) * gate * torch.sigmoid(-z) / (2 + q).square()


def pau(z: Tensor, **coefficients: float | Tensor) -> Tensor:
    """Return (P′ − f·Q′)/Q, where f = P/Q; a5/|b4| far out."""
    return rational.slope(z, coefficients)


def _elu(ones: Tensor, z: Tensor, alpha: float, scale: float, input_scale: float) -> Tensor:
    found: Tensor = _BACKWARD.elu_backward(ones, alpha, scale, input_scale, False, z)
    return found


def _by_backward(kernel: Callable[..., Tensor], z: Tensor, *options: Any) -> Tensor:
    """Return the slope by the kernel with which autograd multiplies a gradient by it: here the gradient is 1."""
    return kernel(torch.ones_like(z), z, *options)
