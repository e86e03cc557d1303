from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, special
from torch.nn import functional

from actbench.nn.activations import ACTIVATIONS, ELEMENTWISE, Activation
from actbench.nn.chosen_activations import function_of, kinks_of, learned_parameters, second_moment
from actbench.nn.gaussian_moment import mean_square_under_gauss
from actbench.schema.components import resolve

Array = np.ndarray[Any, np.dtype[np.float64]]

Z = np.array([-30.0, -7.3, -3.4, -1.7, -0.6, -0.01, 0.02, 0.7, 1.9, 3.6, 8.1, 25.0])
"""Away from every kink; both tails."""

SELU_ALPHA = -math.sqrt(2 / math.pi) / (special.erfc(math.sqrt(0.5)) * math.exp(0.5) - 1)
"""The closed form of Klambauer et al. 2017, equation 14."""
SELU_SCALE = (
    (1 - special.erfc(1 / math.sqrt(2)) * math.sqrt(math.e))
    * math.sqrt(2 * math.pi)
    / math.sqrt(
        2 * special.erfc(math.sqrt(2)) * math.e**2
        + math.pi * special.erfc(1 / math.sqrt(2)) ** 2 * math.e
        - 2 * (2 + math.pi) * special.erfc(1 / math.sqrt(2)) * math.sqrt(math.e)
        + math.pi
        + 2
    )
)


def leaky(slope: float) -> Callable[[Array], Array]:
    return lambda z: np.where(z > 0, z, slope * z)


def exponential_below(alpha: float, scale: float = 1.0, width: float = 1.0) -> Callable[[Array], Array]:
    return lambda z: scale * np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0) / width))


def swish(beta: float) -> Callable[[Array], Array]:
    return lambda z: z * special.expit(beta * z)


def xielu(p: float, n: float, beta: float) -> Callable[[Array], Array]:
    return lambda z: np.where(z > 0, p * z * z, n * (np.expm1(np.minimum(z, 0)) - z)) + beta * z


def pau(*a: float, b: tuple[float, ...]) -> Callable[[Array], Array]:
    return lambda z: np.polyval(a[::-1], z) / (1 + np.abs(np.polyval((*b[::-1], 0), z)))


