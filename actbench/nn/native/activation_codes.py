"""Say which of the compiled activations a chosen one is."""

from __future__ import annotations

from actbench.schema.components import Component

CODES = {
    name: code
    for code, name in enumerate(
        (
            "identity", "relu", "leaky_relu", "relu6", "elu", "selu", "celu", "gelu", "gelu_tanh", "silu", "swish",
            "mish", "softplus", "tanh", "sigmoid", "softsign", "hardtanh", "hardswish", "hardsigmoid", "squared_relu",
        )
    )
}  # fmt: skip
"""Name in the table of activations -> its code in ``activations.h``."""

OPTION = {"leaky_relu": "negative_slope", "elu": "alpha", "celu": "alpha", "swish": "beta", "softplus": "beta"}
"""Name -> the one option that its formula has."""


def code_of(chosen: Component) -> tuple[int, float] | None:
    """Return the code and the option (0 without one) of a chosen activation; None where it has no compiled formula."""
    if chosen.path is not None or chosen.name not in CODES or chosen.options.get("learned"):
        return None
    option = OPTION.get(chosen.name)
    return CODES[chosen.name], float(chosen.options[option]) if option else 0.0
