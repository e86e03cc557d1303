"""ReDo: which units begin anew, with which numbers, and that nothing else moves."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small_runs import CPU, numbers, records, spec
from torch import Tensor

from actbench.nn.rng import stream
from actbench.schema.events import Failed
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec
from actbench.training.loop import run_cohort, train_epoch
from actbench.training.parameters import Stack
from actbench.training.revival import EXAMPLES
from actbench.training.state import TrainState
from actbench.training.steps.choice import choose_stepper

REDO = {"name": "redo", "every": 5}
ADAM = {"name": "adam", "lr": 0.02}
CNN = {"name": "cnn", "channels": [5, 6], "dense": [16], "batch_norm": True}


def _before_revival(run: RunSpec, *, tau: float = 0.1) -> tuple[TrainState, dict[str, Tensor]]:
    """A run just before its first revival: its state, and a copy of its tensors."""
    own = run.model_dump(mode="json")
    own["training"]["revive"] = {"name": "redo", "tau": tau, "every": 10**6}
    state = TrainState.open(Cohort((RunSpec.model_validate(own),)), CPU)
    train_epoch(state, choose_stepper(state, capture=False))
    state.taken = 10**6
    tensors = {name: tensor.detach()[0].clone() for name, tensor in state.stack.tensors.items()}
    return state, tensors


def _outputs(tensors: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """Each hidden layer's ReLU outputs, by plain torch."""
    found: dict[str, Tensor] = {}
    for name in [one.removesuffix(".weight") for one in tensors if one.endswith(".weight") and ".norm" not in one]:
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        if weight.ndim == 4:
            x = torch.nn.functional.conv2d(x, weight, bias, padding=1)
        else:
            x = torch.nn.functional.linear(x.flatten(1), weight, bias)
        if f"{name}.norm.weight" in tensors:
            scale, shift, mean, variance = (
                tensors[f"{name}.norm.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
            )
            x = torch.nn.functional.batch_norm(x, mean, variance, scale, shift)
        if name == "output":
            break
        x = found[name] = x.relu()
        x = torch.nn.functional.max_pool2d(x, 2) if weight.ndim == 4 else x
    return found


@pytest.mark.parametrize("model", [{"name": "mlp", "hidden": [24, 16]}, CNN], ids=["mlp", "cnn"])
def test_dormant_units_begin_anew_and_no_other_number_moves(model: dict[str, Any]) -> None:
    run = spec(seed=3, model=model, bias_init=0.25, training={"epochs": 1, "optimizer": ADAM})
    state, before = _before_revival(run, tau=0.4)
    train = state.images.train.pixels
    drawn = torch.randperm(len(train), generator=stream(3, "revive.examples", step=10**6))[:EXAMPLES]
    order = [*state.model.hidden_layers(state.images.shape, 10), "output"]
    in_order = {f"{layer}.{part}": before[f"{layer}.{part}"] for layer in order for part in _parts(before, layer)}
    outputs = _outputs(in_order, state.images.normalise(train[drawn]))

    state.revive()

    after = {name: tensor.detach()[0] for name, tensor in state.stack.tensors.items()}
    weights = stream(3, "revive.weight", step=10**6)
    previous = torch.zeros(0, dtype=torch.bool)
    found = 0
    for layer in order:
        weight = before[f"{layer}.weight"]
        fresh = torch.randn(weight.shape, generator=weights, dtype=torch.float64) * math.sqrt(2 / weight[0].numel())
        recycled = torch.zeros(len(weight), dtype=torch.bool)
        if layer != "output":
            size = outputs[layer].abs().transpose(0, 1).flatten(1).mean(1)
            recycled = size <= 0.4 * size.mean()
            found += int(recycled.sum())
            assert state.revival is not None
            assert state.revival.counts[layer] == [int(recycled.sum())]
        expected = torch.where(recycled.view(-1, *(1 for _ in weight.shape[1:])), fresh, weight)
        columns = expected.view(len(weight), -1, *weight.shape[2:])
        if len(previous):
            columns = expected.reshape(len(weight), len(previous), -1)
            columns[:, previous] = 0
        assert torch.equal(after[f"{layer}.weight"], columns.view(weight.shape)), layer
        starts = {"bias": 0.25, "norm.weight": 1, "norm.bias": 0, "norm.running_mean": 0, "norm.running_var": 1}
        for part, start in starts.items():
            if (old := before.get(f"{layer}.{part}")) is not None:
                assert torch.equal(after[f"{layer}.{part}"], torch.where(recycled, start, old)), (layer, part)
        previous = recycled
    assert 0 < found < sum(state.model.hidden_layers(state.images.shape, 10).values())


def _parts(tensors: dict[str, Tensor], layer: str) -> list[str]:
    return [name.removeprefix(f"{layer}.") for name in tensors if name.startswith(f"{layer}.")]


def test_the_moments_of_every_number_that_was_replaced_are_zero_and_no_others() -> None:
    run = spec(seed=1, training={"epochs": 1, "optimizer": ADAM})
    state, before = _before_revival(run, tau=0.4)
    for kind in state.stack.blocks:
        for kept in state.optimizers[0].kept(kind):
            kept.fill_(1)

    state.revive()

    for name, tensor in state.stack.tensors.items():
        replaced = tensor.detach()[0] != before[name]
        for kept in state.optimizers[0].kept(state.stack.kind(name)):
            assert torch.equal(state.stack.within(name, kept) == 0, replaced), name


def test_units_with_numbers_that_are_not_finite_are_left_alone() -> None:
    state, before = _before_revival(spec(training={"epochs": 1, "optimizer": ADAM}))
    with torch.no_grad():
        state.stack.tensors["hidden.1.bias"][0, 0] = math.nan

    state.revive()

    assert torch.equal(state.stack.tensors["hidden.1.weight"].detach()[0, 0, -1], before["hidden.1.weight"][0, -1])
    assert state.revival is not None
    assert sum(state.revival.counts["hidden.1"]) < 16


def test_a_unit_s_own_activation_parameter_starts_anew_and_its_layer_s_does_not() -> None:
    for per in ("unit", "layer"):
        prelu = {"name": "prelu", "per": per}
        state, before = _before_revival(spec(activation=prelu, training={"epochs": 1, "optimizer": ADAM}), tau=0.8)
        others = ("hidden.0.weight", "hidden.0.bias")
        (learned,) = (one for one in before if one.startswith("hidden.0.") and one not in others)

        state.revive()

        after = state.stack.tensors[learned].detach()[0]
        changed = after != before[learned]
        assert bool(changed.any()) == (per == "unit"), per
        assert (after[changed] == 0.25).all()


def test_units_are_recycled_before_steps_and_never_after_the_last() -> None:
    runs = [
        spec(training={"epochs": 3, "optimizer": ADAM, "revive": {"name": "redo", "every": every, "tau": 0.4}})
        for every in (7, 21, None)
    ]
    counts = [[_recycled(row) for row in records(run)[0].curves] for run in runs]

    assert [[count > 0 for count in row] for row in counts] == [
        [False, False, True, True], [False, False, False, False], [False, False, True, True],
    ]  # fmt: skip
    assert counts[0] == counts[2], "seven steps are an epoch"


def test_each_epoch_counts_its_own_units() -> None:
    everything = {"name": "redo", "every": 3, "tau": 1e9}
    (found,) = records(spec(training={"epochs": 3, "revive": everything}))

    # 7 steps an epoch: before steps 3 and 6, then 9 and 12, then 15 and 18, all of the 40 units each time.
    assert [_recycled(row) for row in found.curves] == [0, 80, 80, 80]


def _recycled(row: Any) -> int:
    return sum(layer["recycled"] for layer in row["layers"])


def test_a_run_is_that_without_revival_until_the_first() -> None:
    plain, revived = (
        records(spec(training={"epochs": 2, "optimizer": ADAM, "revive": revive}))[0] for revive in ("none", "redo")
    )

    assert [row["train.loss"] for row in plain.curves[:2]] == [row["train.loss"] for row in revived.curves[:2]]
    assert plain.curves[2]["train.loss"] != revived.curves[2]["train.loss"]
    assert "recycled" not in plain.curves[1]["layers"][0]


DYT = {"name": "mlp", "hidden": [12, 9], "norm": "dyt"}


@pytest.mark.parametrize(
    "model", [{"name": "mlp", "hidden": [24, 17], "dropout": 0.2}, CNN, DYT], ids=["mlp", "cnn", "dyt"]
)
def test_runs_in_a_cohort_get_what_each_gets_alone(model: dict[str, Any]) -> None:
    training = {"optimizer": ADAM, "revive": {"name": "redo", "every": 4, "tau": 0.5}, "precision": "float32"}
    runs = [
        spec(activation=activation, bias_init=bias, seed=seed, weight_init=init, model=model, training=training)
        for activation, bias, seed, init in (
            ("relu", 0.0, 0, "he_normal"),
            ("relu", "pytorch", 1, "he_normal"),
            ("prelu", None, 0, "matched"),
        )
    ]
    together = records(*runs)

    assert [numbers(one) for one in together] == [numbers(records(run)[0]) for run in runs]
    assert all(sum(_recycled(row) for row in one.curves) for one in together)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_replayed_steps_give_the_numbers_of_eager_ones(optimizer: str) -> None:
    training = {"optimizer": optimizer, "epochs": 5, "revive": {"name": "redo", "every": 7, "tau": 0.4}}
    runs = tuple(spec(activation=name, seed=seed, training=training) for seed in (0, 1) for name in ("relu", "elu"))
    found = []
    for capture in (True, False):
        state = TrainState.open(Cohort(runs), CPU)
        stepper = choose_stepper(state, capture=capture)
        for _ in range(5):
            train_epoch(state, stepper)
        found.append(state)

    assert all(torch.equal(tensor, found[1].stack.tensors[name]) for name, tensor in found[0].stack.tensors.items())
    replayed, eager = (one.revival and one.revival.counts for one in found)
    assert replayed == eager


def test_numbers_laid_out_as_a_flat_block_are_found_as_those_in_rows_are() -> None:
    """As on a GPU, where a tensor's runs lie one behind another."""
    block = torch.arange(24.0)
    first, second = block[:12].view(2, 2, 3), block[12:].view(2, 3, 2)
    flat = Stack({"a": first, "b": second}, {"a": first, "b": second}, {}, {"weights": block})
    kept = block + 100

    assert not flat.has_rows
    assert (flat.runs, flat.kind("b")) == (2, "weights")
    assert torch.equal(flat.within("b", kept), second + 100)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": {"name": "mine", "path": "user_parts:net"}},
            "training.revive: which weights lead into and out of a",
        ),
        ({"activation": "swiglu"}, "training.revive: activation 'swiglu' changes the width of its layers, and ReDo is"),
        ({"draws": "torch"}, "draws: torch draws as a plain script does, which revives no units"),
    ],
)
def test_what_revival_is_not_defined_for_is_refused(changes: dict[str, Any], message: str) -> None:
    run = spec(**changes, training={"revive": "redo"})

    (failed,) = (event for event in run_cohort(Cohort((run,)), CPU) if isinstance(event, Failed))

    assert failed.message.startswith(message)
    assert failed.usage
