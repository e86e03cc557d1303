from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actbench.errors import ConfigError
from actbench.schema import components
from actbench.schema.formulas import FUNCTIONS, MAX_LENGTH, check_expression, compile_expression

X = np.array([-2.5, -1.0, -0.3, 0.4, 1.0, 3.5])
POSITIVE = np.abs(X)

FORMULAS = {
    "x": X,
    "+x": X,
    "-x": -X,
    "--x": X,
    "2*x + 1": 2 * X + 1,
    "1 - x / 4": 1 - X / 4,
    "x**2 - x**3": X**2 - X**3,
    "-x**2": -(X**2),
    "x**-2": X**-2.0,
    "abs(x)**0.5": np.sqrt(POSITIVE),
    "pi * x + e": math.pi * X + math.e,
    "x * 2**2": 4 * X,
    "x * -3": -3 * X,
    "x * sigmoid(1.702 * x)": X / (1 + np.exp(-1.702 * X)),
    "0.5*x*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3)))": 0.5
    * X
    * (1 + np.tanh(np.sqrt(2 / np.pi) * (X + 0.044715 * X**3))),
    "exp(-x*x)": np.exp(-X * X),
    "expm1(x)": np.expm1(X),
    "log(x*x)": np.log(X * X),
    "log1p(abs(x))": np.log1p(POSITIVE),
    "sqrt(abs(x))": np.sqrt(POSITIVE),
    "sign(x)": np.sign(X),
    "sin(x) + cos(x)": np.sin(X) + np.cos(X),
    "atan(x)": np.arctan(X),
    "erf(x)": np.array([math.erf(x) for x in X]),
    "relu(x)": np.maximum(X, 0),
    "softplus(x)": np.log1p(np.exp(X)),
    "minimum(x, 1)": np.minimum(X, 1),
    "maximum(0, x)": np.maximum(X, 0),
    "min(max(x, -1), 1)": np.clip(X, -1, 1),
    "clamp(x, -1, pi)": np.clip(X, -1, np.pi),
    "where(x > 0, x, 0.1 * x)": np.where(X > 0, X, 0.1 * X),
    "where(x <= 1, -1, 1)": np.where(X <= 1, -1.0, 1.0),
    "where(2 > 1, x, 0)": X,
    "where(x*x >= 1, where(x < 0, -1, 1), x)": np.clip(X, -1, 1),
}


@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_formula_equals_numpy(text: str, dtype: torch.dtype) -> None:
    x = torch.tensor(X, dtype=dtype).reshape(2, 3)
    result = compile_expression(text)(x)
    assert result.shape == x.shape
    assert result.dtype == dtype
    torch.testing.assert_close(result, torch.tensor(FORMULAS[text], dtype=dtype).reshape(2, 3))


