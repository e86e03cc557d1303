"""What must hold of any network and any probe, found by trying to break it."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from probed import measured, one_activation
from torch import Tensor

from actbench.health.units.probe import UnitHealth, UnitObserver, slope_by_autograd
from actbench.nn.activations import ELEMENTWISE
from actbench.schema.health_measures import COUNTED
from actbench.schema.spec import HealthSettings

ACTIVATION = st.sampled_from([name for name in ELEMENTWISE if name != "expression"])
SEED = st.integers(0, 10**6)


def pre_activations(seed: int, examples: int = 24, units: int = 8) -> Tensor:
    """(N, U): units of many kinds, from always off to always on."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.rand(units, dtype=torch.float64, generator=generator) * 3
    shift = torch.linspace(-9, 6, units, dtype=torch.float64)
    return torch.randn(examples, units, dtype=torch.float64, generator=generator) * spread + shift


def masks(z: Tensor, name: str) -> UnitHealth:
    observer = UnitObserver(slope_by_autograd(one_activation(name)), HealthSettings())
    observer.observe("hidden", z.unsqueeze(0))
    return observer.finish(len(z))


@settings(max_examples=60, deadline=None)
@given(seed=SEED, name=ACTIVATION)
def test_the_order_of_the_inputs_does_not_matter(seed: int, name: str) -> None:
    z = pre_activations(seed)
    order = torch.randperm(len(z), generator=torch.Generator().manual_seed(seed + 1))
    one, other = measured(z, one_activation(name), [24]), measured(z[order], one_activation(name), [24])
    assert {key: one[key] for key in COUNTED} == {key: other[key] for key in COUNTED}


@settings(max_examples=60, deadline=None)
@given(seed=SEED, name=ACTIVATION)
def test_the_order_of_the_units_moves_the_masks_with_them(seed: int, name: str) -> None:
    z = pre_activations(seed)
    order = torch.randperm(z.shape[1], generator=torch.Generator().manual_seed(seed + 1))
    one, other = masks(z, name).units["hidden"], masks(z[:, order], name).units["hidden"]
    for measure in COUNTED:
        assert torch.equal(one[measure][0][order], other[measure][0])


@settings(max_examples=60, deadline=None)
@given(seed=SEED, name=ACTIVATION, size=st.integers(2, 23))
def test_a_larger_probe_never_finds_more_dead_units(seed: int, name: str, size: int) -> None:
    z = pre_activations(seed)
    small, large = masks(z[:size], name).units["hidden"]["dead"], masks(z, name).units["hidden"]["dead"]
    assert not (large & ~small).any(), "a unit dead on all inputs is dead on some of them"


@settings(max_examples=60, deadline=None)
@given(seed=SEED, name=ACTIVATION)
def test_inert_is_dead_or_constant(seed: int, name: str) -> None:
    found = masks(pre_activations(seed), name).units["hidden"]
    assert torch.equal(found["inert"], found["dead"] | found["constant"])


@settings(max_examples=40, deadline=None)
@given(seed=SEED, slope=st.floats(0.0011, 1.0))
def test_a_leaky_unit_above_the_threshold_is_never_dead(seed: int, slope: float) -> None:
    z = pre_activations(seed) * 100
    assert measured(z, one_activation("leaky_relu", negative_slope=slope), [24])["dead"] == 0


@settings(max_examples=40, deadline=None)
@given(seed=SEED)
def test_a_dead_relu_unit_is_silent_and_a_silent_one_is_dead(seed: int) -> None:
    z = pre_activations(seed)
    dead = masks(z, "relu").units["hidden"]["dead"][0]
    assert torch.equal(dead, (z.relu() == 0).all(0))


@settings(max_examples=30, deadline=None)
@given(seed=SEED, height=st.integers(1, 4), width=st.integers(1, 4))
def test_positions_of_a_channel_count_as_further_inputs(seed: int, height: int, width: int) -> None:
    flat = pre_activations(seed, examples=6 * height * width)
    images = flat.view(6, height, width, -1).permute(0, 3, 1, 2)
    one, other = measured(images, one_activation("relu"), [6]), measured(flat, one_activation("relu"), [len(flat)])
    assert [one[key] for key in ("dead", "constant", "dormant", "always_on")] == [
        other[key] for key in ("dead", "constant", "dormant", "always_on")
    ]
