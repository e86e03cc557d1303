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
OTHERS = {"orthogonal", "delta_orthogonal", "lsuv", "rai", "siren"}  # each has tests of its own below
READ_THE_ACTIVATION = {"lsuv", "matched", "siren"}


def config_of(scheme: str) -> Any:
    """Return a scheme as it works with any activation."""
    return {"name": "siren", "w0": 30} if scheme == "siren" else scheme


def random_biases(scheme: str) -> Any:
    """Return a bias_init that draws with this scheme."""
    return 0.0 if scheme == "rai" else "pytorch"


def initializer(dtype: torch.dtype = torch.float64, **fields: Any) -> Initializer:
    return Initializer(RunSpec.model_validate(fields), dtype)


def drawn(one: Initializer) -> list[torch.Tensor]:
    return [tensor for name in ("first", "second") for tensor in one.layer(name, DENSE).values()]


@pytest.mark.parametrize("bias", [0.0, -0.0, 0.01, "pytorch", None])
@pytest.mark.parametrize("scheme", WEIGHT_INITS)
def test_runs_that_are_said_to_draw_alike_draw_the_same_numbers(scheme: str, bias: float | str | None) -> None:
    if scheme == "rai" and bias == "pytorch":
        pytest.skip("refused, as a test below shows")
    fields = {"weight_init": config_of(scheme), "bias_init": bias, "seed": 3}
    one, other = (initializer(activation=name, **fields) for name in ("relu", "tanh"))
    assert (one.drawn_alike == other.drawn_alike) == (scheme not in READ_THE_ACTIVATION)
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
        {"output_bias": 0.0},
        {"output_bias": -0.0},
    ],
    ids=str,
)
def test_runs_that_draw_other_numbers_are_not_said_to_draw_alike(change: dict[str, Any]) -> None:
    base = {"weight_init": "orthogonal", "bias_init": 0.0, "seed": 3}
    one, other = initializer(**base), initializer(**(base | change))
    assert one.drawn_alike != other.drawn_alike
    assert one.drawn_alike != initializer(torch.float32, **base).drawn_alike


def test_every_scheme_has_a_variance_here() -> None:
    assert set(WEIGHT_INITS) == {*VARIANCES, *OTHERS}


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
    single = initializer(torch.float32, weight_init=config_of(name), bias_init=random_biases(name))
    double = initializer(torch.float64, weight_init=config_of(name), bias_init=random_biases(name))
    for shape in (DENSE, (3, 2), KERNEL):  # (24, 16, 3, 5): delta_orthogonal needs at least 16 channels behind
        assert torch.equal(single.weight(shape), double.weight(shape).float())
        assert torch.equal(single.layer("x", shape)["x.bias"], double.layer("x", shape)["x.bias"].float())


@pytest.mark.parametrize("name", WEIGHT_INITS)
def test_seeds_and_layers_differ_and_repeat(name: str) -> None:
    first, again, other = (initializer(weight_init=config_of(name), seed=seed) for seed in (0, 0, 1))
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
    with pytest.raises(UsageError, match="need a finite"):
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
        initializer(weight_init=config_of(name), bias_init=random_biases(name)).layer("x", DENSE)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("gain", [0, -1.0, math.inf])
def test_an_impossible_gain_is_refused(gain: float) -> None:
    with pytest.raises(ConfigError):
        resolve("weight_inits", {"name": "orthogonal", "gain": gain})


