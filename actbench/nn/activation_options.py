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


class ShrinkOptions(Options):
    """Options of softshrink and hardshrink.

    Attributes:
        lambd: f(z) = 0 for |z| up to this; spelled as in torch, whose 0.5 keras takes as well.
    """

    lambd: float = Field(default=0.5, ge=0)


class ThresholdOptions(Options):
    """Options of threshold.

    Attributes:
        threshold: f(z) = z above this (1 in ONNX's and keras's thresholded ReLU; torch has no default).
        value: f(z) elsewhere.
    """

    threshold: float = 1.0
    value: float = 0.0


class SquareplusOptions(Options):
    """Options of squareplus.

    Attributes:
        b: The curvature about zero; f(0) = √b/2. jax and keras take 4.
    """

    b: float = Field(default=4.0, gt=0)


class XieluOptions(Options):
    """Options of xielu.

    Attributes:
        alpha_p: The coefficient of z² above zero, or where it starts: softplus of the number that is trained.
        alpha_n: The coefficient below zero, or where it starts: beta + softplus of the number that is trained.
        beta: The slope at zero, and the least value of alpha_n.
        learned: Whether alpha_p and alpha_n are trained.
        per: One of each for each ``layer``, or for each ``unit``.
    """

    alpha_p: float = Field(default=0.8, gt=0)
    alpha_n: float = 0.8
    beta: float = Field(default=0.5, ge=0)
    learned: bool = True
    per: Literal["layer", "unit"] = "layer"

    @model_validator(mode="after")
    def _above_beta(self) -> XieluOptions:
        if self.alpha_n <= self.beta:
            raise ValueError(f"'alpha_n' ({self.alpha_n:g}) should be above 'beta' ({self.beta:g})")
        return self


class StarReluOptions(Options):
    """Options of star_relu.

    Attributes:
        scale: The factor of max(0, z)², or where it starts; the paper's 0.8944 = √0.8 gives variance 1.
        offset: What is added, or where it starts; the paper's −0.4472 = −√0.2 gives mean 0.
        learned: Whether both are trained.
        per: One of each for each ``layer``, or for each ``unit``.
    """

    scale: float = 0.8944
    offset: float = -0.4472
    learned: bool = True
    per: Literal["layer", "unit"] = "layer"


class AptxOptions(Options):
    """Options of aptx.

    Attributes:
        alpha: What is added to tanh; at 1 f(z) tends to 0 for z → −∞.
        beta: The sharpness; with alpha = 1 and gamma = 1/2, f is swish of sharpness 2·beta.
        gamma: The factor of z.
    """

    alpha: float = Field(default=1.0, gt=-1)
    beta: float = Field(default=1.0, gt=0)
    gamma: float = 0.5


class IsrluOptions(Options):
    """Options of isrlu.

    Attributes:
        alpha: −1/√alpha is the limit for z → −∞.
    """

    alpha: float = Field(default=1.0, gt=0)


class SnakeOptions(Options):
    """Options of snake.

    Attributes:
        alpha: The frequency, or where it starts.
        learned: Whether it is trained.
        per: One for each ``layer``, or for each ``unit``.
    """

    alpha: float = Field(default=1.0, gt=0)
    learned: bool = False
    per: Literal["layer", "unit"] = "layer"


class SineOptions(Options):
    """Options of sine.

    Attributes:
        w0: The angular frequency; SIREN takes 30, with weights drawn to match.
    """

    w0: float = Field(default=1.0, gt=0)


class PauOptions(Options):
    """Options of pau: the coefficients at the start, which come close to leaky ReLU (0.01) within [−3, 3].

    Attributes:
        a0: Of 1 in the numerator.
        a1: Of z.
        a2: Of z².
        a3: Of z³.
        a4: Of z⁴.
        a5: Of z⁵.
        b1: Of z in the denominator.
        b2: Of z².
        b3: Of z³.
        b4: Of z⁴.
        learned: Whether the ten are trained.
        per: Ten for each ``layer``, or for each ``unit``.
    """

    a0: float = 0.03356
    a1: float = 0.505
    a2: float = 1.65344
    a3: float = 2.01001
    a4: float = 0.9319
    a5: float = 0.15242
    b1: float = 0.0
    b2: float = 3.98022
    b3: float = 0.0
    b4: float = 0.30183
    learned: bool = True
    per: Literal["layer", "unit"] = "layer"


class MaxoutOptions(Options):
    """Options of maxout.

    Attributes:
        pieces: Pre-activations of a unit, of which the largest is its output.
    """

    pieces: int = Field(default=2, ge=2, le=100)


def _checked_formula(text: str) -> str:
    check_expression(text)
    return text


class ExpressionOptions(Options):
    """Options of expression.

    Attributes:
        formula: An expression in x, such as ``x * sigmoid(1.702 * x)``.
    """

    formula: Annotated[str, AfterValidator(_checked_formula)]
