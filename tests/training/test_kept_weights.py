"""Kept weights: the network that they give back computes and measures what the run's record says, epoch by epoch."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import stopping_parts
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load, save
from small_runs import CPU, every_activation, numbers, spec
from torch import nn

from actbench import measure_health
from actbench.errors import UsageError
from actbench.schema.events import Event, Failed, Finished, Saved, Started, WeightsKept
from actbench.schema.health_measures import COUNTED
from actbench.schema.record import RunRecord
from actbench.schema.runtime import Cadence, Cohort, Runtime
from actbench.schema.spec import RunSpec
from actbench.system import cancellation
from actbench.training.kept_weights import network_of
from actbench.training.loop import run_cohort
from actbench.training.state import TrainState

NEVER = replace(CPU, checkpoint_every=Cadence())


@pytest.fixture(autouse=True)
def _unasked() -> Iterator[None]:
    cancellation.reset()
    yield
    cancellation.reset()


def trained(specs: Sequence[RunSpec], keep: Any, runtime: Runtime = NEVER, state: bytes | None = None) -> list[Event]:
    events = list(run_cohort(Cohort(tuple(specs), state), replace(runtime, keep_weights=keep)))
    failures = [event.traceback for event in events if isinstance(event, Failed)]
    assert not failures, failures[0]
    return events


def kept(events: Sequence[Event]) -> dict[tuple[str, int], bytes]:
    """Digest of a run and epoch -> the file."""
    return {(event.spec.digest, event.epoch): event.content for event in events if isinstance(event, WeightsKept)}


def records(events: Sequence[Event]) -> list[RunRecord]:
    return [event.record for event in events if isinstance(event, Finished)]


def evaluated(network: nn.Module, one: RunSpec, part: str) -> tuple[float, float]:
    """Loss and accuracy on a part of the data, by plain torch."""
    images = TrainState.open(Cohort((one,)), CPU).images
    examples = getattr(images, part)
    ((x, labels),) = images.in_order(examples, len(examples))
    with torch.no_grad():
        logits = network(x[0])
    return float(F.cross_entropy(logits, labels)), float((logits.argmax(1) == labels).double().mean())


def probe(one: RunSpec) -> torch.Tensor:
    images = TrainState.open(Cohort((one,)), CPU).images
    examples = images.train.first(one.health.probe_size)
    ((x, _),) = images.in_order(examples, len(examples))
    return x[0]


def check_health(network: nn.Module, one: RunSpec, layers: Sequence[dict[str, Any]]) -> None:
    """Compare ``measure_health`` of a network with the layers of a record."""
    report = measure_health(network, probe(one), dead_slope=one.health.dead_slope, constant_std=one.health.constant_std)
    assert (report.unseen, report.uncertain) == ((), ())
    assert [layer.units for layer in report.layers] == [layer["units"] for layer in layers]
    for measure in COUNTED:
        assert [layer.measures[measure] for layer in report.layers] == [layer[measure] for layer in layers], measure


BATCH_NORM = {"name": "mlp", "hidden": [24, 16], "norm": "batch", "dropout": 0.2}
CNN = {"name": "cnn", "channels": [[4, 6], 8], "dense": [16]}
COHORTS: dict[str, list[RunSpec]] = {
    "every activation": list(every_activation()),
    "biases": [spec(bias_init=bias, activation="prelu", seed=seed) for seed, bias in enumerate((None, 0.1, "pytorch"))],
    "batch norm": [spec(activation=name, model=BATCH_NORM) for name in ("relu", "prelu", "rrelu")],
    "layer norm": [spec(activation="prelu", model={**BATCH_NORM, "norm": "layer"})],
    "dyt": [spec(model={**BATCH_NORM, "norm": "dyt", "norm_alpha": 0.8})],
    "derf": [spec(activation={"name": "prelu", "per": "unit"}, model={**BATCH_NORM, "norm": "derf"})],
    "alpha dropout": [spec(activation="selu", model={**BATCH_NORM, "dropout_kind": "alpha"})],
    "no hidden layer": [spec(model={"name": "mlp", "hidden": []})],
    "cnn": [spec(activation={"name": "prelu", "per": "unit"}, model=CNN), spec(model=CNN, bias_init=None)],
    "gates": [spec(activation=name, model=BATCH_NORM) for name in ("glu", "reglu", "swiglu")],
    "convolutions of gates": [
        spec(activation=name, model={**CNN, "match": "parameters"}, weight_init="pytorch") for name in ("glu", "geglu")
    ],
    "crelu": [spec(activation="crelu", model=CNN)],
    "maxout": [spec(activation={"name": "maxout", "pieces": 3}, model=CNN, weight_init="pytorch")],
    "cnn with batch norm": [spec(activation="swish", model={**CNN, "norm": "batch", "pool": "avg", "dropout": 0.1})],
    "cnn with layer norm": [spec(model={**CNN, "norm": "layer"})],
    "cnn with derf": [spec(activation="tanh", model={**CNN, "norm": "derf"})],
}


@pytest.mark.parametrize("kind", COHORTS)
def test_the_network_computes_and_measures_what_the_record_says(kind: str) -> None:
    events = trained(COHORTS[kind], "last")
    found = kept(events)
    assert len(found) == len(COHORTS[kind])
    for record in records(events):
        one = record.spec
        if record.outcome == "diverged":  # functions that grow as a square, at this learning rate
            assert one.activation.name in ("star_relu", "xielu")
            continue
        network = network_of(one, found[one.digest, 2], "here")
        assert not network.training
        loss, accuracy = evaluated(network, one, "test")
        assert loss == pytest.approx(record.final["test.loss"], rel=1e-12)
        assert accuracy == pytest.approx(record.final["test.accuracy"])
        assert sum(p.numel() for p in network.parameters()) == record.final["parameters"]
        check_health(network, one, record.health["layers"])


def test_keeping_weights_changes_no_number() -> None:
    specs = COHORTS["batch norm"]
    without = [numbers(one) for one in records(trained(specs, None))]
    for keep in ("last", "best", "all"):
        assert [numbers(one) for one in records(trained(specs, keep))] == without


@pytest.mark.parametrize("model", [{"name": "mlp", "hidden": [24, 16]}, BATCH_NORM])
def test_all_keeps_each_epoch_with_the_untrained_network(model: dict[str, Any]) -> None:
    one = spec(activation="relu", model=model, training={"epochs": 3})
    events = trained([one], "all")
    (record,) = records(events)
    found = kept(events)
    assert sorted(epoch for _, epoch in found) == [0, 1, 2, 3]
    for row in record.curves:
        network = network_of(one, found[one.digest, row["epoch"]], "here")
        check_health(network, one, row["layers"])
        if row["epoch"] or "norm" not in model:  # epoch 0 is evaluated with the statistics of the probe
            loss, accuracy = evaluated(network, one, "val")
            assert loss == pytest.approx(row["val.loss"], rel=1e-12)
            assert accuracy == pytest.approx(row["val.accuracy"])


def test_best_keeps_the_first_epoch_with_the_best_validation_accuracy() -> None:
    data = {"name": "digits", "train_size": 200, "val_fraction": 0.01}  # 15 images to validate on: ties
    training = {"epochs": 12, "optimizer": {"name": "sgd", "lr": 0.05}}
    specs = [spec(dataset=data, seed=seed, training=training) for seed in range(4)]
    events = trained(specs, "best")
    ties = 0
    for record in records(events):
        accuracies = [row["val.accuracy"] for row in record.curves]
        best = accuracies.index(max(accuracies))
        ties += accuracies.count(max(accuracies)) > 1
        (epoch,) = [epoch for digest, epoch in kept(events) if digest == record.spec.digest]
        assert epoch == best
        network = network_of(record.spec, kept(events)[record.spec.digest, epoch], "here")
        assert evaluated(network, record.spec, "val")[1] == pytest.approx(accuracies[best])
    assert ties


def test_weights_come_before_the_run_has_finished() -> None:
    events = trained(COHORTS["biases"], "last")
    order = [type(event).__name__ for event in events if isinstance(event, (WeightsKept, Finished))]
    assert order == ["WeightsKept", "Finished"] * 3


def test_a_run_that_diverges_keeps_its_last_network_whatever_its_neighbours_do() -> None:
    training = {"epochs": 3, "optimizer": {"name": "sgd", "lr": 0.1}}
    diverging = spec(activation={"name": "expression", "formula": "exp(x) * 1e30 * x"}, training=training)
    alone = trained([diverging], "last")
    together = trained([diverging, spec(training=training)], "last")
    (record, _) = records(together)
    assert record.outcome == "diverged"
    (key,) = kept(alone)
    assert key == (diverging.digest, record.curves[-1]["epoch"])
    assert kept(together)[key] == kept(alone)[key]
    assert [epoch for digest, epoch in kept(trained([diverging], "best"))] in ([], [0])


@pytest.mark.parametrize("keep", ["last", "best", "all"])
def test_a_resumed_training_keeps_the_same_files(keep: str) -> None:
    specs = [
        spec(activation=a, training={"epochs": 4, "optimizer": {"name": "sgd", "lr": 0.5}}) for a in ("relu", "elu")
    ]
    undisturbed = kept(trained(specs, keep))
    saving = trained(specs, keep, replace(NEVER, checkpoint_every=Cadence(seconds=0)))
    assert kept(saving) == undisturbed
    states = [(index, event.state) for index, event in enumerate(saving) if isinstance(event, Saved)]
    for index, state in states[3 :: len(states) // 4]:
        resumed = trained(specs, keep, state=state)
        assert [event.resumes for event in resumed if isinstance(event, Started)] == [True]
        assert kept(saving[:index]) | kept(resumed) == undisturbed, "before the stop and after it"


@pytest.mark.parametrize(("before", "after", "refused"), [
    (None, "best", True), ("last", "all", True), (None, "last", False), ("best", None, False), ("all", "last", False),
])  # fmt: skip
def test_a_checkpoint_without_the_weights_that_are_wanted_now_is_not_used(
    before: str | None, after: str | None, refused: bool
) -> None:
    one = spec(training={"epochs": 2})
    saving = trained([one], before, replace(NEVER, checkpoint_every=Cadence(epochs=1)))
    (state,) = [event.state for event in saving if isinstance(event, Saved)]
    events = trained([one], after, state=state)
    reasons = [event.refused for event in events if isinstance(event, Started) and event.refused]
    assert reasons == ([f"it was saved without training.keep_weights: {after}"] if refused else [])
    assert kept(events) == kept(trained([one], after))


def test_best_needs_validation_examples() -> None:
    one = spec(dataset={"name": "digits", "train_size": 100, "val_fraction": 0.0})
    (failed,) = [e for e in run_cohort(Cohort((one,)), replace(NEVER, keep_weights="best")) if isinstance(e, Failed)]
    assert failed.usage
    assert "set its val_fraction" in failed.message
    assert len(kept(trained([one], "last"))) == 1


def test_a_file_holds_the_runs_own_tensors_alone() -> None:
    """Neither a neighbour's learned slopes and biases, nor the padding of the blocks in which all of them lie."""
    specs = [
        spec(activation="relu", bias_init=None, model={"name": "mlp", "hidden": [7]}),
        spec(activation={"name": "prelu", "per": "unit"}, model={"name": "mlp", "hidden": [7]}),
    ]
    found = kept(trained(specs, "last"))
    shapes = [{name: tuple(t.shape) for name, t in load(found[one.digest, 2]).items()} for one in specs]
    weights = {"hidden.0.weight": (7, 64), "output.weight": (10, 7)}
    assert shapes[0] == weights
    assert shapes[1] == weights | {"hidden.0.bias": (7,), "output.bias": (10,), "hidden.0.slope.per_unit": (7,)}
    assert len(found[specs[0].digest, 2]) < 8 * (7 * 64 + 10 * 7) + 1000