@pytest.mark.parametrize("name", ["orthogonal", "delta_orthogonal"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh"])
def test_a_matched_gain_is_the_root_of_one_over_the_second_moment(name: str, activation: str) -> None:
    moments = {"relu": 0.5, "gelu": 0.42520, "tanh": 0.39430}  # E[f(Z)²] by mpmath, five digits
    matched = initializer(weight_init={"name": name, "gain": "matched"}, activation=activation)
    plain = initializer(weight_init=name, activation=activation)
    assert torch.equal(matched.weight(DENSE, first=True), plain.weight(DENSE, first=True))
    ratio = matched.weight(DENSE) / plain.weight(DENSE)
    torch.testing.assert_close(ratio, torch.full_like(ratio, moments[activation] ** -0.5), rtol=1e-4, atol=0)


def test_runs_with_a_matched_gain_are_drawn_alike_only_where_their_activations_are() -> None:
    relu, tanh = (
        initializer(weight_init={"name": "orthogonal", "gain": "matched"}, activation=f).drawn_alike
        for f in ("relu", "tanh")
    )
    assert relu != tanh


@pytest.mark.parametrize("shape", [(24, 16, 3, 5), (16, 16, 3, 3), (9, 4, 2, 2)])
def test_a_delta_orthogonal_convolution_keeps_the_length_of_every_image(shape: tuple[int, ...]) -> None:
    kernels = initializer(weight_init="delta_orthogonal").weight(shape)
    images = torch.randn(3, shape[1], 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low = [(side - 1) // 2 for side in shape[2:]]
    high = [side // 2 for side in shape[2:]]
    padded = torch.nn.functional.pad(images, (low[1], high[1], low[0], high[0]))
    convolved = torch.nn.functional.conv2d(padded, kernels)
    assert convolved.shape[2:] == images.shape[2:]
    torch.testing.assert_close(convolved.square().sum((1, 2, 3)), images.square().sum((1, 2, 3)))
    assert int((kernels != 0).sum()) == shape[0] * shape[1]


def test_a_delta_orthogonal_convolution_with_fewer_channels_behind_is_refused_by_its_name() -> None:
    with pytest.raises(UsageError, match=r"'conv\.1\.0' has 16 before it and 8 behind"):
        initializer(weight_init="delta_orthogonal").layer("conv.1.0", (8, 16, 3, 3))


@pytest.mark.parametrize("biases", [True, False])
def test_rai_replaces_one_entry_of_each_unit_by_a_beta_draw(biases: bool) -> None:
    units, inputs = 20_000, 4
    drawn = initializer(weight_init="rai", bias_init=0.0 if biases else None)
    weight, bias = drawn.weight_and_bias((units, inputs))
    entries = weight if bias is None else torch.cat([weight, bias[:, None]], dim=1)
    plain = initializer(weight_init={"name": "rai", "sigma": 1e-12}, bias_init=0.0 if biases else None)
    small, shift = plain.weight_and_bias((units, inputs))
    alone = small if shift is None else torch.cat([small, shift[:, None]], dim=1)
    replaced = alone > 1e-9
    assert (replaced.sum(1) == 1).all()
    assert stats.chisquare(replaced.sum(0).numpy()).pvalue > 1e-3
    assert stats.kstest(entries[replaced].numpy(), stats.beta(2, 1).cdf).pvalue > 1e-3
    assert stats.kstest(entries[~replaced].numpy(), stats.norm(scale=0.6007 / 2).cdf).pvalue > 1e-3


def test_the_sigma_of_rai_keeps_relu_outputs_from_growing() -> None:
    # E[relu(σ√m·g + V·A)²] ≤ m·(σ²/2 + 2·E[V]·σ·E[relu(g)] + E[V²]), with E[V] = 2/3 and E[V²] = 1/2 of Beta(2, 1)
    sigma = WEIGHT_INITS["rai"].schema().model_dump()["sigma"]
    assert sigma**2 / 2 + 2 * (2 / 3) * sigma / math.sqrt(2 * math.pi) + 1 / 2 == pytest.approx(1, abs=1e-4)


def born_dead(scheme: str, networks: int) -> float:
    """Return the share of ReLU networks of ten layers of two units that give one answer for all numbers within ±√3."""
    x = torch.linspace(-math.sqrt(3), math.sqrt(3), 500, dtype=torch.float64)[:, None]
    dead = 0
    for seed in range(networks):
        drawn, hidden = initializer(weight_init=scheme, seed=seed), x
        for layer in range(10):
            weight, bias = drawn.weight_and_bias((2, hidden.shape[1]), first=layer == 0)
            assert bias is not None
            hidden = torch.relu(hidden @ weight.T + bias)
        dead += bool((hidden == hidden[0]).all())
    return dead / networks


def test_rai_lets_far_fewer_narrow_relu_networks_be_born_dead() -> None:
    symmetric, asymmetric = born_dead("he_normal", 150), born_dead("rai", 150)
    assert symmetric > 0.8  # 0.9175 of 400
    assert asymmetric < 0.45  # 0.27 of 400


def test_rai_adds_a_constant_bias_and_refuses_random_ones() -> None:
    shape = (50, 8)
    plain, shifted = (initializer(weight_init="rai", bias_init=value).weight_and_bias(shape) for value in (0.0, 0.1))
    assert plain[1] is not None
    assert shifted[1] is not None
    assert torch.equal(plain[0], shifted[0])
    torch.testing.assert_close(plain[1] + 0.1, shifted[1])
    with pytest.raises(UsageError, match="rai draws the biases itself"):
        initializer(weight_init="rai", bias_init="pytorch")


@pytest.mark.parametrize("shape", [(4000, 200), (400, 8, 5, 5)])
def test_siren_weights_are_uniform_within_the_papers_bounds(shape: tuple[int, ...]) -> None:
    drawn = initializer(weight_init={"name": "siren", "w0": 30})
    for first, bound in ((True, 1 / 200), (False, math.sqrt(6 / 200) / 30)):
        weights = drawn.weight(shape, first=first).flatten().numpy()
        assert stats.kstest(weights, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3


@pytest.mark.parametrize("w0", [1.0, 30.0])
def test_siren_takes_the_frequency_of_the_sine(w0: float) -> None:
    sine = initializer(weight_init="siren", activation={"name": "sine", "w0": w0})
    given = initializer(weight_init={"name": "siren", "w0": w0}, activation="relu")
    assert torch.equal(sine.weight(DENSE), given.weight(DENSE))
    assert sine.drawn_alike != initializer(weight_init="siren", activation={"name": "sine", "w0": 2.0}).drawn_alike


def test_siren_needs_a_frequency() -> None:
    with pytest.raises(UsageError, match="takes w0 from the activation sine, but the activation is 'relu'"):
        initializer(weight_init="siren").weight(DENSE)


def test_the_output_layers_bias_has_a_key_of_its_own() -> None:
    shape = (3, 8)
    for start, expected in ((None, 0.0), (0.5, 0.5), (-2, -2.0)):
        drawn = initializer(bias_init=0.1, output_bias=start)
        assert torch.equal(drawn.layer("hidden.0", shape)["hidden.0.bias"], torch.full((3,), 0.1, dtype=torch.float64))
        bias = drawn.layer("output", shape, output=True)["output.bias"]
        assert torch.equal(bias, torch.full((3,), expected, dtype=torch.float64))
    alone = initializer(bias_init=None, output_bias=1.0)
    assert list(alone.layer("hidden.0", shape)) == ["hidden.0.weight"]
    assert list(alone.layer("output", shape, output=True)) == ["output.weight", "output.bias"]


def test_a_prior_is_the_logarithm_of_each_classs_share() -> None:
    spec = RunSpec.model_validate({"output_bias": "prior"})
    bias = Initializer(spec, torch.float64, class_counts=[10, 30, 60]).bias((3, 8), output=True)
    torch.testing.assert_close(bias, torch.tensor([0.1, 0.3, 0.6], dtype=torch.float64).log())
    with pytest.raises(UsageError, match="1 of 3 have none"):
        Initializer(spec, torch.float64, class_counts=[10, 0, 60]).bias((3, 8), output=True)
    with pytest.raises(UsageError, match="needs classes to count"):
        Initializer(spec, torch.float64).bias((3, 8), output=True)
    with pytest.raises(UsageError, match="has 2 classes for the 3 units"):
        Initializer(spec, torch.float64, class_counts=[10, 60]).bias((3, 8), output=True)
