"""Replayed steps: the numbers of eager ones to the last bit, in fewer calls, and never where they would go wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_runs import CPU, DIGITS, every_activation, spec
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from actbench.nn.alignment import VECTOR_STEP
from actbench.nn.native import library
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec
from actbench.training import numerics
from actbench.training.loop import train_epoch
from actbench.training.state import TrainState
from actbench.training.steps.arena import Arena
from actbench.training.steps.choice import Stepper, choose_stepper
from actbench.training.steps.eager import EagerStepper, compute_gradients, train_step
from actbench.training.steps.op_trace import OpTracer
from actbench.training.steps.replayed import ReplayStepper

ODD = {"name": "mlp", "hidden": [7, 5]}


@pytest.fixture(autouse=True, params=["torch", "native"])
def _kernels(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test once with torch's kernels and once with compiled ones, where this machine can compile."""
    if request.param == "native" and library.load() is None:
        pytest.skip(library.remembered().reason)
    with library.use_kernels(library.load() if request.param == "native" else None):
        yield


@dataclass(frozen=True)
class Trained:
    """A cohort after some epochs, and the stepper that trained it."""

    state: TrainState
    stepper: Stepper


def trained(runs: Sequence[RunSpec], epochs: int, *, capture: bool) -> Trained:
    state = TrainState.open(Cohort(tuple(runs)), CPU)
    stepper = choose_stepper(state, capture=capture)
    with numerics.deterministic_numerics("default", library.name_in_use()):
        for _ in range(epochs):
            train_epoch(state, stepper)
    return Trained(state, stepper)


def assert_same(one: Trained, other: Trained) -> None:
    """Every tensor, every sum over the last epoch."""
    for name, tensor in one.state.stack.tensors.items():
        assert torch.equal(bits(tensor), bits(other.state.stack.tensors[name])), name
    assert torch.equal(bits(one.state.tally.loss), bits(other.state.tally.loss))
    assert torch.equal(one.state.tally.correct, other.state.tally.correct)


def bits(tensor: Tensor) -> Tensor:
    """NaN equals NaN only bit by bit."""
    return tensor.detach().contiguous().view(torch.uint8)


PRECISIONS = ["float32", "float64", "bfloat16"]
REPLAYED = [run for run in every_activation() if run.activation.name != "rrelu"]
"""All but the activation that draws random numbers in its steps."""


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_replayed_steps_give_every_activation_the_numbers_of_eager_ones(precision: str) -> None:
    """An epoch's last batch has another size, and is traced in the ninth epoch."""
    changes = {"training": {"epochs": 10, "batch_size": 32, "precision": precision}, "model": ODD}
    runs = [RunSpec.model_validate(run.model_dump(mode="json") | changes) for run in REPLAYED]
    replayed, eager = (trained(runs, 10, capture=capture) for capture in (True, False))
    assert_same(replayed, eager)
    assert isinstance(replayed.stepper, ReplayStepper)
    assert replayed.stepper.traced_sizes == {32, len(replayed.state.images.train) % 32}
    for index in range(0, len(runs), 7):
        alone = trained(runs[index : index + 1], 10, capture=True)
        for name, tensor in alone.state.stack.tensors.items():
            assert torch.equal(tensor[0], replayed.state.stack.tensors[name][index]), runs[index].activation.label


CHANGES: list[dict[str, Any]] = [
    {"model": {**ODD, "norm": "batch"}},
    {"model": {**ODD, "norm": "layer"}},
    {"model": {**ODD, "norm": "derf"}, "training": {"clip_norm": 0.5}},
    {"model": {"name": "cnn", "channels": [[4, 4], [6]], "dense": [16], "norm": "batch"}},
    {"model": {"name": "cnn", "channels": [[4, 3]], "dense": [7], "norm": "layer"}},
    {"model": {"name": "cnn", "channels": [4], "dense": [], "pool": "avg"}},
    {"training": {"optimizer": "adam", "clip_norm": 0.5, "schedule": "cosine"}},
    {"training": {"optimizer": {"name": "adamw", "weight_decay": 0.1}, "augment": {"crop": 1, "flip": True}}},
    {"training": {"optimizer": {"name": "sgd", "lr": 0.05, "nesterov": True, "weight_decay": 0.1}, "decay": "weights"}},
    {"training": {"optimizer": {"name": "rmsprop", "lr": 0.001}}},
    {"dataset": {**DIGITS, "scale": "unit"}, "training": {"drop_last": True}},
    {"training": {"loss": "mse"}},
    {"training": {"label_smoothing": 0.1}},
    {"dataset": {"name": "regression", "examples": 500}, "training": {"loss": "mse"}},
]


