"""``draws: torch`` gives the numbers of a plain PyTorch script, written here without any part of actbench's trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from small_runs import CPU, DIGITS, numbers, records, spec
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from actbench.schema.events import Failed, Finished, Saved
from actbench.schema.runtime import Cadence, Cohort
from actbench.schema.spec import RunSpec
from actbench.system import cancellation
from actbench.training import numerics
from actbench.training.loop import run_cohort, train_epoch
from actbench.training.state import TrainState
from actbench.training.steps.choice import choose_stepper

EPOCHS = 3
SEED = 7
MLP = {"name": "mlp", "hidden": [24, 17]}
OPTIMIZER = {"name": "sgd", "lr": 0.05, "momentum": 0.9}


@pytest.fixture(autouse=True)
def _unasked() -> Iterator[None]:
    cancellation.reset()
    yield
    cancellation.reset()


def run_of(**changes: Any) -> RunSpec:
    training = {"precision": "float32", "batch_size": 33, "optimizer": OPTIMIZER} | changes.pop("training", {})
    chosen = {"model": MLP, "weight_init": "pytorch", "bias_init": "pytorch", "draws": "torch", "seed": SEED}
    return spec(training=training, **(chosen | changes))


def mlp(*layers: Callable[[], nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 24),
        *(make() for make in layers),
        nn.Linear(24, 17),
        *(make() for make in layers),
        nn.Linear(17, 10),
    )


def batch_norms() -> nn.Module:
    network = mlp(nn.Identity)
    for place, units in ((2, 24), (4, 17)):
        network[place] = nn.Sequential(nn.BatchNorm1d(units), nn.ReLU())
    return network


def layer_norms() -> nn.Module:
    network = mlp(nn.Identity)
    for place, units in ((2, 24), (4, 17)):
        network[place] = nn.Sequential(nn.LayerNorm(units), nn.ReLU())
    return network


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(48, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


def by_hand(weights: Callable[[Tensor], Any], bias: float) -> Callable[[], nn.Module]:
    """Return a network whose layers are started again after it is made, as published recipes do."""

    def make() -> nn.Module:
        network = mlp(nn.ReLU)
        layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
        for layer in layers:
            weights(layer.weight)
            nn.init.constant_(layer.bias, bias)
        nn.init.zeros_(layers[-1].bias)
        return network

    return make


Parameters = Iterator[nn.Parameter]


def sgd(parameters: Parameters) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)


@dataclass
class Trained:
    start: list[Tensor]
    batches: list[tuple[Tensor, Tensor]]
    losses: list[float]
    end: list[Tensor]


def script(
    x: Tensor,
    y: Tensor,
    make: Callable[[], nn.Module],
    optimizer: Callable[[Parameters], torch.optim.Optimizer] = sgd,
    *,
    test_loader: bool = False,
) -> Trained:
    with torch.random.fork_rng([]):
        torch.manual_seed(SEED)  # noqa: TID251 - a script of its own
        network = make().to(x.dtype)
        start = [p.detach().clone() for p in network.parameters()]
        loader = DataLoader(TensorDataset(x, y), batch_size=33, shuffle=True)
        steps, loss_of = optimizer(network.parameters()), nn.CrossEntropyLoss()
        batches, losses = [], []
        for _ in range(EPOCHS):
            for inputs, targets in loader:
                batches.append((inputs, targets))
                steps.zero_grad()
                loss = loss_of(network(inputs), targets)
                loss.backward()
                steps.step()
                losses.append(loss.item() * len(targets))
            if test_loader:
                for _ in DataLoader(TensorDataset(x, y), batch_size=100):
                    pass
        return Trained(start, batches, losses, [p.detach() for p in network.parameters()])


def ours(run: RunSpec, *, capture: bool = True) -> tuple[TrainState, Trained]:
    state = TrainState.open(Cohort((run,)), CPU)
    stepper = choose_stepper(state, capture=capture)
    batches: list[tuple[Tensor, Tensor]] = []

    def watched(state: TrainState, chunk: Any) -> None:
        batches.extend((x[0].clone(), labels[0].clone()) for x, labels in chunk)
        stepper(state, chunk)

    watched.batches_per_call = stepper.batches_per_call  # type: ignore[attr-defined]
    start, losses = parameters(state), []
    for _ in range(EPOCHS):
        losses.append(float(train_epoch(state, watched).loss))  # type: ignore[arg-type]
    return state, Trained(start, batches, losses, parameters(state))


def parameters(state: TrainState) -> list[Tensor]:
    """Return the run's tensors in the order in which layers stand in a script."""

    def place(name: str) -> tuple[Any, ...]:
        layer, _, part = name.rpartition(".")
        kind = ["conv", "hidden", "first", "norm", "dense", "second", "output", "last"].index(name.split(".")[0])
        return kind, layer, ("weight", "bias", "slope").index(part)

    names = [name for name in state.stack.gradients if name]
    return [state.stack.tensors[name].detach()[0].clone() for name in sorted(names, key=place)]


PLAIN = {"weight_init": "he_normal", "bias_init": 0.0}

