from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from actbench.errors import ConfigError, UsageError
from actbench.nn.initializers import WEIGHT_INITS, Initializer
from actbench.schema.components import resolve
from actbench.schema.spec import RunSpec

DENSE, KERNEL = (60, 200), (24, 16, 3, 5)  # (out, in), (out, in, height, width)
FANS = {DENSE: (200, 60), KERNEL: (16 * 15, 24 * 15)}
RELU_MOMENT = 0.5

VARIANCES = {
    "he_normal": lambda fan_in, fan_out: 2 / fan_in,
    "he_uniform": lambda fan_in, fan_out: 2 / fan_in,
    "lecun_normal": lambda fan_in, fan_out: 1 / fan_in,
    "lecun_uniform": lambda fan_in, fan_out: 1 / fan_in,
    "xavier_normal": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "xavier_uniform": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "pytorch": lambda fan_in, fan_out: 1 / (3 * fan_in),
    "matched": lambda fan_in, fan_out: 1 / (fan_in * RELU_MOMENT),
}
NORMAL = ("he_normal", "lecun_normal", "xavier_normal", "matched")


def initializer(dtype: torch.dtype = torch.float64, **fields: Any) -> Initializer:
    return Initializer(RunSpec.model_validate(fields), dtype)


def drawn(one: Initializer) -> list[torch.Tensor]:
    return [tensor for name in ("first", "second") for tensor in one.layer(name, DENSE).values()]


@pytest.mark.parametrize("bias", [0.0, -0.0, 0.01, "pytorch", None])
@pytest.mark.parametrize("scheme", WEIGHT_INITS)
def test_runs_that_are_said_to_draw_alike_draw_the_same_numbers(scheme: str, bias: float | str | None) -> None:
    fields = {"weight_init": scheme, "bias_init": bias, "seed": 3}
    one, other = (initializer(activation=name, **fields) for name in ("relu", "tanh"))
    assert (one.drawn_alike == other.drawn_alike) == (scheme != "matched")
    if one.drawn_alike == other.drawn_alike:
        for ours, theirs in zip(drawn(one), drawn(other), strict=True):
            assert ours.numpy().tobytes() == theirs.numpy().tobytes()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"bias_init": -0.0},
        {"bias_init": None},
        {"weight_init": "he_uniform"},
        {"weight_init": {"name": "orthogonal", "gain": 2.0}},
    ],
    ids=str,
)
def test_runs_that_draw_other_numbers_are_not_said_to_draw_alike(change: dict[str, Any]) -> None:
    base = {"weight_init": "orthogonal", "bias_init": 0.0, "seed": 3}
    one, other = initializer(**base), initializer(**(base | change))
    assert one.drawn_alike != other.drawn_alike
    assert one.drawn_alike != initializer(torch.float32, **base).drawn_alike


def test_every_scheme_has_a_variance_here() -> None:
    assert set(WEIGHT_INITS) == {*VARIANCES, "orthogonal"}


@pytest.mark.parametrize("shape", [DENSE, KERNEL])
@pytest.mark.parametrize("name", VARIANCES)
def test_weights_have_the_distribution_they_claim(name: str, shape: tuple[int, ...]) -> None:
    variance = VARIANCES[name](*FANS[shape])
    weights = initializer(weight_init=name).weight(shape).flatten().numpy()
    bound = math.sqrt(3 * variance)
    claimed = stats.norm(scale=math.sqrt(variance)) if name in NORMAL else stats.uniform(-bound, 2 * bound)
    assert stats.kstest(weights, claimed.cdf).pvalue > 1e-3
    assert name in NORMAL or np.abs(weights).max() <= bound


TORCHS_OWN = {
    "he_normal": lambda w, g: torch.nn.init.kaiming_normal_(w, nonlinearity="relu", generator=g),
    "xavier_normal": lambda w, g: torch.nn.init.xavier_normal_(w, generator=g),
    "lecun_normal": lambda w, g: torch.nn.init.kaiming_normal_(w, nonlinearity="linear", generator=g),
    "he_uniform": lambda w, g: torch.nn.init.kaiming_uniform_(w, nonlinearity="relu", generator=g),
    "xavier_uniform": lambda w, g: torch.nn.init.xavier_uniform_(w, generator=g),
    "lecun_uniform": lambda w, g: torch.nn.init.kaiming_uniform_(w, nonlinearity="linear", generator=g),
    "pytorch": lambda w, g: torch.nn.init.kaiming_uniform_(w, a=math.sqrt(5), generator=g),
}