@pytest.mark.parametrize(
    "precision", ["float32", *(pytest.param(one, marks=pytest.mark.slow) for one in PRECISIONS[1:])]
)
@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_replayed_steps_give_a_mixed_cohort_the_numbers_of_eager_ones(changes: dict[str, Any], precision: str) -> None:
    changes = changes | {"training": changes.get("training", {}) | {"precision": precision, "epochs": 4}}
    runs = [
        spec(activation=activation, bias_init=bias, seed=seed, **changes)
        for activation in ("relu", {"name": "prelu", "per": "unit"}, "tanh")
        for bias in (0.0, None)
        for seed in (0, 3)
    ]
    replayed, eager = (trained(runs, 4, capture=capture) for capture in (True, False))
    assert_same(replayed, eager)
    assert isinstance(replayed.stepper, ReplayStepper)
    assert replayed.stepper.traced_sizes == {32}


def test_a_resting_run_takes_no_steps_and_its_neighbours_see_nothing_of_it() -> None:
    """Its last, smaller batches would be taken eagerly, by all runs together, until they are traced too."""
    training = {"drop_last": True}
    runs = [spec(activation=activation, training=training) for activation in ("relu", "tanh", "gelu")]
    state, undisturbed = TrainState.open(Cohort(tuple(runs)), CPU), trained(runs, 4, capture=True).state
    stepper = choose_stepper(state, capture=True)
    with numerics.deterministic_numerics("default", library.name_in_use()):
        train_epoch(state, stepper)
        train_epoch(state, stepper)
        state.resting.add(1)
        before = {name: tensor.detach().clone() for name, tensor in state.stack.tensors.items()}
        train_epoch(state, stepper)
        train_epoch(state, stepper)
    for name, tensor in state.stack.tensors.items():
        assert torch.equal(tensor[1], before[name][1]), name
        assert torch.equal(tensor[::2], undisturbed.stack.tensors[name][::2]), name


@pytest.mark.parametrize("changes", [{"activation": "rrelu"}, {"model": {**ODD, "dropout": 0.3}}], ids=str)
def test_steps_that_draw_random_numbers_are_never_replayed(changes: dict[str, Any]) -> None:
    runs = [spec(**changes), spec()] if "model" not in changes else [spec(**changes)]
    stepper = trained(runs, 3, capture=True).stepper
    assert isinstance(stepper, ReplayStepper)
    assert not stepper.traced_sizes
    assert stepper.batches_per_call == 1


@pytest.mark.slow
def test_several_steps_are_taken_together_only_where_they_stay_in_the_cache() -> None:
    runs = [spec(activation=name, training={"precision": "float32"}) for name in ("relu", "tanh")]
    wide = [spec(activation=name, model={"name": "mlp", "hidden": [2000, 2000]}) for name in ("relu", "tanh")]
    assert trained(runs, 2, capture=True).stepper.batches_per_call == 8
    assert trained(runs[:1], 2, capture=True).stepper.batches_per_call == 1
    assert trained(wide, 0, capture=True).stepper.batches_per_call == 1
    large = trained(wide, 2, capture=True)
    assert large.stepper.batches_per_call == 1
    assert isinstance(large.stepper, ReplayStepper)
    assert large.stepper.traced_sizes == {32}


def test_a_diverged_run_leaves_replayed_neighbours_alone() -> None:
    wild = spec(activation={"name": "expression", "formula": "exp(x) * 1e30 * x"})
    calm = spec(activation="relu")
    replayed, eager = (trained([wild, calm], 3, capture=capture) for capture in (True, False))
    assert_same(replayed, eager)
    assert isinstance(replayed.stepper, ReplayStepper)
    assert replayed.stepper.traced_sizes
    assert replayed.state.stack.is_below(math.inf).tolist() == [False, True]


