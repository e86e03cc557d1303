"""Check constants of the activations: second moments, minima, SELU's fixed point."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from actbench.diagnostics.verification import Check, Folders
from actbench.health.theory.closed_forms import MINIMA, SECOND_MOMENTS, selu_constants
from actbench.nn.chosen_activations import function_of, second_moment
from actbench.schema.components import resolve

SELU = "arXiv:1706.02515"
LAST_DIGIT = 1e-6
"""More than the error of our quadrature (4e-8) and of the printed digits."""


def checks(folders: Folders) -> Iterator[Check]:
    """Compare the table of activations with formulas and independent quadratures."""
    for name, moment in SECOND_MOMENTS.items():
        measured = second_moment(resolve("activations", name))
        yield Check(f"E[f(Z)²] of {name}", (moment,), (measured,), LAST_DIGIT, "formula or QUADPACK")
    for name, (value, place) in MINIMA.items():
        yield Check(f"minimum of {name}, its place", (value, place), _lowest(name), LAST_DIGIT, "Brent's method")
    yield _selu()


def _selu() -> Check:
    """Compare SELU's constants: λ is the slope above zero, −λα the limit below."""
    z = torch.tensor([1.0, -100.0], dtype=torch.float64)
    scale, limit = _function("selu", z).tolist()
    return Check("SELU's α, λ", selu_constants(), (-limit / scale, scale), 1e-12, SELU)


def _lowest(name: str) -> tuple[float, float]:
    """Return the lowest value and its place, from ever finer grids around the lowest point.

    A parabola is flat there, so the place has half the value's digits.
    """
    low, high = -3.0, 0.0
    for _ in range(4):
        z = torch.linspace(low, high, 2001, dtype=torch.float64)
        values = _function(name, z)
        lowest = int(values.argmin())
        low, high = float(z[max(lowest - 1, 0)]), float(z[min(lowest + 1, 2000)])
    return float(values[lowest]), float(z[lowest])


def _function(name: str, z: Tensor) -> Tensor:
    return function_of(resolve("activations", name))(z)