def test_every_function_occurs_in_the_formulas_above() -> None:
    assert all(any(f"{name}(" in text for text in FORMULAS) for name in FUNCTIONS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("3", "does not depend on x"),
        ("sin(pi)", "does not depend on x"),
        ("x + y", "unknown name 'y'"),
        ("X", "unknown name 'X'"),
        ("sigmoit(x)", "did you mean 'sigmoid'"),
        ("sigmoid", "needs its argument: sigmoid(x)"),
        ("exp(sin)", "needs its argument"),
        ("x ^ 2", "written **"),
        ("x ** x", "exponent"),
        ("x ** (1 + 1)", "exponent"),
        ("9**9**9 * x", "exponent"),
        ("x ** 17", "exponent"),
        ("x ** 1e999", "exponent"),
        ("x ** True", "exponent"),
        ("1e31 * x", "larger than 1e+30"),
        ("1e999 * x", "larger than 1e+30"),
        ("0x" + "f" * 290 + "*x", "larger than 1e+30"),
        ("1j * x", "not a number"),
        ("'a' * x", "not a number"),
        ("True * x", "not a number"),
        ("x > 0", "only as the first argument of where"),
        ("relu(x > 0)", "only as the first argument of where"),
        ("where(x, x, 0)", "one comparison"),
        ("where(0 < x < 1, x, 0)", "one comparison"),
        ("where(x == 0, x, 0)", "one comparison"),
        ("where(x > 0 and x < 1, x, 0)", "one comparison"),
        ("where(x > 0, x)", "takes 3 arguments, not 2"),
        ("exp(x, x)", "takes 1 argument, not 2"),
        ("exp()", "takes 1 argument, not 0"),
        ("clamp(x, min=0, max=1)", "plain arguments"),
        ("exp(*x)", "plain arguments"),
        ("torch.nn.ReLU()", "'torch.nn.ReLU' is called relu here"),
        ("nn.LeakyReLU(0.1)", "'nn.LeakyReLU' is called leaky_relu here"),
        ("F.relu", "'F.relu' is called relu here"),
        ("relu()", "'relu()' is called relu here, without brackets"),
        ("elu(0.2)", "write elu, or elu(alpha=…)"),
        ("ln(x)", "write log(x)"),
        ("lambda x: x * x", "without 'lambda': x * x"),
        ("parts:cut", "a function of your own is written {name: cut, path: parts:cut}"),
        ("f(x) = x", "the right side alone"),
        ("1.702x", "a product is written with *: 1.702 * x"),
        ("2(x + 1)", "a product is written with *: 2 * (…)"),
        ("x − 1", "'−' is not a sign of formulas: write -"),
        ("relu gelu", "not a formula: invalid syntax at character"),
        ("exp(**x)", "plain arguments"),
        ("x.real", "not allowed"),
        ("x.__class__", "not allowed"),
        ("x.exp()", "'x.exp' is called exp in a formula: exp(x)"),
        ("torch.exp(x)", "'torch.exp' is called exp in a formula: exp(x)"),
        ("__import__('os').system('true')", "unknown function"),
        ("exp(x)(x)", "unknown function"),
        ("(lambda y: y)(x)", "unknown function"),
        ("[x]", "not allowed"),
        ("x[0]", "not allowed"),
        ("x if 1 else 2", "a choice is written where(x > 0, a, b)"),
        ("(y := x)", "not allowed"),
        ("f'{x}'", "not allowed"),
        ("x // 2", "not allowed"),
        ("x % 2", "not allowed"),
        ("~x", "not allowed"),
        ("not x", "not allowed"),
        ("x, x", "not allowed"),
        ("x; x", "not a formula"),
        ("import os", "not a formula"),
        ("x +", "not a formula"),
        ("(x", "not a formula"),
        ("x\0", "the character '\\x00'"),
        ("(\n  x\n)", "the character '\\n'"),
        ("x\n", "on one line"),
        ("x #any te\nxt", "on one line"),
        ("x\t+ 1", "the character '\\t'"),
        ("x\u202e", "the character '\\u202e'"),
        ("x # twice", "no comment"),
        ("x" + " " * MAX_LENGTH + "+ x", "characters"),
        ("(" * 140 + "x" + ")" * 140, ""),
        ("-" * 200 + "x", "nested"),
        ("~" * 299 + "x", "nested"),
        ("x" + ".a" * 149, "nested"),
        ("x" + "(x)" * 99, "nested"),
        ("+".join("x" * 100), "nested"),
        ("exp(" * 59 + "x" + ")" * 59, "nested"),
    ],
)
def test_what_is_no_formula_is_refused_with_a_reason(text: str, reason: str) -> None:
    if not reason:  # brackets leave no trace in the tree
        check_expression(text)
        return
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is compared below
        check_expression(text)
    assert reason in str(caught.value)
    assert not isinstance(caught.value, SyntaxError)


@given(st.text(alphabet="x()+-*/.,<>=0159 \ne_[]{}:'\"\\sinexpwhremax", max_size=60))
def test_any_text_is_accepted_and_computed_or_refused_with_a_value_error(text: str) -> None:
    try:
        check_expression(text)
    except ValueError:
        return
    x = torch.tensor([[0.5, -1.0]])
    result = compile_expression(text)(x)
    assert result.shape == x.shape
    assert result.dtype == x.dtype


def test_numbers_among_themselves_overflow_as_tensors_do() -> None:
    x = torch.tensor([1.0, 2.0])
    assert torch.equal(compile_expression("x + 1/0")(x), torch.tensor([math.inf, math.inf]))
    assert compile_expression("x * (-8)**0.5")(x).isnan().all()


def test_gradients_flow_through_a_formula() -> None:
    x = torch.tensor([-2.0, 3.0], dtype=torch.float64, requires_grad=True)
    compile_expression("where(x > 0, x**2, 0.5 * x)")(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.5, 6.0]


def test_a_bad_formula_in_a_config_is_a_problem_of_that_component() -> None:
    with pytest.raises(ConfigError) as caught:
        components.resolve("activations", "x * sigmoit(x)")
    [problem] = caught.value.problems
    assert problem.path == ("formula",)
    assert "did you mean 'sigmoid'" in problem.message


def test_a_formula_is_its_own_label() -> None:
    assert components.resolve("activations", "x * tanh(x)").label == "x * tanh(x)"


def test_checking_needs_no_torch() -> None:
    code = (
        "import sys; from actbench.schema.components import resolve; "
        "import actbench.nn.initializers, actbench.nn.optimizers, actbench.nn.schedules; "
        "resolve('activations', 'x * sigmoid(x)'); resolve('activations', 'prelu'); "
        "sys.exit(bool({'torch', 'numpy', 'scipy'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
