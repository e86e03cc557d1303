"""Batch norm at epoch 0 uses the statistics of the probe: the network that the first step trains."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_runs import CPU, records, spec
from torch import Tensor, nn

from actbench.nn.models._module import UserModule
from actbench.schema.runtime import Cohort
from actbench.training.epoch_log import EpochLog
from actbench.training.evaluation import initial_statistics
from actbench.training.state import TrainState

MLP = {"name": "mlp", "hidden": [24, 16], "norm": "batch"}
CNN = {"name": "cnn", "channels": [[6, 5], [4]], "dense": [8], "norm": "batch"}
NET = {"name": "net", "path": "user_parts:net"}
PROBE = 130  # no multiple of a batch


def opened(model: dict[str, Any], *activations: str, **changes: Any) -> TrainState:
    health = {"probe_size": PROBE}
    return TrainState.open(
        Cohort(tuple(spec(model=model, activation=name, health=health, **changes) for name in activations)), CPU
    )


def seen_by_activations(state: TrainState, *, calibrated: bool) -> dict[str, Tensor]:
    """Return layer -> what enters its activation, over the whole probe in one pass."""
    runs, seen = len(state.cohort.specs), {}
    x = state.images.normalise(state.images.train.pixels[:PROBE]).unsqueeze(0)
    with torch.no_grad(), state.act.observed(lambda layer, z: seen.update({layer: z.clone()})):
        if not calibrated:
            state.act.training = True  # the probe as one training batch
            state.forward(x.expand(runs, *x.shape[1:]))
            return seen
        with initial_statistics(state.forward, state.act, state.images, state.cohort.shared.health, runs):
            state.forward(x.expand(runs, *x.shape[1:]))
    return seen


@pytest.mark.parametrize("model", [MLP, CNN, {**NET, "rate": 0.0}], ids=lambda model: model["name"])
def test_the_network_at_initialisation_is_that_of_one_training_batch_that_holds_the_probe(
    model: dict[str, Any],
) -> None:
    activations = ("relu",) if "path" in model else ("relu", "tanh")
    found = seen_by_activations(opened(model, *activations), calibrated=True)
    expected = seen_by_activations(opened(model, *activations), calibrated=False)
    assert len(found) > 1
    assert found.keys() == expected.keys()
    for layer, z in found.items():
        assert torch.allclose(z, expected[layer], rtol=1e-9, atol=1e-9), layer


@pytest.mark.parametrize("model", [MLP, NET], ids=lambda model: model["name"])
def test_training_starts_from_the_running_statistics_that_it_always_had(model: dict[str, Any]) -> None:
    state = opened(model, "relu")
    EpochLog(state, state.forward).close_initial()
    if isinstance(state.model, UserModule):
        running = {name: value for name, value in state.model.state()["buffers"].items() if "running" in name}
    else:
        running = {name: tensor for name, tensor in state.stack.tensors.items() if "running" in name}
    assert len(running) >= 2
    for name, value in running.items():
        assert torch.equal(value, torch.full_like(value, float("var" in name))), name


def test_running_statistics_come_back_after_an_error() -> None:
    state = opened(MLP, "relu")

    def measure() -> None:
        with initial_statistics(state.forward, state.act, state.images, state.cohort.shared.health, 1):
            assert not torch.equal(state.stack.tensors["hidden.1.norm.running_var"], torch.ones(1, 16))
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk"):
        measure()
    assert torch.equal(state.stack.tensors["hidden.1.norm.running_var"], torch.ones(1, 16))
    assert torch.equal(state.stack.tensors["hidden.0.norm.running_mean"], torch.zeros(1, 24))


def test_preparing_the_statistics_draws_no_number_of_a_users_module() -> None:
    state = opened(NET, "relu")
    model = state.model
    assert isinstance(model, UserModule)
    before = model.state()["numbers"]
    with initial_statistics(state.forward, state.act, state.images, state.cohort.shared.health, 1):
        assert torch.equal(model.state()["numbers"], before)


def born_dead(**model: Any) -> int:
    """Return the born dead units of a deep ReLU network whose z are far below 0 but for batch norm."""
    (record,) = records(
        spec(model=model, activation="relu", bias_init=-50.0, training={"epochs": 1}, health={"probe_size": PROBE})
    )
    return int(record.curves[0]["layers"][0]["dead"])


@pytest.mark.slow
def test_filters_and_units_under_batch_norm_are_not_born_dead() -> None:
    assert born_dead(name="cnn", channels=[[480]], dense=[], norm="none") == 480
    assert born_dead(name="cnn", channels=[[480]], dense=[], norm="batch") == 0
    assert born_dead(name="mlp", hidden=[64], norm="none") == 64
    assert born_dead(name="mlp", hidden=[64], norm="batch") == 0


def test_a_module_that_catches_every_exception_is_prepared_all_the_same() -> None:
    class Stubborn(nn.Module):
        def __init__(self, activation: Any) -> None:
            super().__init__()
            self.first, self.norm, self.act = nn.Linear(64, 8), nn.BatchNorm1d(8), activation()
            self.second, self.norm2, self.last = nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Linear(6, 10)

        def forward(self, x: Tensor) -> Tensor:
            try:
                z = self.norm(self.first(x.flatten(1)))
            except Exception:
                z = self.first(x.flatten(1))
            return self.last(self.norm2(self.second(self.act(z))))

    import user_parts

    user_parts.stubborn = Stubborn
    try:
        found = seen_by_activations(opened({"name": "s", "path": "user_parts:stubborn"}, "relu"), calibrated=True)
    finally:
        del user_parts.stubborn
    (z,) = found.values()
    assert torch.allclose(z.mean((0, 1)), torch.zeros(8, dtype=z.dtype), atol=1e-6)


def frozen(activation: Any, classes: int) -> nn.Module:
    """A batch norm that its module's train() leaves in evaluation mode, and one that it does not."""

    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm, self.act = nn.Linear(64, 8), nn.BatchNorm1d(8), activation()
            self.second, self.norm2, self.act2 = nn.Linear(8, 6), nn.BatchNorm1d(6), activation()
            self.last = nn.Linear(6, classes)

        def train(self, mode: bool = True) -> nn.Module:
            super().train(mode)
            self.norm.eval()
            return self

        def forward(self, x: Tensor) -> Tensor:
            a = self.act(self.norm(self.first(x.flatten(1))))
            return self.last(self.act2(self.norm2(self.second(a))))

    return Frozen()


