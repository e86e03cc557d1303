"""Names that papers and other tools use: synonyms that are accepted, and explanations of what is not here.

A synonym stands for exactly the same thing, so a config may use it; tables, labels and digests have the name of
``registry``. A name that comes close to one of ours but means something else is explained instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

SYNONYMS: Mapping[str, Mapping[str, str]] = {
    "activations": {
        "linear": "identity",
        "lrelu": "leaky_relu",
        "parametric_relu": "prelu",
        "randomized_relu": "rrelu",
        "rectifier": "relu",
        "logistic": "sigmoid",
        "hard_tanh": "hardtanh",
        "hard_sigmoid": "hardsigmoid",
        "hard_swish": "hardswish",
        "hard_silu": "hardswish",
        "hswish": "hardswish",
        "soft_sign": "softsign",
        "soft_plus": "softplus",
        "gelu_new": "gelu_tanh",
        "gelu_approximate": "gelu_tanh",
        "gelu_pytorch_tanh": "gelu_tanh",
        "gelu_fast": "gelu_tanh",
        "swish1": "silu",
        "htanh": "hardtanh",
        "relu_squared": "squared_relu",
        "relu2": "squared_relu",
        "square_relu": "squared_relu",
        "sqr_relu": "squared_relu",
        "id": "identity",
        "randomized_leaky_relu": "rrelu",
        "scaled_elu": "selu",
        "ramp": "relu",
        "gelu_python": "gelu",
        "gelu_exact": "gelu",
        "gelu_erf": "gelu",
        "gelu_python_tanh": "gelu_tanh",
        "gelu_accurate": "gelu_tanh",
        "gelu_approx": "gelu_tanh",
        "gelu_quick": "quick_gelu",
        "gelu_sigmoid": "quick_gelu",
        "gelu_fast_approx": "quick_gelu",
        "soft_threshold": "softshrink",
        "soft_thresholding": "softshrink",
        "hard_threshold": "hardshrink",
        "hard_thresholding": "hardshrink",
        "thresholded_relu": "threshold",
        "sin": "sine",
        "gompertz": "golu",
        "inverse_square_root_linear_unit": "isrlu",
        "pade": "pau",
        "pade_activation_unit": "pau",
        "rational": "pau",
    },
    "weight_inits": {
        "kaiming_normal": "he_normal",
        "kaiming_uniform": "he_uniform",
        "msra": "he_normal",
        "glorot_normal": "xavier_normal",
        "glorot_uniform": "xavier_uniform",
        "saxe": "orthogonal",
        "layer_sequential_unit_variance": "lsuv",
        "randomized_asymmetric": "rai",
        "randomised_asymmetric": "rai",
    },
    "schedules": {"cosine_annealing": "cosine"},
    "datasets": {"fmnist": "fashion_mnist"},
}
"""Kind -> synonym -> name."""

_NORM = "it stands before the activation, as an option of the models"

EXPLAINED: Mapping[str, Mapping[str, str]] = {
    "activations": {
        "softmax": "its outputs depend on each other, and an activation here is elementwise",
        "log_softmax": "its outputs depend on each other, and an activation here is elementwise",
        "softmin": "its outputs depend on each other, and an activation here is elementwise",
        "siren": "it is a sine and weights that match it: activation {name: sine, w0: 30} with weight_init siren",
        "gaussian": "write the formula exp(-x**2)",
        "sinc": "write the formula where(abs(x) < 1e-3, 1 - x**2/6, sin(x)/(where(abs(x) < 1e-3, 1, x)))",
        "bent_identity": "write the formula (sqrt(x**2 + 1) - 1)/2 + x",
        "exponential": "write the formula exp(x)",
        "atan": "write the formula atan(x)",
        "arctan": "write the formula atan(x)",
        "gelu_10": "write the formula clamp(x/2 * (1 + erf(x/1.4142135623730951)), -10, 10)",
        "laplace": "write the formula (1 + erf((x - 0.707107)/(0.282095 * 1.41421356237)))/2",
        "sqrtsoftplus": "write the formula sqrt(softplus(x))",
        "hard_mish": "write the formula x/2 * clamp(x + 2, 0, 2)",
        "hard_elish": "write the formula where(x > 0, x, expm1(min(x, 0))) * clamp((x + 1)/2, 0, 1)",
        "isru": "write the formula x/sqrt(1 + x**2)",
        "gcu": "write the formula x * cos(x)",
        "phish": "write the formula x * tanh(x/2 * (1 + erf(x/1.4142135623730951)))",
        "sparsemax": "its outputs depend on each other, and an activation here is elementwise; of two: sparse_sigmoid",
        "step": "no gradient reaches z through a step, so no layer below it could learn",
        "heaviside": "no gradient reaches z through a step, so no layer below it could learn",
        "binary_step": "no gradient reaches z through a step, so no layer below it could learn",
        "sign": "no gradient reaches z through a step, so no layer below it could learn",
        "dropout": "it is an option of the models: model.dropout",
        "batch_norm": f"{_NORM}: model.norm: batch",
        "layer_norm": f"{_NORM}: model.norm: layer",
        "dyt": f"{_NORM}: model.norm: dyt",
        "dynamic_tanh": f"{_NORM}: model.norm: dyt",
        "derf": f"{_NORM}: model.norm: derf",
    },
    "weight_inits": {
        "kaiming": "write kaiming_normal (he_normal) or kaiming_uniform (he_uniform)",
        "he": "write he_normal or he_uniform",
        "glorot": "write glorot_normal (xavier_normal) or glorot_uniform (xavier_uniform)",
        "xavier": "write xavier_normal or xavier_uniform",
        "lecun": "write lecun_normal or lecun_uniform",
        "truncated_normal": "normal numbers are not truncated here: he_normal, lecun_normal or xavier_normal",
        "normal": "the variance follows from the layer's size: he_normal, lecun_normal or xavier_normal",
        "uniform": "the range follows from the layer's size: he_uniform, lecun_uniform, xavier_uniform or pytorch",
        "variance_scaling": "write he_normal, lecun_normal, xavier_normal or the uniform ones of these names",
        "zeros": "equal weights stay equal, so that no unit would differ from another",
        "ones": "equal weights stay equal, so that no unit would differ from another",
    },
    "reports": {
        "xlsx": "a workbook is a file: write -o FILE.xlsx",
        "excel": "a workbook is a file: write -o FILE.xlsx",
        "html": "a page is a file: write -o FILE.html, or actbench report",
        "tex": "write latex",
        "md": "write markdown",
        "txt": "write table",
        "text": "write table",
    },
}
"""Kind -> name known elsewhere -> the reason that it is not here, or the names to choose from."""


def canonical(kind: str, name: str, valid: tuple[str, ...]) -> str:
    """Return the name that a config's spelling stands for; the spelling itself where it stands for none.

    Capitals, spaces, hyphens and underscores make no difference: ``LeakyReLU`` and ``leaky relu`` are ``leaky_relu``.

    >>> canonical("activations", "LReLU", ("relu", "leaky_relu")), canonical("weight_inits", "glorot_normal", ())
    ('leaky_relu', 'xavier_normal')
    """
    if name in valid:
        return name
    spelled = folded(name)
    known = {folded(one): one for one in valid}
    known |= {folded(one): target for one, target in SYNONYMS.get(kind, {}).items() if folded(one) not in known}
    return known.get(spelled, name)


def explanation(kind: str, name: str) -> str | None:
    """Return the reason why a well-known name is not available; None for a name that is not known either."""
    return {folded(one): text for one, text in EXPLAINED.get(kind, {}).items()}.get(folded(name))


def folded(name: str) -> str:
    """Return a name without what its spellings differ in.

    >>> folded("Leaky-ReLU")
    'leakyrelu'
    """
    return re.sub(r"[\s_-]+", "", name).casefold()
