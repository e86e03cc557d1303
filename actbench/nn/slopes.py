"""The slopes f′(z) of the activations in the table, a function for each row, of the row's name and options.

Each returns what autograd of f returns, at kinks too, without its detour: no graph, no copies for a backward pass.
Health is measured by them. A user's own function and a formula have none: there, autograd takes the slope.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

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


def _elu(ones: Tensor, z: Tensor, alpha: float, scale: float, input_scale: float) -> Tensor:
    found: Tensor = _BACKWARD.elu_backward(ones, alpha, scale, input_scale, False, z)
    return found


def _by_backward(kernel: Callable[..., Tensor], z: Tensor, *options: Any) -> Tensor:
    """Return the slope by the kernel with which autograd multiplies a gradient by it: here the gradient is 1."""
    return kernel(torch.ones_like(z), z, *options)