ORACLES: list[tuple[str | dict[str, Any], Callable[[Array], Array]]] = [
    ("relu", lambda z: np.maximum(z, 0)),
    ("leaky_relu", leaky(0.01)),
    ({"name": "leaky_relu", "negative_slope": 0.2}, leaky(0.2)),
    ("prelu", leaky(0.25)),
    ({"name": "prelu", "slope": 0.1, "learned": False}, leaky(0.1)),
    ("rrelu", leaky((1 / 8 + 1 / 3) / 2)),
    ({"name": "rrelu", "lower": 0.2, "upper": 0.4}, leaky(0.3)),
    ("relu6", lambda z: np.clip(z, 0, 6)),
    ("elu", exponential_below(1)),
    ({"name": "elu", "alpha": 0.2}, exponential_below(0.2)),
    ("selu", exponential_below(SELU_ALPHA, SELU_SCALE)),
    ("celu", exponential_below(1)),
    ({"name": "celu", "alpha": 2.0}, exponential_below(2, width=2)),
    ("gelu", lambda z: z * special.ndtr(z)),
    ("gelu_tanh", lambda z: z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))),
    ("silu", swish(1)),
    ("swish", swish(1)),
    ({"name": "swish", "beta": 2.5}, swish(2.5)),
    ({"name": "swish", "beta": 0.5, "learned": True}, swish(0.5)),
    ("mish", lambda z: z * np.tanh(np.logaddexp(0, z))),
    ("softplus", lambda z: np.logaddexp(0, z)),
    ({"name": "softplus", "beta": 3.0}, lambda z: np.logaddexp(0, 3 * z) / 3),
    ("tanh", np.tanh),
    ("sigmoid", special.expit),
    ("softsign", lambda z: z / (1 + np.abs(z))),
    ("hardtanh", lambda z: np.clip(z, -1, 1)),
    ("hardswish", lambda z: z * np.clip(z + 3, 0, 6) / 6),
    ("hardsigmoid", lambda z: np.clip(z + 3, 0, 6) / 6),
    ("squared_relu", lambda z: np.maximum(z, 0) ** 2),
    ("log_sigmoid", lambda z: -np.logaddexp(0, -z)),
    ("tanhshrink", lambda z: z - np.tanh(z)),
    ("softshrink", lambda z: np.sign(z) * np.maximum(np.abs(z) - 0.5, 0)),
    ({"name": "softshrink", "lambd": 1.0}, lambda z: np.sign(z) * np.maximum(np.abs(z) - 1, 0)),
    ("hardshrink", lambda z: np.where(np.abs(z) > 0.5, z, 0)),
    ({"name": "hardshrink", "lambd": 1.0}, lambda z: np.where(np.abs(z) > 1, z, 0)),
    ("threshold", lambda z: np.where(z > 1, z, 0)),
    ({"name": "threshold", "threshold": -1.0, "value": 3.0}, lambda z: np.where(z > -1, z, 3)),
    ("squareplus", lambda z: (z + np.sqrt(z * z + 4)) / 2),
    ({"name": "squareplus", "b": 0.1}, lambda z: (z + np.sqrt(z * z + 0.1)) / 2),
    ("sparse_plus", lambda z: np.where(z <= -1, 0, np.where(z >= 1, z, (z + 1) ** 2 / 4))),
    ("sparse_sigmoid", lambda z: np.clip((z + 1) / 2, 0, 1)),
    ("quick_gelu", swish(1.702)),
    ("xielu", xielu(0.8, 0.8, 0.5)),
    ({"name": "xielu", "alpha_p": 0.3, "alpha_n": 1.7, "beta": 0.2, "learned": False}, xielu(0.3, 1.7, 0.2)),
    ("golu", lambda z: z * np.exp(-np.exp(-z))),
    ("star_relu", lambda z: 0.8944 * np.maximum(z, 0) ** 2 - 0.4472),
    ({"name": "star_relu", "scale": 2.0, "offset": 0.5, "learned": False}, lambda z: 2 * np.maximum(z, 0) ** 2 + 0.5),
    ("serf", lambda z: z * special.erf(np.logaddexp(0, z))),
    ("telu", lambda z: z * np.tanh(np.exp(z))),
    ("lisht", lambda z: z * np.tanh(z)),
    ("aptx", lambda z: (1 + np.tanh(z)) * z / 2),
    ({"name": "aptx", "alpha": 0.5, "beta": 2.0, "gamma": 0.7}, lambda z: (0.5 + np.tanh(2 * z)) * 0.7 * z),
    ("isrlu", lambda z: np.where(z >= 0, z, z / np.sqrt(1 + z * z))),
    ({"name": "isrlu", "alpha": 3.0}, lambda z: np.where(z >= 0, z, z / np.sqrt(1 + 3 * z * z))),
    ("snake", lambda z: z + np.sin(z) ** 2),
    ({"name": "snake", "alpha": 0.3, "learned": True}, lambda z: z + np.sin(0.3 * z) ** 2 / 0.3),
    ("sine", np.sin),
    ({"name": "sine", "w0": 3.0}, lambda z: np.sin(3 * z)),
    ("elish", lambda z: np.where(z >= 0, z, np.expm1(np.minimum(z, 0))) * special.expit(z)),
    ("logish", lambda z: z * np.log1p(special.expit(z))),
    ("smish", lambda z: z * np.tanh(np.log1p(special.expit(z)))),
    ("pau", pau(0.03356, 0.505, 1.65344, 2.01001, 0.9319, 0.15242, b=(0, 3.98022, 0, 0.30183))),
    (
        {"name": "pau", "a1": -0.3, "b1": 1.2, "b3": -0.9, "learned": False},
        pau(0.03356, -0.3, 1.65344, 2.01001, 0.9319, 0.15242, b=(1.2, 3.98022, -0.9, 0.30183)),
    ),
    ("identity", lambda z: z),
    ("x * sigmoid(1.702 * x)", swish(1.702)),
]
NAMES = [str(choice) for choice, _ in ORACLES]

