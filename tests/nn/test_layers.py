"""Layers over the run axis against torch's own, run by run; also the forms that only other devices use."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from actbench.nn import layers

GENERATOR = torch.Generator().manual_seed(1)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=GENERATOR).requires_grad_()


def gradients(y: Tensor, *leaves: Tensor | None) -> list[Tensor]:
    """Of a sum in which every element has a weight of its own."""
    weights = torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view(y.shape)
    return list(torch.autograd.grad((y * weights).sum(), [leaf for leaf in leaves if leaf is not None]))


def agree(one: Tensor, other: Tensor, *leaves: Tensor | None) -> None:
    assert torch.allclose(one, other, atol=1e-12)
    for mine, theirs in zip(gradients(one, *leaves), gradients(other, *leaves), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-11)


@pytest.mark.parametrize("form", [layers.linear, layers.linear_batched])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_linear_is_torchs_linear_run_by_run(form: Callable[..., Tensor], with_bias: bool, shared: bool) -> None:
    x = random(1, 5, 4).detach().expand(3, 5, 4) if shared else random(3, 5, 4)
    weight, bias = random(3, 6, 4), random(3, 6) if with_bias else None
    expected = torch.stack([F.linear(x[r], weight[r], None if bias is None else bias[r]) for r in range(3)])
    agree(form(x, weight, bias), expected, None if shared else x, weight, bias)


@pytest.mark.parametrize("form", [layers.conv2d, layers.conv2d_grouped])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("runs", [1, 3])
def test_conv2d_is_torchs_convolution_run_by_run(form: Callable[..., Tensor], with_bias: bool, runs: int) -> None:
    x, weight, bias = random(runs, 4, 2, 6, 5), random(runs, 7, 2, 3, 3), random(runs, 7) if with_bias else None
    each = [F.conv2d(x[r], weight[r], None if bias is None else bias[r], padding=1) for r in range(runs)]
    agree(form(x, weight, bias, padding=1), torch.stack(each), x, weight, bias)


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(3, 8, 5), (3, 4, 5, 2, 3)])
def test_batch_norm_is_torchs_run_by_run(folded: bool, training: bool, shape: tuple[int, ...]) -> None:
    x, scale, shift = random(*shape), random(3, 5), random(3, 5)
    mean, variance = random(3, 5).detach(), random(3, 5).detach().square() + 0.5
    own = (mean.clone(), variance.clone())
    each = [F.batch_norm(x[r], mean[r], variance[r], scale[r], shift[r], training, 0.1, 1e-5) for r in range(3)]
    if folded:
        y = layers.batch_norm_folded(x, scale, shift, *own, training=training)
    else:
        names = ("weight", "bias", "running_mean", "running_var")
        params = {f"n.{name}": tensor for name, tensor in zip(names, (scale, shift, *own), strict=True)}
        y = layers.batch_norm(x, params, "n", SimpleNamespace(training=training, watches_norms=False))
    agree(y, torch.stack(each), x, scale, shift)
    assert torch.allclose(own[0], mean)
    assert torch.allclose(own[1], variance), "running statistics are updated in place, alike"


@pytest.mark.parametrize(("ours", "theirs"), [(layers.max_pool2d, F.max_pool2d), (layers.avg_pool2d, F.avg_pool2d)])
def test_pooling_drops_what_does_not_fill_a_window(ours: Callable[..., Tensor], theirs: Callable[..., Tensor]) -> None:
    x = random(2, 3, 4, 7, 5)
    agree(ours(x, 2), torch.stack([theirs(x[r], 2) for r in range(2)]), x)


class Act:
    """Draws as a cohort's activations do, in training unless told otherwise."""

    training = True

    def __call__(self, layer: str, z: Tensor) -> Tensor:
        return z

    def uniform(self, x: Tensor) -> Tensor:
        return torch.rand(x.shape, generator=GENERATOR, dtype=x.dtype)

    def torch_dropout_noise(self, x: Tensor, rate: float) -> None:
        return None


def test_dropout_keeps_the_mean_and_is_the_identity_in_evaluation() -> None:
    act, x = Act(), torch.ones(2, 500, 100, dtype=torch.float64)
    dropped = layers.dropout(x, 0.3, act)
    assert sorted(dropped.unique().tolist()) == pytest.approx([0, 1 / 0.7])
    assert float(dropped.mean()) == pytest.approx(1, abs=0.01)  # 4.8 standard errors of 100,000 draws
    act.training = False
    assert layers.dropout(x, 0.3, act) is x
    assert layers.dropout(x, 0.3, act, kind="alpha") is x


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rate", [0.05, 0.3, 0.9])
def test_alpha_dropout_is_torchs_where_it_drops_the_same(rate: float, dtype: torch.dtype) -> None:
    x = F.selu(torch.randn(1, 300, 100, generator=GENERATOR, dtype=dtype)) + 2  # above 0, so that it shows what is kept
    theirs = F.alpha_dropout(x, rate, training=True)
    act = Act()
    act.uniform = lambda x: (theirs > theirs.min() + 1e-3).to(x.dtype)  # 1 is kept at every rate, 0 at none
    ours = layers.dropout(x, rate, act, kind="alpha")
    assert torch.equal(ours, theirs)
    drawn = layers.dropout(x, rate, Act(), kind="alpha")
    share = float((drawn > theirs.min() + 1e-3).double().mean())
    assert share == pytest.approx(1 - rate, abs=5 * (rate * (1 - rate) / x.numel()) ** 0.5)


def test_alpha_dropout_keeps_mean_and_variance_of_selus_outputs() -> None:
    z = torch.randn(1, 2000, 200, generator=GENERATOR, dtype=torch.float64)
    outputs = F.selu(z)
    for kind, is_kept in (("alpha", True), ("standard", False)):
        dropped = layers.dropout(outputs, 0.2, Act(), kind=kind)
        assert float(dropped.mean()) == pytest.approx(0, abs=0.01)  # 6 standard errors
        assert (float(dropped.var()) == pytest.approx(1, abs=0.02)) == is_kept


def test_the_slope_of_alpha_dropout_is_that_of_its_map() -> None:
    x = torch.randn(1, 50, 20, generator=GENERATOR, dtype=torch.float64).requires_grad_()
    layers.dropout(x, 0.3, Act(), kind="alpha").sum().backward()
    assert x.grad is not None
    scale = ((1 - 0.3) * (1 + 0.3 * layers.SELU_LIMIT**2)) ** -0.5
    assert sorted(x.grad.unique().tolist()) == pytest.approx([0, scale])
    lam, alpha = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717  # of the paper
    assert pytest.approx(lam * alpha, rel=1e-15) == layers.SELU_LIMIT
