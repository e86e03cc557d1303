"""ACTIVATIONS, one row an activation: its formula, its derivative, its kinks, and where its function lies.

To add one: a row in the table, with a class in ``activation_options.py`` if it has options, a function in
``functions.py`` if torch has none, and its slope in ``slopes.py``. The conformance test picks it up.
``chosen_activations.py`` computes with a row. Importing this module leaves torch alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actbench.nn.activation_options import (
    EluOptions,
    ExpressionOptions,
    LeakyReluOptions,
    PReluOptions,
    RReluOptions,
    SoftplusOptions,
    SwishOptions,
)
from actbench.schema.components import Options

TORCH, OURS = "torch.nn.functional", "actbench.nn.functions"
HOW_LEARNED = ("learned", "per")
"""Options of a learnable row that say how its parameters are learned; its function never sees them."""


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
        kinks: Where the slope jumps (for some value of the options).
        schema: Its options, with defaults and bounds.
        learnable: Options that become trained tensors where the options ``learned`` (bool) and ``per`` (``layer`` or
            ``unit``) say so; they start at the option's value.
        random: Whether f also takes ``noise``, uniform in [0, 1) and shaped like z, during training.
    """

    name: str
    function: str
    formula: str
    derivative: str
    summary: str = ""
    reference: str = ""
    kinks: tuple[float, ...] = ()
    schema: type[Options] = Options
    learnable: tuple[str, ...] = ()
    random: bool = False

    def __post_init__(self) -> None:
        """Refuse a row whose learnable options could not be switched on."""
        if self.learnable and not {*HOW_LEARNED, *self.learnable} <= set(self.schema.model_fields):
            raise ValueError(f"the options of '{self.name}' lack one of: learned, per, {', '.join(self.learnable)}")

    @property
    def options(self) -> dict[str, Any]:
        """Each option's default by its name; None for one that has to be given."""
        fields = self.schema.model_fields.items()
        return {name: None if field.is_required() else field.default for name, field in fields}

    @property
    def learned(self) -> tuple[str, ...]:
        """The names of the options that are trained unless the config says otherwise."""
        return self.learnable if self.options.get("learned") else ()


