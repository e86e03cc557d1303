"""The options of the activations in the table that have some, with defaults and bounds; a class for each set of them.

Importing this module leaves torch alone.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from actbench.schema.components import Options
from actbench.schema.formulas import check_expression


class LeakyReluOptions(Options):
    """Options of leaky_relu.

    Attributes:
        negative_slope: The fixed slope below zero (torch's 0.01; other libraries take 0.2 or 0.3).
    """

    negative_slope: float = 0.01


class PReluOptions(Options):
    """Options of prelu.

    Attributes:
        slope: The slope below zero, or where it starts.
        learned: Whether it is trained.
        per: One for each ``layer``, or for each ``unit``.
    """

    slope: float = 0.25
    learned: bool = True
    per: Literal["layer", "unit"] = "layer"


class RReluOptions(Options):
    """Options of rrelu.

    Attributes:
        lower: Lower end of the interval from which every element's slope below zero is drawn.
        upper: Upper end of that interval.
    """

    lower: float = 1 / 8
    upper: float = 1 / 3

    @model_validator(mode="after")
    def _interval(self) -> RReluOptions:
        if self.lower > self.upper:
            raise ValueError(f"'lower' ({self.lower:g}) should be at most 'upper' ({self.upper:g})")
        return self


class EluOptions(Options):
    """Options of elu and celu.

    Attributes:
        alpha: −alpha is the limit for z → −∞.
    """

    alpha: float = Field(default=1.0, gt=0)


class SwishOptions(Options):
    """Options of swish.

    Attributes:
        beta: The sharpness, or where it starts; large values approach ReLU.
        learned: Whether it is trained.
        per: One for each ``layer``, or for each ``unit``.
    """

    beta: float = 1.0
    learned: bool = False
    per: Literal["layer", "unit"] = "layer"


class SoftplusOptions(Options):
    """Options of softplus.

    Attributes:
        beta: The sharpness; large values approach ReLU.
    """

    beta: float = Field(default=1.0, gt=0)


def _checked_formula(text: str) -> str:
    check_expression(text)
    return text


class ExpressionOptions(Options):
    """Options of expression.

    Attributes:
        formula: An expression in x, such as ``x * sigmoid(1.702 * x)``.
    """

    formula: Annotated[str, AfterValidator(_checked_formula)]
