"""Activations that write into memory which other tensors share: seen, or their layer is ``unseen``; never linear."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from handmade import ALIVE, DEAD, X, fixed, masks
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from actbench import measure_health
from actbench.health.modules.aliases import overlay, version


class Written(nn.Module):
    """One layer of four units, two of them dead, and a function that changes its result without returning it."""

    def __init__(self, write: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.one, self.out, self.write = fixed(1, ALIVE, DEAD, DEAD, ALIVE), fixed(4, 0.0), write

    def forward(self, x: Tensor) -> Tensor:
        h = self.one(x)
        self.write(h)
        return self.out(h)


class InPlace(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        ctx.mark_dirty(h)
        return h.relu_()


def set_item(h: Tensor) -> None:
    h[...] = F.relu(h)


def set_columns(h: Tensor) -> None:
    h[:, 1:3] = torch.relu(h[:, 1:3])


def set_data(h: Tensor) -> None:
    h.data = F.relu(h)


def to_another_tensor(h: Tensor) -> None:
    a = torch.empty_like(h)
    torch.clamp(h, min=0, out=a)
    h.copy_(a)


def halves(h: Tensor) -> None:
    for half in h.chunk(2, dim=1):
        F.relu_(half)


def view_of_a_view(h: Tensor) -> None:
    h.view(-1, 2, 2)[:, 1].relu_()


def under_grad(h: Tensor) -> None:
    with torch.enable_grad():
        nn.ReLU(inplace=True)(h.detach())


SEEN: dict[Callable[[Tensor], Any], list[list[bool]]] = {
    (lambda h: nn.ReLU(inplace=True)(h[:, :2])): [[False, True]],
    (lambda h: h[:, 2:].clamp_(min=0)): [[True, False]],
    (lambda h: h.data.clamp_(min=0)): [[False, True, True, False]],
    (lambda h: h.detach().relu_()): [[False, True, True, False]],
    (lambda h: torch.clamp(h, min=0, out=h)): [[False, True, True, False]],
    (lambda h: torch.tanh(h, out=h)): [[False, True, True, False]],
    (lambda h: h.copy_(torch.relu(h))): [[False, True, True, False]],
    (lambda h: h.view(-1).view(-1, 4).relu_()): [[False, True, True, False]],
    set_item: [[False, True, True, False]],
    set_columns: [[True, True]],
    set_data: [[False, True, True, False]],
    to_another_tensor: [[False, True, True, False]],
    halves: [[False, True], [True, False]],
    under_grad: [[False, True, True, False]],
    InPlace.apply: [[False, True, True, False]],
}


@pytest.mark.parametrize("write", SEEN)
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.inference_mode])
def test_an_activation_of_shared_memory_is_seen_where_it_works(write: Callable[[Tensor], Any], mode: Any) -> None:
    with mode():
        found = measure_health(Written(write), X.clone())
    assert list(masks(found).values()) == SEEN[write]
    assert (found.linear, found.unseen, found.layers[0].after) == ((), (), ("one",))


def numpy_in_place(h: Tensor) -> None:
    values = h.numpy()
    np.maximum(values, 0, out=values)


def numpy_and_back(h: Tensor) -> None:
    h.copy_(torch.from_numpy(np.maximum(np.asarray(h), 0)))


def numpy_by_dlpack(h: Tensor) -> None:
    values = np.from_dlpack(h.detach())
    np.maximum(values, 0, out=values)


def raw_memory(h: Tensor) -> None:
    ctypes.memset(h.data_ptr(), 0, 4)


def scripted(h: Tensor) -> None:
    def relu_of_a_part(values: Tensor) -> None:
        values[:, 1:].relu_()

    torch.jit.script(relu_of_a_part)(h)


def list_and_back(h: Tensor) -> None:
    h.copy_(torch.tensor([[max(value, 0) for value in row] for row in h.tolist()]))


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize(
    "write",
    [lambda h: h.mul_(torch.sigmoid(h)), lambda h: h[:, :2].mul_(h[:, :2] > 0), lambda h: h.data.masked_fill_(h < 0, 0),
     lambda h: torch.maximum(h, torch.zeros(()), out=h), lambda h: torch._foreach_clamp_min_([h], 0.0),
     lambda h: h.map_(h, lambda a, b: max(a, 0)), numpy_in_place, numpy_and_back, list_and_back,
     numpy_by_dlpack, raw_memory, scripted, lambda h: h.untyped_storage().fill_(0),
     lambda h: h.view(torch.int32).mul_(0), lambda h: torch._foreach_clamp_min_(list(h.unbind(1)), 0.0)],
)  # fmt: skip
def test_another_change_of_shared_memory_makes_the_layer_unseen(write: Callable[[Tensor], Any]) -> None:
    found = measure_health(Written(write), X)
    assert (found.unseen, found.linear, found.layers) == (("one",), (), ())


@pytest.mark.parametrize(
    "write",
    [lambda h: h.add_(1), lambda h: h[:, :2].mul_(2.0), lambda h: h.data.div_(3), lambda h: h[:, :2].copy_(h[:, 2:]),
     lambda h: h.numpy, lambda h: h.relu(), lambda h: h.clone().relu_()],
)  # fmt: skip
def test_a_linear_change_of_shared_memory_leaves_a_layer_linear(write: Callable[[Tensor], Any]) -> None:
    found = measure_health(Written(write), X)
    assert (found.unseen, found.linear, found.layers) == ((), ("one",), ())


class Memory(nn.Module):
    """Keeps hidden outputs in a buffer, from which the next layer reads."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.out = fixed(1, ALIVE, DEAD), fixed(2, 0.0)
        self.register_buffer("kept", torch.zeros(101, 2))

    def forward(self, x: Tensor) -> Tensor:
        self.kept[: len(x)] = F.relu(self.one(x))
        return self.out(self.kept[: len(x)])


