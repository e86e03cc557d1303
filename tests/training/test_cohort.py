"""The cohort contract: a run's numbers do not depend on its company, and equal those of a plain training loop."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import reference
import torch
from small_runs import CPU, DIGITS, MLP, every_activation, numbers, records, spec
from torch import nn

from actbench import datasets
from actbench.nn import norms
from actbench.nn.initializers import Initializer
from actbench.nn.rng import stream
from actbench.schema.components import resolve
from actbench.schema.events import EpochDone, Failed, Finished
from actbench.schema.record import RunRecord
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec
from actbench.storage.reading import read_results
from actbench.storage.store import Store
from actbench.training.loop import run_cohort, train_epoch
from actbench.training.state import TrainState
from actbench.training.steps.choice import choose_stepper

ODD = {"name": "mlp", "hidden": [7, 5]}


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "precision"), [("adam", "float32"), ("sgd", "float64")])
def test_sizes_that_fill_no_cache_line_and_no_vector_change_nothing(optimizer: str, precision: str) -> None:
    """Products round by where their operands lie, and exp by whether an element is left over by a vector loop."""
    training = {"epochs": 1, "batch_size": 33, "precision": precision, "optimizer": {"name": optimizer, "lr": 0.01}}
    for run in every_activation():
        own = run.model_dump(mode="json") | {"model": ODD, "training": training}
        runs = [RunSpec.model_validate(own | {"bias_init": bias}) for bias in (0.0, 0.01, 0.02)]
        for one, record in zip(runs, records(*runs), strict=True):
            assert numbers(record) == numbers(records(one)[0]), one.run_id


def test_every_activation_is_bit_equal_in_a_cohort_and_alone() -> None:
    together = records(*every_activation())
    for run, record in zip(every_activation(), together, strict=True):
        assert numbers(record) == numbers(records(run)[0]), run.activation.label


@pytest.mark.parametrize("precision", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "changes",
    [
        {"model": {**MLP, "norm": "batch"}},
        {"model": {**ODD, "norm": "layer"}},
        {"model": {**ODD, "norm": "derf"}, "training": {"clip_norm": 0.5}},
        {"model": {**MLP, "dropout": 0.3}},
        {"model": {**MLP, "dropout": 0.3, "dropout_kind": "alpha"}},
        {"model": {"name": "cnn", "channels": [4, 6], "dense": [16]}},
        {"model": {"name": "cnn", "channels": [[4, 4]], "dense": [], "norm": "batch", "pool": "avg"}},
        {"model": {"name": "cnn", "channels": [[3, 5]], "dense": [7], "norm": "layer"}},
        {"model": {"name": "cnn", "channels": [[3, 5]], "dense": [7], "norm": "derf"}},
        {"training": {"optimizer": "adam", "clip_norm": 0.5, "schedule": "cosine"}},
        {"training": {"optimizer": {"name": "adamw", "weight_decay": 0.1}, "decay": "weights"}},
        {"training": {"optimizer": {"name": "rmsprop", "lr": 0.001}, "augment": {"crop": 1, "flip": True}}},
        {"training": {"optimizer": {"name": "sgd", "lr": 0.05, "nesterov": True, "weight_decay": 1e-3}}},
        {"dataset": {**DIGITS, "scale": "symmetric"}, "training": {"drop_last": True, "schedule": "cosine"}},
    ],
    ids=str,
)
def test_a_mixed_cohort_gives_each_run_what_it_gets_alone(changes: dict[str, Any], precision: str) -> None:
    changes = changes | {"training": changes.get("training", {}) | {"precision": precision}}
    runs = [
        spec(activation=activation, bias_init=bias, seed=(0, 3)[(place + own) % 2], **changes)
        for place, activation in enumerate(("relu", "prelu", "tanh"))
        for own, bias in enumerate((0.0, None, "pytorch"))
    ]
    for run, record in zip(runs, records(*runs), strict=True):
        assert numbers(record) == numbers(records(run)[0]), run.run_id


def plain(state: TrainState, module: nn.Module) -> nn.Module:
    """The reference module with the initial numbers of a cohort of one, matched in order of definition."""
    run, images = state.cohort.shared, state.images
    ours = state.model.init(Initializer(run, torch.float64), images.shape, images.classes).values()
    theirs = [p for name, p in module.double().named_parameters() if p.numel() > 1]
    with torch.no_grad():
        for parameter, start in zip(theirs, ours, strict=True):
            parameter.copy_(start)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    ("activation", "made"),
    [("relu", nn.ReLU), ("prelu", nn.PReLU), ("selu", nn.SELU), ("gelu", nn.GELU), ("tanh", nn.Tanh)],
)
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_a_cohort_trains_as_a_plain_loop_does(activation: str, made: Any, optimizer: str, model: str) -> None:
    options = MLP if model == "mlp" else {"name": "cnn", "channels": [4, 6], "dense": [16]}
    training = {"optimizer": {"name": optimizer, "lr": 0.005}, "epochs": 3}
    run = spec(activation=activation, model=options, bias_init=0.01, seed=5, training=training)
    neighbour = spec(activation="softsign", model=options, seed=5, training=training)
    record, _ = records(run, neighbour)

    data = datasets.load(run.dataset, Path())
    x, x_test = (
        reference.normalised(torch.from_numpy(images), data.mean, data.std, torch.float64)
        for images in (data.train_images, data.test_images)
    )
    module: nn.Module = (
        reference.PlainMLP([64, 24, 16, 10], made, bias=True)
        if model == "mlp"
        else reference.PlainCNN([1, 4, 6], 6 * 2 * 2, 16, made)
    )
    plain(TrainState.open(Cohort((run,)), CPU), module)
    makers = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.005, momentum=0.9),
        "adam": lambda p: torch.optim.Adam(p, lr=0.005),
        "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.005),
    }
    generator = stream(5, "data.order")
    orders = [torch.randperm(len(x), generator=generator) for _ in range(3)]
    curve = reference.train(
        module, makers[optimizer](module.parameters()), x, torch.from_numpy(data.train_labels), orders, 32
    )
    loss, accuracy = reference.test(module, x_test, torch.from_numpy(data.test_labels))

    assert [row["train.loss"] for row in record.curves[1:]] == pytest.approx(curve, abs=1e-10)
    assert record.final["test.loss"] == pytest.approx(loss, abs=1e-10)
    assert record.final["test.accuracy"] == accuracy


@pytest.mark.parametrize("scale", ["unit", "symmetric"])
def test_scaled_pixels_in_full_batches_alone_train_as_a_plain_loop_does(scale: str) -> None:
    dataset = {**DIGITS, "scale": scale}
    training = {"optimizer": {"name": "sgd", "lr": 0.05}, "epochs": 3, "drop_last": True}
    run = spec(activation="tanh", seed=5, dataset=dataset, training=training)
    (record,) = records(run)

    data = datasets.load(run.dataset, Path())
    x, x_test = (torch.from_numpy(images).double() / 255 for images in (data.train_images, data.test_images))
    if scale == "symmetric":
        x, x_test = ((images - 0.5) / 0.5 for images in (x, x_test))
    module = reference.PlainMLP([64, 24, 16, 10], nn.Tanh, bias=True)
    plain(TrainState.open(Cohort((run,)), CPU), module)
    generator = stream(5, "data.order")
    full = len(x) // 32 * 32
    assert full < len(x)
    orders = [torch.randperm(len(x), generator=generator)[:full] for _ in range(3)]
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    curve = reference.train(module, optimizer, x, torch.from_numpy(data.train_labels), orders, 32)
    loss, accuracy = reference.test(module, x_test, torch.from_numpy(data.test_labels))

    assert [row["train.loss"] for row in record.curves[1:]] == pytest.approx(curve, abs=1e-10)
    assert record.final["test.loss"] == pytest.approx(loss, abs=1e-10)
    assert record.final["test.accuracy"] == accuracy


def test_a_schedule_counts_the_steps_that_are_taken() -> None:
    """200 examples in batches of 32 are seven steps, six without the last: the cosine ends after six an epoch."""
    changes = {"drop_last": True, "schedule": "cosine", "epochs": 2}
    state = TrainState.open(Cohort((spec(training=changes),)), CPU)
    stepper = choose_stepper(state, capture=True)
    for _ in range(2):
        train_epoch(state, stepper)
    assert (state.taken, state.tally.examples) == (12, 192)
    assert state.next_rate() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("training", "model", "message"),
    [
        (
            {"drop_last": True, "batch_size": 201},
            MLP,
            "drop_last leaves nothing to train on: the only batch of 201",
        ),
        ({"batch_size": 199}, {**MLP, "norm": "batch"}, "the last of the batches of 199 out of 200"),
        ({"drop_last": True, "batch_size": 1}, {**MLP, "norm": "batch"}, "batch norm needs two examples"),
    ],
)
def test_batches_that_can_not_be_trained_on_are_refused(
    training: dict[str, Any], model: dict[str, Any], message: str
) -> None:
    *_, failed = run_cohort(Cohort((spec(training=training, model=model),)), CPU)
    assert isinstance(failed, Failed)
    assert failed.usage
    assert message in failed.message


def test_drop_last_spares_batch_norm_a_batch_of_one() -> None:
    training = {"drop_last": True, "batch_size": 199, "epochs": 1}
    assert records(spec(training=training, model={**MLP, "norm": "batch"}))[0].outcome == "ok"


NORMS: dict[str, tuple[Any, Any]] = {
    "batch": (nn.BatchNorm2d, nn.BatchNorm1d),
    "layer": (partial(nn.GroupNorm, 1), nn.LayerNorm),
    "dyt": (reference.PlainDyT, reference.PlainDyT),
    "derf": (partial(reference.PlainDyT, erf=True), partial(reference.PlainDyT, erf=True)),
}
"""Norm -> that of torch or of its paper, for images and for vectors."""


def test_every_norm_has_a_plain_one_here() -> None:
    assert list(NORMS) == list(norms.NORMS)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_a_cohort_with_norms_trains_as_a_plain_loop_does(norm: str, model: str) -> None:
    sizes = {"hidden": [24, 16]} if model == "mlp" else {"channels": [4, 6], "dense": [16]}
    training = {"optimizer": {"name": "sgd", "lr": 0.02, "momentum": 0.9}, "epochs": 2, "clip_norm": 1.0}
    options = {"name": model, **sizes, "norm": norm}
    run, neighbour = (spec(activation=name, model=options, seed=5, training=training) for name in ("relu", "tanh"))
    record, _ = records(run, neighbour)
    module: nn.Module = (
        reference.PlainMLP([64, 24, 16, 10], nn.ReLU, bias=True, norm=NORMS[norm][1])
        if model == "mlp"
        else reference.PlainCNN([1, 4, 6], 6 * 2 * 2, 16, nn.ReLU, norms=NORMS[norm])
    )
    start = TrainState.open(Cohort((run,)), CPU).stack.trained
    weights = {name: tensor[0].detach() for name, tensor in start.items() if tensor.ndim > 2}
    with torch.no_grad():  # biases start at 0, and norms start alike by themselves
        for layer in [one for one in module.double().modules() if isinstance(one, (nn.Linear, nn.Conv2d))]:
            layer.weight.copy_(weights.pop(next(name for name in weights if weights[name].shape == layer.weight.shape)))
            torch.nn.init.zeros_(layer.bias)
    data = datasets.load(run.dataset, Path())
    x, x_test = (
        reference.normalised(torch.from_numpy(images), data.mean, data.std, torch.float64)
        for images in (data.train_images, data.test_images)
    )
    generator = stream(5, "data.order")
    orders = [torch.randperm(len(x), generator=generator) for _ in range(2)]
    sgd = torch.optim.SGD(module.parameters(), lr=0.02, momentum=0.9)
    curve = reference.train(module, sgd, x, torch.from_numpy(data.train_labels), orders, 32, clip_norm=1.0)
    loss, accuracy = reference.test(module, x_test, torch.from_numpy(data.test_labels))

    assert [row["train.loss"] for row in record.curves[1:]] == pytest.approx(curve, abs=1e-10)
    assert record.final["test.loss"] == pytest.approx(loss, abs=1e-10)
    assert record.final["test.accuracy"] == accuracy
    assert record.final["parameters"] == sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("norm", ["layer", "derf"])
def test_weight_decay_on_weights_alone_spares_a_norm(norm: str) -> None:
    """The rate is so small that only a large decay moves a number."""
    model = {"name": "mlp", "hidden": [7], "norm": norm}
    training = {"optimizer": {"name": "sgd", "lr": 1e-9, "weight_decay": 1e6, "momentum": 0.0}, "decay": "weights"}
    state = TrainState.open(Cohort((spec(model=model, training=training),)), CPU)
    before = {name: tensor.detach().clone() for name, tensor in state.stack.trained.items()}
    train_epoch(state, choose_stepper(state, capture=False))
    moved = {name for name, tensor in state.stack.trained.items() if (tensor - before[name]).abs().max() > 1e-4}
    assert moved == {"hidden.0.weight", "output.weight"}


def test_a_neighbour_that_diverges_changes_nothing() -> None:
    wild = spec(activation={"name": "expression", "formula": "exp(x) * 1e30 * x"}, weight_init="he_normal")
    calm = spec(activation="relu")
    together = records(calm, wild)
    assert together[1].outcome == "diverged"
    assert together[1].final["test.accuracy"] is None
    assert numbers(together[0]) == numbers(records(calm)[0])
    assert numbers(together[1]) == numbers(records(wild)[0]), "nor does the calm one prolong the other's curve"


def test_changing_the_bias_leaves_initial_weights_and_batches_bit_identical() -> None:
    states = [TrainState.open(Cohort((spec(bias_init=bias),)), CPU) for bias in (0.0, 0.01, "pytorch", None)]
    first = states[0]
    batches = list(first.batches.epoch())
    for other in states[1:]:
        for name, tensor in first.stack.tensors.items():
            if name.endswith("weight"):
                assert torch.equal(tensor, other.stack.tensors[name])
        for (x, labels), (their_x, their_labels) in zip(batches, other.batches.epoch(), strict=True):
            assert torch.equal(x, their_x)
            assert torch.equal(labels, their_labels)


def test_equal_seeds_share_weights_and_batches_across_activations() -> None:
    state = TrainState.open(Cohort((spec(activation="relu"), spec(activation="tanh"))), CPU)
    assert torch.equal(*state.stack.tensors["hidden.0.weight"].detach())
    x, labels = next(state.batches.epoch())
    assert x.stride(0) == 0, "runs of one seed share one batch in memory"
    assert labels.shape == (2, 32)


def test_seeds_differ_in_weights_and_order() -> None:
    state = TrainState.open(Cohort((spec(seed=0), spec(seed=1))), CPU)
    weights = state.stack.tensors["hidden.0.weight"].detach()
    assert not torch.equal(weights[0], weights[1])
    _, labels = next(state.batches.epoch())
    assert not torch.equal(labels[0], labels[1])


def test_what_a_run_lacks_stays_zero_and_is_not_counted() -> None:
    state = TrainState.open(Cohort((spec(bias_init=None), spec(bias_init=0.01), spec(activation="prelu"))), CPU)
    train_epoch(state, choose_stepper(state, capture=True))
    tensors = state.stack.tensors
    assert tensors["hidden.0.bias"][0].abs().sum() == 0
    assert tensors["hidden.0.bias"][1].abs().sum() > 0
    assert tensors["hidden.0.slope"].tolist()[:2] == [0, 0]
    weights = 64 * 24 + 24 * 16 + 16 * 10
    biases = 24 + 16 + 10
    assert [state.stack.parameter_count(run) for run in range(3)] == [weights, weights + biases, weights + biases + 2]


def test_epoch_zero_is_measured_before_training() -> None:
    events = list(run_cohort(Cohort((spec(),)), CPU))
    first = next(event for event in events if isinstance(event, EpochDone))
    assert first.rows[0]["epoch"] == 0
    assert first.rows[0]["train.loss"] > 2
    assert first.rows[0]["val.accuracy"] < 0.4


def test_the_number_of_the_datasets_classes_is_recorded() -> None:
    for one in records(spec(), spec(activation="elu")):
        assert one.environment["classes"] == 10


def test_learned_activation_parameters_are_logged() -> None:
    (record,) = records(spec(activation="prelu"))
    slopes = [row["layers"][0]["learned"]["slope"] for row in record.curves]
    assert slopes[0] == 0.25
    assert slopes[1] != slopes[0]


def test_an_activation_that_raises_fails_alone() -> None:
    good = spec(activation="relu")
    bad = spec(activation={"name": "mine", "path": "broken_activation:raises_when_training"})
    events = list(run_cohort(Cohort((good, bad)), CPU))
    failed = [event for event in events if isinstance(event, Failed)]
    finished = [event.record for event in events if isinstance(event, Finished)]
    assert [event.cohort.specs for event in failed] == [(bad,)]
    assert "out of order" in failed[0].message
    assert numbers(finished[0]) == numbers(records(good)[0])


def test_weight_decay_spares_what_is_no_weight() -> None:
    decay = {"optimizer": {"name": "sgd", "lr": 0.1, "weight_decay": 0.5}, "decay": "weights"}
    state = TrainState.open(Cohort((spec(activation="prelu", training=decay),)), CPU)
    before = {name: tensor.detach().clone() for name, tensor in state.stack.trained.items()}
    state.stack.offer_gradients()
    state.stack.collect_gradients()  # all zero, because there was no loss
    for optimizer in state.optimizers:
        optimizer.step()
    changed = {name for name, tensor in state.stack.trained.items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if name.endswith("weight")}


def test_a_gradient_that_vanishes_in_a_later_step_is_zero_and_not_that_of_the_step_before() -> None:
    state = TrainState.open(Cohort((spec(), spec(activation="tanh"))), CPU)
    state.stack.offer_gradients()
    name, tensor = next((name, one) for name, one in state.stack.trained.items() if name.endswith(".weight"))
    tensor.sum().backward()
    state.stack.collect_gradients()
    assert torch.equal(state.stack.gradients[name], torch.ones_like(tensor))
    state.stack.offer_gradients()  # the second step: no loss depends on any tensor
    state.stack.collect_gradients()
    for key, slot in state.stack.gradients.items():
        assert not slot.any(), key
        assert state.stack.tensors[key].grad is slot


def test_the_precision_is_part_of_the_spec() -> None:
    assert resolve("activations", "relu").label == "relu"
    state = TrainState.open(Cohort((spec(training={"precision": "float32"}),)), CPU)
    assert {tensor.dtype for tensor in state.stack.tensors.values()} == {torch.float32}


@pytest.mark.parametrize("formula", ["where(x > 0, 1, 0)", "sign(x)"])
def test_a_step_function_is_treated_alone_as_in_company(formula: str) -> None:
    decay = {"optimizer": {"name": "sgd", "lr": 0.1, "weight_decay": 0.1}}
    step = spec(activation={"name": "expression", "formula": formula}, training=decay)
    alone, (together, _) = records(step)[0], records(step, spec(activation="relu", training=decay))
    assert numbers(alone) == numbers(together)
    assert alone.final["health.dead_fraction"] == 1.0, "no gradient reaches any unit"
    assert alone.outcome == "collapsed"


def test_a_loss_that_is_no_number_makes_a_run_diverged_even_if_its_parameters_are_finite() -> None:
    wild = spec(
        activation={"name": "expression", "formula": "x * x"},
        training={"precision": "float32", "optimizer": {"name": "sgd", "lr": 1e18}, "epochs": 1, "batch_size": 500},
    )
    (record,) = records(wild)
    assert record.final["test.loss"] is None
    assert record.outcome == "diverged"
    assert "lr 1e+18" in record.message


@pytest.mark.parametrize(("factor", "outcome"), [(1e147, "ok"), (1e152, "diverged")])
def test_a_finite_loss_that_no_reader_accepts_makes_a_run_diverged(factor: float, outcome: str, tmp_path: Path) -> None:
    """Two layers multiply by the factor, so the loss is near 1e294 or 1e304; Adam takes no step at such gradients."""
    whole, rest = divmod(round(math.log10(factor)), 30)
    formula = " * ".join(["x", *["1e30"] * whole, f"1e{rest}"])
    wild = spec(activation=formula, training={"epochs": 1, "optimizer": {"name": "adam", "lr": 1e-3}})
    (record,) = records(wild)

    store = Store(tmp_path, "s")
    store.begin(wild)
    for row in record.curves:
        store.append(wild, row)
    store.finish(record)
    found = read_results(tmp_path, curves=True)

    assert not found.warnings
    assert [one.outcome for one in found] == [record.outcome] == [outcome]
    assert len(found[0].curves) == (2 if outcome == "ok" else 1)
    if outcome == "ok":
        assert 1e290 < found[0].final["test.loss"] < 1e300
    else:
        assert found[0].final["test.loss"] is None
        assert record.message.startswith("a loss or a parameter is not a finite number below 1e300 at initialisation")
        assert "overflows" not in record.message


def test_a_gradient_that_no_reader_accepts_is_left_out_of_the_record_of_a_run_with_a_finite_loss(
    tmp_path: Path,
) -> None:
    wild = spec()
    layer = {"name": "hidden.0", "units": 3, "gradient_norm": 1e301, "a_max": 9e299}
    row = {"epoch": 0, "train.loss": 1.0, "health.gradient_ratio": -1e300, "layers": [layer]}
    store = Store(tmp_path, "s")
    store.begin(wild)
    store.finish(RunRecord(wild, "ok", [row], final={"test.loss": 9.9e299}, health={"layers": [layer]}))

    (found,) = read_results(tmp_path, curves=True)

    kept = {**layer, "gradient_norm": None}
    assert found.curves == ({**row, "health.gradient_ratio": None, "layers": [kept]},)
    assert (found.final, found.health["layers"]) == ({"test.loss": 9.9e299}, [kept])


def test_deaths_and_revivals_add_up_to_the_count_of_the_dead() -> None:
    deep = spec(
        model={"name": "mlp", "hidden": [16] * 6}, training={"optimizer": {"name": "adam", "lr": 0.05}, "epochs": 4}
    )
    (record,) = records(deep)
    dead = 0
    for row in record.curves:
        for layer in row["layers"]:
            assert 0 <= layer["dead"] - layer["lost"] <= layer["born_dead"], "the rest was born dead and still is"
        now = sum(layer["dead"] for layer in row["layers"])
        if row["epoch"]:
            died, revived = (sum(layer[key] for layer in row["layers"]) for key in ("died", "revived"))
            assert now == dead + died - revived
        dead = now
    assert dead > 0, "the recipe should kill some"


def test_records_state_what_xielu_learned_as_its_options_do() -> None:
    (record,) = records(spec(activation={"name": "xielu", "alpha_n": 0.7, "per": "unit"}, training={"epochs": 0}))
    assert record.health["layers"][0]["learned"] == {"alpha_p": pytest.approx(0.8), "alpha_n": pytest.approx(0.7)}
