"""The activation functions that torch lacks, and those of torch's whose options are written otherwise here.

Imported only when one of them is used: configs are checked without torch.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from actbench.nn import rational, slopes
from actbench.nn.closed_slope import with_slope
from actbench.nn.elementary import QUICK_GELU, exact_softplus, finite_below, linear_or_expm1, xielu_coefficients
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


def tanhshrink(z: Tensor) -> Tensor:
    """Tanh shrinkage: f(z) = z − tanh(z); f′(z) = tanh(z)²; close to z³/3 about 0, one nearer to 0 than z far out.

    As in torch and keras; but the slope that autograd takes there, 1 − (1 − tanh²), loses its digits about 0.
    """
    return with_slope(z, lambda z: z - torch.tanh(z), slopes.tanhshrink)


def squareplus(z: Tensor, *, b: float) -> Tensor:
    """Squareplus.

    f(z) = (z + √(z² + b))/2, computed as max(0, z) + (b/2)/(|z| + √(z² + b)), which neither overflows nor cancels;
    f′(z) = (1 + z/√(z² + b))/2; smooth everywhere.

    Args:
        z: Pre-activations, any shape.
        b: Curvature about 0, above 0; f(0) = √b/2. 4 in jax and keras, with which f(0) = 1 and f″(0) = 1/4.

    Reference:
        Barron 2021, arXiv:2112.11687.

    >>> squareplus(torch.tensor([0.0, 1.5]), b=4.0)
    tensor([1., 2.])
    """
    return with_slope(z, partial(_squareplus, b=b), partial(slopes.squareplus, b=b))


def _squareplus(z: Tensor, *, b: float) -> Tensor:
    # torch.hypot would need a tensor for √b, and is not vectorised; z² alone overflows from 1.8e19 on in float32, where
    # the second term is below the last digit of the first: infinity in its denominator gives the 0 that it should.
    return torch.relu(z) + (b / 2) / (z.abs() + torch.sqrt(z * z + b))


def sparse_plus(z: Tensor) -> Tensor:
    """Sparse plus, the softplus of sparsemax: 0 for z ≤ −1, z for z ≥ 1, (z + 1)²/4 between; f′ = sparse_sigmoid.

    Reference:
        Martins, Astudillo 2016, arXiv:1602.02068, whose sparsemax of two numbers is f′; as in ``jax.nn`` and keras.

    >>> sparse_plus(torch.tensor([-2.0, 0.0, 3.0]))
    tensor([0.0000, 0.2500, 3.0000])
    """
    return with_slope(z, _sparse_plus, slopes.sparse_plus)


def _sparse_plus(z: Tensor) -> Tensor:
    return torch.where(z >= 1, z, (z.clamp(-1, 1) + 1).square() / 4)


def sparse_sigmoid(z: Tensor) -> Tensor:
    """Sparse sigmoid: f(z) = min(max(0, (z + 1)/2), 1); f′(z) = 1/2 for −1 < z < 1, 0 otherwise.

    Reference:
        Martins, Astudillo 2016, arXiv:1602.02068; as in ``jax.nn`` and keras.

    >>> sparse_sigmoid(torch.tensor([-2.0, 0.0, 3.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return with_slope(z, lambda z: (z.clamp(-1, 1) + 1) / 2, slopes.sparse_sigmoid)


def quick_gelu(z: Tensor) -> Tensor:
    """Approximate GELU by a logistic function: f(z) = z·σ(1.702z), within 0.0203 of the exact one; f(−∞) = 0.

    Reference:
        Hendrycks, Gimpel 2016, arXiv:1606.08415.
    """
    return with_slope(z, lambda z: finite_below(z) * torch.sigmoid(QUICK_GELU * z), slopes.quick_gelu)


def xielu(z: Tensor, *, alpha_p: float | Tensor, alpha_n: float | Tensor, beta: float) -> Tensor:
    """Expanded integral of the ELU.

    f(z) = p·z² + βz for z > 0, n·(exp(z) − 1 − z) + βz otherwise; f′(z) = 2pz + β, n·(exp(z) − 1) + β: continuous.
    p = softplus(alpha_p) and n = β + softplus(alpha_n), so that p > 0 and n > β whatever training makes of the two.

    Args:
        z: Pre-activations, any shape.
        alpha_p: Number or tensor that broadcasts against z, before its softplus.
        alpha_n: The same, for the side below zero.
        beta: β, the slope at zero.

    Reference:
        Huang, Schlag 2024, arXiv:2411.13010. The authors' code takes exp(min(z, −1e-6)): within 8e-7 of this.
    """
    p, n = xielu_coefficients(alpha_p, alpha_n, beta)
    above, below = torch.relu(z), torch.where(z > 0, 0.0, z)  # the gradient of a clamp would be 0 at its bound
    return p * above.square() + beta * above + n * torch.expm1(below) + (beta - n) * below


def golu(z: Tensor) -> Tensor:
    """Gompertz linear unit: f(z) = z·exp(−exp(−z)); f′(z) = exp(−exp(−z))·(1 + z·exp(−z)); f(−∞) = 0.

    Its tail is the shortest of all: |f′(z)| ≤ 1e-3 from z = −2.31 on.

    Reference:
        Das, Safari, Adriaensen, Hutter 2025, arXiv:2502.03654.
    """
    return with_slope(z, lambda z: finite_below(z) * torch.exp(-torch.exp(-z)), slopes.golu)


def star_relu(z: Tensor, *, scale: float | Tensor, offset: float | Tensor) -> Tensor:
    """StarReLU: f(z) = s·max(0, z)² + b; f′(z) = 2s·max(0, z).

    Args:
        z: Pre-activations, any shape.
        scale: s, a number or a tensor that broadcasts against z. 0.8944 gives variance 1 under a standard normal z …
        offset: b, and −0.4472 mean 0.

    Reference:
        Yu et al. 2022, arXiv:2210.13452.
    """
    return torch.relu(z).square() * scale + offset


def serf(z: Tensor) -> Tensor:
    """Serf: f(z) = z·erf(log(1 + exp(z))); f(−∞) = 0; smooth everywhere.

    Reference:
        Nag, Bhattacharyya 2021, arXiv:2108.09598.
    """
    return with_slope(z, lambda z: finite_below(z) * torch.erf(exact_softplus(z)), slopes.serf)


def telu(z: Tensor) -> Tensor:
    """TeLU: f(z) = z·tanh(exp(z)); f(−∞) = 0; smooth everywhere.

    Reference:
        Fernandez, Mali 2024, arXiv:2412.20269.
    """
    return with_slope(z, lambda z: finite_below(z) * torch.tanh(torch.exp(z)), slopes.telu)


def lisht(z: Tensor) -> Tensor:
    """LiSHT: f(z) = z·tanh(z), even and not below 0; f′(z) = tanh(z) + z·(1 − tanh(z)²), ±1 far out.

    Reference:
        Roy, Manna, Dubey, Chaudhuri 2019, arXiv:1901.05894.
    """
    return with_slope(z, lambda z: z * torch.tanh(z), slopes.lisht)


def aptx(z: Tensor, *, alpha: float, beta: float, gamma: float) -> Tensor:
    """APTx: f(z) = (α + tanh(βz))·γz, computed as γz·(α − 1 + 2σ(2βz)), which does not cancel below zero.

    With α = 1 and γ = 1/2 it is swish of sharpness 2β, and f(−∞) = 0.

    Args:
        z: Pre-activations, any shape.
        alpha: α, above −1.
        beta: β, above 0.
        gamma: γ.

    Reference:
        Kumar 2022, arXiv:2209.06119.
    """
    value, slope = (partial(one, alpha=alpha, beta=beta, gamma=gamma) for one in (_aptx, slopes.aptx))
    return with_slope(z, value, slope)


def _aptx(z: Tensor, *, alpha: float, beta: float, gamma: float) -> Tensor:
    gate = 2 * torch.sigmoid(2 * beta * z)
    return gamma * finite_below(z) * gate if alpha == 1 else gamma * z * (alpha - 1 + gate)


def isrlu(z: Tensor, *, alpha: float) -> Tensor:
    """Inverse square root linear unit: f(z) = z for z ≥ 0, z/√(1 + αz²) otherwise; f(−∞) = −1/√α.

    f′(z) = 1 and (1 + αz²)^−3/2: continuous, as is f″.

    Args:
        z: Pre-activations, any shape.
        alpha: α, above 0.

    Reference:
        Carlile, Delamarter, Kinney, Marti, Whitney 2017, arXiv:1710.09967.
    """
    return with_slope(z, partial(_isrlu, alpha=alpha), partial(slopes.isrlu, alpha=alpha))


def _isrlu(z: Tensor, *, alpha: float) -> Tensor:
    root = alpha**0.5
    scaled = (root * z).clamp(-1e18, 0)  # 1e36 is a number of float32, and 1 is nothing beside it
    return torch.where(z > 0, z, scaled / torch.sqrt(1 + scaled * scaled) / root)


def snake(z: Tensor, *, alpha: float | Tensor) -> Tensor:
    """Snake: f(z) = z + sin²(αz)/α; f′(z) = 1 + sin(2αz), between 0 and 2.

    Args:
        z: Pre-activations, any shape.
        alpha: α, the frequency: a number or a tensor that broadcasts against z.

    Reference:
        Ziyin, Hartwig, Ueda 2020, arXiv:2006.08195.
    """
    # sin of infinity is NaN, and no part of what f tends to: ±∞. A z that is NaN stays so by itself.
    return z + torch.sin(alpha * z).nan_to_num(0.0).square() / alpha


def sine(z: Tensor, *, w0: float) -> Tensor:
    """Sine: f(z) = sin(w0·z); f′(z) = w0·cos(w0·z); NaN at ±∞, where it has no limit.

    Args:
        z: Pre-activations, any shape.
        w0: Angular frequency; 30 in SIREN.

    Reference:
        Sitzmann, Martel, Bergman, Lindell, Wetzstein 2020, arXiv:2006.09661.
    """
    return torch.sin(w0 * z)


def elish(z: Tensor) -> Tensor:
    """ELiSH: f(z) = z·σ(z) for z ≥ 0, (exp(z) − 1)·σ(z) otherwise; f(−∞) = 0; f′ is continuous, 1/2 at 0.

    Reference:
        Basirat, Roth 2018, arXiv:1808.00783.
    """
    return with_slope(z, lambda z: linear_or_expm1(z) * torch.sigmoid(z), slopes.elish)


def logish(z: Tensor) -> Tensor:
    """Logish: f(z) = z·log(1 + σ(z)); f(−∞) = 0; its slope tends to log 2.

    Reference:
        Zhu, Zeng, Liu, Zhang 2021, Neurocomputing 458.
    """
    return with_slope(z, lambda z: finite_below(z) * torch.log1p(torch.sigmoid(z)), slopes.logish)


def smish(z: Tensor) -> Tensor:
    """Smish: f(z) = z·tanh(log(1 + σ(z))) = z·q/(2 + q) with q = σ(z)·(2 + σ(z)); f(−∞) = 0; its slope tends to 3/5.

    Reference:
        Wang, Ren, Wang 2022, Electronics 11(4), 540.
    """
    return with_slope(z, _smish, slopes.smish)


def _smish(z: Tensor) -> Tensor:
    gate = torch.sigmoid(z)
    q = gate * (2 + gate)
    return finite_below(z) * (q / (2 + q))


def pau(z: Tensor, **coefficients: float | Tensor) -> Tensor:
    """Padé activation unit, in its safe form: f(z) = (a0 + a1·z + … + a5·z⁵)/(1 + |b1·z + … + b4·z⁴|).

    f(z) tends to (a5/|b4|)·z far out; f′ jumps where the sum in the denominator changes its sign.

    Args:
        z: Pre-activations, any shape.
        **coefficients: a0 to a5 and b1 to b4, numbers or tensors that broadcast against z.

    Reference:
        Molina, Schramowski, Kersting 2019, arXiv:1907.06732. The authors' code takes 1 + |b1·z| + … + |b4·z⁴|, which
        has the same value at the start, where b1 = b3 = 0.
    """
    return rational.value(z, coefficients)


def expression(z: Tensor, *, formula: str) -> Tensor:
    """Return the value of a formula in x at x = z; see ``actbench.schema.formulas``."""
    return compile_expression(formula)(z)
