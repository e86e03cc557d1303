"""A small part of the further tables' calibration: the methods keep their promise, and others do not."""

from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def calibration(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    return import_module("benchmarks.calibration_further")


def within_four_standard_errors(share, expected, replicates):
    return abs(share - expected) < 4 * (expected * (1 - expected) / replicates) ** 0.5


def test_welchs_test_keeps_its_level_where_variances_differ_and_students_does_not(calibration):
    replicates = 1500
    found, missed, pooled = calibration.welch_errors(((3, 4.0), (10, 1.0)), replicates)

    assert within_four_standard_errors(found, 0.05, replicates)
    assert found == missed
    assert pooled > 0.15


def test_the_interval_of_d_holds_the_true_one_as_often_as_it_says(calibration):
    assert within_four_standard_errors(calibration.effect_coverage(5, 1.0, 1500), 0.95, 1500)


def test_the_intervals_of_the_sources_hold_the_truth_in_at_least_94_of_100_studies(calibration):
    assert min(calibration.component_coverage((5, 5), (1.0, 1.0, 1.0), 1500)) > 0.95 - 4 * 0.0056


def test_equal_rows_are_rarely_told_apart_across_datasets_however_unequal_these_are(calibration):
    to_baseline, any_pair, found = calibration.dataset_errors(8, 1.0, 120)

    assert max(to_baseline, any_pair) < 0.05 + 4 * 0.02
    assert found > 0.2


def test_a_true_bound_on_how_runs_end_is_rarely_called_wrong_even_at_every_look(calibration):
    replicates = 2000
    wrong, missed, ever = calibration.bound_errors(0.1, 36, replicates)

    assert wrong == missed
    assert within_four_standard_errors(wrong, 0.045, replicates)  # discrete: as near to .05 as 36 runs get
    assert ever < 0.05


@pytest.mark.parametrize("place", [0, 1, 2])
def test_cells_of_which_as_many_runs_diverge_are_rarely_told_apart(calibration, place):
    assert calibration.ending_errors(calibration.ENDINGS[place], 10, 400) < 0.05
