"""Gates, CReLU and maxout keep the cohort contract: alone and in company, replayed and eager, as a plain loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import reference
import torch
from small_runs import CPU, MLP, numbers, records, spec
from torch import Tensor, nn

from actbench import datasets
from actbench.errors import ModelError
from actbench.nn.initializers import Initializer
from actbench.nn.rng import stream
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec
from actbench.training import numerics
from actbench.training.loop import train_epoch
from actbench.training.state import TrainState
from actbench.training.steps.choice import choose_stepper
from actbench.training.steps.replayed import ReplayStepper

SLOW = pytest.mark.slow
GATES = ("glu", "bilinear", "reglu", "geglu", "swiglu")
BIASES: tuple[Any, ...] = (0.0, "pytorch", 0.1, None, 0.01)
MAXOUT = {"name": "maxout", "pieces": 3}
ODD = {"name": "mlp", "hidden": [7, 5]}
EVEN = {"name": "mlp", "hidden": [10, 6]}

CHANGES: list[dict[str, Any]] = [
    {"model": ODD},
    {"model": {**EVEN, "match": "parameters"}, "training": {"optimizer": {"name": "adam", "lr": 0.01}}},
    {"model": {**EVEN, "batch_norm": True, "dropout": 0.3}},
    {"model": {"name": "cnn", "channels": [[4, 4]], "dense": [10], "batch_norm": True}},
    {"model": {"name": "cnn", "channels": [4], "dense": [], "pool": "avg", "match": "parameters"}},
]


def cohorts(changes: dict[str, Any]) -> list[list[RunSpec]]:
    """Return runs that may train together, one list for each number of pre-activations and outputs of a unit."""
    even, changes = changes.get("model") != ODD, {"weight_init": "matched", **changes}
    return [
        [spec(activation=name, bias_init=bias, **changes) for name, bias in zip(GATES, BIASES, strict=True)],
        [spec(activation=MAXOUT, bias_init=bias, **changes) for bias in BIASES[:2]],
        *([[spec(activation="crelu", bias_init=bias, **changes) for bias in BIASES[:2]]] if even else []),
    ]


@pytest.mark.parametrize("precision", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_each_run_gets_in_company_what_it_gets_alone(changes: dict[str, Any], precision: str) -> None:
    training = {"epochs": 1, "precision": precision, **changes.get("training", {})}
    for runs in cohorts(changes | {"training": training}):
        for run, record in zip(runs, records(*runs), strict=True):
            assert numbers(record) == numbers(records(run)[0]), run.run_id


def trained(runs: Sequence[RunSpec], *, capture: bool) -> tuple[TrainState, object]:
    """Return a cohort after as many epochs as its last, smaller batch takes to be traced, and the stepper."""
    state = TrainState.open(Cohort(tuple(runs)), CPU)
    stepper = choose_stepper(state, capture=capture)
    with numerics.deterministic_numerics("default", "torch"):
        for _ in range(10):
            train_epoch(state, stepper)
    return state, stepper


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", *(pytest.param(one, marks=SLOW) for one in ("float64", "bfloat16"))])
@pytest.mark.parametrize("changes", [CHANGES[0], CHANGES[3]], ids=str)
def test_replayed_steps_give_the_numbers_of_eager_ones(changes: dict[str, Any], precision: str) -> None:
    slow = {"name": "sgd", "lr": 0.005}  # a product of two linear values diverges soon
    training = {"epochs": 10, "batch_size": 128, "precision": precision, "optimizer": slow}
    for runs in cohorts(changes | {"training": training}):
        (replayed, stepper), (eager, _) = (trained(runs, capture=capture) for capture in (True, False))
        assert isinstance(stepper, ReplayStepper)
        for name, tensor in replayed.stack.tensors.items():
            assert tensor.isfinite().all()
            assert torch.equal(tensor, eager.stack.tensors[name]), name


class Chunked(nn.Module):
    """A gate as papers write it, over dimension 1."""

    def __init__(self, gate: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.gate = gate

    def forward(self, z: Tensor) -> Tensor:
        half = z.shape[1] // 2
        return z[:, :half] * self.gate(z[:, half:])


class CRelu(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return torch.cat([z.clamp(min=0), (-z).clamp(min=0)], 1)


class Maxout(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return torch.stack(z.split(z.shape[1] // 3, 1)).max(0).values


MODULES: dict[str, tuple[Callable[[], nn.Module], int, int]] = {
    "glu": (lambda: nn.GLU(1), 2, 1),
    "bilinear": (lambda: Chunked(lambda g: g), 2, 1),
    "reglu": (lambda: Chunked(nn.functional.relu), 2, 1),
    "geglu": (lambda: Chunked(nn.functional.gelu), 2, 1),
    "swiglu": (lambda: Chunked(nn.functional.silu), 2, 1),
    "crelu": (CRelu, 1, 2),
    "maxout": (Maxout, 3, 1),
}
"""Name -> a plain module, pre-activations and outputs of a unit."""


def plain_network(model: str, made: Callable[[], nn.Module], inputs: int, outputs: int) -> nn.Module:
    """Return a network of torch's own layers with 24 and 16 outputs, or channels 4 and 6 and 16 dense outputs."""

    def rows(width: int) -> int:
        return width // outputs * inputs

    if model == "mlp":
        hidden = [nn.Linear(64, rows(24)), made(), nn.Linear(24, rows(16)), made()]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(16, 10))
    convolutions = [
        nn.Conv2d(1, rows(4), 3, padding=1), made(), nn.MaxPool2d(2),
        nn.Conv2d(4, rows(6), 3, padding=1), made(), nn.MaxPool2d(2),
    ]  # fmt: skip
    return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(24, rows(16)), made(), nn.Linear(16, 10))


