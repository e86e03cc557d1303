from __future__ import annotations

import math
import sys
import types
from typing import Any

import pytest
import torch

from actbench.errors import ConfigError, UsageError
from actbench.nn.activation_options import PReluOptions
from actbench.nn.activations import ACTIVATIONS, Activation
from actbench.nn.chosen_activations import (
    check_slope,
    function_of,
    learned_parameters,
    overflow,
    row_of,
    second_moment,
)
from actbench.schema.components import Component, resolve


def test_a_learned_slope_has_the_gradient_of_torch() -> None:
    z = torch.linspace(-3, 4, 12, dtype=torch.float64).reshape(2, 6)
    module = torch.nn.PReLU(num_parameters=6, dtype=torch.float64)
    module(z).sum().backward()
    learned = torch.full((6,), 0.25, dtype=torch.float64, requires_grad=True)
    function_of(resolve("activations", {"name": "prelu", "per": "unit"}))(z, slope=learned).sum().backward()
    assert learned.grad is not None
    torch.testing.assert_close(learned.grad, module.weight.grad)


def test_each_run_has_its_own_learned_parameter() -> None:
    z = torch.tensor([[[-1.0, 2.0]], [[-1.0, 2.0]]])  # (R, B, U)
    slopes = torch.tensor([0.1, 0.5]).view(2, 1, 1)
    assert function_of(resolve("activations", "prelu"))(z, slope=slopes).tolist() == [
        [[pytest.approx(-0.1), 2.0]],
        [[-0.5, 2.0]],
    ]
    betas = torch.tensor([1.0, 2.0]).view(2, 1, 1)
    learned = function_of(resolve("activations", {"name": "swish", "learned": True}))(z, beta=betas)
    torch.testing.assert_close(learned[0], torch.nn.functional.silu(z[0]))
    torch.testing.assert_close(learned[1], z[1] * torch.sigmoid(2 * z[1]))


def test_noise_decides_the_random_slope() -> None:
    function = function_of(resolve("activations", {"name": "rrelu", "lower": 0.2, "upper": 0.6}))
    z = torch.tensor([-1.0, -1.0, -1.0, 5.0])
    torch.testing.assert_close(
        function(z, noise=torch.tensor([0.0, 0.5, 0.75, 0.75])), torch.tensor([-0.2, -0.4, -0.5, 5.0])
    )


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("relu", {}),
        ("prelu", {"slope": ((), 0.25)}),
        ({"name": "prelu", "slope": 0.1, "per": "unit"}, {"slope": ((7,), 0.1)}),
        ({"name": "prelu", "learned": False}, {}),
        ("swish", {}),
        ({"name": "swish", "learned": True, "beta": 2.0}, {"beta": ((), 2.0)}),
        ("x * 2", {}),
    ],
)
def test_learned_parameters_have_shape_and_start(choice: Any, expected: dict[str, Any]) -> None:
    assert learned_parameters(resolve("activations", choice), 7) == expected


