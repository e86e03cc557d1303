"""The compiled activations and slopes: the table's numbers, and the same bits wherever a number stands."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from native_kernels import CHOSEN, bits, in_table, needs_kernels, slope, value
from torch import Tensor

from actbench.nn.activations import ACTIVATIONS
from actbench.nn.chosen_activations import row_of
from actbench.nn.native import library
from actbench.nn.native.activation_codes import CODES, OPTION, code_of
from actbench.schema.components import Component, resolve

each_activation = pytest.mark.parametrize("chosen", CHOSEN, ids=lambda one: one.label)

ULPS, ABSOLUTE = 2.0, 2.0**-23
"""Largest error of values and slopes: 2 units in the last place of the exact number, and 1.2e-7 besides."""

RELATIVE = {
    "identity", "relu", "leaky_relu", "relu6", "elu", "selu", "celu", "tanh", "sigmoid", "softsign", "hardtanh",
    "hardsigmoid", "squared_relu",
}  # fmt: skip
"""Activations whose values are right in each digit however small they are, within 4 units in the last place. The others
multiply x by beta or square it before they take the exponential, and a rounding there is many in a tail."""

SMALLEST = 2.0**-126
"""The smallest normal number of float32: the kernels may return 0 for what is smaller."""


def points() -> Tensor:
    """Numbers in float32: evenly over where functions bend, as pre-activations lie, both tails, and close to 0."""
    small = 10 ** torch.linspace(-37, 1, 1000)
    normal = 3 * torch.randn(2000, generator=torch.Generator().manual_seed(5))
    ends = torch.tensor([1e4, -1e4])
    return torch.cat([torch.linspace(-12, 12, 4001), normal, torch.linspace(-110, 110, 2001), small, -small, ends])


def ulp(exact: Tensor) -> Tensor:
    """The distance of float32 numbers at a number of float64; below the normal ones as at the smallest of these."""
    size = np.maximum(exact.abs().numpy(), SMALLEST)
    return torch.from_numpy(np.spacing(size.astype(np.float32)).astype(np.float64))


@needs_kernels
@each_activation
def test_values_and_slopes_are_those_of_the_table_in_float64(chosen: Component) -> None:
    z = points()
    by_torch = in_table(chosen, z, torch.float32)
    for found, exact, theirs in zip(
        (value(chosen, z), slope(chosen, z)), in_table(chosen, z, torch.float64), by_torch, strict=True
    ):
        error = (found.double() - exact).abs()
        assert ((error - ABSOLUTE) / ulp(exact)).max() <= ULPS
        # Nor is it worse than torch's own kernel in float32 by more than a few units in the last place.
        assert error.max() <= 2 * (theirs.double() - exact).abs().max() + 4 * ulp(exact).max()


@needs_kernels
@pytest.mark.parametrize("chosen", [one for one in CHOSEN if one.name in RELATIVE], ids=lambda one: one.label)
def test_small_values_keep_their_digits(chosen: Component) -> None:
    z = points()
    exact, _ = in_table(chosen, z, torch.float64)
    assert ((value(chosen, z).double() - exact).abs() <= 4 * ulp(exact) + SMALLEST).all()


@needs_kernels
@each_activation
def test_the_slope_at_a_kink_is_the_tables(chosen: Component) -> None:
    kinks = torch.tensor([0.0, -0.0, *row_of(chosen).kinks])
    _, exact = in_table(chosen, kinks, torch.float64)
    assert slope(chosen, kinks).tolist() == exact.float().tolist()


@needs_kernels
@each_activation
def test_numbers_that_are_not_finite_or_not_normal(chosen: Component) -> None:
    odd = torch.tensor([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-40, -1e-40, 1e9, -1e9])
    found, (exact, right_slope) = value(chosen, odd), in_table(chosen, odd, torch.float64)
    assert found[0].isnan()
    for ours, limit in zip(found[1:3].tolist(), exact[1:3].tolist(), strict=True):
        assert ours == pytest.approx(limit, rel=1e-6) or not (math.isfinite(ours) or math.isfinite(limit))
    for ours, right in zip(found[3:7].tolist(), exact[3:7].tolist(), strict=True):
        assert abs(ours - right) <= SMALLEST + 2e-7 * abs(right)
    assert torch.allclose(found[7:], exact[7:].float(), rtol=1e-6)
    assert torch.allclose(slope(chosen, odd)[7:], right_slope[7:].float(), rtol=1e-6)


@needs_kernels
@each_activation
def test_bfloat16_is_the_float32_result_rounded(chosen: Component) -> None:
    z, da = points().bfloat16(), points().flip(0).bfloat16()
    assert bits(value(chosen, z)) == bits(value(chosen, z.float()).bfloat16())
    assert bits(slope(chosen, z, da)) == bits(slope(chosen, z.float(), da.float()).bfloat16())


EVERY_PATTERN = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)


@needs_kernels
@pytest.mark.parametrize("factor", [1.0, 1.5, 0.37])
def test_every_number_of_bfloat16_is_read_and_rounded_to_the_nearest_and_ties_to_even(factor: float) -> None:
    """1.5 times a number of eight bits lies in the middle between two of them in one of three cases."""
    chosen = resolve("activations", {"name": "leaky_relu", "negative_slope": factor})
    found = value(chosen, EVERY_PATTERN)
    wide = EVERY_PATTERN.float()
    product = torch.where(wide <= 0, wide * factor, wide)
    is_number = ~wide.isnan()
    assert found[~is_number].isnan().all()
    assert bits(found[is_number]) == bits(product[is_number].bfloat16())
    if factor == 1.5:
        below = product.view(torch.int32) & 0xFFFF
        assert (below[is_number] == 0x8000).sum() > 10_000


@needs_kernels
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@each_activation
def test_a_number_gets_the_same_bits_wherever_it_stands(chosen: Component, dtype: torch.dtype) -> None:
    """In a vector, or in what is left over behind the last one; wherever in memory the array begins."""
    z = (4 * torch.randn(96, generator=torch.Generator().manual_seed(7))).to(dtype)
    whole = bits(value(chosen, z)), bits(slope(chosen, z))
    for start in (0, 1, 2, 3, 5, 9, 16, 25):
        for length in range(1, 71):
            part = z[start : start + length]  # a view: it begins where it lies
            assert bits(value(chosen, part)) == whole[0][start : start + length]
            assert bits(slope(chosen, part)) == whole[1][start : start + length]


@needs_kernels
@each_activation
def test_a_slope_is_multiplied_by_what_comes_from_above(chosen: Component) -> None:
    z = points()
    da = torch.randn(len(z), generator=torch.Generator().manual_seed(8))
    assert bits(slope(chosen, z, da)) == bits(slope(chosen, z) * da)
    blocked = z[slope(chosen, z) == 0]
    assert (slope(chosen, blocked, torch.full_like(blocked, -3e38)) == 0).all()


@needs_kernels
def test_an_empty_tensor_is_left_alone() -> None:
    assert value(CHOSEN[0], torch.empty(0)).shape == (0,)
    assert slope(CHOSEN[0], torch.empty(0)).shape == (0,)


def test_codes_are_those_of_the_header() -> None:
    text = (library.FOLDER / "activations.h").read_text("utf-8")
    rows = re.findall(r"ROW\((\d+), (\w+)\)", text.partition("#define EACH_ACTIVATION")[2])
    assert {name: int(code) for code, name in rows} == CODES
    assert set(CODES) <= set(ACTIVATIONS)
    assert set(OPTION) <= set(CODES)


def test_an_activation_without_a_formula_here_has_no_code() -> None:
    for choice in ("prelu", "rrelu", {"name": "swish", "learned": True}, {"name": "expression", "formula": "x"}):
        assert code_of(resolve("activations", choice)) is None
    assert code_of(resolve("activations", {"name": "mine", "path": "parts:relu"})) is None
    assert code_of(resolve("activations", {"name": "elu", "alpha": 2})) == (CODES["elu"], 2.0)
