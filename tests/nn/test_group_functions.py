"""Activations that change the width, against their formulas in numpy and known integrals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special, stats

from actbench.nn.activations import ACTIVATIONS, ELEMENTWISE
from actbench.nn.chosen_activations import curve_of, function_of, second_moment
from actbench.schema.components import resolve

Array = np.ndarray[Any, np.dtype[np.float64]]

FORMULAS: dict[str, Callable[[Array, Array], Array]] = {
    "glu": lambda v, z: v * special.expit(z),
    "bilinear": lambda v, z: v * z,
    "reglu": lambda v, z: v * np.maximum(z, 0),
    "geglu": lambda v, z: v * z * stats.norm.cdf(z),
    "swiglu": lambda v, z: v * z * special.expit(z),
    "maxout": np.maximum,
}


def two(seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 3, (4, 6)), rng.normal(0, 3, (4, 6))


def test_every_row_that_changes_the_width_has_an_oracle() -> None:
    assert set(ACTIVATIONS) - set(ELEMENTWISE) == {*FORMULAS, "crelu"}


@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("name", FORMULAS)
def test_values_equal_the_formula_along_any_dimension(name: str, axis: int) -> None:
    v, z = two()
    joined = torch.from_numpy(np.concatenate([v, z], 1))[None]  # (1, 4, 12)
    found = function_of(resolve("activations", name), axis=axis)(joined.movedim(2, axis)).movedim(axis, 2)
    np.testing.assert_allclose(found[0].numpy(), FORMULAS[name](v, z), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", FORMULAS)
def test_slopes_equal_central_differences(name: str) -> None:
    v, z = two(1)
    both = torch.from_numpy(np.concatenate([v, z], 1))[None].requires_grad_()
    (found,) = torch.autograd.grad(function_of(resolve("activations", name))(both).sum(), both)
    step, formula = 1e-6, FORMULAS[name]
    by_v = (formula(v + step, z) - formula(v - step, z)) / (2 * step)
    by_z = (formula(v, z + step) - formula(v, z - step)) / (2 * step)
    np.testing.assert_allclose(found[0].numpy(), np.concatenate([by_v, by_z], 1), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 5, 5)])
def test_crelu_keeps_both_signs_of_all_units(shape: tuple[int, ...]) -> None:
    z = torch.randn(shape, dtype=torch.float64)
    a = function_of(resolve("activations", "crelu"))(z)
    assert a.shape == (2, 3, 8, *shape[3:])
    assert torch.equal(a[:, :, :4] - a[:, :, 4:], z)
    assert (a >= 0).all()


def test_a_tie_of_maxout_shares_its_gradient_evenly() -> None:
    z = torch.zeros(1, 1, 3, requires_grad=True)
    function_of(resolve("activations", {"name": "maxout", "pieces": 3}))(z).sum().backward()
    assert z.grad is not None
    torch.testing.assert_close(z.grad, torch.full((1, 1, 3), 1 / 3))


@pytest.mark.parametrize(
    ("choice", "known"),
    [
        ("bilinear", 1.0),
        ("reglu", 0.5),
        ("geglu", 0.425203),
        ("swiglu", 0.355776),
        ("glu", 0.293379),
        ("crelu", 0.5),
        ("maxout", 1.0),
        ({"name": "maxout", "pieces": 3}, 1 + math.sqrt(3) / (2 * math.pi)),
        ({"name": "maxout", "pieces": 4}, 1 + math.sqrt(3) / math.pi),
    ],
    ids=str,
)
def test_second_moments_are_those_of_independent_normals(choice: Any, known: float) -> None:
    component = resolve("activations", choice)
    assert second_moment(component) == pytest.approx(known, abs=2e-5)
    z = torch.randn(1, 20_000, 120, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert float(function_of(component)(z).square().mean()) == pytest.approx(known, rel=0.02)


@pytest.mark.parametrize(
    ("choice", "curve"),
    [("swiglu", "silu"), ("glu", "sigmoid"), ("geglu", "gelu"), ("bilinear", "identity"), ("reglu", "relu"),
     ("crelu", "relu"), ({"name": "maxout", "pieces": 5}, "relu")],
    ids=str,
)  # fmt: skip
def test_what_is_drawn_is_a_section_through_the_function(choice: Any, curve: str) -> None:
    z = torch.linspace(-4, 4, 101, dtype=torch.float64)
    section, fixed = curve_of(resolve("activations", choice))
    assert fixed
    torch.testing.assert_close(section(z), function_of(resolve("activations", curve))(z))
