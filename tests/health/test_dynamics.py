"""Units over time and gradients over depth."""

from __future__ import annotations

import pytest
import torch
from small_runs import CPU, records, spec

from actbench.health.units.dynamics import Dynamics
from actbench.health.units.gradients import first_to_last
from actbench.schema.runtime import Cohort
from actbench.training.evaluation import measure_gradients
from actbench.training.state import TrainState


def test_born_dead_is_not_died_and_the_dead_may_come_back() -> None:
    dynamics = Dynamics()
    # units:           born dead  dies at 1  dies at 2, revives at 3   revives at 2, dies at 3   lives
    for epoch, dead in enumerate([[1, 0, 0, 1, 0], [1, 1, 0, 1, 0], [1, 1, 1, 0, 0], [1, 1, 0, 1, 0]]):
        dynamics.note(epoch, {"hidden": torch.tensor([dead], dtype=torch.bool)})
        if epoch == 0:
            assert dynamics.of_run("hidden", 0) == {
                "born_dead": 2, "died": 0, "revived": 0, "lost": 0, "first_death": None, "persistence": 1.0
            }  # fmt: skip
    assert dynamics.of_run("hidden", 0) == {
        "born_dead": 2,
        "died": 1,
        "revived": 1,
        "lost": 1,
        "first_death": 1,
        "persistence": pytest.approx(2 / 3),
    }


def test_runs_are_followed_apart() -> None:
    dynamics = Dynamics()
    for dead in ([[0, 0], [1, 1]], [[1, 0], [1, 0]]):
        dynamics.note(0, {"hidden": torch.tensor(dead, dtype=torch.bool)})
    assert [dynamics.of_run("hidden", run)["lost"] for run in (0, 1)] == [1, 0]
    assert [dynamics.of_run("hidden", run)["revived"] for run in (0, 1)] == [0, 1]


def test_gradient_norms_are_those_of_a_plain_backward_pass() -> None:
    state = TrainState.open(Cohort((spec(activation="tanh"), spec(activation="gelu"))), CPU)
    norms = measure_gradients(state.forward, state.act, state.images, 2)
    pixels, labels = state.images.train.pixels[:250], state.images.train.labels[:250]
    x = state.images.normalise(pixels).flatten(1)
    for run, activation in enumerate((torch.tanh, torch.nn.functional.gelu)):
        weights = {name: tensor.detach()[run] for name, tensor in state.stack.tensors.items()}
        z0 = (x @ weights["hidden.0.weight"].T + weights["hidden.0.bias"]).requires_grad_()
        z1 = activation(z0) @ weights["hidden.1.weight"].T + weights["hidden.1.bias"]
        logits = activation(z1) @ weights["output.weight"].T + weights["output.bias"]
        expected = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, labels), [z0, z1])
        assert float(norms["hidden.0"][run]) == pytest.approx(float(expected[0].norm()))
        assert float(norms["hidden.1"][run]) == pytest.approx(float(expected[1].norm()))
    assert all(tensor.grad is None for tensor in state.stack.trained.values()), "measuring leaves no gradients"


def test_gradients_vanish_in_a_deep_sigmoid_network_and_the_record_says_so() -> None:
    deep = spec(
        activation="sigmoid", model={"name": "mlp", "hidden": [16] * 8}, weight_init="pytorch", training={"epochs": 0}
    )
    (record,) = records(deep)
    ratio = record.final["health.gradient_ratio"]
    assert ratio is not None
    assert ratio < 1e-3
    assert any("gradients vanish" in text for text in record.health["diagnosis"])
    assert first_to_last([]) is None
    assert first_to_last([1.0, 0.0]) is None