RECIPES: dict[str, tuple[dict[str, Any], Callable[[], nn.Module], Any]] = {
    "relu": ({}, lambda: mlp(nn.ReLU), sgd),
    "gelu": ({"activation": "gelu"}, lambda: mlp(nn.GELU), sgd),
    "dropout": ({"model": {**MLP, "dropout": 0.3}}, lambda: mlp(nn.ReLU, lambda: nn.Dropout(0.3)), sgd),
    "alpha dropout": (
        {"model": {**MLP, "dropout": 0.1, "dropout_kind": "alpha"}, "activation": "selu"},
        lambda: mlp(nn.SELU, lambda: nn.AlphaDropout(0.1)),
        sgd,
    ),
    "layer norm": ({"model": {**MLP, "norm": "layer"}}, layer_norms, sgd),
    "batch norm": ({"model": {**MLP, "batch_norm": True}}, batch_norms, sgd),
    "cnn": ({"model": {"name": "cnn", "channels": [8, 12], "dense": [32]}}, cnn, sgd),
    "float64": ({"training": {"precision": "float64"}}, lambda: mlp(nn.ReLU), sgd),
    "unit": ({"dataset": {**DIGITS, "scale": "unit"}}, lambda: mlp(nn.ReLU), sgd),
    "kaiming normal": (
        PLAIN,
        by_hand(lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"), 0.0),
        sgd,
    ),
    "xavier uniform": (
        {"weight_init": "xavier_uniform", "bias_init": 0.01},
        by_hand(nn.init.xavier_uniform_, 0.01),
        sgd,
    ),
    "orthogonal": ({"weight_init": "orthogonal", "bias_init": 0.0}, by_hand(nn.init.orthogonal_, 0.0), sgd),
    "nesterov": (
        {"training": {"optimizer": {**OPTIMIZER, "nesterov": True, "weight_decay": 5e-4}}},
        lambda: mlp(nn.ReLU),
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4),
    ),
    "plain sgd": (
        {"training": {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.0}}},
        lambda: mlp(nn.ReLU),
        lambda p: torch.optim.SGD(p, lr=0.1),
    ),
    "dampening": (
        {"training": {"optimizer": {**OPTIMIZER, "dampening": 0.1}}},
        lambda: mlp(nn.ReLU),
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, dampening=0.1),
    ),
    "adam": (
        {"training": {"optimizer": {"name": "adam", "lr": 2e-3, "weight_decay": 1e-3}}},
        lambda: mlp(nn.ReLU),
        lambda p: torch.optim.Adam(p, lr=2e-3, weight_decay=1e-3),
    ),
    "adamw": (
        {"training": {"optimizer": {"name": "adamw", "lr": 2e-3}}},
        lambda: mlp(nn.ReLU),
        lambda p: torch.optim.AdamW(p, lr=2e-3),
    ),
    "rmsprop": (
        {"training": {"optimizer": {"name": "rmsprop", "lr": 1e-3, "momentum": 0.5}}},
        lambda: mlp(nn.ReLU),
        lambda p: torch.optim.RMSprop(p, lr=1e-3, momentum=0.5),
    ),
}


def agree(found: Trained, expected: Trained) -> None:
    """Check that two trainings have the same bits from the first weight to the last."""
    for one, other in ((found.start, expected.start), (found.end, expected.end)):
        assert all(torch.equal(a.flatten(), b.flatten()) for a, b in zip(one, other, strict=True))
    for (x, labels), (theirs, targets) in zip(found.batches, expected.batches, strict=True):
        assert torch.equal(x, theirs)
        assert torch.equal(labels, targets)
    steps = len(expected.losses) // EPOCHS
    sums = [sum(expected.losses[epoch * steps : (epoch + 1) * steps]) for epoch in range(EPOCHS)]
    assert found.losses == pytest.approx(sums, rel=1e-7)  # a batch's mean loss times its size is rounded


@pytest.mark.parametrize("name", RECIPES)
def test_weights_batches_and_training_are_those_of_a_plain_script_to_the_bit(name: str) -> None:
    changes, make, optimizer = RECIPES[name]
    with numerics.deterministic_numerics("default", "torch"):
        state, found = ours(run_of(**changes))
        x, y = state.images.normalise(state.images.train.pixels), state.images.train.labels
        agree(found, script(x, y, make, optimizer))


def test_an_images_numbers_are_those_of_totensor_where_they_are_scaled_to_one() -> None:
    state, found = ours(run_of(dataset={**DIGITS, "scale": "unit"}))
    x = state.images.train.pixels.float().div(255)
    assert {tuple(image.flatten().tolist()) for batch, _ in found.batches for image in batch} == {
        tuple(image.flatten().tolist()) for image in x
    }


def test_a_script_that_passes_over_a_test_loader_draws_a_number_more_an_epoch() -> None:
    with numerics.deterministic_numerics("default", "torch"):
        state, found = ours(run_of(draws="torch_with_test"))
        x, y = state.images.normalise(state.images.train.pixels), state.images.train.labels
        agree(found, script(x, y, lambda: mlp(nn.ReLU), test_loader=True))
        without = ours(run_of())[1]
    steps = len(found.batches) // EPOCHS
    assert torch.equal(found.batches[0][0], without.batches[0][0])
    assert not torch.equal(found.batches[steps][0], without.batches[steps][0])


