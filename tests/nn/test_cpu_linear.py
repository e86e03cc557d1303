"""The dense product on a CPU: every library right, gradients where they belong, and the choice between libraries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from actbench.nn import cpu_library, cpu_linear
from actbench.system.files import read_json

GENERATOR = torch.Generator().manual_seed(3)


def random(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=GENERATOR, dtype=dtype)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """In one piece, in and out."""
    (y,) = cpu_linear.linear((x,), weight, bias, (len(weight),))
    return y


@pytest.mark.parametrize("products", cpu_linear.LIBRARIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", [(33, 7, 5), (128, 64, 32)])
def test_every_library_computes_the_linear_layer_of_torch(
    products: str, dtype: torch.dtype, sizes: tuple[int, int, int]
) -> None:
    batch, inputs, outputs = sizes
    x = random(3, batch, inputs, dtype=dtype).requires_grad_()
    weight, bias = random(3, outputs, inputs, dtype=dtype).requires_grad_(), random(3, outputs, dtype=dtype)
    bias.requires_grad_()
    slope = random(3, batch, outputs, dtype=dtype)
    with cpu_linear.use_library(products):
        y = linear(x, weight, bias)
        found = torch.autograd.grad(y, (x, weight, bias), slope)
    expected = torch.stack([F.linear(x[run], weight[run], bias[run]) for run in range(3)])
    theirs = torch.autograd.grad(expected, (x, weight, bias), slope)
    tolerance = 1e-4 if dtype is torch.float32 else 1e-12
    for one, other in zip((y, *found), (expected, *theirs), strict=True):
        assert torch.allclose(one, other, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("products", cpu_linear.LIBRARIES)
def test_a_run_is_bit_equal_alone_with_every_library(products: str) -> None:
    x, weight, bias = random(3, 33, 7), random(3, 5, 7), random(3, 5)
    with cpu_linear.use_library(products):
        together = linear(x, weight, bias)
        for run in range(3):
            alone = linear(x[run : run + 1].clone(), weight[run : run + 1].clone(), bias[run : run + 1].clone())
            assert torch.equal(together[run], alone[0])


def test_pieces_in_and_out_change_no_bit_of_result_or_gradient() -> None:
    weight, bias, x = random(5, 4, 7).requires_grad_(), random(5, 4).requires_grad_(), random(5, 33, 7).requires_grad_()
    whole = linear(x, weight, bias)
    slope = random(*whole.shape)
    expected = torch.autograd.grad(whole, (x, weight, bias), slope)
    pieces = cpu_linear.linear(x.split([2, 3]), weight, bias, (1, 4))
    assert [len(piece) for piece in pieces] == [1, 4]
    assert torch.equal(torch.cat(pieces), whole)
    found = torch.autograd.grad(pieces, (x, weight, bias), slope.split([1, 4]))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))


def test_an_offered_place_gets_the_gradient_without_a_copy() -> None:
    weight, place = random(2, 4, 3).requires_grad_(), torch.full((2, 4, 3), 7.0)
    cpu_linear.offer_slot(weight, place)
    linear(random(2, 5, 3), weight, None).sum().backward()
    assert weight.grad is place
    fresh = weight.detach().clone().requires_grad_()
    assert not torch.any(place == 7)
    cpu_linear.withdraw_slots()
    linear(random(2, 5, 3), fresh, None).sum().backward()
    assert fresh.grad is not None


def test_a_second_use_of_a_weight_adds_to_its_gradient() -> None:
    weight, place = random(1, 3, 3).requires_grad_(), torch.zeros(1, 3, 3)
    x = random(1, 4, 3)
    cpu_linear.offer_slot(weight, place)
    linear(linear(x, weight, None), weight, None).sum().backward()
    same = weight.detach().clone().requires_grad_()
    F.linear(F.linear(x[0], same[0]), same[0]).sum().backward()
    assert weight.grad is not None
    assert same.grad is not None
    assert torch.allclose(weight.grad, same.grad, atol=1e-5)


def test_a_choice_is_made_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_library, "cache_folder", lambda: tmp_path)
    cpu_library.remembered.cache_clear()
    first = cpu_library.choose()
    assert first.reason == "measured just now"
    assert first.products == cpu_library.fastest(first.seconds)
    cpu_library.remembered.cache_clear()
    second = cpu_library.choose()
    assert (second.products, second.reason) == (first.products, "measured earlier on this processor")
    assert len(read_json(tmp_path / "products.json")) == 1
    cpu_library.remembered.cache_clear()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"another processor": {"products": "onednn"}}'])
def test_a_damaged_or_foreign_choice_is_made_anew(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_library, "cache_folder", lambda: tmp_path)
    (tmp_path / "products.json").write_text(content)
    cpu_library.remembered.cache_clear()
    assert cpu_library.choose().reason == "measured just now"
    cpu_library.remembered.cache_clear()


def test_without_a_folder_to_keep_it_in_the_choice_is_torchs_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(cpu_library, "cache_folder", lambda: tmp_path / "file" / "folder")
    cpu_library.remembered.cache_clear()
    assert cpu_library.choose().products == "default"
    assert "can't keep a choice of kernels" in caplog.text
    cpu_library.remembered.cache_clear()


def test_what_is_asked_for_is_used_unmeasured() -> None:
    assert cpu_library.choose("onednn") == cpu_library.Choice("onednn", {}, "asked for")


def test_a_library_that_gives_wrong_numbers_is_never_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*operands: Tensor) -> object:
        return operands[-1].zero_()

    def missing(*operands: Tensor) -> object:
        raise AttributeError("no such operator")

    broken: dict[str, Callable[..., object]] = {"wrong": wrong, "missing": missing}
    for name, product in broken.items():
        monkeypatch.setitem(cpu_linear.LIBRARIES, name, cpu_linear.Library(product, product, product))
    assert set(cpu_library.measure()) <= {"default", "onednn"}