def test_other_programs_can_read_a_file(tmp_path: Path) -> None:
    one = spec(activation="relu")
    path = tmp_path / "weights.safetensors"
    path.write_bytes(kept(trained([one], "last"))[one.digest, 2])
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["actbench"])
        assert sorted(file.keys()) == [
            *(f"hidden.0.{part}" for part in ("bias", "weight")),
            *(f"hidden.1.{part}" for part in ("bias", "weight")),
            *(f"output.{part}" for part in ("bias", "weight")),
        ]
    assert about["digest"] == one.digest
    assert (about["epoch"], about["shape"], about["classes"]) == (2, [1, 8, 8], 10)


MODULES = {
    "plain": spec(activation="relu", model={"name": "mine", "path": "user_parts:plain_mlp"}),
    "buffers, dropout": spec(activation="swish", model={"name": "mine", "path": "user_parts:net"}),
    "slopes by unit": spec(
        activation={"name": "prelu", "per": "unit"}, model={"name": "mine", "path": "user_parts:plain_mlp"}
    ),
    "units last": spec(
        activation={"name": "prelu", "per": "unit"},
        model={"name": "mine", "path": "user_parts:laid", "layout": "channels last"},
    ),
    "units flat": spec(
        activation={"name": "prelu", "per": "unit"},
        model={"name": "mine", "path": "user_parts:laid", "layout": "flat"},
    ),
    "own activation": spec(
        activation={"name": "shifted", "path": "user_parts:shifted_relu", "shift": 0.2},
        model={"name": "mine", "path": "user_parts:plain_mlp"},
    ),
}


