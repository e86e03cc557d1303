"""``weight_init: lsuv``: layers scaled on training data, against plain torch modules and against theory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from small_runs import CPU, DIGITS, numbers, records, spec
from torch import Tensor, nn

from actbench import datasets
from actbench.health.theory.forecast import forecast
from actbench.nn.initializers import Initializer
from actbench.nn.models import build
from actbench.schema.components import resolve
from actbench.schema.events import Failed, Finished, Saved
from actbench.schema.runtime import Cadence, Cohort
from actbench.schema.spec import RunSpec
from actbench.training.initial_tensors import initial_tensors
from actbench.training.loop import run_cohort
from actbench.training.state import TrainState

MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"name": "mlp", "hidden": [24, 16, 12]},
    "cnn": {"name": "cnn", "channels": [[4, 6], 8], "dense": [16]},
}
FIRST = 128


def run_of(**changes: Any) -> RunSpec:
    weight_init = {"name": "lsuv", "examples": FIRST} | changes.pop("weight_init", {})
    return spec(weight_init=weight_init, **({"activation": "relu"} | changes))


def start(run: RunSpec) -> dict[str, Tensor]:
    state = TrainState.open(Cohort((run,)), CPU)
    return {name: tensor.detach()[0].clone() for name, tensor in state.stack.tensors.items()}


def first_examples() -> Tensor:
    data = datasets.load(resolve("datasets", DIGITS), datasets.data_folder(None))
    mean, std = (torch.tensor(values, dtype=torch.float64).view(-1, 1, 1) for values in (data.mean, data.std))
    return (torch.from_numpy(data.train_images[:FIRST]).double() / 255 - mean) / std


def variances(model: str, tensors: dict[str, Tensor], activation: nn.Module) -> dict[str, float]:
    """The variance of each layer's weights · inputs on the first examples, by plain functions of torch."""
    x, found = first_examples(), {}
    names = [name.removesuffix(".weight") for name in tensors if name.endswith(".weight")]
    order = sorted(names, key=lambda name: (["conv", "hidden", "dense", "output"].index(name.split(".")[0]), name))
    for name in order:
        weight, bias = tensors[f"{name}.weight"], tensors.get(f"{name}.bias")
        if weight.ndim == 4:
            product = nn.functional.conv2d(x, weight, padding=1)
            x = product if bias is None else product + bias[:, None, None]
        else:
            product = x.flatten(1) @ weight.T
            x = product if bias is None else product + bias
        found[name] = float(product.var(correction=0))
        x = activation(x)
        if name in ("conv.0.1", "conv.1.0"):
            x = nn.functional.max_pool2d(x, 2)
    return found


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("activation", "layer"), [("relu", nn.ReLU()), ("tanh", nn.Tanh()), ("prelu", nn.PReLU())])
@pytest.mark.parametrize("bias", [None, 0.1, "pytorch"])
def test_every_layer_has_unit_variance_on_the_first_training_examples(
    model: str, activation: str, layer: nn.Module, bias: Any
) -> None:
    tensors = start(run_of(model=MODELS[model], activation=activation, bias_init=bias))
    with torch.no_grad():
        found = variances(model, tensors, layer.double())
    assert len(found) == {"mlp": 4, "cnn": 5}[model]
    assert all(abs(variance - 1) < 0.1 for variance in found.values()), found
    exact = [variance for variance in found.values() if abs(variance - 1) < 1e-9]
    assert exact, "one step scales a layer to 1, which is linear in its weights"


@pytest.mark.parametrize("model", MODELS)
def test_weights_are_the_orthonormal_ones_of_the_seed_times_a_number_for_each_layer(model: str) -> None:
    scaled = start(run_of(model=MODELS[model]))
    plain = start(spec(model=MODELS[model], activation="relu", weight_init="orthogonal"))
    for name, weight in scaled.items():
        if name.endswith("weight"):
            ratio = weight / plain[name]
            torch.testing.assert_close(ratio, torch.full_like(ratio, float(ratio.flatten()[0])), rtol=1e-10, atol=0)


def test_a_layer_within_the_tolerance_is_left_alone_and_iterations_are_limited() -> None:
    plain = start(spec(model=MODELS["mlp"], weight_init="orthogonal"))
    loose = start(run_of(model=MODELS["mlp"], weight_init={"tolerance": 100.0}))
    assert all(torch.equal(loose[name], plain[name]) for name in plain)
    once, often = (
        start(run_of(model=MODELS["mlp"], weight_init={"tolerance": 1e-30, "max_iterations": limit}))
        for limit in (1, 10)
    )
    for name in once:
        torch.testing.assert_close(once[name], often[name], rtol=1e-12, atol=1e-14)


