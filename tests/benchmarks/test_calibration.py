"""The error rates that docs/statistics.md promises, measured anew with fewer replicates on the same simulated runs."""

import importlib.util
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "calibration.py"
REPLICATES = 600
WORLDS = ("equal variances", "one cell 4 × noisier", "5 % of runs collapse", "both")


def largest_share(replicates):
    """The share of errors that a test of level 0.05 stays below, by three standard errors of so many replicates.

    Six comparisons without a correction would err in one table of four.
    """
    return 0.05 + 3 * math.sqrt(0.05 * 0.95 / replicates)


@pytest.fixture(scope="module")
def calibration():
    """The script that writes the tables."""
    specification = importlib.util.spec_from_file_location("calibration", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    sys.modules["calibration"] = module  # where its dataclass looks for its own names
    specification.loader.exec_module(module)
    yield module
    del sys.modules["calibration"]


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_t_interval_covers_the_mean_of_normal_values_as_often_as_it_says(calibration, n):
    replicates = 10_000
    covered = calibration.coverage(calibration.student, n, 0.0, replicates)
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / replicates))


def test_z_intervals_and_bootstraps_of_five_values_are_too_narrow(calibration):
    for interval in (calibration.normal_z, calibration.percentile_bootstrap, calibration.bca_bootstrap):
        assert calibration.coverage(interval, 5, 0.0, REPLICATES) < 0.9


def test_no_interval_of_the_mean_survives_collapsed_runs(calibration):
    assert all(calibration.coverage(one, 10, 0.05, 200) < 0.9 for one in calibration.INTERVALS.values())


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 7, 8, 10])
@pytest.mark.parametrize("world", WORLDS)
def test_a_table_without_a_difference_rarely_shows_one(calibration, world, seeds):
    error = calibration.family_wise_error(calibration.house_rule, calibration.WORLDS[world], seeds, REPLICATES)
    assert error <= largest_share(REPLICATES)


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_drawn_sign_patterns_err_as_rarely_as_counted_ones(calibration, world):
    replicates = 100  # each draws 10,000 sign patterns
    error = calibration.family_wise_error(calibration.house_rule, calibration.WORLDS[world], 14, replicates)
    assert error <= largest_share(replicates)


@pytest.mark.parametrize("world", WORLDS)
def test_a_difference_beside_others_that_are_none_is_found_without_finding_those(calibration, world):
    runs = replace(calibration.WORLDS[world], better=4.0).draw(REPLICATES, 10, calibration.CONTRASTS + 1)
    found = calibration.house_rule(runs) < calibration.ALPHA
    assert found[:, 1:].any(axis=1).mean() <= largest_share(REPLICATES)


@pytest.mark.parametrize(("seeds", "least"), [(5, 0.15), (8, 0.6), (10, 0.8)])
@pytest.mark.parametrize("world", WORLDS[:2])
def test_a_true_difference_is_found_and_more_often_than_by_ranks(calibration, world, seeds, least):
    better = replace(calibration.WORLDS[world], better=calibration.EFFECT * math.sqrt(2))
    power = calibration.power(calibration.house_rule, better, seeds, REPLICATES)
    assert power >= least
    assert power > calibration.power(calibration.holm_wilcoxon, better, seeds, REPLICATES)


def test_max_t_finds_more_than_holm_where_runs_collapse(calibration):
    better = replace(calibration.WORLDS["5 % of runs collapse"], better=calibration.EFFECT * math.sqrt(2))
    found, by_holm = (
        calibration.power(family, better, 10, REPLICATES) for family in (calibration.westfall_young, calibration.holm_t)
    )
    assert found > by_holm + 0.05


@pytest.mark.parametrize("seeds", [6, 10, 14])
@pytest.mark.parametrize("world", WORLDS)
def test_a_table_without_an_interaction_rarely_shows_one(calibration, world, seeds):
    error = calibration.interaction_error(calibration.sign_flips, calibration.WORLDS[world], seeds, REPLICATES)
    assert error <= largest_share(REPLICATES)


def test_where_a_cell_is_noisier_the_f_test_sees_interactions_that_are_none(calibration):
    noisy = calibration.WORLDS["one cell 4 × noisier"]
    assert calibration.interaction_error(calibration.anova, noisy, 10, REPLICATES) > 0.075