SLOPES_AT_KINKS = [
    ("relu", {0: 0}),
    ("leaky_relu", {0: 0.01}),
    ("prelu", {0: 0.25}),
    ("rrelu", {0: (1 / 8 + 1 / 3) / 2}),
    ("relu6", {0: 0, 6: 0}),
    ({"name": "elu", "alpha": 0.2}, {0: 0.2}),
    ("selu", {0: SELU_ALPHA * SELU_SCALE}),
    ("hardtanh", {-1: 0, 1: 0}),
    ("hardswish", {-3: 0, 3: 1}),
    ("hardsigmoid", {-3: 0, 3: 0}),
    ("softshrink", {-0.5: 0, 0.5: 0}),
    ("hardshrink", {-0.5: 0, 0.5: 0}),
    ("threshold", {1: 0}),
    ("sparse_sigmoid", {-1: 0, 1: 0}),
]


def ready(choice: str | dict[str, Any]) -> Callable[[torch.Tensor], torch.Tensor]:
    """The chosen function with its learned parameters at their start, as float64 tensors."""
    component = resolve("activations", choice)
    function = function_of(component)
    starts = {
        name: torch.full(shape, start, dtype=torch.float64)
        for name, (shape, start) in learned_parameters(component, 1).items()
    }
    return lambda z: function(z, **starts)


def slope(function: Callable[[torch.Tensor], torch.Tensor], at: Array) -> Array:
    z = torch.tensor(at, requires_grad=True)
    function(z).sum().backward()
    assert z.grad is not None
    return z.grad.numpy()


def test_every_row_has_an_oracle() -> None:
    assert {resolve("activations", choice).name for choice, _ in ORACLES} == set(ELEMENTWISE)


def test_every_row_with_kinks_has_its_slopes_listed() -> None:
    listed = {resolve("activations", choice).name: tuple(slopes) for choice, slopes in SLOPES_AT_KINKS}
    assert listed == {name: row.kinks for name, row in ACTIVATIONS.items() if row.kinks and name in ELEMENTWISE}


