"""``measure_health`` on networks whose batch norm has seen no batch: it uses the statistics of the inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import cycle

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


class Small(nn.Module):
    """Two hidden layers, dead without batch norm; ``normalise`` is how the first is normalised."""

    def __init__(self, normalise: Callable[[Small, Tensor], Tensor]) -> None:
        super().__init__()
        torch.random.default_generator.manual_seed(1)
        self.first, self.norms = nn.Linear(4, 20), nn.ModuleList([nn.BatchNorm1d(20), nn.BatchNorm1d(20)])
        self.second, self.norm, self.last = nn.Linear(20, 15), nn.BatchNorm1d(15), nn.Linear(15, 3)
        self.acts = nn.ModuleList([nn.ReLU(), nn.ReLU()])
        for layer in (self.first, self.second):
            nn.init.constant_(layer.bias, -50.0)
        self.normalise = normalise
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        a = self.acts[0](self.normalise(self, self.first(x)))
        return self.last(self.acts[1](self.norm(self.second(a))))


def caught(module: Small, z: Tensor) -> Tensor:
    try:
        return module.norms[0](z)
    except:  # noqa: E722 - as it stands in other people's code
        return z


def in_two_ways(module: Small, z: Tensor) -> Tensor:
    """Normalise each domain by itself, as told by the batch's own z."""
    return module.norms[int(z.mean() > -50)](z)


def only_some(module: Small, z: Tensor) -> Tensor:
    """Normalise the examples of one kind, of which a batch may have none."""
    chosen = z[:, 0] > -50
    return torch.zeros_like(z).index_put((chosen,), module.norms[0](z[chosen]))


ROWS = torch.randn(200, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(
    "normalise", [lambda module, z: module.norms[0](input=z), caught], ids=["by keyword", "bare except"]
)
def test_a_layer_is_prepared_however_it_is_called(normalise: Callable[[Small, Tensor], Tensor]) -> None:
    report = measure_health(Small(normalise), ROWS)
    assert [(layer.units, layer.dead) for layer in report.layers] == [(20, 0), (15, 0)]
    assert [layer.signals["z_std"] for layer in report.layers] == [pytest.approx(1, abs=1e-3)] * 2


def test_batches_that_pass_other_layers_give_each_layer_its_own_statistics() -> None:
    domains = Small(in_two_ways).first.weight.detach().mean(0)
    up, down = (ROWS + sign * 9 * domains / domains.norm() for sign in (1, -1))
    for batches in ([up, down * 30], [down * 30, up], [up[:50], down[:9], up[50:], down[9:]]):
        report = measure_health(Small(in_two_ways), batches)
        assert [(layer.units, layer.dead, layer.not_finite) for layer in report.layers] == [(20, 0, 0), (15, 0, 0)]
        assert [layer.signals["z_mean"] for layer in report.layers] == [pytest.approx(0, abs=1e-9)] * 2
        assert [layer.signals["z_std"] for layer in report.layers] == [pytest.approx(1, abs=1e-2)] * 2


def test_a_batch_that_gives_a_layer_no_examples_takes_nothing_from_the_others() -> None:
    module = Small(only_some)
    chosen = (module.first(ROWS)[:, 0] > -50).detach()
    batches = [ROWS[~chosen][:20], ROWS[chosen], ROWS[~chosen][20:]]
    report = measure_health(module, batches)
    assert [layer.not_finite for layer in report.layers] == [0, 0]
    assert [layer.dead for layer in report.layers] == [0, 0]
    assert measure_health(module, batches[:1]).layers[0].not_finite == 0


def test_inputs_without_an_end_are_read_as_far_as_asked() -> None:
    report = measure_health(network(), cycle(X.split(35)), max_examples=70)
    assert (report.examples, report.dead) == (70, 0)


def test_the_statistics_are_those_of_the_very_examples_that_are_measured() -> None:
    """A loader that shuffles would begin each pass with others."""
    loader = torch.utils.data.DataLoader([*X], batch_size=10, shuffle=True)
    for layer in measure_health(network(), loader, max_examples=20).layers:
        assert layer.signals["z_mean"] == pytest.approx(0, abs=1e-9)


def test_only_layers_that_have_seen_no_batch_are_prepared() -> None:
    """As under a new head on a network that was trained before."""
    module = Small(lambda module, z: module.norms[0](z))
    module.norms[0].running_mean.fill_(-50.0)
    first, second = measure_health(module, ROWS).layers
    assert first.signals["z_std"] == pytest.approx(float(module.first(ROWS).detach().std(correction=0)), rel=1e-4)
    assert second.signals["z_mean"] == pytest.approx(0, abs=1e-9)
    assert torch.equal(module.norms[0].running_mean, torch.full((20,), -50.0, dtype=torch.float64))


def test_a_layer_whose_statistics_stay_at_their_start_in_training_has_seen_batches() -> None:
    module = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, momentum=0.0), nn.ReLU(), nn.Linear(6, 2)).double()
    nn.init.constant_(module[0].bias, -50.0)
    assert measure_health(module, ROWS).dead == 0
    module(ROWS)
    assert measure_health(module, ROWS).dead == 6


def test_one_number_per_unit_has_no_variance_and_changes_nothing() -> None:
    """Normalised by itself it would be 0 up to rounding, so that chance decides which units are dead."""
    module = Small(lambda module, z: module.norms[0](z))
    z = module.first(ROWS[:1]).detach() / (1 + 1e-5) ** 0.5
    first, _ = measure_health(module, ROWS[:1]).layers
    assert first.signals["z_mean"] == pytest.approx(float(z.mean()), rel=1e-9)
    assert first.dead == 20