@pytest.mark.parametrize("pairs", ["one row with 3 pairs of 6", "half with 5 pairs of 10"])
@pytest.mark.parametrize("world", ["equal variances", "both", "shares"])
def test_rows_with_different_numbers_of_pairs_rarely_show_what_is_not_there(calibration, world, pairs):
    runs = calibration.SHARES if world == "shares" else calibration.WORLDS[world]
    tables = calibration.mixed(runs, calibration.PAIRS[pairs], 400)
    for family in (calibration.rule_for_values, calibration.rule_for_shares):
        assert (family(tables) < calibration.ALPHA).any(axis=1).mean() <= largest_share(400)


@pytest.mark.parametrize("world", WORLDS[::2])
def test_a_row_of_three_pairs_hides_less_than_under_the_largest_t(calibration, world):
    runs = replace(calibration.WORLDS[world], better=calibration.EFFECT * math.sqrt(2))
    found = calibration.mixed(runs, calibration.PAIRS["one row with 3 pairs of 10"], 300)
    ours, by_t = (
        (family(found)[:, 0] < calibration.ALPHA).mean()
        for family in (calibration.rule_for_shares, calibration.largest_t)
    )
    assert ours > by_t + 0.05
    # It costs the others nothing: as many are found as where that row has no pairs at all.
    found[:, :, -1] = np.nan
    assert ours == pytest.approx((calibration.rule_for_shares(found)[:, 0] < calibration.ALPHA).mean(), abs=0.01)


def error_of(share, replicates, times=4):
    """So many standard errors of a share of replicates."""
    return times * math.sqrt(share * (1 - share) / replicates)


@pytest.mark.parametrize("pilot", [3, 5, 8])
def test_two_stages_cover_as_often_as_they_say_and_adding_one_by_one_does_not(calibration, pilot):
    replicates = 4000
    held, sizes = calibration.stein(pilot, 0.6, replicates)
    assert held.mean() == pytest.approx(0.95, abs=error_of(0.95, replicates))
    assert sizes.max() > 2 * pilot
    assert calibration.one_by_one(pilot, 0.6, replicates)[0].mean() < 0.95 - error_of(0.95, replicates, 2)
    assert calibration.t_of_all(pilot, 0.6, replicates)[0].mean() < held.mean()


def test_the_two_stage_test_keeps_its_level(calibration):
    assert calibration.two_stage_error(3, 0.6, 4000) == pytest.approx(0.05, abs=error_of(0.05, 4000))


def test_where_the_widest_row_chooses_for_all_each_keeps_its_coverage_and_the_table_its_level(calibration):
    replicates = 2000
    held, found, _ = calibration.two_stage_tables(5, replicates)
    assert held.mean(axis=0) == pytest.approx([0.95] * 3, abs=error_of(0.95, replicates))
    assert 0 < found.mean() <= largest_share(replicates)


def test_a_table_that_is_looked_at_after_each_seed_rarely_ever_has_a_star(calibration):
    assert 0 < calibration.starred_ever(calibration.anytime_t, 3, 2000) <= 0.03
    assert calibration.starred_ever(calibration.student_t, 3, 2000) > 0.1


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "5 % of runs collapse"])
@pytest.mark.parametrize("first", [3, 5])
def test_whoever_looks_at_anytime_intervals_after_each_seed_is_rarely_ever_misled(calibration, kind, first):
    replicates = 4000
    missed = calibration.ever_missed(calibration.anytime_factor, kind, first, replicates)
    assert 0 < missed <= 0.03
    assert calibration.ever_missed(calibration.student_factor, kind, first, replicates) > 0.1


@pytest.mark.parametrize("n", [3, 5, 20])
def test_a_further_run_lies_in_its_prediction_interval_as_often_as_that_says(calibration, n):
    data = calibration.draw_differences("normal", (2000, n + 1))
    share = calibration.predicted(calibration.prediction_interval, data)
    assert share == pytest.approx(0.95, abs=error_of(0.95, 2000))
    assert calibration.predicted(calibration.two_sds, data) < share


@pytest.mark.parametrize("mean", [0.0, 0.7])
@pytest.mark.parametrize("kind", ["normal", "heavy tails", "lop-sided", "5 % of runs collapse"])
def test_counting_covers_the_chance_of_a_win_whatever_the_differences_look_like(calibration, kind, mean):
    for n in (5, 20):
        assert calibration.chance_coverage(calibration.counted, kind, mean, n, 800) > 0.95 - error_of(0.95, 800, 3)


def test_the_normal_model_of_that_chance_holds_for_normal_differences_alone(calibration):
    normal = calibration.chance_coverage(calibration.normal_model, "normal", 0.7, 10, 800)
    assert normal == pytest.approx(0.95, abs=error_of(0.95, 800))
    assert calibration.chance_coverage(calibration.normal_model, "5 % of runs collapse", 0.7, 10, 800) < 0.8
