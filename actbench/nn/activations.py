"""ACTIVATIONS, one row an activation: its formula, its derivative, its kinks, and where its function lies.

To add one: a row in the table, with a class in ``activation_options.py`` if it has options, a function in
``functions.py`` if torch has none, and its slope in ``slopes.py``. The conformance test picks it up.
``chosen_activations.py`` computes with a row. Importing this module leaves torch alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from actbench.nn.activation_options import (
    AptxOptions,
    EluOptions,
    ExpressionOptions,
    IsrluOptions,
    LeakyReluOptions,
    MaxoutOptions,
    PauOptions,
    PReluOptions,
    RReluOptions,
    ShrinkOptions,
    SineOptions,
    SnakeOptions,
    SoftplusOptions,
    SquareplusOptions,
    StarReluOptions,
    SwishOptions,
    ThresholdOptions,
    XieluOptions,
)
from actbench.schema.components import Options
from actbench.schema.unit_groups import Kind

TORCH, OURS = "torch.nn.functional", "actbench.nn.functions"
GROUPS = "actbench.nn.group_functions"
HOW_LEARNED = ("learned", "per")
"""Options of a learnable row that say how its parameters are learned; its function never sees them."""


Tail = Literal["slope", "zero", "fading"]
"""f′ keeps away from 0, is 0 from some z on, or tends to 0 without reaching it."""

SLOPED: tuple[Tail, Tail] = ("slope", "slope")
FLAT: tuple[Tail, Tail] = ("zero", "zero")
FLAT_BELOW: tuple[Tail, Tail] = ("zero", "slope")
FADES: tuple[Tail, Tail] = ("fading", "fading")
FADES_BELOW: tuple[Tail, Tail] = ("fading", "slope")
FADES_ABOVE: tuple[Tail, Tail] = ("slope", "fading")


@dataclass(frozen=True)
class Activation:
    """Hold a row of the table.

    Args:
        name: Its name in configs.
        function: ``module:attribute`` of the elementwise function f(z, **options).
        formula: f(z).
        derivative: f′(z), with the value that is taken at kinks.
        summary: What sets it apart, one line.
        reference: The paper, with its arXiv id where it has one.
        kinks: Where the slope jumps, or f itself (for some value of the options, mostly the defaults).
        kinks_at: Options -> the kinks, where they lie elsewhere with other options.
        schema: Its options, with defaults and bounds.
        learnable: Options that become trained tensors where the options ``learned`` (bool) and ``per`` (``layer`` or
            ``unit``) say so; they start at the option's value.
        trained_as: Options -> what stands for some of the learnable ones in f, by name, where that is not the number
            itself: such as the number of which a positive option is the softplus.
        read_back: ``module:attribute`` of its inverse, (trained tensors by name, options) -> the options' own values,
            which records state.
        tails: What f′ does for z → −∞ and for z → ∞; None where it is not known.
        random: Whether f also takes ``noise``, uniform in [0, 1) and shaped like z, during training.
        expand: How many pre-activations and outputs a unit has (``schema.unit_groups``): one each, or ``gate`` 2 to 1,
            ``mirrored`` 1 to 2, ``pieces`` as many as that option says to 1. The function of such a row takes ``axis``,
            the dimension of the pre-activations, besides.
    """

    name: str
    function: str
    formula: str
    derivative: str
    summary: str = ""
    reference: str = ""
    kinks: tuple[float, ...] = ()
    kinks_at: Callable[[Mapping[str, Any]], tuple[float, ...]] | None = None
    schema: type[Options] = Options
    learnable: tuple[str, ...] = ()
    trained_as: Callable[[Mapping[str, Any]], dict[str, float]] | None = None
    read_back: str | None = None
    tails: tuple[Tail, Tail] | None = None
    random: bool = False
    expand: Kind = "elementwise"

    def __post_init__(self) -> None:
        """Refuse a row whose learnable options could not be switched on."""
        if self.learnable and not {*HOW_LEARNED, *self.learnable} <= set(self.schema.model_fields):
            raise ValueError(f"the options of '{self.name}' lack one of: learned, per, {', '.join(self.learnable)}")
        if self.expand != "elementwise" and (self.learnable or self.random):
            raise ValueError(f"'{self.name}' changes the width, so it can neither learn options nor draw noise")

    @property
    def options(self) -> dict[str, Any]:
        """Each option's default by its name; None for one that has to be given."""
        fields = self.schema.model_fields.items()
        return {name: None if field.is_required() else field.default for name, field in fields}

    @property
    def learned(self) -> tuple[str, ...]:
        """The names of the options that are trained unless the config says otherwise."""
        return self.learnable if self.options.get("learned") else ()


