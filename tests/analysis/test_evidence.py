"""Evidence: the side of a number on which a mean lies, field by field, also where p or an end equals the bound."""

import pytest
import scipy.stats

from actbench.analysis.judgements.evidence import evidence_of, too_few
from actbench.analysis.judgements.formatting import interval_in_words
from actbench.analysis.statistics import MIN_VALUES
from actbench.analysis.table.rules import Rules

SHARE, ACCURACY, COUNT = "health.dead_fraction", "test.accuracy", "parameters"
SHARES = [0.31, 0.28, 0.33, 0.30, 0.26, 0.29]


def test_a_metric_with_an_interval_is_judged_by_it_and_has_the_p_of_the_t_test():
    values = [0.90, 0.91, 0.92, 0.94]
    low, high = scipy.stats.t.interval(0.95, 3, loc=0.9175, scale=scipy.stats.sem(values))
    for bound, side in ((low - 1e-6, "above"), (low + 1e-6, None), (high - 1e-6, None), (high + 1e-6, "below")):
        found = evidence_of(values, bound, ACCURACY, Rules(0.05))
        assert found.side == side
        assert found.observed == ("above" if bound < 0.9175 else "below")
        assert (found.mean, found.n, found.can_decide, found.note) == (pytest.approx(0.9175), 4, True, "")
        assert found.interval == pytest.approx((low, high))
        assert found.p == pytest.approx(scipy.stats.ttest_1samp(values, bound).pvalue, rel=1e-6)
        assert not found.is_point


def test_an_interval_that_ends_at_the_bound_leaves_the_side_open():
    found = evidence_of([0.90, 0.91, 0.92, 0.94], 0.5, ACCURACY, Rules(0.05))
    for end in found.interval:
        assert evidence_of([0.90, 0.91, 0.92, 0.94], end, ACCURACY, Rules(0.05)).side is None


def test_a_share_is_judged_by_sign_flips_and_a_p_that_equals_alpha_decides_nothing():
    p = 2 / 2**6
    found = evidence_of(SHARES, 0.05, SHARE, Rules(p))
    assert (found.side, found.observed, found.p, found.can_decide) == (None, "above", p, False)
    assert (
        found.note == "sign-flip p = .031; 6 seeds can't decide: smallest possible p = .031, 7 are the fewest that can"
    )
    found = evidence_of(SHARES, 0.05, SHARE, Rules(p + 1e-9))
    assert (found.side, found.observed, found.p, found.can_decide) == ("above", "above", p, True)
    assert (found.interval, found.note) == (None, "sign-flip p = .031")
    assert evidence_of(SHARES, 0.9, SHARE, Rules(0.05)).side == "below"


@pytest.mark.parametrize("metric", [SHARE, ACCURACY])
@pytest.mark.parametrize("values", [[], [0.3], [0.3, 0.4]])
def test_below_three_values_nothing_is_decided(values, metric):
    found = evidence_of(values, 0.05, metric, Rules(0.05))
    assert (found.side, found.interval, found.p, found.can_decide) == (None, None, None, False)
    assert (found.n, found.note) == (len(values), "fewer than 3 seeds")
    assert found.observed == ("above" if values else None)
    assert evidence_of([0.3, 0.31, 0.32], 0.05, ACCURACY, Rules(0.05)).side == "above"
    assert MIN_VALUES == 3


@pytest.mark.parametrize(("bound", "side"), [(0.29, "above"), (0.3, "at"), (0.1 + 0.2, "at"), (0.31, "below")])
@pytest.mark.parametrize("metric", [SHARE, ACCURACY, COUNT])
def test_constant_values_are_a_point(metric, bound, side):
    found = evidence_of([0.3] * 3, bound, metric, Rules(0.05))
    assert (found.side, found.observed, found.p, found.interval) == (side, side, 0.0, (0.3, 0.3))
    assert found.is_point
    assert (found.can_decide, found.note) == (True, "")


@pytest.mark.parametrize(
    ("metric", "difference", "is_point"),
    [(COUNT, 7.0, True), (ACCURACY, 0.01, False), (SHARE, 0.01, False), (ACCURACY, 0.0, True), (SHARE, 0.0, True)],
)
def test_a_difference_that_is_the_same_in_each_seed_is_a_point_for_counts_and_zeros_alone(metric, difference, is_point):
    found = evidence_of([difference] * 6, -0.5, metric, Rules(0.05), of_differences=True)
    assert found.is_point is is_point
    assert (found.side, found.p) == ("above", 0.0 if is_point else 2 / 2**6)


def test_values_that_rounding_alone_makes_vary_are_a_point_beside_a_bound_far_away():
    found = evidence_of([0.3, 0.3, 0.1 + 0.2], 1e6, "test.loss", Rules(0.05))
    assert (found.side, found.p) == ("below", 0.0)


@pytest.mark.parametrize(
    ("n", "alpha", "text"),
    [
        (3, 0.05, "3 seeds can't decide: smallest possible p = .25, 6 are the fewest that can"),
        (6, 2 / 2**6, "6 seeds can't decide: smallest possible p = .031, 7 are the fewest that can"),
        (12, 1e-5, "12 seeds can't decide: smallest possible p < .001, no number of seeds can"),
    ],
)
def test_too_few_seeds_are_said_with_the_fewest_that_can_decide(n, alpha, text):
    assert too_few(n, alpha) == text


@pytest.mark.parametrize(
    ("metric", "ends", "of_difference", "text"),
    [
        (ACCURACY, (0.928, 0.9344), False, "[92.80, 93.44]"),
        (ACCURACY, (0.002, 0.0037), True, "[+0.20, +0.37] points"),
        (ACCURACY, (-0.002, 0.0037), True, "[−0.20, +0.37] points"),
        ("test.loss", (-0.1, 0.2), True, "[−0.1000, +0.2000] nats"),
        (COUNT, (7.0, 9.0), True, "[+7, +9]"),
        (ACCURACY, (0.9, 1.2), False, "[90.00, 100.00], cut at the end of the scale"),
    ],
)
def test_an_interval_in_words_has_signs_and_a_unit_where_it_is_one_of_differences(metric, ends, of_difference, text):
    assert interval_in_words(metric, ends, of_difference=of_difference) == text
