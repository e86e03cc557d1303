"""The activation functions that torch lacks, and two computations with any activation function.

Imported only when one of them is used: configs are checked without torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from actbench.errors import UsageError
from actbench.nn.formulas import compile_expression
from actbench.nn.quadrature import NODES, panels


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
    """Return the value of a formula in x at x = z; see ``actbench.nn.formulas``."""
    return compile_expression(formula)(z)


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


def check_elementwise(function: Callable[[Tensor], Tensor], path: str) -> None:
    """Try a user's function on six numbers, before it meets a cohort in which dimension 0 is the run.

    Raises:
        UsageError: When it fails, returns another shape or type, changes its argument, or lets one element's value
            depend on another's (or on chance).
    """
    for dtype in (torch.float32, torch.float64):
        z = torch.tensor([[-2.0, -0.5, 0.0], [0.25, 1.0, 3.0]], dtype=dtype)
        _check_result(_tried(function, z, path), z, path)
    alone = torch.stack([_tried(function, element.reshape(1, 1), path)[0, 0] for element in z.flatten()])
    if not torch.allclose(alone.reshape(z.shape), _tried(function, z, path), equal_nan=True):
        raise UsageError(
            f"'{path}' is not elementwise: an element's value depends on the others beside it, or on chance"
        )


def _tried(function: Callable[[Tensor], Tensor], z: Tensor, path: str) -> Tensor:
    given = z.clone()
    try:
        result = function(given)
    except (Exception, SystemExit) as error:  # a user's code may raise anything
        raise UsageError(f"'{path}' failed on a small tensor: {type(error).__name__}: {error}") from error
    if not torch.equal(given, z):
        raise UsageError(f"'{path}' changes its argument in place; return a new tensor")
    return result


def _check_result(result: object, z: Tensor, path: str) -> None:
    if not isinstance(result, Tensor):
        raise UsageError(f"'{path}' returned {type(result).__name__} for a tensor; an activation returns a tensor")
    if result.shape != z.shape or result.dtype != z.dtype:
        raise UsageError(
            f"'{path}' returned {tuple(result.shape)} {result.dtype} for {tuple(z.shape)} {z.dtype}; "
            "an activation keeps shape and type"
        )