def test_precision_only_rounds_the_weights() -> None:
    double = start(run_of(model=MODELS["mlp"]))
    single = start(run_of(model=MODELS["mlp"], training={"precision": "float32"}))
    # The data's own scale is a float32 there, which moves the scaled weights by some 1e-8 of themselves.
    for name, tensor in single.items():
        torch.testing.assert_close(tensor.double(), double[name], rtol=3e-7, atol=1e-9)


@pytest.mark.parametrize("norm", ["batch", "layer", "dyt"])
def test_a_model_that_normalises_is_scaled_as_if_it_did_not(norm: str) -> None:
    plain, normed = (start(run_of(model={**MODELS["mlp"], "norm": one})) for one in ("none", norm))
    for name, tensor in plain.items():
        assert torch.equal(tensor, normed[name])


@pytest.mark.parametrize("model", MODELS)
def test_a_cohort_gives_each_run_the_weights_that_it_has_alone(model: str) -> None:
    runs = [
        run_of(model=MODELS[model], activation=activation, seed=seed, bias_init=bias, training={"epochs": 1})
        for activation, seed, bias in (("relu", 0, 0.0), ("relu", 0, None), ("tanh", 0, 0.0), ("prelu", 1, "pytorch"))
    ]
    for run, record in zip(runs, records(*runs), strict=True):
        assert numbers(record) == numbers(records(run)[0]), run.run_id


def test_units_that_begin_anew_get_other_weights_than_at_the_start() -> None:
    run = run_of(model=MODELS["mlp"])
    state = TrainState.open(Cohort((run,)), CPU)
    (again,), (fresh,) = (
        initial_tensors([run], state.model, state.images, state.device, revived_at=step)[0] for step in (None, 5)
    )
    assert torch.equal(again["hidden.0.weight"], state.stack.tensors["hidden.0.weight"].detach()[0])
    assert not torch.equal(again["hidden.0.weight"], fresh["hidden.0.weight"])


def test_only_runs_of_one_activation_are_drawn_alike() -> None:
    relu, again, tanh = (
        Initializer(run_of(activation=name), torch.float64).drawn_alike for name in ("relu", "relu", "tanh")
    )
    assert relu == again != tanh


def test_a_run_taken_up_again_equals_an_undisturbed_one() -> None:
    run = run_of(model=MODELS["mlp"])
    saving = list(run_cohort(Cohort((run,)), replace(CPU, checkpoint_every=Cadence(seconds=0))))
    (undisturbed,) = (numbers(event.record) for event in saving if isinstance(event, Finished))
    states = [event.state for event in saving if isinstance(event, Saved)]
    resumed = run_cohort(Cohort((run,), states[2]), replace(CPU, checkpoint_every=Cadence()))
    assert [numbers(event.record) for event in resumed if isinstance(event, Finished)] == [undisturbed]


def test_wide_networks_start_as_theory_expects() -> None:
    run = spec(
        model={"name": "mlp", "hidden": [256, 256, 256]},
        activation="gelu",
        weight_init="lsuv",
        bias_init=0.1,
        training={"epochs": 0},
    )
    expected = forecast(run, 64)
    assert expected.variances == pytest.approx([1.0] * 3)
    (record,) = records(run)
    layers = record.curves[0]["layers"]
    assert [layer["z_std"] ** 2 for layer in layers] == pytest.approx([1.0] * 3, abs=0.12)
    assert record.curves[0]["health.gradient_ratio"] == pytest.approx(expected.gradient_ratio, rel=0.15)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation": "x * 0"}, "weight_init lsuv can't scale 'hidden.1': its variance on the first 128 training"),
        ({"model": {"name": "mine", "path": "user_parts:net"}}, "scales the layers of built-in models, not of"),
        ({"draws": "torch"}, "draws: torch has no weight_init 'lsuv"),
    ],
)
def test_what_can_not_be_scaled_is_refused(changes: dict[str, Any], message: str) -> None:
    (failure,) = (event for event in run_cohort(Cohort((run_of(**changes),)), CPU) if isinstance(event, Failed))
    assert message in failure.message


def test_the_models_layers_bear_the_names_that_are_scaled() -> None:
    for written in MODELS.values():
        run = run_of(model=written)
        names = set(build(run.model).init(Initializer(run, torch.float64), (1, 8, 8), 10))
        layers = {*build(run.model).hidden_layers((1, 8, 8), 10), "output"}
        assert {name.removesuffix(".weight") for name in names if name.endswith(".weight")} == layers
