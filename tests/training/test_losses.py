"""Losses: torch's own numbers, in training and in evaluation; and datasets whose targets are numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
import torch
import torch.nn.functional as F
from small_runs import CPU, numbers, records, spec
from torch import Tensor, nn

from actbench import datasets
from actbench.errors import DatasetError, ModelError
from actbench.nn.initializers import Initializer
from actbench.nn.rng import stream
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec
from actbench.training.losses import cross_entropy, loss_of, mean_squared_error
from actbench.training.selection import merit
from actbench.training.state import TrainState

CURVE: dict[str, Any] = {"name": "regression", "function": "x * sin(5 * x)", "examples": 200}
MSE = {"loss": "mse"}


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 1e-6)])
def test_smoothed_cross_entropy_and_its_gradient_are_torchs(
    runs: int, smoothing: float, dtype: torch.dtype, tolerance: float
) -> None:
    logits = (3 * drawn(runs, 7, 5)).to(dtype).requires_grad_()
    labels = torch.arange(7 * runs).view(runs, 7) % 5
    found = cross_entropy(logits, labels, smoothing)
    (slope,) = torch.autograd.grad(found.sum(), logits)
    for run in range(runs):
        own = logits[run].detach().requires_grad_()
        wanted = F.cross_entropy(own, labels[run], label_smoothing=smoothing)
        assert found[run].item() == pytest.approx(wanted.item(), abs=tolerance)
        torch.testing.assert_close(slope[run], torch.autograd.grad(wanted, own)[0], atol=tolerance, rtol=0)


@pytest.mark.parametrize("runs", [1, 3])
def test_mean_squared_error_and_its_gradient_are_torchs(runs: int) -> None:
    outputs = drawn(runs, 7, 5).requires_grad_()
    labels = torch.arange(7 * runs).view(runs, 7) % 5
    numbered = drawn(2, runs, 7, 5)[1]
    for targets, wanted in ((numbered, numbered), (labels, F.one_hot(labels, 5).double())):
        found = mean_squared_error(outputs, targets)
        (slope,) = torch.autograd.grad(found.sum(), outputs)
        for run in range(runs):
            own = outputs[run].detach().requires_grad_()
            loss = nn.MSELoss()(own, wanted[run])
            assert found[run].item() == pytest.approx(loss.item(), abs=1e-14)
            torch.testing.assert_close(slope[run], torch.autograd.grad(loss, own)[0], atol=1e-15, rtol=0)


def test_only_training_smooths_labels() -> None:
    training = spec(training={"label_smoothing": 0.2}).training
    logits, labels = drawn(1, 6, 4), torch.arange(6).view(1, 6) % 4
    smoothed, plain = (loss_of(training, smoothed=which)(logits, labels) for which in (True, False))
    assert torch.equal(plain, cross_entropy(logits, labels))
    assert not torch.equal(plain, smoothed)


def plain_loop(run: RunSpec, loss: Any) -> tuple[list[float], Tensor, Tensor]:
    """Return the mean training loss of each epoch, and the trained network's outputs for the test set, with targets."""
    state = TrainState.open(Cohort((run,)), CPU)
    data = datasets.load(run.dataset, Path())
    mean, std = (torch.tensor(values, dtype=torch.float64).view(-1, 1, 1) for values in (data.mean, data.std))
    unit = 255 if data.train_images.dtype == np.uint8 else 1
    x, x_test = (
        (torch.from_numpy(part.copy()).double() / unit - mean) / std for part in (data.train_images, data.test_images)
    )
    targets, tested = (torch.from_numpy(part.copy()) for part in (data.train_labels, data.test_labels))
    sizes = [int(np.prod(data.shape)), 24, 16, data.outputs]
    module = reference.PlainMLP(sizes, nn.Tanh, bias=True).double()
    ours = state.model.init(Initializer(run, torch.float64), data.shape, data.outputs).values()
    with torch.no_grad():
        for parameter, start in zip(module.parameters(), ours, strict=True):
            parameter.copy_(start)
    optimizer = torch.optim.SGD(module.parameters(), lr=run.training.optimizer.options["lr"], momentum=0.9)
    generator, curve = stream(run.seed, "data.order"), []
    for _ in range(run.training.epochs):
        total = 0.0
        for index in torch.randperm(len(x), generator=generator).split(run.training.batch_size):
            optimizer.zero_grad()
            found = loss(module(x[index]), targets[index])
            found.backward()
            optimizer.step()
            total += found.item() * len(index)
        curve.append(total / len(x))
    with torch.no_grad():
        return curve, module(x_test), tested


def test_a_curve_is_learned_as_a_plain_loop_learns_it() -> None:
    run = spec(activation="tanh", dataset=CURVE, training={**MSE, "optimizer": {"name": "sgd", "lr": 0.05}})
    record, _ = records(run, spec(**{**run.model_dump(mode="json"), "activation": "relu"}))
    curve, outputs, targets = plain_loop(run, nn.MSELoss())
    assert [row["train.mse"] for row in record.curves[1:]] == pytest.approx(curve, abs=1e-10)
    error = ((outputs - targets) ** 2).mean().item()
    assert record.final["test.mse"] == pytest.approx(error, abs=1e-10)
    explained = 1 - error / targets.numpy().var()
    assert record.final["test.r2"] == pytest.approx(explained, abs=1e-10)
    assert set(record.final) >= {"test.mse", "test.r2", "val.mse", "val.r2", "train.mse"}
    assert not [name for name in (*record.final, *record.curves[-1]) if "accuracy" in name or name.endswith(".loss")]
    assert "classes" not in record.environment
    assert record.environment["outputs"] == 1


