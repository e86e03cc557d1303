"""Stein's two-stage rule: its size, interval and test against scipy and against each other."""

import math

import pytest
import scipy.stats

from actbench.analysis.statistics import two_stage_ends, two_stage_p, two_stage_size


@pytest.mark.parametrize("pilot", [3, 5, 8])
@pytest.mark.parametrize("sd", [0.003, 0.01, 0.08])
def test_so_many_values_make_the_interval_as_narrow_as_wanted_and_one_less_would_not(pilot, sd):
    wanted = 0.01
    size = two_stage_size(sd, pilot, wanted)
    t = scipy.stats.t.ppf(0.975, pilot - 1)
    assert t * sd / math.sqrt(size) <= wanted * (1 + 1e-9)
    assert size == pilot or t * sd / math.sqrt(size - 1) > wanted


def test_a_size_that_is_whole_on_paper_is_not_rounded_up():
    t = scipy.stats.t.ppf(0.975, 4)
    for size in range(6, 60):
        assert two_stage_size(math.sqrt(size) / t, 5, 1.0) == size


@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_the_interval_has_the_pilots_spread_and_freedom_and_the_number_of_all(alpha):
    half = scipy.stats.t.ppf(1 - alpha / 2, 4) * 0.7 / math.sqrt(22)
    assert two_stage_ends(0.1, 0.7, 5, 22, alpha) == pytest.approx((0.1 - half, 0.1 + half))


def test_the_interval_has_exactly_the_means_that_the_test_does_not_reject():
    for end in two_stage_ends(0.1, 0.7, 5, 22, 0.05):
        assert two_stage_p(0.1 - end, 0.7, 5, 22) == pytest.approx(0.05)


def test_a_study_that_needs_no_second_stage_has_students_interval():
    half = scipy.stats.t.ppf(0.975, 4) * 0.7 / math.sqrt(5)
    assert two_stage_ends(0.0, 0.7, 5, 5, 0.05) == pytest.approx((-half, half))


def test_degenerate_pilots():
    assert two_stage_ends(0.1, 0.7, 2, 22, 0.05) == two_stage_ends(0.1, None, 1, 22, 0.05) == (None, None)
    assert two_stage_p(0.1, 0.7, 2, 22) is two_stage_p(0.1, 0.0, 5, 22) is None
    assert two_stage_ends(0.1, 0.0, 5, 22, 0.05) == (0.1, 0.1)
    assert two_stage_size(0.0, 5, 0.01) == 5
    assert two_stage_size(1e300, 5, 1e-300) == two_stage_size(1e20, 5, 1.0) == 10**9
