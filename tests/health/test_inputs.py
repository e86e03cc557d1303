"""measure_health takes what training loops have, and leaves the network and torch as it found them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from handmade import ALIVE, DEAD, Functional, X, fixed, masks, net
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from actbench import measure_health
from actbench.errors import UsageError

SIMPLE = net(fixed(1, ALIVE, DEAD), nn.ReLU(), fixed(2, 0.0))


class Named(nn.Module):
    """Takes keyword arguments, returns a mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.body = SIMPLE

    def forward(self, *, pixels: Tensor, scale: float = 1.0) -> dict[str, Any]:
        return {"logits": self.body(pixels * scale), "more": (1, "text")}


class Stubborn(nn.Module):
    """Draws random numbers and changes its own buffers in evaluation mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))
        self.norm = nn.BatchNorm1d(2)

    def forward(self, z: Tensor) -> Tensor:
        self.count += 1
        mean, var = self.norm.running_mean, self.norm.running_var
        z = nn.functional.batch_norm(z, mean, var, training=True)
        return nn.functional.dropout(z, 0.5, training=True)


class Breaks(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        raise RuntimeError("broken on purpose")


def snapshot(module: nn.Module) -> dict[str, Any]:
    return {
        "modes": [part.training for part in module.modules()],
        "state": copy.deepcopy(module.state_dict()),
        "gradients": [parameter.grad for parameter in module.parameters()],
        "requires": [parameter.requires_grad for parameter in module.parameters()],
        "hooks": [[*part._forward_hooks, *part._forward_pre_hooks] for part in module.modules()],
        "attributes": [sorted(vars(part)) for part in module.modules()],
        "random": torch.get_rng_state(),
        "grad mode": torch.is_grad_enabled(),
    }


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


def mixed(middle: nn.Module) -> nn.Module:
    made = net(fixed(1, ALIVE, DEAD), nn.BatchNorm1d(2), nn.ReLU(), nn.Dropout(), middle, fixed(2, 0.0))
    made[1].eval()
    made[0].bias.requires_grad_(False)
    return made


@pytest.mark.parametrize("middle", [nn.Identity(), Stubborn(), Breaks()], ids=lambda part: type(part).__name__)
def test_the_network_and_torch_are_left_as_they_were_also_after_an_error(middle: nn.Module) -> None:
    made = mixed(middle)
    before = snapshot(made)
    if isinstance(middle, Breaks):
        with pytest.raises(RuntimeError, match="broken on purpose"):
            measure_health(made, X)
    else:
        measure_health(made, X)
    after = snapshot(made)
    for what, value in before.items():
        assert same(value, after[what]), what


def test_dropout_does_not_blur_the_result() -> None:
    made = net(fixed(1, ALIVE, DEAD), nn.Dropout(0.9), nn.ReLU(), fixed(2, 0.0))
    assert measure_health(made, X).layers[0].signals == measure_health(made.eval(), X).layers[0].signals


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_it_measures_in_any_gradient_mode(context: Any) -> None:
    with context():
        assert masks(measure_health(SIMPLE, X.clone())) == {"1": [False, True]}


def batches() -> Iterator[Any]:
    labels = torch.zeros(101, dtype=torch.long)
    yield X
    yield [X[:50], X[50:]]
    yield [(X[:50], labels[:50]), (X[50:], labels[50:])]
    yield DataLoader(TensorDataset(X, labels), batch_size=13, shuffle=True)
    yield (part for part in X.split(7))
    yield [X[:0], X]


@pytest.mark.parametrize("inputs", [*batches()], ids=lambda inputs: type(inputs).__name__)
def test_the_result_does_not_depend_on_how_the_inputs_come(inputs: Any) -> None:
    state = torch.get_rng_state()
    found = measure_health(SIMPLE, inputs)
    assert (masks(found), found.examples) == ({"1": [False, True]}, 101)
    assert found.layers[0].sparsity == pytest.approx(measure_health(SIMPLE, X).layers[0].sparsity)
    assert torch.equal(torch.get_rng_state(), state), "a shuffling loader draws from a copy"


def test_a_mapping_is_passed_by_keyword_and_a_callable_runs_what_is_unusual() -> None:
    batch = {"pixels": X, "scale": 2.0}
    assert masks(measure_health(Named(), [batch])) == {"body.1": [False, True]}
    assert masks(measure_health(Named(), [(batch, 0)])) == {"body.1": [False, True]}
    odd = [("id", X)]
    found = measure_health(Named(), odd, forward=lambda module, batch: module(pixels=batch[1]))
    assert (masks(found), found.examples) == ({"body.1": [False, True]}, 101)


def test_enough_is_enough() -> None:
    assert measure_health(SIMPLE, X, max_examples=30).examples == 30
    assert measure_health(SIMPLE, X.split(20), max_examples=30).examples == 40
    assert masks(measure_health(SIMPLE, X, max_examples=30)) == {"1": [True, True]}, "the first thirty are negative"


def test_inputs_of_different_length_merge() -> None:
    made = net(fixed(1, ALIVE, DEAD), nn.ReLU(), fixed(2, 0.0))
    sequences = [X[:12].view(2, 6, 1), X[90:99].view(3, 3, 1)]
    found = measure_health(made, sequences)
    assert (masks(found), found.examples) == ({"1": [False, True]}, 5)
    assert found.layers[0].spatially_silent == pytest.approx((3 / 6 + 1) / 2)


def test_an_activation_seen_on_some_batches_says_on_how_many_inputs() -> None:
    class Sometimes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = Functional(torch.relu)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x) if len(x) < 5 else self.body(torch.relu(self.body.one(x))[:, :1])

    found = measure_health(Sometimes(), [X[:3], X[:7]])
    assert [layer.examples for layer in found.layers] == [10, 10, 7]


@pytest.mark.parametrize(
    ("module", "inputs", "options", "message"),
    [
        (SIMPLE, X[:0], {}, "no inputs to measure on"),
        (SIMPLE, [], {}, "no inputs to measure on"),
        (SIMPLE, torch.tensor(1.0), {}, "without dimensions"),
        (SIMPLE, 5, {}, "a tensor or an iterable of batches, not int"),
        (SIMPLE, {"pixels": X}, {}, "one mapping alone is passed as"),
        (SIMPLE, X, {"max_examples": 0}, "max_examples should be 1 or more"),
        (SIMPLE, X, {"dead_slope": -1.0}, "'dead_slope' should be"),
        (SIMPLE, X, {"constant_std": "x"}, "'constant_std' should be"),
        (torch.relu, X, {}, "needs an nn.Module"),
        (net(nn.LazyLinear(3), nn.ReLU()), X, {}, "lazy parameters"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_the_reason(
    module: Any, inputs: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        measure_health(module, inputs, **options)


def test_units_that_change_in_number_between_batches_are_refused() -> None:
    made = net(nn.Conv1d(1, 2, 1), nn.Flatten(), nn.ReLU(), nn.Unflatten(1, (2, -1)), nn.Conv1d(2, 1, 1))
    batches = [torch.ones(2, 1, 3), torch.ones(2, 1, 4)]
    with pytest.raises(UsageError, match="6 units in one batch and 8 in another"):
        measure_health(made, batches, unit_axis=1)
    assert measure_health(made, batches).units == 2, "channels, whatever the number of their positions"