def test_a_frozen_layer_uses_its_own_statistics_as_the_first_step_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("user_parts.frozen", frozen, raising=False)
    model = {"name": "f", "path": "user_parts:frozen"}
    found = seen_by_activations(opened(model, "relu"), calibrated=True)
    expected = seen_by_activations(opened(model, "relu"), calibrated=False)
    assert found.keys() == expected.keys() == {"act", "act2"}
    for layer, z in found.items():
        assert torch.allclose(z, expected[layer], rtol=1e-9, atol=1e-9), layer


@pytest.mark.parametrize("probe", [1, 2])
@pytest.mark.parametrize("model", [MLP, CNN], ids=lambda model: model["name"])
def test_a_tiny_probe_gives_finite_numbers(model: dict[str, Any], probe: int) -> None:
    (record,) = records(
        spec(model=model, activation="relu", bias_init=50.0, training={"epochs": 1}, health={"probe_size": probe})
    )
    assert record.outcome != "diverged"
    layers = record.curves[0]["layers"]
    assert [layer["not_finite"] for layer in layers] == [0] * len(layers)
    # One image gives a unit of an MLP no variance: with the statistics that it was made with, its z is about 50.
    assert (layers[0]["z_mean"] > 5) == (probe == 1 and model is MLP)
    assert layers[0]["dead"] == 0
