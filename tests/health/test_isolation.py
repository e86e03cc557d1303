"""Errors of a network are its own; the measurement adds none without a way out, and leaves no trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from handmade import ALIVE, DEAD, X, fixed, masks, net
from torch import Tensor, nn

from actbench import measure_health
from actbench.errors import UsageError

BODY = net(fixed(1, ALIVE, DEAD), nn.ReLU(), fixed(2, 0.0))


class Runs(nn.Module):
    def __init__(self, run: Callable[[nn.Module, Tensor], Any]) -> None:
        super().__init__()
        self.body, self.run = BODY, run

    def forward(self, x: Tensor) -> Any:
        return self.run(self.body, x)


def refuses_to_be_watched(module: nn.Module, x: Tensor) -> Tensor:
    if torch._C._len_torch_function_stack():
        raise RuntimeError("no modes here\nand a second line")
    return module(x)


def takes_gradients(module: nn.Module, x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    return torch.autograd.grad(module(x).sum(), x)[0]


def test_a_network_that_fails_only_while_it_is_watched_ends_in_one_message() -> None:
    with pytest.raises(
        UsageError, match=r"not while it is watched \(RuntimeError: no modes here\); measure a part"
    ) as got:
        measure_health(Runs(refuses_to_be_watched), X)
    assert "second line" not in str(got.value)


def test_a_network_that_takes_gradients_is_told_how_to_be_run() -> None:
    network = Runs(takes_gradients)
    with pytest.raises(UsageError, match=r"forward=lambda module, batch: torch\.enable_grad") as got:
        measure_health(network, X)
    forward = eval(str(got.value).partition("forward=")[2])
    assert masks(measure_health(network, X, forward=forward)) == {"body.1": [False, True]}


@pytest.mark.parametrize("error", [ValueError("too short"), KeyError("mask"), ZeroDivisionError(), MemoryError()])
def test_a_networks_own_error_is_raised_as_it_is(error: Exception) -> None:
    def fail(module: nn.Module, x: Tensor) -> Tensor:
        raise error

    with pytest.raises(type(error)) as got:
        measure_health(Runs(fail), X)
    assert got.value is error


class Counts(nn.Module):
    """Gives its buffers another object, another shape and other numbers in evaluation mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("replaced", torch.zeros(()))
        self.register_buffer("grown", torch.ones(1))
        self.register_buffer("written", torch.full((2,), torch.nan))

    def forward(self, x: Tensor) -> Tensor:
        self.replaced = self.replaced + 1
        self.grown.resize_(3).fill_(5)
        self.written.add_(1)
        return x


def test_buffers_that_a_network_replaces_or_resizes_are_put_back() -> None:
    counts = Counts()
    kept = dict(counts.named_buffers())
    measure_health(net(counts, BODY), X)
    assert all(getattr(counts, name) is buffer for name, buffer in kept.items())
    assert [counts.replaced.tolist(), counts.grown.tolist(), counts.written.isnan().all()] == [0.0, [1.0], True]


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_a_network_prepared_for_quantisation_is_left_as_it_was() -> None:
    network = net(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 1))
    network.qconfig = torch.ao.quantization.get_default_qat_qconfig("fbgemm")
    prepared = torch.ao.quantization.prepare_qat(network.train())
    before = {name: buffer.clone() for name, buffer in prepared.named_buffers()}
    report = measure_health(prepared, X)
    assert all(torch.equal(buffer, before[name]) for name, buffer in prepared.named_buffers())
    assert (report.layers[0].units, report.layers[0].uncertain) == (3, True)