def test_a_result_written_into_a_part_of_a_fresh_tensor_is_followed() -> None:
    class Fresh(Written):
        def forward(self, x: Tensor) -> Tensor:
            h, kept = self.one(x), torch.zeros(len(x), 4)
            torch.clamp(h[:, :2], min=0, out=kept[:, :2])
            kept.index_copy_(1, torch.tensor([3]), torch.tanh(h[:, 3:]))
            return self.out(kept)

    found = measure_health(Fresh(lambda h: None), X)
    assert (masks(found), found.unseen) == ({"clamp": [False, True], "tanh": [False]}, ())


def test_memory_that_two_layers_share_belongs_to_both() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.out = fixed(1, ALIVE, DEAD), fixed(1, ALIVE, DEAD), fixed(4, 0.0)

        def forward(self, x: Tensor) -> Tensor:
            kept = torch.zeros(len(x), 4)
            kept[:, :2].copy_(self.one(x))
            kept[:, 2:].copy_(F.relu(self.two(x)))
            return self.out(kept)

    found = measure_health(Both(), X)
    assert (masks(found), found.linear, found.unseen) == ({"relu": [False, True]}, ("one",), ())


def test_a_signal_kept_in_a_buffer_is_followed() -> None:
    assert masks(measure_health(Memory(), X)) == {"relu": [False, True]}


def test_both_halves_of_a_complex_signal_are_seen() -> None:
    class Split(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 4, dtype=torch.cfloat), nn.Linear(4, 2, dtype=torch.cfloat)

        def forward(self, z: Tensor) -> Tensor:
            h = self.a(z)
            parts = torch.view_as_real(h)
            return self.b(torch.complex(F.relu(h.real), torch.tanh(parts[..., 1])))

    network = Split()
    with torch.no_grad():
        network.a.bias.zero_()  # a drawn bias may leave the last real part below 0 on all inputs
        network.a.bias.real[:3], network.a.bias.imag[3] = -100, 100
    found = measure_health(network, torch.randn(40, 3, dtype=torch.cfloat))
    assert masks(found) == {"relu": [True, True, True, False], "tanh": [False, False, False, True]}
    assert (found.unseen, found.linear) == ((), ())