class Counted(TorchDispatchMode):
    """Counts the operations that reach torch's kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(operation.overloadpacket))
        return operation(*args, **(kwargs or {}))


def test_replayed_steps_allocate_nothing_and_make_few_calls() -> None:
    done = trained([spec(training={"batch_size": 20})], 2, capture=True)
    state, stepper = done.state, done.stepper
    x, labels = next(state.batches.epoch())
    with Counted() as eager:
        train_step(state, x, labels)
    with Counted() as replayed:
        stepper(state, [(x, labels)] * 8)
    assert not [name for name in replayed.names if "empty" in name]
    assert [name for name in eager.names if "empty" in name]
    assert len(replayed.names) / 8 < 40 < 70 < len(eager.names)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, ReplayStepper),
        ({"activation": {"name": "own", "path": "user_parts:shifted_relu"}}, EagerStepper),
        ({"model": {"name": "own", "path": "user_parts:plain_mlp"}}, EagerStepper),
    ],
    ids=str,
)
def test_what_a_user_wrote_is_never_replayed(changes: dict[str, Any], kind: type) -> None:
    assert isinstance(trained([spec(**changes)], 0, capture=True).stepper, kind)


def test_no_capture_means_eager_steps() -> None:
    assert isinstance(trained([spec()], 0, capture=False).stepper, EagerStepper)


@pytest.mark.parametrize(
    "function",
    [lambda x: x * torch.rand_like(x), lambda x: x * x.sum().item(), lambda x: torch.bernoulli(x.sigmoid())],
)
def test_what_a_replay_would_get_wrong_is_untraceable(function: Any) -> None:
    with OpTracer() as tracer:
        function(torch.ones(3))
    assert tracer.untraceable
    assert tracer.build_replay(Arena()) == []


def test_large_results_that_would_have_to_be_copied_are_untraceable() -> None:
    images, kernels = torch.ones(64, 3, 32, 32), torch.ones(32, 3, 3, 3)
    with OpTracer() as tracer:
        torch.nn.functional.conv2d(images, kernels)
    assert tracer.build_replay(Arena()) == []
    assert "copying" in tracer.untraceable
    assert not tracer.calls, "the trace is discarded"


def test_an_operation_that_changes_and_makes_at_once_is_untraceable() -> None:
    """A replay would not know where to put what it makes."""
    x, mean, variance = torch.randn(4, 3), torch.zeros(3), torch.ones(3)
    with OpTracer() as tracer:
        torch.ops.aten._native_batch_norm_legit(x, None, None, mean, variance, True, 0.1, 1e-5)
    assert "returns new memory" in tracer.untraceable


def computation(x: Tensor, weight: Tensor, result: Tensor) -> None:
    """Views, kernels with and without an out variant, a change in place, a constant, several results."""
    y = torch.relu(x @ weight.t()) + torch.ones_like(weight[:, 0])
    largest, where = y.max(dim=1)
    y[:, 0].mul_(2)
    result.copy_(torch.prelu(y - largest.unsqueeze(1), weight[0, :1]) + where.unsqueeze(1))


def test_a_replay_follows_its_inputs() -> None:
    x, weight, result = torch.randn(6, 5), torch.randn(4, 5), torch.empty(6, 4)
    with OpTracer() as tracer:
        computation(x, weight, result)
    calls = tracer.build_replay(Arena())
    for _ in range(3):
        x.normal_()
        weight.normal_()
        expected = torch.empty(6, 4)
        computation(x, weight, expected)
        for call in calls:
            call()
        assert torch.equal(result, expected)


def test_computations_that_share_an_arena_do_not_disturb_each_other() -> None:
    arena, both = Arena(), []
    for size in (4, 40):
        x, weight, result = torch.randn(size, 5), torch.randn(4, 5), torch.empty(size, 4)
        with OpTracer() as tracer:
            computation(x, weight, result)
        both.append((tracer.build_replay(arena), result.clone(), result))
    for calls, expected, result in (*both, *both):
        result.zero_()
        for call in calls:
            call()
        assert torch.equal(result, expected)


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 5)), min_size=1, max_size=12))
def test_pieces_in_use_together_lie_apart_on_boundaries(pieces: list[tuple[int, int]]) -> None:
    """Each piece is made by a copy and read once more, some calls later."""
    held: list[Tensor] = []
    with OpTracer() as tracer:
        for index, (size, age) in enumerate(pieces):
            held.append(torch.zeros(size, dtype=torch.uint8).clone())
            held[max(0, index - age)].add_(1)
    by_memory = {one.data_ptr(): one for one in held}
    uses = {
        memory: [n for n, call in enumerate(tracer.calls) if memory in {one.data_ptr() for one in call.tensors}]
        for memory in by_memory
    }
    places = Arena().plan({memory: (times[0], times[-1]) for memory, times in uses.items() if times}, by_memory)
    assert all(place % VECTOR_STEP == 0 for place in places.values())
    for (one, place), (other, beside) in permutations(places.items(), 2):
        if place <= beside < place + len(by_memory[one]):
            assert uses[one][-1] < uses[other][0] or uses[other][-1] < uses[one][0]


def test_the_trace_that_the_internals_show_is_the_real_one() -> None:
    text = (Path(__file__).parents[2] / "docs" / "internals.md").read_text("utf-8")
    shown = re.findall(r"^ ?\d+ ([\w.]+)\(", text, re.MULTILINE)
    run = spec(activation="tanh", model={"name": "mlp", "hidden": [5]}, training={"precision": "float32"})
    state = TrainState.open(Cohort((run,)), CPU)
    state.act.training = True
    x, labels = (tensor.clone() for tensor in next(state.batches.epoch()))
    loss, logits = torch.empty(1), torch.empty(1, 32, 10)
    with OpTracer() as tracer:
        found = compute_gradients(state, x, labels)
        loss.copy_(found[0])
        logits.copy_(found[1])
    arena = Arena()
    replayed = tracer.build_replay(arena)
    flowing = " ".join(text.split())  # a sentence may be wrapped anywhere
    if library.in_use():
        assert f"With the compiled kernels of `nn/native/` the same step is {len(replayed)} calls" in flowing
        return
    assert [str(call.operation).removeprefix("aten.").removesuffix(".default") for call in tracer.calls] == shown
    assert f"makes the {len(replayed)} calls" in flowing
    assert f"{len(arena.memory):,} bytes in all" in flowing