@pytest.mark.parametrize("row", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_a_row_says_what_it_is(row: Activation) -> None:
    assert row.formula
    assert row.derivative
    assert row.summary
    assert row.reference or row.name in ("identity", "expression")
    assert set(row.learnable) <= set(row.options)


@pytest.mark.parametrize(("choice", "oracle"), ORACLES, ids=NAMES)
def test_values_equal_the_formula(choice: str | dict[str, Any], oracle: Callable[[Array], Array]) -> None:
    np.testing.assert_allclose(ready(choice)(torch.tensor(Z)).numpy(), oracle(Z), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize(("choice", "oracle"), ORACLES, ids=NAMES)
def test_slopes_equal_central_differences(choice: str | dict[str, Any], oracle: Callable[[Array], Array]) -> None:
    step = 1e-5
    differences = (oracle(Z + step) - oracle(Z - step)) / (2 * step)
    np.testing.assert_allclose(slope(ready(choice), Z), differences, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(("choice", "slopes"), SLOPES_AT_KINKS, ids=str)
def test_the_slope_at_a_kink_is_the_documented_one(choice: str | dict[str, Any], slopes: dict[float, float]) -> None:
    at = np.array(list(slopes), dtype=float)
    np.testing.assert_allclose(slope(ready(choice), at), list(slopes.values()), rtol=1e-12)


@pytest.mark.parametrize("choice", [choice for choice, _ in ORACLES], ids=NAMES)
def test_smooth_rows_have_no_jump_in_slope_on_a_fine_grid(choice: str | dict[str, Any]) -> None:
    component = resolve("activations", choice)
    kinks = np.array(kinks_of(component))
    grid = np.arange(-8.0005, 8, 1e-3)  # never on a kink
    jumps = np.abs(np.diff(slope(ready(choice), grid)))
    middles = (grid[1:] + grid[:-1]) / 2
    near = np.zeros_like(middles, dtype=bool)
    for kink in kinks:
        near |= np.abs(middles - kink) < 1e-3
    assert (jumps[~near] < 0.01).all()


@pytest.mark.parametrize("choice", [choice for choice, _ in ORACLES], ids=NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_activation_is_elementwise_and_leaves_its_argument_alone(
    choice: str | dict[str, Any], dtype: torch.dtype
) -> None:
    function = function_of(resolve("activations", choice))
    starts = {
        name: torch.tensor(start, dtype=dtype)
        for name, (_, start) in learned_parameters(resolve("activations", choice), 1).items()
    }
    z = torch.tensor(Z, dtype=dtype)
    before, order = z.clone(), torch.arange(len(Z)).flip(0)
    value = function(z, **starts)
    assert torch.equal(z, before)
    assert value.dtype == dtype
    torch.testing.assert_close(function(z[order], **starts), value[order], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(function(z.view(2, 3, 2), **starts), value.view(2, 3, 2), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in ELEMENTWISE if name != "expression"])
def test_the_tails_of_a_row_are_those_of_its_slope(name: str) -> None:
    near, far = np.linspace(3.5, 9, 12), np.array([60.0, 61.0, 62.0, 63.0, 1e4])
    found = []
    for side in (-1, 1):
        largest = np.abs(slope(ready(name), side * far)).max()
        fades = largest < 1e-3
        found.append("slope" if not fades else "fading" if np.abs(slope(ready(name), side * near)).any() else "zero")
    expected = ("zero", "zero") if name == "relu6" else tuple(found)  # its bound at 6 lies within what is near
    assert ACTIVATIONS[name].tails == expected


MODULES = [
    ("leaky_relu", torch.nn.LeakyReLU()),
    ("prelu", torch.nn.PReLU()),
    ("rrelu", torch.nn.RReLU().eval()),
    ("relu", torch.nn.ReLU()),
    ("relu6", torch.nn.ReLU6()),
    ("elu", torch.nn.ELU()),
    ("selu", torch.nn.SELU()),
    ("celu", torch.nn.CELU()),
    ("gelu", torch.nn.GELU()),
    ("gelu_tanh", torch.nn.GELU(approximate="tanh")),
    ("silu", torch.nn.SiLU()),
    ("swish", torch.nn.SiLU()),
    ("mish", torch.nn.Mish()),
    ("softplus", torch.nn.Softplus()),
    ("tanh", torch.nn.Tanh()),
    ("sigmoid", torch.nn.Sigmoid()),
    ("softsign", torch.nn.Softsign()),
    ("hardtanh", torch.nn.Hardtanh()),
    ("hardswish", torch.nn.Hardswish()),
    ("hardsigmoid", torch.nn.Hardsigmoid()),
    ("identity", torch.nn.Identity()),
]


@pytest.mark.parametrize(("name", "module"), MODULES, ids=[name for name, _ in MODULES])
def test_defaults_are_those_of_torch(name: str, module: torch.nn.Module) -> None:
    z = torch.tensor(np.concatenate([Z, [-3.0, -1.0, 0.0, 1.0, 3.0, 6.0]]), requires_grad=True)
    twin = z.detach().clone().requires_grad_(True)
    ours, theirs = ready(name)(z), module.double()(twin)
    ours.sum().backward()
    theirs.sum().backward()
    assert torch.equal(ours, theirs)
    assert z.grad is not None
    assert twin.grad is not None
    assert torch.equal(z.grad, twin.grad)


LIMITS: dict[str, tuple[float, float, float, float]] = {
    "log_sigmoid": (-math.inf, 1, 0, 0),
    "tanhshrink": (-math.inf, 1, math.inf, 1),
    "softshrink": (-math.inf, 1, math.inf, 1),
    "hardshrink": (-math.inf, 1, math.inf, 1),
    "threshold": (0, 0, math.inf, 1),
    "squareplus": (0, 0, math.inf, 1),
    "sparse_plus": (0, 0, math.inf, 1),
    "sparse_sigmoid": (0, 0, 1, 0),
    "quick_gelu": (0, 0, math.inf, 1),
    "xielu": (math.inf, -0.3, math.inf, math.inf),
    "golu": (0, 0, math.inf, 1),
    "star_relu": (-0.4472, 0, math.inf, math.inf),
    "serf": (0, 0, math.inf, 1),
    "telu": (0, 0, math.inf, 1),
    "lisht": (math.inf, -1, math.inf, 1),
    "aptx": (0, 0, math.inf, 1),
    "isrlu": (-1, 0, math.inf, 1),
    "snake": (-math.inf, math.nan, math.inf, math.nan),
    "sine": (math.nan, math.nan, math.nan, math.nan),
    "elish": (0, 0, math.inf, 1),
    "logish": (0, 0, math.inf, math.log(2)),
    "smish": (0, 0, math.inf, 0.6),
    "pau": (-math.inf, 0.15242 / 0.30183, math.inf, 0.15242 / 0.30183),
}
"""f and f′ for z → −∞ and z → ∞; NaN where there is no limit."""

FAR_OUT = (50.0, 800.0, 1e5, 1e18)
"""Where each gate has closed, and exp, squares and fifth powers overflow in float32, and in float64 but for squares."""


def with_starts(name: str, dtype: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
    component = resolve("activations", name)
    starts = {key: torch.tensor(start, dtype=dtype) for key, (_, start) in learned_parameters(component, 1).items()}
    return lambda z: function_of(component)(z, **starts)


def value_and_slope(name: str, at: list[float], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    z = torch.tensor(at, dtype=dtype, requires_grad=True)
    value = with_starts(name, dtype)(z)
    (found,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LIMITS)
def test_values_and_slopes_at_infinity_are_the_limits(name: str, dtype: torch.dtype) -> None:
    value, found = value_and_slope(name, [-math.inf, math.inf], dtype)
    expected = torch.tensor(LIMITS[name], dtype=dtype)
    torch.testing.assert_close(value, expected[::2], equal_nan=True, rtol=1e-6, atol=1e-30)
    torch.testing.assert_close(found, expected[1::2], equal_nan=True, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LIMITS)
def test_nan_stays_and_zeros_and_subnormal_numbers_are_next_to_each_other(name: str, dtype: torch.dtype) -> None:
    tiny = torch.finfo(dtype).tiny / 4
    value, found = value_and_slope(name, [0.0, -0.0, tiny, -tiny, math.nan], dtype)
    assert value[4].isnan()
    assert value[:4].isfinite().all()
    assert ((value[:4] - value[0]).abs() <= 4 * tiny).all()
    assert (found[:4] == found[0]).all() or float((found[:4] - found[0]).abs().max()) <= 4 * tiny


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LIMITS)
def test_nothing_overflows_far_out_but_squares_that_do(name: str, dtype: torch.dtype) -> None:
    value, found = value_and_slope(name, [side * one for one in FAR_OUT for side in (-1.0, 1.0)], dtype)
    assert value.isfinite().all()
    assert found.isfinite().all()
    for side, limit in zip((found[::2], found[1::2]), LIMITS[name][1::2], strict=True):
        if math.isfinite(limit):
            assert side.tolist() == pytest.approx([limit] * len(FAR_OUT), abs=2e-3)


def test_every_row_that_torch_lacks_has_its_limits_listed() -> None:
    older = {"prelu", "rrelu", "gelu_tanh", "swish", "squared_relu", "identity", "expression"}
    ours = {name for name in ELEMENTWISE if ACTIVATIONS[name].function.startswith("actbench")}
    assert ours - older <= set(LIMITS)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("log_sigmoid", 0.921246),
        ("tanhshrink", 0.182883),
        ("softshrink", 0.419279),
        # 2·(0.5·φ(0.5) + Φ(−0.5)): a quadrature that is not split at the jump gives 0.969136
        ("hardshrink", 0.969140),
        ("squareplus", 1.500000),
        ("sparse_plus", 0.524844),
        ("quick_gelu", 0.421953),
        ("xielu", 1.7355),
        ("golu", 0.3196),
        ("star_relu", 0.9999),
        ("serf", 0.5014),
        ("telu", 0.5291),
        ("lisht", 0.7579),
        ("aptx", 0.4395),
        ("isrlu", 0.6722),
        ("snake", 1.3074),
        ("elish", 0.3431),
        ("logish", 0.1945),
        ("smish", 0.1584),
    ],
)
def test_second_moments_are_those_of_an_independent_analysis(name: str, known: float) -> None:
    digits = 6 if known in (0.969140, 1.5) else len(str(known).partition(".")[2])
    assert round(second_moment(resolve("activations", name)), digits) == known


def test_the_second_moment_of_hardshrink_is_its_closed_form_wherever_it_jumps() -> None:
    for at in (0.5, 0.1234567, 1.7):
        known = 2 * (at * math.exp(-at * at / 2) / math.sqrt(2 * math.pi) + special.ndtr(-at))
        assert second_moment(resolve("activations", {"name": "hardshrink", "lambd": at})) == pytest.approx(known)


def test_xielu_trains_the_numbers_before_its_softplus() -> None:
    component = resolve("activations", {"name": "xielu", "alpha_p": 1.5, "alpha_n": 0.9, "beta": 0.4})
    starts = {name: torch.tensor(start).double() for name, (_, start) in learned_parameters(component, 1).items()}
    assert functional.softplus(starts["alpha_p"]).item() == pytest.approx(1.5, rel=1e-6)
    assert 0.4 + functional.softplus(starts["alpha_n"]).item() == pytest.approx(0.9, rel=1e-6)
    z = torch.linspace(-3, 3, 7, dtype=torch.float64)
    fixed = function_of(resolve("activations", {**component.to_json(), "learned": False}))(z)
    torch.testing.assert_close(function_of(component)(z, **starts), fixed, rtol=1e-6, atol=1e-6)


def test_star_relu_has_mean_zero_and_variance_one() -> None:
    mean = 0.8944 / 2 - 0.4472
    assert mean == pytest.approx(0, abs=1e-12)
    assert second_moment(resolve("activations", "star_relu")) - mean**2 == pytest.approx(1, abs=1e-4)


def test_pau_starts_close_to_leaky_relu_where_it_was_fitted() -> None:
    z = torch.linspace(-3, 3, 6001, dtype=torch.float64)
    away = (ready("pau")(z) - functional.leaky_relu(z, 0.01)).abs()
    assert 0.033 < away.max() < 0.034


def test_pau_has_kinks_where_the_sum_in_its_denominator_changes_its_sign() -> None:
    component = resolve("activations", {"name": "pau", "b1": 1.2, "b3": -0.9})
    kinks = kinks_of(component)
    assert kinks == pytest.approx((-0.281833, 0.0), abs=1e-6)
    assert kinks_of(resolve("activations", "pau")) == ()


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")  # torch's, of its own jvp
@pytest.mark.parametrize("name", ["golu", "telu", "squareplus", "smish", "isrlu", "aptx"])
def test_a_closed_slope_may_be_differentiated_again_and_mapped(name: str) -> None:
    z = torch.linspace(-3, 3, 8, dtype=torch.float64, requires_grad=True)
    function = with_starts(name, torch.float64)
    assert torch.autograd.gradcheck(function, (z,))
    assert torch.autograd.gradgradcheck(function, (z,))
    tangent = torch.ones_like(z)
    _, forward = torch.func.jvp(function, (z.detach(),), (tangent,))
    backward = torch.func.vmap(torch.func.grad(function))(z.detach())
    torch.testing.assert_close(forward, backward)


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [
        ("gelu", -0.7518, -0.16997),
        ("silu", -1.2785, -0.27846),
        ("mish", -1.1924, -0.30884),
        ("golu", -0.5671, -0.09726),
        ("quick_gelu", -0.7512, -0.16361),
    ],
)
def test_minima_lie_where_the_papers_say(name: str, at: float, value: float) -> None:
    function = ready(name)
    found = optimize.minimize_scalar(
        lambda z: function(torch.tensor(z, dtype=torch.float64)).item(), bounds=(-3, 0), options={"xatol": 1e-9}
    )
    assert found.x == pytest.approx(at, abs=1e-4)
    assert found.fun == pytest.approx(value, abs=1e-5)


def test_selu_keeps_mean_zero_and_variance_one() -> None:
    assert second_moment(resolve("activations", "selu")) == pytest.approx(1, abs=1e-12)
    mean = integrate.quad(
        lambda z: ready("selu")(torch.tensor(z, dtype=torch.float64)).item() * math.exp(-z * z / 2), -9, 9, points=[0]
    )[0]
    assert mean == pytest.approx(0, abs=1e-7)


def moment_of(oracle: Callable[[Array], Array]) -> float:
    """Adaptive quadrature of the numpy formula, split where any row has a kink."""

    def integrand(z: float) -> float:
        return float(oracle(np.array(z)) ** 2 * math.exp(-z * z / 2) / math.sqrt(2 * math.pi))

    edges = [-12, -6, -3, -1, 0, 1, 3, 6, 12]
    return sum(integrate.quad(integrand, low, high, epsabs=1e-11)[0] for low, high in itertools.pairwise(edges))


@pytest.mark.parametrize(
    ("choice", "oracle"),
    [pair for pair in ORACLES if resolve("activations", pair[0]).name != "rrelu"],
    ids=[name for name in NAMES if "rrelu" not in name],
)
def test_second_moments_equal_adaptive_quadrature(choice: Any, oracle: Callable[[Array], Array]) -> None:
    assert second_moment(resolve("activations", choice)) == pytest.approx(moment_of(oracle), abs=1e-8)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("relu", 0.5),
        ("gelu", 0.425),
        ("silu", 0.3557),
        ("mish", 0.452),
        ("elu", 0.645),
        ("tanh", 0.394),
        ("sigmoid", 0.293),
    ],
)
def test_second_moments_are_the_published_ones(name: str, known: float) -> None:
    assert second_moment(resolve("activations", name)) == pytest.approx(known, abs=5e-4)


def test_a_random_slope_counts_with_its_mean_square() -> None:
    low, high = 1 / 8, 1 / 3
    known = 0.5 + 0.5 * (low * low + low * high + high * high) / 3
    assert second_moment(resolve("activations", "rrelu")) == pytest.approx(known, abs=1e-12)


def test_an_unannounced_kink_between_the_panels_costs_less_than_1e_8() -> None:
    at = 0.1234567
    found = mean_square_under_gauss(lambda z: torch.relu(z - at), (), noisy=False)
    known = (1 + at * at) * special.ndtr(-at) - at * math.exp(-at * at / 2) / math.sqrt(2 * math.pi)
    assert found == pytest.approx(known, abs=1e-8)