PAU_COEFFICIENTS = ("a0", "a1", "a2", "a3", "a4", "a5", "b1", "b2", "b3", "b4")


def _kinks_of_shrinking(options: Mapping[str, Any]) -> tuple[float, ...]:
    return (-options["lambd"], options["lambd"])


def _kink_of_threshold(options: Mapping[str, Any]) -> tuple[float, ...]:
    return (options["threshold"],)


def _kinks_of_pau(options: Mapping[str, Any]) -> tuple[float, ...]:
    """Return where b1·z + … + b4·z⁴ changes its sign."""
    import numpy as np

    roots = np.roots([options[f"b{power}"] for power in (4, 3, 2, 1)] + [0.0])
    real = sorted({round(float(root.real), 12) for root in roots if abs(root.imag) < 1e-9})
    edges = np.array([-np.inf, *real, np.inf]).clip(-1e9, 1e9)
    between = (edges[1:] + edges[:-1]) / 2
    signs = np.sign(sum(options[f"b{power}"] * between**power for power in range(1, 5)))
    return tuple(root for root, below, above in zip(real, signs, signs[1:], strict=False) if below != above)


def _xielu_before_softplus(options: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of which p and n − β are the softplus: log(exp(p) − 1)."""
    positive = {"alpha_p": options["alpha_p"], "alpha_n": options["alpha_n"] - options["beta"]}
    return {name: value + math.log(-math.expm1(-value)) for name, value in positive.items()}


# fmt: off
# A row: name, function, formula / derivative, summary / reference, and what else it has.
_ROWS = (
    Activation("relu", "torch:relu", "max(0, z)",
               "0 for z ≤ 0, 1 for z > 0", "cheap, sparse, linear above zero; a unit may die",
               "Nair, Hinton 2010, ICML", kinks=(0,), tails=FLAT_BELOW),
    Activation("leaky_relu", f"{TORCH}:leaky_relu", "z for z > 0, negative_slope·z otherwise",
               "negative_slope for z ≤ 0, 1 for z > 0", "ReLU with a small slope below zero: no unit dies",
               "Maas, Hannun, Ng 2013, ICML", kinks=(0,), schema=LeakyReluOptions, tails=SLOPED),
    Activation("prelu", f"{OURS}:prelu", "z for z > 0, slope·z otherwise",
               "slope for z ≤ 0, 1 for z > 0", "leaky ReLU whose slope is learned, per layer or unit",
               "He, Zhang, Ren, Sun 2015, arXiv:1502.01852", kinks=(0,), schema=PReluOptions, learnable=("slope",),
               tails=SLOPED),
    Activation("rrelu", f"{OURS}:rrelu", "as prelu; slope ~ U[lower, upper), its mean in evaluation",
               "slope for z ≤ 0, 1 for z > 0", "leaky ReLU with a random slope for every element",
               "Xu, Wang, Chen, Li 2015, arXiv:1505.00853", kinks=(0,), schema=RReluOptions, random=True, tails=SLOPED),
    Activation("relu6", f"{TORCH}:relu6", "min(max(0, z), 6)",
               "1 for 0 < z < 6, 0 otherwise", "ReLU that stops at 6, for low-precision arithmetic",
               "Krizhevsky 2010, Convolutional Deep Belief Networks on CIFAR-10", kinks=(0, 6), tails=FLAT),
    Activation("elu", f"{TORCH}:elu", "z for z > 0, alpha·(exp(z) − 1) otherwise",
               "alpha·exp(z) for z ≤ 0, 1 for z > 0", "smooth below zero with limit −alpha; costs an exponential",
               "Clevert, Unterthiner, Hochreiter 2015, arXiv:1511.07289", kinks=(0,), schema=EluOptions,
               tails=FADES_BELOW),
    Activation("selu", f"{TORCH}:selu", "λz for z > 0, λα·(exp(z) − 1) otherwise; λ = 1.0507009874, α = 1.6732632424",
               "λα·exp(z) for z ≤ 0, λ for z > 0", "keeps mean 0 and variance 1 across layers under lecun_normal",
               "Klambauer, Unterthiner, Mayr, Hochreiter 2017, arXiv:1706.02515", kinks=(0,), tails=FADES_BELOW),
    Activation("celu", f"{TORCH}:celu", "z for z > 0, alpha·(exp(z/alpha) − 1) otherwise",
               "exp(z/alpha) for z ≤ 0, 1 for z > 0", "ELU whose slope is continuous at zero for every alpha",
               "Barron 2017, arXiv:1704.07483", schema=EluOptions, tails=FADES_BELOW),
    Activation("gelu", f"{TORCH}:gelu", "z·Φ(z), Φ the standard normal distribution function (exact)",
               "Φ(z) + z·φ(z)", "smooth ReLU with a dip: minimum −0.16997 at −0.7518",
               "Hendrycks, Gimpel 2016, arXiv:1606.08415", tails=FADES_BELOW),
    Activation("gelu_tanh", f"{OURS}:gelu_tanh", "z/2·(1 + tanh(√(2/π)·(z + 0.044715·z³)))",
               "by the product rule; 1/2 at 0", "the tanh approximation of GELU, within 5e-4 of the exact one",
               "Hendrycks, Gimpel 2016, arXiv:1606.08415", tails=FADES_BELOW),
    Activation("silu", f"{TORCH}:silu", "z·σ(z)",
               "σ(z)·(1 + z·(1 − σ(z)))", "swish with beta = 1: minimum −0.27846 at −1.2785",
               "Elfwing, Uchibe, Doya 2017, arXiv:1702.03118", tails=FADES_BELOW),
    Activation("swish", f"{OURS}:swish", "z·σ(beta·z)",
               "σ(beta·z)·(1 + beta·z·(1 − σ(beta·z)))", "from z/2 (beta = 0) to ReLU (beta → ∞)",
               "Ramachandran, Zoph, Le 2017, arXiv:1710.05941", schema=SwishOptions, learnable=("beta",),
               tails=FADES_BELOW),
    Activation("mish", f"{TORCH}:mish", "z·tanh(log(1 + exp(z)))",
               "t + z·σ(z)·(1 − t²), t = f(z)/z", "smooth ReLU with a dip: minimum −0.30884 at −1.1924",
               "Misra 2019, arXiv:1908.08681", tails=FADES_BELOW),
    Activation("softplus", f"{TORCH}:softplus", "log(1 + exp(beta·z))/beta; z for beta·z > 20",
               "σ(beta·z)", "smooth ReLU, positive everywhere",
               "Dugas, Bengio, Bélisle, Nadeau, Garcia 2000, NIPS", schema=SoftplusOptions, tails=FADES_BELOW),
    Activation("tanh", "torch:tanh", "tanh(z)",
               "1 − tanh(z)²", "bounded and odd; saturates on both sides",
               "LeCun, Bottou, Orr, Müller 1998, Efficient BackProp", tails=FADES),
    Activation("sigmoid", "torch:sigmoid", "σ(z) = 1/(1 + exp(−z))",
               "σ(z)·(1 − σ(z)), at most 1/4", "bounded and positive; saturates on both sides",
               "Rumelhart, Hinton, Williams 1986, Nature 323", tails=FADES),
    Activation("softsign", f"{TORCH}:softsign", "z/(1 + |z|)",
               "1/(1 + |z|)²", "tanh with polynomial tails: saturates slowly",
               "Glorot, Bengio 2010, AISTATS", tails=FADES),
    Activation("hardtanh", f"{TORCH}:hardtanh", "min(max(−1, z), 1)",
               "1 for −1 < z < 1, 0 otherwise", "piecewise linear tanh",
               "Collobert 2004, Large Scale Machine Learning", kinks=(-1, 1), tails=FLAT),
    Activation("hardswish", f"{TORCH}:hardswish", "z·min(max(0, z + 3), 6)/6",
               "0 for z ≤ −3, z/3 + 1/2 for −3 < z < 3, 1 for z ≥ 3", "piecewise quadratic swish",
               "Howard et al. 2019, arXiv:1905.02244", kinks=(-3, 3), tails=FLAT_BELOW),
    Activation("hardsigmoid", f"{TORCH}:hardsigmoid", "min(max(0, z + 3), 6)/6",
               "1/6 for −3 < z < 3, 0 otherwise", "piecewise linear sigmoid",
               "Howard et al. 2019, arXiv:1905.02244", kinks=(-3, 3), tails=FLAT),
    Activation("squared_relu", f"{OURS}:squared_relu", "max(0, z)²",
               "2·max(0, z)", "ReLU squared: its slope is continuous and unbounded",
               "So et al. 2021, arXiv:2109.08668", tails=FLAT_BELOW),
    Activation("log_sigmoid", f"{TORCH}:logsigmoid", "log σ(z) = −log(1 + exp(−z))",
               "σ(−z)", "softplus turned about the origin: negative everywhere; f(z) ≈ z far below zero, 0 far above",
               "torch.nn.LogSigmoid; Cox 1958, J. R. Stat. Soc. B 20", tails=FADES_ABOVE),
    Activation("tanhshrink", f"{OURS}:tanhshrink", "z − tanh(z)",
               "tanh(z)²", "flat at zero, where f(z) ≈ z³/3; z + 1 far below, z − 1 far above",
               "torch.nn.Tanhshrink; Collobert, Kavukcuoglu, Farabet 2011, BigLearn", tails=SLOPED),
    Activation("softshrink", f"{TORCH}:softshrink", "z − lambd for z > lambd, z + lambd for z < −lambd, 0 between",
               "0 for |z| ≤ lambd, 1 otherwise", "soft thresholding: the proximal step of an L1 penalty",
               "Donoho, Johnstone 1994, Biometrika 81", kinks=(-0.5, 0.5), kinks_at=_kinks_of_shrinking,
               schema=ShrinkOptions, tails=SLOPED),
    Activation("hardshrink", f"{TORCH}:hardshrink", "z for |z| > lambd, 0 otherwise",
               "0 for |z| ≤ lambd, 1 otherwise", "hard thresholding: f itself jumps at ±lambd",
               "Donoho, Johnstone 1994, Biometrika 81", kinks=(-0.5, 0.5), kinks_at=_kinks_of_shrinking,
               schema=ShrinkOptions, tails=SLOPED),
    Activation("threshold", f"{TORCH}:threshold", "z for z > threshold, value otherwise",
               "0 for z ≤ threshold, 1 above", "ReLU that starts later: f itself jumps where value ≠ threshold",
               "Konda, Memisevic, Krueger 2014, arXiv:1402.3337", kinks=(1,), kinks_at=_kink_of_threshold,
               schema=ThresholdOptions, tails=FLAT_BELOW),
    Activation("squareplus", f"{OURS}:squareplus", "(z + √(z² + b))/2",
               "(1 + z/√(z² + b))/2", "softplus without exponentials, with polynomial tails; jax and keras take b = 4",
               "Barron 2021, arXiv:2112.11687", schema=SquareplusOptions, tails=FADES_BELOW),
    Activation("sparse_plus", f"{OURS}:sparse_plus", "0 for z ≤ −1, (z + 1)²/4 for −1 < z < 1, z for z ≥ 1",
               "min(max(0, (z + 1)/2), 1)", "softplus with an exact zero: sparsemax in place of softmax",
               "Martins, Astudillo 2016, arXiv:1602.02068", tails=FLAT_BELOW),
    Activation("sparse_sigmoid", f"{OURS}:sparse_sigmoid", "min(max(0, (z + 1)/2), 1)",
               "1/2 for −1 < z < 1, 0 otherwise", "the slope of sparse_plus: hardsigmoid three times as steep",
               "Martins, Astudillo 2016, arXiv:1602.02068", kinks=(-1, 1), tails=FLAT),
    Activation("quick_gelu", f"{OURS}:quick_gelu", "z·σ(1.702·z)",
               "σ(u)·(1 + u·(1 − σ(u))), u = 1.702·z", "GELU by a logistic function, within 0.0203 of it; in CLIP",
               "Hendrycks, Gimpel 2016, arXiv:1606.08415", tails=FADES_BELOW),
    Activation("xielu", f"{OURS}:xielu",
               "alpha_p·z² + beta·z for z > 0, alpha_n·(exp(z) − 1 − z) + beta·z otherwise",
               "2·alpha_p·z + beta for z > 0, alpha_n·(exp(z) − 1) + beta otherwise",
               "a slope that grows above zero and turns negative below; alpha_p = softplus(·) and alpha_n = beta + "
               "softplus(·) are learned", "Huang, Schlag 2024, arXiv:2411.13010", schema=XieluOptions,
               learnable=("alpha_p", "alpha_n"), trained_as=_xielu_before_softplus,
               read_back="actbench.nn.elementary:xielu_options", tails=SLOPED),
    Activation("golu", f"{OURS}:golu", "z·exp(−exp(−z))",
               "exp(−exp(−z))·(1 + z·exp(−z))", "a gate that is not symmetric: below zero the shortest tail of all",
               "Das, Safari, Adriaensen, Hutter 2025, arXiv:2502.03654", tails=FADES_BELOW),
    Activation("star_relu", f"{OURS}:star_relu", "scale·max(0, z)² + offset",
               "2·scale·max(0, z)",
               "squared ReLU of mean 0 and variance 1; both numbers are learned (MetaFormer's code starts at 1 and 0)",
               "Yu et al. 2022, arXiv:2210.13452", schema=StarReluOptions, learnable=("scale", "offset"),
               tails=FLAT_BELOW),
    Activation("serf", f"{OURS}:serf", "z·erf(log(1 + exp(z)))",
               "erf(s) + z·σ(z)·2/√π·exp(−s²), s = log(1 + exp(z))", "mish with erf for tanh",
               "Nag, Bhattacharyya 2021, arXiv:2108.09598", tails=FADES_BELOW),
    Activation("telu", f"{OURS}:telu", "z·tanh(exp(z))",
               "tanh(e) + z·e·(1 − tanh(e)²), e = exp(z)", "close to the identity above zero, a short dip below",
               "Fernandez, Mali 2024, arXiv:2412.20269", tails=FADES_BELOW),
    Activation("lisht", f"{OURS}:lisht", "z·tanh(z)",
               "tanh(z) + z·(1 − tanh(z)²)", "even: |z| with a round bottom",
               "Roy, Manna, Dubey, Chaudhuri 2019, arXiv:1901.05894", tails=SLOPED),
    Activation("aptx", f"{OURS}:aptx", "(alpha + tanh(beta·z))·gamma·z",
               "gamma·(alpha + tanh(beta·z) + beta·z·(1 − tanh(beta·z)²))",
               "mish with fewer operations; with its defaults swish of beta = 2",
               "Kumar 2022, arXiv:2209.06119", schema=AptxOptions, tails=FADES_BELOW),
    Activation("isrlu", f"{OURS}:isrlu", "z for z ≥ 0, z/√(1 + alpha·z²) otherwise",
               "1 for z ≥ 0, (1 + alpha·z²)^−3/2 otherwise", "ELU without an exponential; limit −1/√alpha",
               "Carlile, Delamarter, Kinney, Marti, Whitney 2017, arXiv:1710.09967", schema=IsrluOptions,
               tails=FADES_BELOW),
    Activation("snake", f"{OURS}:snake", "z + sin²(alpha·z)/alpha",
               "1 + sin(2·alpha·z)", "periodic about the identity: extrapolates periodic data",
               "Ziyin, Hartwig, Ueda 2020, arXiv:2006.08195", schema=SnakeOptions, learnable=("alpha",), tails=SLOPED),
    Activation("sine", f"{OURS}:sine", "sin(w0·z)",
               "w0·cos(w0·z)", "periodic and bounded; SIREN takes w0 = 30",
               "Sitzmann, Martel, Bergman, Lindell, Wetzstein 2020, arXiv:2006.09661", schema=SineOptions,
               tails=SLOPED),
    Activation("elish", f"{OURS}:elish", "z·σ(z) for z ≥ 0, (exp(z) − 1)·σ(z) otherwise",
               "σ(z)·(1 + z·σ(−z)) for z ≥ 0, σ(z)·(exp(z) + (exp(z) − 1)·σ(−z)) otherwise",
               "swish above zero, ELU times a gate below", "Basirat, Roth 2018, arXiv:1808.00783", tails=FADES_BELOW),
    Activation("logish", f"{OURS}:logish", "z·log(1 + σ(z))",
               "log(1 + σ(z)) + z·σ(z)·(1 − σ(z))/(1 + σ(z))", "a shallow dip; slope log 2 far above zero",
               "Zhu, Zeng, Liu, Zhang 2021, Neurocomputing 458", tails=FADES_BELOW),
    Activation("smish", f"{OURS}:smish", "z·tanh(log(1 + σ(z)))",
               "t + 4z·(1 + σ(z))·σ(z)·(1 − σ(z))/(2 + q)², t = q/(2 + q), q = σ(z)·(2 + σ(z))",
               "a shallow dip; slope 3/5 far above zero", "Wang, Ren, Wang 2022, Electronics 11(4), 540",
               tails=FADES_BELOW),
    Activation("pau", f"{OURS}:pau", "(a0 + a1·z + … + a5·z⁵)/(1 + |b1·z + … + b4·z⁴|)",
               "(P′ − f·Q′)/Q, f = P/Q; the absolute value has slope 0 at 0",
               "a rational function, all ten coefficients learned; starts within 0.034 of leaky ReLU on [−3, 3]",
               "Molina, Schramowski, Kersting 2019, arXiv:1907.06732", kinks_at=_kinks_of_pau, schema=PauOptions,
               learnable=PAU_COEFFICIENTS, tails=SLOPED),
    Activation("identity", f"{OURS}:identity", "z",
               "1", "no non-linearity: the linear baseline", tails=SLOPED),
    Activation("glu", f"{GROUPS}:glu", "v·σ(z) for the two halves v, z of the pre-activations",
               "σ(z) by v, v·σ(z)·(1 − σ(z)) by z", "half as many outputs: each a linear value times a sigmoid gate",
               "Dauphin, Fan, Auli, Grangier 2016, arXiv:1612.08083", expand="gate"),
    Activation("bilinear", f"{GROUPS}:bilinear", "v·z for the two halves v, z of the pre-activations",
               "z by v, v by z", "half as many outputs: a product of two linear values, GLU without a non-linearity",
               "Shazeer 2020, arXiv:2002.05202", expand="gate"),
    Activation("reglu", f"{GROUPS}:reglu", "v·max(0, z) for the two halves v, z of the pre-activations",
               "max(0, z) by v; 0 for z ≤ 0, v for z > 0 by z", "half as many outputs: a linear value times a ReLU",
               "Shazeer 2020, arXiv:2002.05202", kinks=(0,), expand="gate"),
    Activation("geglu", f"{GROUPS}:geglu", "v·z·Φ(z) for the two halves v, z of the pre-activations",
               "z·Φ(z) by v, v·(Φ(z) + z·φ(z)) by z", "half as many outputs: a linear value times an exact GELU",
               "Shazeer 2020, arXiv:2002.05202", expand="gate"),
    Activation("swiglu", f"{GROUPS}:swiglu", "v·z·σ(z) for the two halves v, z of the pre-activations",
               "z·σ(z) by v, v·σ(z)·(1 + z·(1 − σ(z))) by z", "half as many outputs: a linear value times a SiLU",
               "Shazeer 2020, arXiv:2002.05202", expand="gate"),
    Activation("crelu", f"{GROUPS}:crelu", "max(0, z) and max(0, −z), two outputs of each z",
               "0 and −1 for z < 0, 0 and 0 at 0, 1 and 0 for z > 0", "twice as many outputs: nothing of z is lost",
               "Shang, Sohn, Almeida, Lee 2016, arXiv:1603.05201", kinks=(0,), expand="mirrored"),
    Activation("maxout", f"{GROUPS}:maxout", "max(z₁, …, z_pieces) over equal parts of the pre-activations",
               "1 by the largest, 0 by the others; shared evenly where several are the largest",
               "1/pieces as many outputs: a convex function of the inputs that is learned",
               "Goodfellow, Warde-Farley, Mirza, Courville, Bengio 2013, arXiv:1302.4389", kinks=(0,),
               schema=MaxoutOptions, expand="pieces"),
    Activation("expression", f"{OURS}:expression", "the formula",
               "by automatic differentiation", "a formula in x of your own, such as x * sigmoid(1.702 * x)",
               schema=ExpressionOptions),
)
# fmt: on

ACTIVATIONS: dict[str, Activation] = {row.name: row for row in _ROWS}

ELEMENTWISE = tuple(name for name, row in ACTIVATIONS.items() if row.expand == "elementwise")
"""The names of the activations that make one output of one pre-activation."""
