"""The slopes of the table's activations are those that autograd takes, at kinks and far out, whatever the options."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from actbench.nn import slopes
from actbench.nn.activations import ELEMENTWISE
from actbench.nn.chosen_activations import function_of, kinks_of, learned_parameters, slope_of
from actbench.schema.components import Component, resolve

NAMES = [name for name in ELEMENTWISE if name != "expression"]
OPTIONS: list[str | dict[str, Any]] = [
    *NAMES,
    {"name": "leaky_relu", "negative_slope": 0.2},
    {"name": "leaky_relu", "negative_slope": -0.5},
    {"name": "prelu", "learned": False, "slope": -0.3},
    {"name": "rrelu", "lower": 0.1, "upper": 0.9},
    {"name": "elu", "alpha": 0.3},
    {"name": "celu", "alpha": 2.5},
    {"name": "swish", "beta": -1.5},
    {"name": "swish", "beta": 0.0},
    {"name": "softplus", "beta": 7.0},
    {"name": "softshrink", "lambd": 0.0},
    {"name": "hardshrink", "lambd": 2.0},
    {"name": "threshold", "threshold": -0.5, "value": 7.0},
    {"name": "squareplus", "b": 0.01},
    {"name": "xielu", "alpha_p": 2.0, "alpha_n": 0.6, "beta": 0.1, "learned": False},
    {"name": "star_relu", "scale": -2.0, "offset": 1.0, "learned": False},
    {"name": "aptx", "alpha": 0.3, "beta": 2.0, "gamma": -1.5},
    {"name": "isrlu", "alpha": 3.0},
    {"name": "snake", "alpha": 2.5},
    {"name": "sine", "w0": 30.0},
    {"name": "pau", "b1": 1.2, "b3": -0.9, "learned": False},
]


def points(chosen: Component) -> Tensor:
    """1,001 numbers about 0, the kinks with what lies beside them, and numbers far out."""
    kinks = [kink + shift for kink in (0.0, *kinks_of(chosen)) for shift in (-1e-9, 0.0, 1e-9)]
    far = [-0.0, 30.0, -30.0, 1e3, -1e3, 1e30, -1e30]
    return torch.cat([torch.linspace(-12, 12, 1001, dtype=torch.float64), torch.tensor(kinks + far).double()])


def by_autograd(chosen: Component, z: Tensor, **learned: Tensor) -> Tensor:
    leaf = z.clone().requires_grad_()
    a = function_of(chosen)(leaf, **learned)
    return torch.autograd.grad(a, leaf, torch.ones_like(a))[0]


def of(choice: str | dict[str, Any]) -> Component:
    return resolve("activations", choice)


@pytest.mark.parametrize("choice", OPTIONS, ids=str)
def test_slopes_are_those_of_autograd(choice: str | dict[str, Any]) -> None:
    chosen = of(choice)
    starts = {name: torch.tensor(start).double() for name, (_, start) in learned_parameters(chosen, 1).items()}
    z, slope = points(chosen), slope_of(chosen)
    assert slope is not None
    given = z.clone()
    assert torch.allclose(slope(z, **starts), by_autograd(chosen, z, **starts), rtol=1e-15, atol=1e-12)
    assert torch.equal(z, given), "the argument is not changed"
    assert slope(z.float(), **{name: start.float() for name, start in starts.items()}).dtype == torch.float32


@pytest.mark.parametrize(("name", "option"), [("prelu", "slope"), ("swish", "beta"), ("snake", "alpha")])
def test_slopes_with_a_learned_parameter_for_each_unit_are_those_of_autograd(name: str, option: str) -> None:
    chosen = of({"name": name, "learned": True, "per": "unit"})
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(2, 50, 3, 4, dtype=torch.float64, generator=generator) * 3
    z[0, 0, :, 0] = 0
    learned = {option: torch.randn(2, 1, 3, 1, dtype=torch.float64, generator=generator)}
    slope = slope_of(chosen)
    assert slope is not None
    assert torch.allclose(slope(z, **learned), by_autograd(chosen, z, **learned), rtol=0, atol=1e-12)


def test_a_formula_and_a_users_own_function_have_no_slope_of_the_table() -> None:
    assert slope_of(of("x * sigmoid(x)")) is None
    assert slope_of(of({"name": "mine", "path": "torch:tanh"})) is None


def test_every_slope_belongs_to_a_row() -> None:
    functions = {name for name, value in vars(slopes).items() if getattr(value, "__module__", "") == slopes.__name__}
    assert {name for name in functions if not name.startswith("_")} == set(NAMES)
