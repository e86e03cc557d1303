"""Evaluation by replays: the logits of an eager pass to the last bit, also while the weights move."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from small_runs import CPU, every_activation, spec
from torch import Tensor

from actbench.nn.native import library
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec
from actbench.training import numerics
from actbench.training.evaluation import evaluate
from actbench.training.loop import train_epoch
from actbench.training.state import TrainState
from actbench.training.steps.choice import choose_forward, choose_stepper
from actbench.training.steps.replayed_forward import EAGER_PASSES, ReplayedForward


@pytest.fixture(autouse=True, params=["torch", "native"])
def _kernels(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test once with torch's kernels and once with compiled ones, where this machine can compile."""
    if request.param == "native" and library.load() is None:
        pytest.skip(library.remembered().reason)
    with numerics.deterministic_numerics("default", request.param):
        yield


def opened(runs: list[RunSpec]) -> TrainState:
    return TrainState.open(Cohort(tuple(runs)), CPU)


def batch(state: TrainState, size: int, start: int = 0) -> Tensor:
    """Images of the training set for all the runs."""
    x = state.images.normalise(state.images.train.pixels[start : start + size]).unsqueeze(0)
    return x.expand(len(state.cohort.specs), *x.shape[1:])


MODELS = [
    {"name": "mlp", "hidden": [7, 5]},
    {"name": "mlp", "norm": "batch"},
    {"name": "mlp", "hidden": [7], "norm": "derf"},
    {"name": "cnn", "channels": [4], "norm": "layer"},
]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("model", MODELS, ids=str)
@torch.no_grad()
def test_a_replay_gives_every_activation_the_logits_of_an_eager_pass(precision: str, model: dict[str, object]) -> None:
    changes = {"training": {"batch_size": 32, "precision": precision}, "model": model}
    state = opened([RunSpec.model_validate(run.model_dump(mode="json") | changes) for run in every_activation()])
    forward = ReplayedForward(state)
    for number in range(EAGER_PASSES + 3):
        x = batch(state, 20, start=number)
        assert torch.equal(forward(x), state.forward_in_training(x))
    assert forward.traced_sizes == {20}


@torch.no_grad()
def test_a_trace_follows_the_weights_through_training() -> None:
    state = opened([spec(activation="relu"), spec(activation="gelu")])
    stepper, forward = choose_stepper(state, capture=True), ReplayedForward(state)
    seen = []
    for _ in range(3):
        for _ in range(EAGER_PASSES + 1):
            found = forward(batch(state, 20)).clone()
        with torch.enable_grad():
            assert torch.equal(found, state.forward_in_training(batch(state, 20)))
            train_epoch(state, stepper)
        seen.append(found)
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


def test_evaluation_by_replays_is_that_of_eager_passes() -> None:
    state = opened([spec(activation="tanh"), spec(activation="selu")])
    eager = evaluate(state.forward_in_training, state.images, state.images.train, 2, 30)
    forward = ReplayedForward(state)
    assert evaluate(forward, state.images, state.images.train, 2, 30) == eager
    assert 30 in forward.traced_sizes


@torch.no_grad()
def test_an_observed_pass_is_eager_and_seen_whole() -> None:
    state, seen = opened([spec(), spec(activation="elu")]), []
    forward = ReplayedForward(state)
    for _ in range(EAGER_PASSES + 2):
        forward(batch(state, 20))
    with state.act.observed(lambda layer, z: seen.append((layer, z.shape[:2]))):
        forward(batch(state, 20))
    assert {shape for _, shape in seen} == {(2, 20)}
    assert [layer for layer, _ in seen] == list(state.model.hidden_layers(state.images.shape, state.images.classes))


@torch.no_grad()
def test_runs_with_batches_of_their_own_are_passed_eagerly() -> None:
    state = opened([spec(), spec(seed=1)])
    forward = ReplayedForward(state)
    x = torch.stack([batch(state, 20)[0], batch(state, 20, start=5)[0]])
    for _ in range(EAGER_PASSES + 2):
        assert torch.equal(forward(x), state.forward_in_training(x))
    assert not forward.traced_sizes


def test_what_a_user_wrote_and_no_capture_are_evaluated_eagerly() -> None:
    own = opened([spec(activation={"name": "own", "path": "user_parts:shifted_relu"})])
    assert not isinstance(choose_forward(own, capture=True), ReplayedForward)
    assert not isinstance(choose_forward(opened([spec()]), capture=False), ReplayedForward)
    assert isinstance(choose_forward(opened([spec()]), capture=True), ReplayedForward)


@torch.no_grad()
def test_in_bfloat16_the_network_is_evaluated_as_it_is_trained() -> None:
    half, full = (opened([spec(training={"precision": one})]) for one in ("bfloat16", "float32"))
    x = batch(full, 20)
    found, expected = half.forward_in_training(x), full.forward_in_training(x)
    assert found.dtype is torch.float32
    assert torch.equal(found, found.bfloat16().float())
    assert not torch.equal(found, expected)
    assert torch.allclose(found, expected, atol=0.1, rtol=0.1)