@pytest.mark.parametrize("shape", [DENSE, KERNEL])
@pytest.mark.parametrize("name", TORCHS_OWN)
def test_draws_equal_those_of_torch_from_the_same_stream(name: str, shape: tuple[int, ...]) -> None:
    from actbench.nn.rng import stream

    theirs = TORCHS_OWN[name](torch.empty(shape, dtype=torch.float64), stream(3, "init.weight"))
    torch.testing.assert_close(initializer(weight_init=name, seed=3).weight(shape), theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape", [DENSE, (200, 60), KERNEL])
@pytest.mark.parametrize("gain", [1.0, 1.5])
def test_orthogonal_weights_have_equal_singular_values(shape: tuple[int, ...], gain: float) -> None:
    weights = initializer(weight_init={"name": "orthogonal", "gain": gain}).weight(shape)
    torch.testing.assert_close(
        torch.linalg.svdvals(weights.flatten(1)),
        torch.full((min(shape[0], 10**6),), gain, dtype=torch.float64)[: min(weights.flatten(1).shape)],
    )


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(NORMAL, 2)))
def test_schemes_of_one_seed_share_their_normals(one: str, other: str) -> None:
    first, second = (initializer(weight_init=name, seed=5).weight(DENSE) for name in (one, other))
    ratio = first / second
    torch.testing.assert_close(ratio, torch.full_like(ratio, float(ratio[0, 0])))


@pytest.mark.parametrize("bias_init", [None, 0.5, "pytorch"])
@pytest.mark.parametrize("activation", ["relu", "prelu", "rrelu"])
def test_neither_biases_nor_the_activation_shift_the_weights(bias_init: Any, activation: str) -> None:
    plain = initializer(seed=2)
    other = initializer(seed=2, bias_init=bias_init, activation=activation)
    for shape in (DENSE, KERNEL, DENSE):
        other.bias(shape)
        assert torch.equal(plain.weight(shape), other.weight(shape))


@pytest.mark.parametrize("name", WEIGHT_INITS)
def test_precision_only_rounds_the_draws(name: str) -> None:
    single = initializer(torch.float32, weight_init=name, bias_init="pytorch")
    double = initializer(torch.float64, weight_init=name, bias_init="pytorch")
    for shape in (DENSE, (3, 2), KERNEL):
        assert torch.equal(single.weight(shape), double.weight(shape).float())
        assert torch.equal(single.layer("x", shape)["x.bias"], double.layer("x", shape)["x.bias"].float())


@pytest.mark.parametrize("name", WEIGHT_INITS)
def test_seeds_and_layers_differ_and_repeat(name: str) -> None:
    first, again, other = (initializer(weight_init=name, seed=seed) for seed in (0, 0, 1))
    layers = [first.weight(DENSE), first.weight(DENSE)]
    assert not torch.equal(*layers)
    assert all(torch.equal(layer, again.weight(DENSE)) for layer in layers)
    assert not torch.equal(layers[0], other.weight(DENSE))


@pytest.mark.parametrize(
    "activation", ["relu", "gelu", "tanh", "x * sigmoid(1.702 * x)", {"name": "elu", "alpha": 0.2}]
)
def test_matched_weights_keep_the_second_moment(activation: Any) -> None:
    from actbench.nn.chosen_activations import function_of

    width, function, found = 200, function_of(resolve("activations", activation)), []
    x = torch.randn((50, width), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for seed in range(40):  # one network's moment scatters by about √(5/width) = 0.16
        drawn = initializer(weight_init="matched", activation=activation, seed=seed)
        hidden = function(x @ drawn.weight((width, width), first=True).T)
        found.append(float((hidden @ drawn.weight((width, width)).T).square().mean()))
    assert np.mean(found) == pytest.approx(1, abs=0.1)


def test_matched_treats_the_first_layers_inputs_as_normalised() -> None:
    first = initializer(weight_init="matched", activation="relu").weight(DENSE, first=True)
    assert torch.equal(first, initializer(weight_init="lecun_normal").weight(DENSE))


@pytest.mark.parametrize("formula", ["sqrt(x)", "x * 0", "x / 0", "exp(x**2)"])
def test_matched_needs_a_second_moment(formula: str) -> None:
    with pytest.raises(UsageError, match="matched needs a finite"):
        initializer(weight_init="matched", activation=formula).weight(DENSE)


def test_biases_start_where_the_config_says() -> None:
    drawn = initializer(torch.float32, bias_init=0.01)
    assert torch.equal(drawn.layer("hidden.0", DENSE)["hidden.0.bias"], torch.full((60,), 0.01))
    assert torch.equal(drawn.layer("output", DENSE, output=True)["output.bias"], torch.zeros(60))
    assert list(initializer(bias_init=None).layer("hidden.0", DENSE)) == ["hidden.0.weight"]


@pytest.mark.parametrize("output", [False, True])
@pytest.mark.parametrize("shape", [(5000, 200), (5000, 8, 5, 5)])
def test_pytorch_biases_are_uniform_within_the_root_of_the_fan_in(shape: tuple[int, ...], output: bool) -> None:
    biases = initializer(bias_init="pytorch").bias(shape, output=output)
    assert biases is not None
    bound = 1 / math.sqrt(200)
    assert stats.kstest(biases.numpy(), stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3


def test_drawing_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    for name in WEIGHT_INITS:
        initializer(weight_init=name, bias_init="pytorch").layer("x", DENSE)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("gain", [0, -1.0, math.inf])
def test_an_impossible_gain_is_refused(gain: float) -> None:
    with pytest.raises(ConfigError):
        resolve("weight_inits", {"name": "orthogonal", "gain": gain})