class Residual(nn.Module):
    """A network of the user's own, which is also the script's."""

    def __init__(self, activation: Any = nn.ReLU) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(64, 20), nn.Linear(20, 20), nn.Linear(20, 10)
        self.act, self.drop = activation(), nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.first(x.flatten(1)))
        return self.last(self.drop(x + self.act(self.second(x))))


@pytest.mark.parametrize("weight_init", ["pytorch", "he_normal"])
def test_a_module_of_ones_own_is_made_and_trained_as_in_a_script(weight_init: str) -> None:
    bias: Any = "pytorch" if weight_init == "pytorch" else 0.0

    def make() -> nn.Module:
        network = Residual()
        for layer in (network.first, network.second, network.last):
            if weight_init == "he_normal":
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        return network

    own = {"name": "residual", "path": f"{__name__}:Residual"}
    with numerics.deterministic_numerics("default", "torch"):
        state, found = ours(run_of(model=own, weight_init=weight_init, bias_init=bias))
        x, y = state.images.normalise(state.images.train.pixels), state.images.train.labels
        agree(found, script(x, y, make))


def test_eager_and_replayed_steps_agree() -> None:
    with numerics.deterministic_numerics("default", "torch"):
        agree(ours(run_of(activation="prelu"), capture=False)[1], ours(run_of(activation="prelu"))[1])


@pytest.mark.parametrize(
    "changes", [{}, {"model": {**MLP, "dropout": 0.3}}, {"model": {"name": "cnn", "channels": [4], "dense": [8]}}]
)
def test_a_cohort_gives_each_run_what_it_gets_alone(changes: dict[str, Any]) -> None:
    runs = [
        run_of(activation=activation, seed=seed, weight_init=scheme, bias_init=bias, **changes)
        for activation, seed, scheme, bias in (
            ("relu", 0, "pytorch", "pytorch"),
            ("relu", 0, "he_normal", None),
            ("relu", 1, "he_normal", 0.0),
            ("tanh", 0, "pytorch", "pytorch"),
            ("tanh", 1, "orthogonal", 0.01),
        )
    ]
    for run, record in zip(runs, records(*runs), strict=True):
        assert numbers(record) == numbers(records(run)[0]), run.run_id


def test_runs_of_one_seed_share_weights_and_batches_where_their_layers_draw_alike() -> None:
    relu, tanh = (ours(run_of(activation=name))[1] for name in ("relu", "tanh"))
    assert all(torch.equal(a, b) for a, b in zip(relu.start, tanh.start, strict=True))
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(relu.batches, tanh.batches, strict=True))
    other = ours(run_of(seed=8))[1]
    assert not torch.equal(relu.start[0], other.start[0])
    assert not torch.equal(relu.batches[0][0], other.batches[0][0])


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    records(run_of(model={**MLP, "dropout": 0.3}), run_of(model={**MLP, "dropout": 0.3}, weight_init="he_normal"))
    records(run_of(model={"name": "residual", "path": f"{__name__}:Residual"}))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "changes",
    [
        {"draws": "torch_with_test"},
        {"model": {**MLP, "dropout": 0.3}, "draws": "torch_with_test", "training": {"optimizer": "adam"}},
        {"model": {"name": "residual", "path": f"{__name__}:Residual"}},
    ],
)
def test_a_run_taken_up_again_anywhere_equals_an_undisturbed_one(changes: dict[str, Any]) -> None:
    run = run_of(**changes)
    runtime = replace(CPU, checkpoint_every=Cadence(seconds=0))
    events = list(run_cohort(Cohort((run,)), runtime))
    (undisturbed,) = (numbers(event.record) for event in events if isinstance(event, Finished))
    states = [event.state for event in events if isinstance(event, Saved)]
    assert len(states) >= 4
    for state in (states[0], states[len(states) // 2], states[-1]):
        resumed = list(run_cohort(Cohort((run,), state), replace(CPU, checkpoint_every=Cadence())))
        assert [numbers(event.record) for event in resumed if isinstance(event, Finished)] == [undisturbed]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight_init": "matched"}, "draws: torch has no weight_init 'matched'; choose one of pytorch, he_normal"),
        ({"weight_init": {"name": "orthogonal", "gain": 2.0}}, "choose orthogonal without a gain"),
        ({"training": {"augment": {"flip": True}}}, "can't draw training.augment"),
        ({"order_seed": 1}, "so order_seed has no place there"),
        ({"activation": "rrelu"}, "can't draw the noise of 'rrelu'"),
    ],
)
def test_what_a_script_draws_otherwise_is_refused(changes: dict[str, Any], message: str) -> None:
    (failure,) = (event for event in run_cohort(Cohort((run_of(**changes),)), CPU) if isinstance(event, Failed))
    assert message in failure.message
    assert failure.usage


def test_runs_that_draw_as_actbench_does_keep_their_digests() -> None:
    assert spec(draws="actbench").digest == spec().digest
    assert spec(draws="torch").digest != spec().digest
