"""The norms against torch's own and their papers' formulas; their spelling in configs, digests and labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from actbench.errors import ConfigError
from actbench.nn import layers
from actbench.nn.norms import NORMS, norm_tensors
from actbench.schema.components import resolve
from actbench.schema.spec import RunSpec

SHAPES = [(3, 8, 5), (3, 4, 5, 2, 3)]
"""(R, B, U) and (R, B, C, H, W)."""


def random(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(len(shape))
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


def agree(one: Tensor, other: Tensor, *leaves: Tensor) -> None:
    """Compare the values, and the gradients of a sum in which every element has a weight of its own."""
    assert torch.allclose(one, other, rtol=0, atol=1e-12)
    weights = torch.linspace(-1, 2, one.numel(), dtype=one.dtype).view(one.shape)
    mine, theirs = (torch.autograd.grad((y * weights).sum(), leaves) for y in (one, other))
    for own, expected in zip(mine, theirs, strict=True):
        assert torch.allclose(own, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("form", [layers.layer_norm, layers.layer_norm_folded])
@pytest.mark.parametrize("shape", SHAPES)
def test_layer_norm_is_torchs_run_by_run(form: Callable[..., Tensor], shape: tuple[int, ...]) -> None:
    x, scale, shift = random(*shape), random(3, 5), random(3, 5)
    if len(shape) == 3:
        each = [F.layer_norm(x[r], (5,), scale[r], shift[r]) for r in range(3)]
    else:
        each = [F.group_norm(x[r], 1, scale[r], shift[r]) for r in range(3)]
    agree(form(x, scale, shift), torch.stack(each), x, scale, shift)


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_dyt_and_derf_are_their_papers_formulas_run_by_run(shape: tuple[int, ...], batched: bool) -> None:
    x, scale, shift, alpha, offset = random(*shape), random(3, 5), random(3, 5), random(3), random(3)

    def formula(inner: Callable[[int, Tensor], Tensor]) -> Tensor:
        each = [(scale[r] * inner(r, x[r].movedim(1, -1)) + shift[r]).movedim(-1, 1) for r in range(3)]
        return torch.stack(each)

    tanh = formula(lambda r, z: torch.tanh(alpha[r] * z))
    erf = formula(lambda r, z: torch.erf(alpha[r] * z + offset[r]))
    if batched:  # as other devices than a CPU compute it
        one, other = alpha.unsqueeze(1), offset.unsqueeze(1)
        agree(layers.dyt(x, scale, shift, one), tanh, x, scale, shift, alpha)
        agree(layers.derf(x, scale, shift, one, other), erf, x, scale, shift, alpha, offset)
    else:
        agree(layers.elementwise_norm(layers.dyt, x, scale, shift, alpha), tanh, x, scale, shift, alpha)
        agree(layers.elementwise_norm(layers.derf, x, scale, shift, alpha, offset), erf, x, scale, shift, alpha, offset)


def test_derf_at_its_start_is_the_error_function_of_half_of_z() -> None:
    z = torch.tensor([[[-3.0, -1.0, 0.0, 0.5, 2.0]]], dtype=torch.float64)
    params = {name: tensor.unsqueeze(0) for name, tensor in norm_tensors("derf", "h", 5, z.dtype, alpha=0.5).items()}
    found = NORMS["derf"].apply(z, params, "h.norm", None)  # type: ignore[arg-type]
    assert found[0, 0].tolist() == pytest.approx([-0.9661051465, -0.5204998778, 0, 0.2763263902, 0.8427007929])


@pytest.mark.parametrize("norm", ["layer", "dyt", "derf"])
def test_in_bfloat16_a_norm_computes_in_float32_and_is_rounded_once(norm: str) -> None:
    z = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0)).bfloat16()
    start = norm_tensors(norm, "h", 5, torch.float32, alpha=0.7)  # type: ignore[arg-type]
    params = {name: torch.stack([tensor, tensor + 0.1]) for name, tensor in start.items()}
    rounded, exact = (NORMS[norm].apply(x, params, "h.norm", None) for x in (z, z.float()))  # type: ignore[arg-type]
    assert rounded.dtype == torch.bfloat16
    assert torch.equal(rounded, exact.bfloat16())


DIGESTS = [
    ({"name": "mlp"}, "4d30e69aaff824915557c6667f73b539be70bb063506abe23328b6f16b5a4083"),
    (
        {"name": "cnn", "channels": [[8, 8], 16], "dropout": 0.25},
        "0a553fcdfdbcb4986df67ea7f606b9c1eb9ca0f4ac005ce9f10edb68127dcc4a",
    ),
]
"""A model, and the digest of its run with ``batch_norm: true`` before there was a ``norm``."""


@pytest.mark.parametrize(("model", "digest"), DIGESTS)
def test_results_with_batch_norm_are_found_by_either_spelling(model: dict[str, Any], digest: str) -> None:
    older, now = (
        RunSpec(model={**model, **spelling}, seed=3) for spelling in ({"batch_norm": True}, {"norm": "batch"})
    )
    assert older.digest == now.digest == digest
    assert older == now
    assert RunSpec.model_validate(older.to_json()) == now
    assert "batch_norm" not in older.to_json()["model"]
    assert older.id_with(["model.batch_norm"]).startswith("relu-batch-norm-true-seed-3")
    assert "norm=batch" in older.model.label


def test_no_norm_leaves_the_digest_of_a_run_as_it_was() -> None:
    digests = {RunSpec(model={"name": "mlp", **one}).digest for one in ({}, {"batch_norm": False}, {"norm": "none"})}
    assert digests == {RunSpec().digest}
    others = [{"norm": "layer"}, {"norm": "dyt"}, {"norm": "dyt", "norm_alpha": 0.2}, {"norm": "derf"}]
    assert len(digests | {RunSpec(model={"name": "mlp", **one}).digest for one in others}) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_norm": True, "norm": "layer"}, "'batch_norm' is the older spelling of 'norm': keep one of them"),
        ({"batch_norm": False, "norm": "none"}, "'batch_norm' is the older spelling of 'norm': keep one of them"),
        ({"batch_norm": "yes"}, "'batch_norm' should be true or false, not 'yes'"),
        ({"norm": "layer", "norm_alpha": 0.2}, "'norm_alpha' goes with norm: dyt or derf, not layer"),
        ({"norm": "derf", "norm_alpha": 0.0}, "'norm_alpha' should be greater than 0, not 0.0"),
        ({"norm": "group"}, "'norm' should be 'none', 'batch', 'layer', 'dyt' or 'derf', not 'group'"),
        (
            {"norm": "group", "norm_alpha": 0.2},
            "'norm' should be 'none', 'batch', 'layer', 'dyt' or 'derf', not 'group'",
        ),
    ],
)
def test_a_norm_that_can_not_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("models", {"name": "mlp", **options})
    assert [problem.message for problem in caught.value.problems] == [message]
