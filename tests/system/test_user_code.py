"""Slopes of elementwise functions: autograd's own bits, without the imports that autograd's own way costs."""

from __future__ import annotations

import pytest
import torch
from reading_commands import python

from actbench.nn.activations import ELEMENTWISE
from actbench.nn.chosen_activations import function_of, learned_parameters
from actbench.schema.components import resolve
from actbench.system import user_code

NAMED = [name for name in ELEMENTWISE if name != "expression"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", [*NAMED, "x * sigmoid(1.702 * x)"])
def test_slopes_are_bit_for_bit_those_of_a_gradient_of_ones(name: str, dtype: torch.dtype) -> None:
    component = resolve("activations", name)
    starts = {key: torch.tensor(start) for key, (_, start) in learned_parameters(component, 1).items()}
    z = (torch.linspace(-6, 6, 3 * 37 * 5, dtype=dtype) ** 3).reshape(3, 37, 5)
    for leaf in (z, z.transpose(1, 2)):
        leaf = leaf.detach().requires_grad_()
        a = function_of(component)(leaf, **starts)
        (expected,) = torch.autograd.grad(a, [leaf], grad_outputs=torch.ones_like(a), retain_graph=True)
        found = user_code.slope(a, leaf)
        assert torch.equal(found.nan_to_num(nan=7.0), expected.nan_to_num(nan=7.0))
        assert found.stride() == expected.stride()


def test_a_step_and_a_constant_branch_have_slope_zero() -> None:
    z = torch.linspace(-1, 1, 5, requires_grad=True)
    constant = torch.ones(5, requires_grad=True)
    for a in ((z.detach() > 0).float(), constant * 2):
        assert torch.equal(user_code.slope(a, z), torch.zeros(5))


def test_a_slope_does_not_make_torch_import_sympy() -> None:
    program = (
        "import sys, torch; from actbench.system.user_code import slope; z = torch.ones(3, requires_grad=True); "
        "slope(z * z, z); assert 'sympy' not in sys.modules"
    )
    done = python("-c", program)
    assert done.returncode == 0, done.stderr
