"""A function of one number, to be learned from its values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator, model_validator

from actbench.datasets._data import Data
from actbench.datasets._toys import Toy, curve, normal, uniform
from actbench.schema.formulas import check_expression

if TYPE_CHECKING:
    from actbench.datasets._toys import Floats

SQRT_3 = 1.7320508


class Regression(Toy):
    """The values of a formula in x, such as ``abs(x)`` or ``x * sin(5 * x)``, at numbers x drawn evenly; no network.

    By default x lies between -√3 and √3, where its mean is 0 and its variance 1. The targets are numbers, so it needs
    ``training.loss: mse``. A fixed fifth of the values is the test set.

    Attributes:
        function: A formula in x, of the parts that formulas for activations have.
        low: The least x.
        high: The largest x.
        noise: Standard deviation of the normal numbers that are added to the targets, those of the test set too.
    """

    image_shape = (1, 1, 1)
    targets: ClassVar[int | None] = 1

    function: str = "abs(x)"
    low: float = -SQRT_3
    high: float = SQRT_3
    noise: float = Field(default=0.0, ge=0, le=1000)

    @field_validator("function")
    @classmethod
    def _is_formula(cls, text: str) -> str:
        check_expression(text)
        return text

    @model_validator(mode="after")
    def _has_range(self) -> Regression:
        if not self.low < self.high:
            raise ValueError(f"'low' should be below 'high', not {self.low:g} and {self.high:g}")
        return self

    def load(self, folder: Path) -> Data:
        """Compute the values; ``folder`` only holds the cache."""
        return curve("regression", self, self._made, folder)

    def _made(self) -> tuple[Floats, Floats]:
        import numpy as np

        from actbench.datasets._toys import rounded
        from actbench.errors import DatasetError

        x = rounded(self.low + (self.high - self.low) * uniform(self.examples, "regression"))
        y = self.values(x)
        if not np.isfinite(y).all():
            bad = x[~np.isfinite(y)][0]
            raise DatasetError(f"dataset 'regression': {self.function} has no finite value at x = {bad:g}")
        return x, y + self.noise * normal(self.examples, "regression.noise")

    def values(self, x: Floats) -> Floats:
        """Return the formula's values, without noise, in float64."""
        import torch

        from actbench.schema.formulas import compile_expression

        found: Floats = compile_expression(self.function)(torch.from_numpy(x)).numpy()
        return found


plugin = Regression
