"""Power, seeds and equivalence against scipy's noncentral t and published tables."""

import math

import pytest
import scipy.stats

from actbench.analysis.statistics import is_equivalent, paired_difference, seeds_needed, smallest_p, t_power


def noncentral(effect, n, alpha):
    critical = scipy.stats.t.isf(alpha / 2, n - 1)
    found = scipy.stats.nct(n - 1, effect * math.sqrt(n))
    return found.sf(critical) + found.cdf(-critical)


@pytest.mark.parametrize("n", [3, 5, 10, 17, 34])
@pytest.mark.parametrize("effect", [0.0, 0.1, 0.5, 1.0])  # for larger ones scipy's own is NaN here and there
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 9])
def test_power_is_that_of_the_noncentral_t_distribution(effect, n, alpha):
    assert t_power(effect, n, alpha) == pytest.approx(noncentral(effect, n, alpha), abs=2e-6)
    assert t_power(-effect, n, alpha) == t_power(effect, n, alpha)


@pytest.mark.parametrize("effect", [3.0, 37.0, 1e6, math.inf])
@pytest.mark.parametrize("n", [2, 3, 10, 1_000_000])
@pytest.mark.parametrize("alpha", [0.05, 5e-5, 1e-8])
def test_the_power_of_large_effects_is_a_probability(effect, n, alpha):
    assert 0 <= t_power(effect, n, alpha) <= 1


@pytest.mark.parametrize(
    ("effect", "options", "seeds"),
    [
        (1.0, {}, 10),
        (1.0, {"comparisons": 9}, 17),
        (0.5, {}, 34),
        (0.5, {"power": 0.95}, 54),  # these three: the matched-pairs example values of G*Power
        (0.2, {}, 199),
        (0.8, {}, 15),
    ],
)
def test_seeds_needed_are_the_published_numbers(effect, options, seeds):
    assert seeds_needed(effect, 1.0, **options) == seeds
    assert seeds_needed(-effect * 1e-3, 1e-3, **options) == seeds


@pytest.mark.parametrize("effect", [0.07, 0.3, 0.9, 1.7])
@pytest.mark.parametrize("comparisons", [1, 12])
def test_one_seed_fewer_would_not_do(effect, comparisons):
    seeds, level = seeds_needed(effect, 1.0, comparisons=comparisons), 0.05 / comparisons
    assert noncentral(effect, seeds - 1, level) < 0.8 <= noncentral(effect, seeds, level)


@pytest.mark.parametrize(
    ("difference", "sd", "seeds"),
    [(0.0, 1.0, None), (1e-9, 1.0, None), (1.0, 0.0, 3), (1.0, 1e-9, 3), (0.0, 0.0, None)],
)
def test_what_no_number_of_seeds_shows_is_none(difference, sd, seeds):
    assert seeds_needed(difference, sd) == seeds


@pytest.mark.parametrize(
    ("n", "p"), [(3, 0.25), (4, 0.125), (5, 0.0625), (6, 0.03125), (7, 0.015625), (8, 0.0078125), (10, 0.001953125)]
)
def test_the_smallest_p_of_an_exact_test(n, p):
    assert smallest_p(n) == p
    ranks = scipy.stats.wilcoxon(range(1, n + 1), method="exact")
    assert ranks.pvalue == pytest.approx(p)


def test_fewer_than_one_pair_can_show_nothing():
    assert smallest_p(0) == smallest_p(1) == 1.0


def difference(*values, test="t"):
    return paired_difference(dict(enumerate(values)), dict.fromkeys(range(len(values)), 0.0), test=test)


def test_sides_are_the_same_only_when_the_whole_interval_lies_within_delta():
    found = difference(0.01, 0.02, 0.03)
    assert found.low < 0 < found.high < 0.045
    assert is_equivalent(found, 0.045)
    assert not is_equivalent(found, found.high)
    assert not is_equivalent(difference(-0.01, -0.02, -0.03), found.high)


def test_identical_sides_are_the_same():
    assert is_equivalent(difference(0.0, 0.0, 0.0), 1e-9)


@pytest.mark.parametrize("found", [difference(), difference(0.0, 0.0), difference(0.0, 0.1, 0.0, test="sign-flip")])
def test_without_an_interval_nothing_is_shown_to_be_the_same(found):
    assert not is_equivalent(found, 1.0)


@pytest.mark.parametrize("delta", [0.0, -0.1, math.nan])
def test_a_delta_must_leave_room(delta):
    with pytest.raises(ValueError, match="above 0"):
        is_equivalent(difference(0.0, 0.0, 0.0), delta)