@pytest.mark.parametrize("function", [torch.tanh, torch.abs, lambda h: h * torch.sigmoid(h.abs())])
def test_a_function_of_complex_numbers_is_unseen(function: Callable[[Tensor], Tensor]) -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 4, dtype=torch.cfloat), nn.Linear(4, 2, dtype=torch.cfloat)

        def forward(self, z: Tensor) -> Tensor:
            return self.b(function(self.a(z)).to(torch.cfloat))

    found = measure_health(Whole(), torch.randn(40, 3, dtype=torch.cfloat))
    assert (found.unseen, found.linear, found.layers) == (("a",), (), ())


def test_tensors_share_memory_as_a_whole_or_in_part() -> None:
    h = torch.zeros(2, 4)
    assert [overlay(h, other) for other in (h.view(2, 4), h.data, h.t(), h[:1], h.clone())] == [
        "whole", "whole", "part", "part", None
    ]  # fmt: skip
    assert overlay(torch.ones(2).to_sparse(), torch.ones(2).to_sparse()) is None
    with torch.inference_mode():
        assert version(torch.ones(2)) == 0


STEPS: list[Callable[[Tensor], Tensor | None]] = [
    lambda h: F.relu_(h[:, :2]),
    lambda h: h[:, 1:3].data.clamp_(min=0),
    lambda h: torch.clamp(h[:, 3:], min=0, out=h[:, 3:]),
    lambda h: h[:, ::2].copy_(torch.tanh(h[:, ::2])),
    lambda h: h.T[1].relu_(),
    lambda h: h.view(-1, 2, 2)[:, 1].sigmoid_(),
    lambda h: h.chunk(2, 1)[1].mul_(h.chunk(2, 1)[0]),
    lambda h: h.masked_fill_(h > 1, 1.0),
    lambda h: h.detach().abs_(),
    lambda h: h[:, :2].add_(1.0),
    lambda h: h.data.mul_(0.5),
    lambda h: h[:, 2:].copy_(h[:, :2]),
    lambda h: h[:, 0].zero_(),
    lambda h: h.clone(),
    lambda h: h.roll(1, 1),
    lambda h: h.flip(1),
    lambda h: torch.relu(h),
    lambda h: h * 2 - 1,
    lambda h: h.relu(),
    lambda h: torch.cat([h[:, 2:].contiguous().relu_(), h[:, :2]], 1),
    lambda h: h.contiguous().neg_(),
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(STEPS), max_size=6))
def test_a_layer_is_linear_only_if_all_that_follows_is(steps: list[Callable[[Tensor], Tensor | None]]) -> None:
    """A chain of steps in place and not is linear if the middle of two inputs becomes the middle of two results."""

    def chain(h: Tensor) -> Tensor:
        for step in steps:
            result = step(h)
            h = result if result is not None and result.shape == h.shape else h
        return h

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.out = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(chain(self.one(x)))

    ends = torch.randn(2, 500, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 3
    middle = chain(ends.mean(0)) - torch.stack([chain(end.clone()) for end in ends]).mean(0)
    found = measure_health(Network(), torch.randn(50, 3, generator=torch.Generator().manual_seed(2)))
    fed = {layer for one in found.layers for layer in one.after}
    if float(middle.abs().max()) > 1e-9:
        assert "one" in fed.union(found.unseen), "something on the way is not linear"
        assert "one" not in found.linear


def test_the_work_on_calls_in_place_grows_with_their_number_and_not_with_its_square() -> None:
    """Calls of Python functions are counted: twice as many further layers take twice as many of them."""
    counts = [_python_calls(layers) for layers in (10, 20, 40)]

    assert counts[2] - counts[1] < 2.2 * (counts[1] - counts[0])


def _python_calls(layers: int) -> int:
    parts = [part for _ in range(layers) for part in (nn.Linear(2, 2), nn.ReLU(inplace=True))]
    network, x, counted = nn.Sequential(*parts, nn.Linear(2, 2)), torch.ones(3, 2), 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal counted
        counted += event == "call"

    measure_health(network, x)  # the first measurement also imports
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        measure_health(network, x)
    finally:
        sys.setprofile(before)
    return counted