def test_classes_are_learned_with_squared_errors_as_a_plain_loop_does() -> None:
    run = spec(activation="tanh", training={**MSE, "optimizer": {"name": "sgd", "lr": 0.05}})
    (record,) = records(run)
    curve, outputs, labels = plain_loop(run, lambda found, wanted: nn.MSELoss()(found, F.one_hot(wanted, 10).double()))
    assert [row["train.mse"] for row in record.curves[1:]] == pytest.approx(curve, abs=1e-10)
    assert record.final["test.accuracy"] == (outputs.argmax(1) == labels).double().mean().item()
    assert record.final["test.mse"] == pytest.approx(((outputs - F.one_hot(labels, 10)) ** 2).mean().item(), abs=1e-10)
    assert "test.r2" not in record.final


def test_smoothed_labels_train_as_in_a_plain_loop_and_are_tested_without() -> None:
    run = spec(activation="tanh", training={"label_smoothing": 0.1, "optimizer": {"name": "sgd", "lr": 0.05}})
    (record,) = records(run)
    curve, outputs, labels = plain_loop(run, nn.CrossEntropyLoss(label_smoothing=0.1))
    assert [row["train.loss"] for row in record.curves[1:]] == pytest.approx(curve, abs=1e-10)
    assert record.final["test.loss"] == pytest.approx(F.cross_entropy(outputs, labels).item(), abs=1e-10)


def test_points_in_the_plane_are_learned_as_a_plain_loop_learns_them() -> None:
    dataset = {"name": "moons", "examples": 200}
    run = spec(activation="tanh", dataset=dataset, training={"optimizer": {"name": "sgd", "lr": 0.05}})
    (record,) = records(run)
    curve, outputs, labels = plain_loop(run, nn.CrossEntropyLoss())
    assert [row["train.loss"] for row in record.curves[1:]] == pytest.approx(curve, abs=1e-10)
    assert record.final["test.accuracy"] == (outputs.argmax(1) == labels).double().mean().item()


def test_training_leaves_the_examples_as_they_are() -> None:
    state = TrainState.open(Cohort((spec(dataset="moons"),)), CPU)
    before = state.images.train.pixels.clone()
    for _ in state.batches.epoch():
        pass
    for _ in state.images.in_order(state.images.train, 100):
        pass
    assert torch.equal(state.images.train.pixels, before)


def test_without_validation_examples_there_is_no_error_on_them() -> None:
    (record,) = records(spec(dataset={**CURVE, "val_fraction": 0}, training=MSE))
    assert (record.final["val.mse"], record.final["val.r2"]) == (None, None)


def test_a_network_that_gives_the_mean_explains_nothing() -> None:
    """All units are dead from the beginning, so only the output's bias learns: R² of training targets is 0."""
    run = spec(
        dataset={**CURVE, "examples": 2000},
        bias_init=-100.0,
        training={**MSE, "epochs": 10, "optimizer": {"name": "sgd", "lr": 0.002}},
    )
    (record,) = records(run)
    assert record.outcome == "collapsed"
    assert record.final["test.r2"] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"dataset": "moons", "training": {"augment": {"flip": True}}}, DatasetError, "'moons' holds no images"),
        ({"dataset": "xor", "model": "cnn"}, ModelError, "1×1 image"),
    ],
)
def test_settings_that_do_not_fit_the_examples_are_refused(changes: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        TrainState.open(Cohort((spec(**changes),)), CPU)


def test_smoothing_belongs_to_classes() -> None:
    with pytest.raises(ValueError, match="'label_smoothing' belongs to loss: cross_entropy"):
        spec(training={"loss": "mse", "label_smoothing": 0.1})


def test_the_best_epoch_of_a_curve_is_that_of_the_least_error() -> None:
    errors = [0.5, 0.2, None, 0.3]
    found = [merit({"epoch": 1, "val.mse": error}, "val.accuracy") for error in errors]
    assert found[2] is None
    assert max(one for one in found if one is not None) == found[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": {**CURVE, "noise": 0.1}, "training": MSE},
        {"training": MSE},
        {"training": {"label_smoothing": 0.1}},
        {"dataset": {"name": "spiral", "arms": 3, "examples": 300}},
    ],
    ids=str,
)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_cohort_gives_each_run_what_it_gets_alone(changes: dict[str, Any], precision: str) -> None:
    changes = changes | {"training": changes.get("training", {}) | {"precision": precision, "epochs": 4}}
    runs = [
        spec(activation=activation, bias_init=bias, seed=seed, **changes)
        for activation, bias, seed in (("relu", 0.0, 0), ("prelu", None, 3), ("tanh", "pytorch", 0), ("relu", 0.1, 3))
    ]
    for run, record in zip(runs, records(*runs), strict=True):
        assert numbers(record) == numbers(records(run)[0]), run.run_id


def numbers_of_ones_own(folder: Path) -> dict[str, object]:
    """A user's dataset of three inputs and two numbers to be learned."""
    x = np.random.default_rng(0).normal(size=(80, 3))
    y = np.stack([x.sum(1), x[:, 0]], 1)
    return {"train_images": x, "train_targets": y, "test_images": x, "test_targets": y}


def test_a_dataset_of_ones_own_may_hold_numbers() -> None:
    own = {"name": "mine", "path": f"{__name__}:numbers_of_ones_own"}
    with pytest.raises(DatasetError, match=r"has numbers as targets, not classes: set training\.loss to mse"):
        TrainState.open(Cohort((spec(dataset=own),)), CPU)
    training = {**MSE, "epochs": 60, "optimizer": {"name": "adam", "lr": 0.01}}
    (record,) = records(spec(dataset=own, activation="tanh", training=training))
    assert record.environment["outputs"] == 2
    assert record.final["test.r2"] > 0.9