@pytest.mark.parametrize("kind", MODULES)
def test_a_users_own_module_comes_back_with_its_weights_buffers_and_activations(kind: str) -> None:
    one = MODULES[kind]
    events = trained([one], "last")
    (record,) = records(events)
    before = torch.get_rng_state()
    network = network_of(one, kept(events)[one.digest, 2], "here")
    assert torch.equal(torch.get_rng_state(), before), "making it draws nothing from the caller's random numbers"
    for other in (network, copy.deepcopy(network)):
        loss, _ = evaluated(other, one, "test")
        assert loss == pytest.approx(record.final["test.loss"], rel=1e-12)
        check_health(other, one, record.health["layers"])


def test_a_network_is_an_ordinary_module() -> None:
    one = spec(activation={"name": "prelu", "per": "unit"}, model=BATCH_NORM)
    network = network_of(one, kept(trained([one], "last"))[one.digest, 2], "here")
    x = probe(one)
    again = copy.deepcopy(network)
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(x), network(x))
    network.float()(x.float()).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert "prelu" in str(network)


def damaged() -> dict[str, bytes]:
    one = spec()
    whole = kept(trained([one], "last"))[one.digest, 2]
    tensors = load(whole)
    length = int.from_bytes(whole[:8], "little")
    about = json.loads(whole[8 : 8 + length])["__metadata__"]
    other = {"actbench": json.dumps(json.loads(about["actbench"]) | {"digest": spec(seed=1).digest})}
    return {
        "is damaged": whole[: len(whole) // 2],
        "is damaged, or holds no weights": b"PK\x03\x04" + b"\0" * 100,
        "was not written by actbench": save(tensors),
        "belongs to another run": save(tensors, other),
        "does not hold the tensors of this run's network": save({"output.weight": tensors["output.weight"]}, about),
    }


def test_a_file_that_cannot_be_used_is_refused_in_a_sentence() -> None:
    for told, content in damaged().items():
        with pytest.raises(UsageError, match=f"^demo/runs/x/weights.* {told}"):
            network_of(spec(), content, "demo/runs/x/weights-2.safetensors")


def test_a_stopped_training_hands_over_nothing_that_is_not_final() -> None:
    one = spec(activation={"name": "asks", "path": "stopping_parts:asks"}, training={"epochs": 3})
    stopping_parts.begin(40)
    events = list(run_cohort(Cohort((one,)), replace(NEVER, keep_weights="best")))
    stopping_parts.begin(-1)
    assert isinstance(events[-1], Saved)
    assert kept(events) == {}


@pytest.mark.parametrize("select", ["best", "last"])
def test_the_reported_network_is_kept_of_a_run_that_stops_early(select: str) -> None:
    training = {"epochs": 8, "optimizer": {"name": "sgd", "lr": 0.3}, "patience": 1, "select": select}
    specs = [spec(activation=name, training=training) for name in ("relu", "tanh", "sigmoid")]
    events = trained(specs, select)
    found = kept(events)
    assert len(found) == len(specs)
    ended = {record.final["epochs_trained"] for record in records(events)}
    assert len(ended) > 1
    for record in records(events):
        network = network_of(record.spec, found[record.spec.digest, int(record.final["selected_epoch"] or 0)], "here")
        loss, accuracy = evaluated(network, record.spec, "test")
        assert loss == pytest.approx(record.final["test.loss"], rel=1e-12)
        assert accuracy == pytest.approx(record.final["test.accuracy"])
        assert evaluated(network, record.spec, "val")[1] == pytest.approx(record.final["val.accuracy"])
        check_health(network, record.spec, record.health["layers"])


def test_the_loss_on_validation_may_say_which_network_is_the_best() -> None:
    training = {"epochs": 8, "optimizer": {"name": "sgd", "lr": 0.3}, "monitor": "val.loss"}
    (one,) = specs = [spec(activation="tanh", training=training)]
    events = trained(specs, "best")
    (record,) = records(events)
    losses = [row["val.loss"] for row in record.curves]
    assert list(kept(events)) == [(one.digest, losses.index(min(losses)))]
