"""The activation functions that torch lacks, and those of torch's whose options are written otherwise here.

Imported only when one of them is used: configs are checked without torch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from actbench.schema.formulas import compile_expression


def identity(z: Tensor) -> Tensor:
    """Return z, the linear baseline; f′(z) = 1."""
    return z


def prelu(z: Tensor, *, slope: float | Tensor) -> Tensor:
    """Parametric ReLU.

    f(z) = z for z > 0, slope·z otherwise; f′(0) = slope, as in ``torch.nn.PReLU``.

    Args:
        z: Pre-activations, any shape.
        slope: The slope below zero, a number or a tensor that broadcasts against z; starts at 0.25.

    Reference:
        He, Zhang, Ren, Sun 2015, arXiv:1502.01852.

    >>> prelu(torch.tensor([-4.0, 2.0]), slope=0.25)
    tensor([-1.,  2.])
    """
    if isinstance(slope, (int, float)):
        return functional.leaky_relu(z, slope)
    if 1 < z.ndim == slope.ndim and slope.numel() == len(slope) == len(z):  # one per run, where the kernel has channels
        return functional.prelu(z.unsqueeze(0), slope.flatten()).squeeze(0)
    # torch.where would do, at five times the cost: its kernel is not vectorised
    positive = torch.relu(z)
    return torch.addcmul(positive, slope, z - positive)


def rrelu(z: Tensor, *, lower: float, upper: float, noise: Tensor | None = None) -> Tensor:
    """Randomised leaky ReLU.

    f(z) = z for z > 0, slope·z otherwise; f′(0) = slope. In training the slope is uniform in [lower, upper) for every
    element; in evaluation it is the interval's middle.

    Args:
        z: Pre-activations, any shape.
        lower: Smallest slope.
        upper: Largest slope.
        noise: Uniform numbers in [0, 1), shaped like z; None for evaluation.

    Reference:
        Xu, Wang, Chen, Li 2015, arXiv:1505.00853.

    >>> rrelu(torch.tensor([-4.0, 2.0]), lower=0.25, upper=0.75)
    tensor([-2.,  2.])
    """
    slope = (lower + upper) / 2 if noise is None else lower + (upper - lower) * noise
    return prelu(z, slope=slope)


def swish(z: Tensor, *, beta: float | Tensor) -> Tensor:
    """Swish.

    f(z) = z·σ(βz); f′(z) = σ(βz) + βz·σ(βz)·(1 − σ(βz)); smooth everywhere.

    Args:
        z: Pre-activations, any shape.
        beta: β, a number or a tensor that broadcasts against z; starts at 1. 0 gives z/2, large values approach ReLU.

    Reference:
        Ramachandran, Zoph, Le 2017, arXiv:1710.05941.

    >>> swish(torch.tensor([0.0, 30.0]), beta=1.0)
    tensor([ 0., 30.])
    """
    if isinstance(beta, float) and beta == 1:
        return functional.silu(z)  # one kernel, and backward keeps z alone rather than z and σ(z)
    return z * torch.sigmoid(beta * z)


def gelu_tanh(z: Tensor) -> Tensor:
    """Approximate GELU by tanh: f(z) = z/2·(1 + tanh(√(2/π)·(z + 0.044715·z³))); smooth everywhere.

    It differs from the exact form by less than 5e-4.

    Reference:
        Hendrycks, Gimpel 2016, arXiv:1606.08415.
    """
    return functional.gelu(z, approximate="tanh")


def squared_relu(z: Tensor) -> Tensor:
    """Square ReLU: f(z) = max(0, z)²; f′(z) = 2·max(0, z), continuous, 0 at 0.

    Reference:
        So et al. 2021 (Primer), arXiv:2109.08668.
    """
    return torch.relu(z).square()


def expression(z: Tensor, *, formula: str) -> Tensor:
    """Return the value of a formula in x at x = z; see ``actbench.schema.formulas``."""
    return compile_expression(formula)(z)