def test_rows_tell_which_options_are_trained_by_default() -> None:
    assert {name: row.learned for name, row in ACTIVATIONS.items() if row.learnable} == {
        "prelu": ("slope",),
        "swish": (),
        "xielu": ("alpha_p", "alpha_n"),
        "star_relu": ("scale", "offset"),
        "snake": (),
        "pau": ("a0", "a1", "a2", "a3", "a4", "a5", "b1", "b2", "b3", "b4"),
    }


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"name": "elu", "alpha": 0}, "'alpha' should be greater than 0"),
        ({"name": "elu", "alpha": -1.0}, "'alpha' should be greater than 0"),
        ({"name": "celu", "alpha": 0}, "'alpha' should be greater than 0"),
        ({"name": "softplus", "beta": 0}, "'beta' should be greater than 0"),
        ({"name": "leaky_relu", "negative_slope": math.nan}, "finite number"),
        ({"name": "softshrink", "lambd": -0.1}, "'lambd' should be greater than or equal to 0"),
        ({"name": "softshrink", "lambda": 0.1}, "unknown key 'lambda' — did you mean 'lambd'"),
        ({"name": "xielu", "alpha_n": 0.5}, "'alpha_n' (0.5) should be above 'beta' (0.5)"),
        ({"name": "isrlu", "alpha": 0.0}, "'alpha' should be greater than 0"),
        ({"name": "leaky_relu", "slope": 0.1}, "unknown key 'slope'"),
        ({"name": "rrelu", "lower": 0.5}, "'lower' (0.5) should be at most 'upper' (0.333333)"),
        ({"name": "prelu", "per": "channel"}, "'layer' or 'unit'"),
        ({"name": "prelu", "learned": 1}, "true or false"),
        ({"name": "relu", "alpha": 1}, "no options"),
        ({"name": "expression"}, "'formula' is required"),
        ("reluu", "did you mean 'relu'"),
        ("x", "unknown activation 'x' — as a formula it is written {name: expression, formula: x}"),
        ("-x", "as a formula it is written {name: expression, formula: -x}"),
        ("1-x", "as a formula it is written {name: expression, formula: 1-x}"),
        ("y", "unknown activation 'y' — choose from"),
        ("e", "unknown activation 'e' — choose from"),
    ],
)
def test_options_out_of_bounds_are_refused(choice: Any, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("activations", choice)
    assert reason in caught.value.problems[0].message


@pytest.fixture
def users_module(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("users_activations")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def users(**options: Any) -> Component:
    return resolve("activations", {"name": "mine", "path": "users_activations:f", **options})


def test_a_users_function_gets_its_options(users_module: types.ModuleType) -> None:
    users_module.f = lambda z, scale=1.0: scale * torch.tanh(z)  # type: ignore[attr-defined]
    assert function_of(users(scale=2.0))(torch.tensor([0.5])).item() == pytest.approx(2 * math.tanh(0.5))
    assert learned_parameters(users(), 3) == {}
    assert not row_of(users()).random
    assert second_moment(users(scale=2.0)) == pytest.approx(4 * 0.39429449)


def test_an_option_called_per_or_learned_reaches_a_function_that_learns_nothing(users_module: types.ModuleType) -> None:
    def scaled(z: torch.Tensor, per: float = 1.0, learned: float = 0.0) -> torch.Tensor:
        return z / per + learned

    users_module.f = scaled  # type: ignore[attr-defined]
    assert function_of(users(per=4.0, learned=2.0))(torch.tensor([8.0])).item() == 4


def test_a_users_row_may_learn(users_module: types.ModuleType) -> None:
    users_module.f = Activation(  # type: ignore[attr-defined]
        "mine", "actbench.nn.functions:prelu", "z", "1", schema=PReluOptions, learnable=("slope",)
    )
    component = users(slope=0.5, per="unit")
    assert learned_parameters(component, 3) == {"slope": ((3,), 0.5)}
    assert function_of(component)(torch.tensor([-2.0]), slope=torch.tensor([0.5])).item() == -1
    with pytest.raises(UsageError, match=r"users_activations:f.*unknown key 'slop' — did you mean 'slope'"):
        function_of(users(slop=0.5))


def drop_last(z: torch.Tensor) -> torch.Tensor:
    return z[..., :-1]


def test_what_is_no_activation_is_refused_by_its_path(users_module: types.ModuleType) -> None:
    wrong: list[tuple[Any, str]] = [
        (3, "is of type int; expected a function, an nn.Module or an Activation"),
        (lambda z: 1.0, "returned float"),
        (drop_last, "keeps shape and type"),
        (lambda z: z.double(), "keeps shape and type"),
        (lambda z: z > 0, "keeps shape and type"),
        (lambda z: z * torch.tensor([1.0], dtype=torch.float64), "keeps shape and type"),
        (lambda z: torch.softmax(z, -1), "not elementwise"),
        (lambda z: z - z.mean(), "not elementwise"),
        (lambda z: z + torch.rand(z.shape, dtype=z.dtype), "not elementwise"),
        (lambda z: z.relu_(), "in place"),
        (lambda z: z.no_such_method(), "failed on a small tensor: AttributeError"),
    ]
    for attribute, reason in wrong:
        users_module.f = attribute  # type: ignore[attr-defined]
        with pytest.raises(UsageError, match=reason) as caught:
            function_of(users())
        assert "users_activations:f" in str(caught.value)


def test_a_learnable_row_needs_the_switch() -> None:
    with pytest.raises(ValueError, match="lack one of: learned, per, slope"):
        Activation("mine", "m:f", "z", "1", learnable=("slope",))


@pytest.mark.parametrize("name", sorted(ACTIVATIONS.keys() - {"expression"}))
def test_no_built_in_activation_cuts_the_gradient_off_or_overflows(name: str) -> None:
    component = resolve("activations", name)
    check_slope(component)
    assert overflow(component) is None


def test_a_function_that_cuts_the_gradient_off_is_refused_with_its_path(users_module: types.ModuleType) -> None:
    users_module.cut = lambda z: torch.relu(z.detach())
    users_module.partly = lambda z: torch.relu(z) + z.detach()
    users_module.step = lambda z: (z > 0).to(z.dtype)
    path = users_module.__name__
    check_slope(resolve("activations", {"name": "mine", "path": f"{path}:partly"}))
    for name in ("cut", "step"):
        with pytest.raises(UsageError, match=f"no gradient reaches z through '{path}:{name}'"):
            check_slope(resolve("activations", {"name": "mine", "path": f"{path}:{name}"}))


def test_a_function_without_gradient_is_refused_by_the_mode_that_it_computes_in(users_module: types.ModuleType) -> None:
    def inferred(z: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            a = torch.relu(z)
        return a.clone()

    users_module.inferred = inferred
    users_module.not_recorded = torch.no_grad()(torch.relu)
    path = users_module.__name__
    for name, mode in (("inferred", "inference_mode"), ("not_recorded", "no_grad")):
        with pytest.raises(UsageError, match=rf"could learn: it computes under torch\.{mode}\(\)$"):
            check_slope(resolve("activations", {"name": "mine", "path": f"{path}:{name}"}))


@pytest.mark.parametrize(
    ("formula", "at"),
    [
        ("x * tanh(log(1 + exp(x)))", 91.2),  # exp overflows float32 above 88.7; the grid's next point
        ("x**16", 275.4),  # 256^16 = 2^128
        ("exp(-x)", -91.2),
        ("sqrt(abs(x))", 0.0),  # f' is not finite at 0
        ("x * sigmoid(x)", None),
        ("sign(x)", None),
    ],
)
def test_the_place_where_a_formula_overflows_is_found(formula: str, at: float | None) -> None:
    assert overflow(resolve("activations", formula)) == at


def test_a_function_that_overflows_in_float32_alone_is_not_said_to_in_float64() -> None:
    component = resolve("activations", "x * 1e30 * 1e9")
    assert (overflow(component), overflow(component, "float64")) == (0.0, None)  # its slope is 1e39 everywhere


def test_a_users_function_is_tried_on_tensors_shaped_as_in_a_layer(users_module: types.ModuleType) -> None:
    def shaped(z: torch.Tensor) -> torch.Tensor:
        assert z.shape[1], "a dimension of examples"
        return torch.relu(z)

    users_module.shaped = shaped
    component = resolve("activations", {"name": "mine", "path": f"{users_module.__name__}:shaped"})
    check_slope(component)
    assert overflow(component) is None
