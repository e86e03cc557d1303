"""Intervals and tests that hold at every look: against likelihood ratios integrated by scipy, and counted by hand."""

import itertools
import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from actbench.analysis.statistics import anytime_ends, anytime_p, anytime_sign_p, smallest_anytime_p
from actbench.analysis.statistics.anytime import EFFECT_VARIANCE, anytime_t


def winnings(t, n):
    """The likelihood of t with effects from N(0, g) over that without one, by quadrature over scipy's noncentral t."""
    spread = math.sqrt(EFFECT_VARIANCE)

    def integrand(effect):
        return scipy.stats.nct.pdf(t, n - 1, effect * math.sqrt(n)) * scipy.stats.norm.pdf(effect, 0, spread)

    total, _ = scipy.integrate.quad(integrand, -8 * spread, 8 * spread, points=[0, t / math.sqrt(n)], limit=500)
    return total / scipy.stats.t.pdf(t, n - 1)


@pytest.mark.parametrize(("t", "n"), [(0.5, 3), (2.0, 5), (3.5, 10), (-4.0, 20)])
def test_the_closed_form_is_the_ratio_of_likelihoods_over_all_effects(t, n):
    assert anytime_p(t / math.sqrt(n), 1.0, n) == pytest.approx(min(1.0, 1 / winnings(t, n)), rel=1e-5)


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.05 / 9])
@pytest.mark.parametrize("n", [5, 8, 10, 30, 200])
def test_the_interval_has_exactly_the_means_that_the_test_does_not_reject(n, alpha):
    low, high = anytime_ends(0.3, 2.0, n, alpha)
    assert low + high == pytest.approx(0.6)
    for end in (low, high):
        assert anytime_p(0.3 - end, 2.0, n) == pytest.approx(alpha, rel=1e-9)


def test_it_is_wider_than_students_at_each_number_of_values():
    for n in range(4, 200):
        assert 1.7 < anytime_t(n, 0.05) / scipy.stats.t.ppf(0.975, n - 1) < 2.3


def test_too_few_values_have_no_interval_and_no_test():
    assert anytime_ends(1.0, 1.0, 3, 0.05) == (None, None)
    assert anytime_ends(1.0, 1.0, 2, 0.05) == anytime_ends(1.0, None, 1, 0.05) == (None, None)
    assert anytime_p(1.0, 1.0, 2) is None
    assert smallest_anytime_p(3) > 0.05 > smallest_anytime_p(4)


def test_constant_values_are_a_point_and_have_no_test():
    assert anytime_ends(0.25, 0.0, 5, 0.05) == (0.25, 0.25)
    assert anytime_p(0.25, 0.0, 5) is None


@pytest.mark.parametrize("n", [3, 5, 20])
def test_no_mean_however_large_has_a_smaller_p_than_the_smallest(n):
    assert anytime_p(1e8, 1e-8, n) == pytest.approx(smallest_anytime_p(n))
    assert anytime_p(1e300, 1e-300, n) == pytest.approx(smallest_anytime_p(n))


@pytest.mark.parametrize("m", [1, 4, 9])
def test_the_bet_on_signs_wins_nothing_on_average(m):
    # The mean of 1/p over all patterns of fair signs would be 1 if p were not cut at 1.
    total = sum(
        math.comb(m, k) * math.exp(-m * math.log(2)) / p for k in range(m + 1) if (p := anytime_sign_p(k, m - k)) < 1
    )
    assert total <= 1 + 1e-12


@pytest.mark.parametrize(("wins", "losses"), [(7, 0), (10, 1), (3, 3), (0, 0)])
def test_the_bet_on_signs_is_the_mean_of_the_likelihood_ratio_over_jeffreys_prior(wins, losses):
    m = wins + losses
    mean, _ = scipy.integrate.quad(
        lambda angle: (2 * math.sin(angle) ** 2) ** wins * (2 * math.cos(angle) ** 2) ** losses, 0, math.pi / 2
    )
    assert anytime_sign_p(wins, losses) == pytest.approx(min(1.0, math.pi / 2 / mean), rel=1e-9)
    assert anytime_sign_p(losses, wins) == pytest.approx(anytime_sign_p(wins, losses))
    assert m == 0 or anytime_sign_p(m, 0) <= anytime_sign_p(wins, losses)


def test_every_path_of_signs_together_rarely_ever_reaches_the_level():
    """All 2^16 paths, counted: how many have p < .05 at any look."""
    paths = np.array(list(itertools.product((0, 1), repeat=16)), dtype=np.uint8)
    wins = paths.cumsum(axis=1)
    found = {m: [anytime_sign_p(k, m - k) < 0.05 for k in range(m + 1)] for m in range(1, 17)}
    ever = np.zeros(len(paths), bool)
    for m in range(1, 17):
        ever |= np.array(found[m])[wins[:, m - 1]]
    assert 0 < ever.mean() <= 0.05