# fmt: off
# A row: name, function, formula / derivative, summary / reference, and what else it has.
_ROWS = (
    Activation("relu", "torch:relu", "max(0, z)",
               "0 for z ≤ 0, 1 for z > 0", "cheap, sparse, linear above zero; a unit may die",
               "Nair, Hinton 2010, ICML", kinks=(0,)),
    Activation("leaky_relu", f"{TORCH}:leaky_relu", "z for z > 0, negative_slope·z otherwise",
               "negative_slope for z ≤ 0, 1 for z > 0", "ReLU with a small slope below zero: no unit dies",
               "Maas, Hannun, Ng 2013, ICML", kinks=(0,), schema=LeakyReluOptions),
    Activation("prelu", f"{OURS}:prelu", "z for z > 0, slope·z otherwise",
               "slope for z ≤ 0, 1 for z > 0", "leaky ReLU whose slope is learned, per layer or unit",
               "He, Zhang, Ren, Sun 2015, arXiv:1502.01852", kinks=(0,), schema=PReluOptions, learnable=("slope",)),
    Activation("rrelu", f"{OURS}:rrelu", "as prelu; slope ~ U[lower, upper), its mean in evaluation",
               "slope for z ≤ 0, 1 for z > 0", "leaky ReLU with a random slope for every element",
               "Xu, Wang, Chen, Li 2015, arXiv:1505.00853", kinks=(0,), schema=RReluOptions, random=True),
    Activation("relu6", f"{TORCH}:relu6", "min(max(0, z), 6)",
               "1 for 0 < z < 6, 0 otherwise", "ReLU that stops at 6, for low-precision arithmetic",
               "Krizhevsky 2010, Convolutional Deep Belief Networks on CIFAR-10", kinks=(0, 6)),
    Activation("elu", f"{TORCH}:elu", "z for z > 0, alpha·(exp(z) − 1) otherwise",
               "alpha·exp(z) for z ≤ 0, 1 for z > 0", "smooth below zero with limit −alpha; costs an exponential",
               "Clevert, Unterthiner, Hochreiter 2015, arXiv:1511.07289", kinks=(0,), schema=EluOptions),
    Activation("selu", f"{TORCH}:selu", "λz for z > 0, λα·(exp(z) − 1) otherwise; λ = 1.0507009874, α = 1.6732632424",
               "λα·exp(z) for z ≤ 0, λ for z > 0", "keeps mean 0 and variance 1 across layers under lecun_normal",
               "Klambauer, Unterthiner, Mayr, Hochreiter 2017, arXiv:1706.02515", kinks=(0,)),
    Activation("celu", f"{TORCH}:celu", "z for z > 0, alpha·(exp(z/alpha) − 1) otherwise",
               "exp(z/alpha) for z ≤ 0, 1 for z > 0", "ELU whose slope is continuous at zero for every alpha",
               "Barron 2017, arXiv:1704.07483", schema=EluOptions),
    Activation("gelu", f"{TORCH}:gelu", "z·Φ(z), Φ the standard normal distribution function (exact)",
               "Φ(z) + z·φ(z)", "smooth ReLU with a dip: minimum −0.16997 at −0.7518",
               "Hendrycks, Gimpel 2016, arXiv:1606.08415"),
    Activation("gelu_tanh", f"{OURS}:gelu_tanh", "z/2·(1 + tanh(√(2/π)·(z + 0.044715·z³)))",
               "by the product rule; 1/2 at 0", "the tanh approximation of GELU, within 5e-4 of the exact one",
               "Hendrycks, Gimpel 2016, arXiv:1606.08415"),
    Activation("silu", f"{TORCH}:silu", "z·σ(z)",
               "σ(z)·(1 + z·(1 − σ(z)))", "swish with beta = 1: minimum −0.27846 at −1.2785",
               "Elfwing, Uchibe, Doya 2017, arXiv:1702.03118"),
    Activation("swish", f"{OURS}:swish", "z·σ(beta·z)",
               "σ(beta·z)·(1 + beta·z·(1 − σ(beta·z)))", "from z/2 (beta = 0) to ReLU (beta → ∞)",
               "Ramachandran, Zoph, Le 2017, arXiv:1710.05941", schema=SwishOptions, learnable=("beta",)),
    Activation("mish", f"{TORCH}:mish", "z·tanh(log(1 + exp(z)))",
               "t + z·σ(z)·(1 − t²), t = f(z)/z", "smooth ReLU with a dip: minimum −0.30884 at −1.1924",
               "Misra 2019, arXiv:1908.08681"),
    Activation("softplus", f"{TORCH}:softplus", "log(1 + exp(beta·z))/beta; z for beta·z > 20",
               "σ(beta·z)", "smooth ReLU, positive everywhere",
               "Dugas, Bengio, Bélisle, Nadeau, Garcia 2000, NIPS", schema=SoftplusOptions),
    Activation("tanh", "torch:tanh", "tanh(z)",
               "1 − tanh(z)²", "bounded and odd; saturates on both sides",
               "LeCun, Bottou, Orr, Müller 1998, Efficient BackProp"),
    Activation("sigmoid", "torch:sigmoid", "σ(z) = 1/(1 + exp(−z))",
               "σ(z)·(1 − σ(z)), at most 1/4", "bounded and positive; saturates on both sides",
               "Rumelhart, Hinton, Williams 1986, Nature 323"),
    Activation("softsign", f"{TORCH}:softsign", "z/(1 + |z|)",
               "1/(1 + |z|)²", "tanh with polynomial tails: saturates slowly",
               "Glorot, Bengio 2010, AISTATS"),
    Activation("hardtanh", f"{TORCH}:hardtanh", "min(max(−1, z), 1)",
               "1 for −1 < z < 1, 0 otherwise", "piecewise linear tanh",
               "Collobert 2004, Large Scale Machine Learning", kinks=(-1, 1)),
    Activation("hardswish", f"{TORCH}:hardswish", "z·min(max(0, z + 3), 6)/6",
               "0 for z ≤ −3, z/3 + 1/2 for −3 < z < 3, 1 for z ≥ 3", "piecewise quadratic swish",
               "Howard et al. 2019, arXiv:1905.02244", kinks=(-3, 3)),
    Activation("hardsigmoid", f"{TORCH}:hardsigmoid", "min(max(0, z + 3), 6)/6",
               "1/6 for −3 < z < 3, 0 otherwise", "piecewise linear sigmoid",
               "Howard et al. 2019, arXiv:1905.02244", kinks=(-3, 3)),
    Activation("squared_relu", f"{OURS}:squared_relu", "max(0, z)²",
               "2·max(0, z)", "ReLU squared: its slope is continuous and unbounded",
               "So et al. 2021, arXiv:2109.08668"),
    Activation("identity", f"{OURS}:identity", "z",
               "1", "no non-linearity: the linear baseline"),
    Activation("expression", f"{OURS}:expression", "the formula",
               "by automatic differentiation", "a formula in x of your own, such as x * sigmoid(1.702 * x)",
               schema=ExpressionOptions),
)
# fmt: on

ACTIVATIONS: dict[str, Activation] = {row.name: row for row in _ROWS}
