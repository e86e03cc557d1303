"""Every threshold of health on either side of it, and statistics of batches that are not equally large."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from probed import measured, one_activation
from torch import Tensor

from actbench.health.units.accumulators import (
    UNOBSERVED,
    count,
    count_inputs,
    largest,
    largest_at,
    means,
    merge_maxima_at,
    merge_means,
    merge_moments,
    moments,
)
from actbench.health.units.diagnosis import collapse_in_words, is_collapsed
from actbench.health.units.probe import UnitHealth
from actbench.schema.health_measures import HEALTH_MEASURES, NOT_FINITE
from actbench.schema.spec import HealthSettings

RELU = one_activation("relu")


def fires_on(inputs: int, of: int, *, positions: int = 0) -> Tensor:
    """Return z (of, 1[, positions]) of a unit that is above 0 on so many inputs, at one position of each."""
    z = torch.full((of, 1, positions) if positions else (of, 1), -1.0, dtype=torch.float64)
    z[:inputs, 0, ...] = -1.0
    (z[:inputs, 0, 0] if positions else z[:inputs, 0])[:] = 1.0
    return z


@pytest.mark.parametrize("cuts", [[1, 9, 90], [90, 9, 1], [1] * 100, [99, 1]])
def test_means_and_deviations_of_unequal_batches_are_those_of_all_inputs(cuts: list[int]) -> None:
    z = torch.arange(100, dtype=torch.float64).square().reshape(100, 1).repeat(1, 3) + torch.tensor([0.0, 5.0, -900.0])
    found = measured(z, RELU, cuts)["layers"][0]
    values, outputs = z.numpy(), np.maximum(z.numpy(), 0)
    assert found["z_mean"] == pytest.approx(values.mean(), rel=1e-12)
    assert found["z_std"] == pytest.approx(values.std(), rel=1e-12)
    assert found["a_mean"] == pytest.approx(outputs.mean(), rel=1e-12)
    assert found["a_std"] == pytest.approx(outputs.std(), rel=1e-12)
    assert found["a_max"] == outputs.max()


def test_merged_moments_weigh_each_part_by_its_count() -> None:
    generator = torch.Generator().manual_seed(3)
    parts = [torch.randn(2, n, 3, 4, dtype=torch.float64, generator=generator) * n for n in (1, 7, 20)]
    merged = moments(parts[0])
    for part in parts[1:]:
        merged = merge_moments(merged, moments(part))
    number, mean, squares = merged
    whole = torch.cat(parts, 1)
    assert torch.equal(number, torch.full((2, 3), 28.0 * 4))
    assert torch.allclose(mean, whole.mean((1, 3)))
    assert torch.allclose(squares / number, whole.var((1, 3), correction=0))
    one, other = (torch.tensor([[2.0]]), torch.tensor([[3.0]])), (torch.tensor([[6.0]]), torch.tensor([[7.0]]))
    assert [float(part) for part in merge_means(one, other)] == [8.0, 6.0]


@pytest.mark.parametrize(("inputs", "of", "rare"), [(0, 100, 1), (1, 101, 1), (1, 100, 0), (2, 100, 0), (9, 1000, 1)])
@pytest.mark.parametrize("positions", [0, 4])
def test_a_unit_is_rare_if_it_fires_on_less_than_one_input_in_a_hundred(
    inputs: int, of: int, rare: int, positions: int
) -> None:
    assert measured(fires_on(inputs, of, positions=positions), RELU, [of])["rare"] == rare


@pytest.mark.parametrize(("inputs", "always_on"), [(100, 1), (99, 0), (98, 0)])
def test_a_unit_is_always_on_above_99_in_a_hundred(inputs: int, always_on: int) -> None:
    assert measured(fires_on(inputs, 100), RELU, [100])["always_on"] == always_on


def test_always_on_counts_elements_where_rare_counts_inputs() -> None:
    z = fires_on(100, 100, positions=4)  # one of four positions is above 0, on every input
    found = measured(z, RELU, [100])
    assert (found["always_on"], found["rare"]) == (0, 0)


@pytest.mark.parametrize(("small", "dormant"), [(1.0, 1), (1.0 + 1e-9, 0), (0.0, 1)])
def test_a_unit_is_dormant_at_a_tenth_of_its_layers_mean_and_below(small: float, dormant: int) -> None:
    other = 20 - small  # the layer's mean is 10
    z = torch.tensor([[small, other]], dtype=torch.float64).repeat(4, 1)
    assert measured(z, RELU, [1, 3])["dormant"] == dormant


@pytest.mark.parametrize(("std", "constant"), [(1e-3, 1), (1.001e-3, 0)])
def test_a_unit_is_constant_up_to_the_threshold(std: float, constant: int) -> None:
    z = torch.tensor([[1 - std], [1 + std]], dtype=torch.float64)  # a deviation of std, without Bessel's correction
    settings = {"constant_std": 1.0000000001e-3}
    assert measured(z, RELU, [1, 1], **settings)["constant"] == constant


@pytest.mark.parametrize(("slope", "dead"), [(1e-3, 1), (1.001e-3, 0)])
def test_a_unit_is_dead_up_to_the_threshold(slope: float, dead: int) -> None:
    z = torch.full((4, 1), -1.0, dtype=torch.float64)
    found = measured(z, one_activation("leaky_relu", negative_slope=slope), [4])
    assert (found["dead"], found["saturation"]) == (dead, float(dead))


def test_one_image_shows_death_and_never_that_an_output_is_constant() -> None:
    found = measured(torch.tensor([[-1.0, 2.0]], dtype=torch.float64), RELU, [1])
    assert (found["dead"], found["constant"], found["inert"]) == (1, 0, 1)
    maps = torch.full((1, 1, 3), 2.0, dtype=torch.float64)
    assert measured(maps, RELU, [1])["constant"] == 1, "three positions of one image are three outputs"


@pytest.mark.parametrize(("inert", "collapsed"), [(49, False), (50, False), (51, True)])
def test_a_run_collapses_above_one_half_and_not_at_it(inert: int, collapsed: bool) -> None:
    layers = [{"name": "a", "units": 60, "inert": inert}, {"name": "b", "units": 40, "inert": 0}]
    row = {"units": 100, "inert_fraction": inert / 100, "layers": layers}
    assert is_collapsed(row, HealthSettings()) is collapsed
    assert collapse_in_words(row) == (
        f"{inert}% of the hidden units are inert (dead or constant), yet no whole layer: the network may be accurate "
        "all the same"
    )


def test_the_share_at_which_a_run_collapses_is_the_specs() -> None:
    row = {"units": 10, "inert_fraction": 0.3, "layers": [{"name": "a", "units": 10, "inert": 3}]}
    assert is_collapsed(row, HealthSettings(collapse_at=0.29))
    assert not is_collapsed(row, HealthSettings(collapse_at=0.3))


def test_a_collapse_names_every_layer_without_a_living_unit() -> None:
    layers = [{"name": name, "units": 4, "inert": inert} for name, inert in (("a", 4), ("b", 3), ("c", 4))]
    row = {"units": 12, "inert_fraction": 11 / 12, "layers": layers}
    assert collapse_in_words(row) == "92% of the hidden units are inert (dead or constant); every unit of a, c is"


def test_the_worst_layer_is_that_with_the_largest_share_and_not_the_largest_count() -> None:
    def layer(units: int, dead: int) -> dict[str, Tensor]:
        mask = torch.zeros(1, units, dtype=torch.bool)
        mask[0, :dead] = True
        found = {name: mask if one.counts else mask.double() for name, one in HEALTH_MEASURES.items()}
        return found | {NOT_FINITE: torch.zeros_like(mask)}

    layers = {"wide": layer(100, 10), "narrow": layer(4, 3), "last": layer(8, 1)}
    found = UnitHealth(layers, {name: {} for name in layers}, 50).of_run(0)
    assert (found["worst_layer"], found["worst_layer_dead_fraction"]) == ("narrow", 0.75)
    assert (found["dead"], found["dead_fraction"], found["probe_size"]) == (14, 14 / 112, 50)
    assert found["sparsity"] == pytest.approx(14 / 112), "weighted by units, not by layers"


@pytest.mark.parametrize("positions", [(), (3,), (2, 3)])
def test_statistics_with_padding_are_those_of_what_is_kept(positions: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(7)
    values = torch.randn(2, 9, 4, *positions, dtype=torch.float64, generator=generator)
    keep = torch.rand(values.shape, generator=generator) < 0.6
    keep[:, :, 3] = False  # a unit without anything in the first six inputs, and then in all
    keep[0, 7, 3] = True
    parts = [(values[:, :6], keep[:, :6]), (values[:, 6:], keep[:, 6:])]
    merged = merge_moments(*(moments(*part) for part in parts))
    averaged = merge_means(*(means(*part) for part in parts))
    counted = [sum(both) for both in zip(*(count(part > 0.5, there) for part, there in parts), strict=True)]
    fired = [sum(both) for both in zip(*(count_inputs(part > 0.5, there) for part, there in parts), strict=True)]
    top = torch.maximum(*(largest(part.abs(), there)[0] for part, there in parts))
    for run in range(2):
        for unit in range(3 + (run == 0)):
            there = values[run, :, unit][keep[run, :, unit]].numpy()
            assert merged[0][run, unit] == averaged[0][run, unit] == counted[1][run, unit] == len(there)
            if unit < 3:
                assert float(merged[1][run, unit]) == pytest.approx(there.mean())
                assert float(averaged[1][run, unit]) == pytest.approx(there.mean())
                assert float(merged[2][run, unit]) == pytest.approx(((there - there.mean()) ** 2).sum())
            assert float(top[run, unit]) == np.abs(there).max()
            assert counted[0][run, unit] == (there > 0.5).sum()
            inputs = [values[run, one, unit][keep[run, one, unit]] for one in range(9)]
            assert fired[0][run, unit] == sum(bool((one > 0.5).any()) for one in inputs)
            assert fired[1][run, unit] == sum(len(one) > 0 for one in inputs)


def test_a_unit_without_inputs_in_a_batch_has_the_mean_of_the_others() -> None:
    keep = torch.ones(1, 3, 2, dtype=torch.bool)
    keep[:, :, 1] = False
    nothing, something = torch.ones(1, 3, 2) * 5, torch.full((1, 4, 2), 7.0)
    for one, other in ((means(nothing, keep), means(something)), (means(something), means(nothing, keep))):
        assert float(merge_means(one, other)[1][0, 1]) == 7.0
    for one, other in ((moments(nothing, keep), moments(something)), (moments(something), moments(nothing, keep))):
        found = merge_moments(one, other)
        assert [float(part[0, 1]) for part in found] == [4.0, 7.0, 0.0]


@pytest.mark.parametrize("shapes", [[(4,), (4,)], [(4,), (6,)], [(6,), (4,)], [(2, 5), (4, 3)]])
def test_the_largest_at_each_position_over_sequences_of_any_length(shapes: list[tuple[int, ...]]) -> None:
    one, other = (torch.rand(2, 5, 3, *shape, generator=torch.Generator().manual_seed(sum(shape))) for shape in shapes)
    merged = merge_maxima_at(largest_at(one), largest_at(other))[0].numpy()
    longest = [max(sizes) for sizes in zip(*shapes, strict=True)]
    assert merged.shape == (2, *longest, 3)
    for place in np.ndindex(*longest):
        there = [
            part for part in (one, other) if all(at < size for at, size in zip(place, part.shape[3:], strict=True))
        ]
        for run in range(2):
            for unit in range(3):
                values = [float(part[(run, slice(None), unit, *place)].max()) for part in there]
                assert merged[(run, *place, unit)] == np.float32(max(values, default=UNOBSERVED))