@pytest.mark.parametrize("model", ["mlp", "cnn"])
@pytest.mark.parametrize("name", MODULES)
def test_a_run_trains_as_a_plain_loop_does(name: str, model: str) -> None:
    made, inputs, outputs = MODULES[name]
    options = MLP if model == "mlp" else {"name": "cnn", "channels": [4, 6], "dense": [16]}
    training = {"optimizer": {"name": "sgd", "lr": 0.005}, "epochs": 3}
    choice = MAXOUT if name == "maxout" else name
    run = spec(activation=choice, model=options, bias_init=0.01, seed=5, weight_init="pytorch", training=training)
    (record,) = records(run)

    module = plain_network(model, made, inputs, outputs).double()
    state = TrainState.open(Cohort((run,)), CPU)
    ours = state.model.init(Initializer(run, torch.float64), state.images.shape, state.images.classes)
    with torch.no_grad():
        for parameter, start in zip(module.parameters(), ours.values(), strict=True):
            parameter.copy_(start)
    data = datasets.load(run.dataset, Path())
    x, x_test = (
        reference.normalised(torch.from_numpy(images), data.mean, data.std, torch.float64)
        for images in (data.train_images, data.test_images)
    )
    generator = stream(5, "data.order")
    orders = [torch.randperm(len(x), generator=generator) for _ in range(3)]
    optimizer = torch.optim.SGD(module.parameters(), lr=0.005, momentum=0.9)
    curve = reference.train(module, optimizer, x, torch.from_numpy(data.train_labels), orders, 32)
    loss, accuracy = reference.test(module, x_test, torch.from_numpy(data.test_labels))

    assert [row["train.loss"] for row in record.curves[1:]] == pytest.approx(curve, abs=1e-10)
    assert record.final["test.loss"] == pytest.approx(loss, abs=1e-10)
    assert record.final["test.accuracy"] == accuracy
    assert record.final["parameters"] == sum(parameter.numel() for parameter in module.parameters())


def test_only_runs_with_tensors_of_one_shape_may_train_together() -> None:
    names = ["relu", *GATES, "crelu", "maxout", MAXOUT]
    keys = [spec(activation=name).cohort_key for name in names]
    assert len(set(keys[1:6])) == 1
    assert len(set(keys)) == 5


def test_a_cohort_of_elementwise_activations_has_the_key_that_it_had() -> None:
    assert RunSpec.model_validate({"activation": "gelu"}).cohort_key == "{}"


def test_an_odd_width_cannot_be_made_of_pairs() -> None:
    with pytest.raises(ModelError, match=r"makes 2 outputs of each pre-activation, so 'hidden\.0' can't have 7"):
        TrainState.open(Cohort((spec(activation="crelu", model=ODD),)), CPU)
    matched = spec(activation="crelu", model={**ODD, "match": "parameters"})
    assert TrainState.open(Cohort((matched,)), CPU).stack.tensors["hidden.0.weight"].shape == (1, 6, 64)


def test_a_users_own_model_refuses_an_activation_that_changes_the_width() -> None:
    own = spec(activation="swiglu", model={"name": "mine", "path": "user_parts:net"})
    with pytest.raises(ModelError, match="activation 'swiglu' changes the width of its layers, which model 'mine'"):
        TrainState.open(Cohort((own,)), CPU)
