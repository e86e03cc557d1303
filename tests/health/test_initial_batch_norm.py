"""``measure_health`` on networks whose batch norm has seen no batch: it uses the statistics of the inputs."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn

from actbench import measure_health

X = torch.randn(70, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(4)) * 2 + 1


def network() -> nn.Sequential:
    """Convolutions with biases of -100: every channel is dead without batch norm, and hardly any with it."""
    torch.random.default_generator.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(),
        nn.Linear(128, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 4),
    )  # fmt: skip
    for layer in (made[0], made[5]):
        nn.init.constant_(layer.bias, -100.0)
    return made.double()


def expected_signals() -> list[tuple[float, float]]:
    """Mean and deviation of what enters each ReLU when the whole of X is one training batch."""
    seen: list[tuple[float, float]] = []
    model = network().train()
    model[3].eval()
    for index in (2, 7):
        model[index].register_forward_pre_hook(
            lambda layer, given: seen.append((float(given[0].mean()), float(given[0].std(correction=0))))
        )
    with torch.no_grad():
        model(X)
    return seen


@pytest.mark.parametrize(
    "inputs", [X, list(X.split(30)), torch.utils.data.DataLoader([*X], batch_size=32)], ids=["tensor", "list", "loader"]
)
def test_units_at_initialisation_are_those_of_one_training_batch_of_all_inputs(inputs: Iterable[Tensor]) -> None:
    report = measure_health(network(), inputs)
    assert [(layer.units, layer.dead) for layer in report.layers] == [(8, 0), (12, 0)]
    found = [(layer.signals["z_mean"], layer.signals["z_std"]) for layer in report.layers]
    assert found == [pytest.approx(pair, abs=1e-9) for pair in expected_signals()]


def test_an_iterator_is_read_once_and_serves_both() -> None:
    assert measure_health(network(), iter(X.split(35))).dead == 0
    assert measure_health(network(), (batch for batch in X.split(35))).examples == 70


def test_the_module_is_left_as_it_was_found() -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measure_health(model, X)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(layer._forward_pre_hooks for layer in model.modules())


def test_running_statistics_that_have_seen_a_batch_are_used_as_they_are() -> None:
    model = network()
    model.train()(X[:20])
    model.eval()
    with torch.no_grad():
        z = model[1](model[0](X))
    (first, _) = measure_health(model, X).layers
    assert first.signals["z_mean"] == pytest.approx(float(z.mean()), abs=1e-6)
    assert abs(first.signals["z_mean"]) > 1e-2


def test_a_network_without_running_statistics_is_measured_as_ever() -> None:
    plain = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, track_running_stats=False), nn.ReLU(), nn.Linear(6, 2))
    assert measure_health(plain, torch.randn(30, 4)).layers[0].units == 6
