"""Say which of the compiled activations a chosen one is."""

from __future__ import annotations

from collections.abc import Mapping

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
    return None if chosen.name not in CODES or chosen.options.get("learned") else evaluation_code(chosen, {})


def evaluation_code(chosen: Component, learned: Mapping[str, float]) -> tuple[int, float] | None:
    """Return the code and the option that compute a chosen activation in evaluation; None where none do.

    Args:
        chosen: The activation.
        learned: Its learned options, as they are now.
    """
    if chosen.path is not None:
        return None
    options = {**chosen.options, **learned}
    if chosen.name == "prelu":
        return CODES["leaky_relu"], float(options["slope"])
    if chosen.name == "rrelu":
        return CODES["leaky_relu"], (float(options["lower"]) + float(options["upper"])) / 2
    if chosen.name not in CODES:
        return None
    option = OPTION.get(chosen.name)
    return CODES[chosen.name], float(options[option]) if option else 0.0
