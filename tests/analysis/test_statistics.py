"""Intervals against scipy, published tables and cases small enough to do by hand; all figures on degenerate data."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from actbench.analysis.statistics import (
    interaction_p,
    max_t,
    mean_interval,
    paired_difference,
    seeds_needed,
    sign_flip_p,
    t_p,
    wilson_interval,
)
from actbench.analysis.statistics.sign_flips import sign_patterns

finite = st.one_of(
    st.floats(-1e299, 1e299, allow_nan=False), st.sampled_from([0.0, 1.0, 1.0, -1.0, 0.1, 1e-300, 5e-324, -1e299])
)


def sample(n):
    return np.random.default_rng(n).normal(size=n)


def with_summary(mean, sd, n):
    """Some sample of that size with exactly that mean and standard deviation."""
    values = sample(n)
    return list(mean + sd * (values - values.mean()) / values.std(ddof=1))


@pytest.mark.parametrize("n", [3, 4, 5, 10, 50])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_the_interval_is_students(n, alpha):
    data = sample(n)
    got = mean_interval(list(data), alpha)
    low, high = scipy.stats.t.interval(1 - alpha, n - 1, loc=data.mean(), scale=scipy.stats.sem(data))
    assert (got.low, got.high) == pytest.approx((low, high), rel=1e-9)
    assert (got.mean, got.sd, got.n) == pytest.approx((data.mean(), data.std(ddof=1), n))
    assert (got.min, got.max) == (data.min(), data.max())


def test_an_interval_done_by_hand():
    got = mean_interval([1.0, 2.0, 3.0])  # sd 1, t(.975, 2) = 4.3027
    assert (got.low, got.high) == pytest.approx((2 - 4.302652730 / math.sqrt(3), 2 + 4.302652730 / math.sqrt(3)))


@pytest.mark.parametrize(
    ("values", "mean", "sd"), [([], None, None), ([0.3], 0.3, None), ([0.25, 0.75], 0.5, 0.5**0.5 / 2)]
)
def test_fewer_than_three_values_have_no_interval(values, mean, sd):
    got = mean_interval(values)
    assert (got.mean, got.low, got.high, got.n) == (mean, None, None, len(values))
    assert got.sd == (None if sd is None else pytest.approx(sd))


@pytest.mark.parametrize("n", [3, 6, 7, 10])
def test_a_constant_is_a_point_without_rounding(n):
    got = mean_interval([0.1] * n)
    assert (got.low, got.mean, got.high, got.sd) == (0.1, 0.1, 0.1, 0.0)


PUBLISHED = [
    # Student (1908), hours of sleep gained: t = 4.06, p = .0028; interval as printed by R's t.test(sleep)
    (1.58, 1.2299, 10, 0.7001, 2.4599),
    # NIST/SEMATECH e-Handbook 1.3.5.2, Zarr's heat flow meter: 9.258242 to 9.264679
    (9.261460, 0.02278881, 195, 9.258242, 9.264679),
]


@pytest.mark.parametrize(("mean", "sd", "n", "low", "high"), PUBLISHED)
def test_published_intervals_follow_from_mean_sd_and_n(mean, sd, n, low, high):
    got = mean_interval(with_summary(mean, sd, n))
    assert (got.low, got.high) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("count", "n"), [(0, 1), (1, 1), (0, 5), (2, 10), (10, 10), (37, 120)])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_a_counts_interval_is_wilsons(count, n, alpha):
    expected = scipy.stats.binomtest(count, n).proportion_ci(1 - alpha, method="wilson")
    assert wilson_interval(count, n, alpha) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_newcombes_published_examples_of_wilsons_interval(count, n, low, high):
    assert wilson_interval(count, n) == pytest.approx((low, high), abs=5e-5)  # Newcombe (1998), table I, method 3


def test_a_share_never_leaves_0_to_1_and_nothing_seen_leaves_all_possible():
    assert wilson_interval(0, 0) == (0.0, 1.0)
    for n in range(1, 60):
        assert wilson_interval(0, n)[0] == 0.0 < wilson_interval(0, n)[1] < 1.0
        assert 0.0 < wilson_interval(n, n)[0] < wilson_interval(n, n)[1] == 1.0


def test_a_sign_flip_of_sums_that_tie_on_paper_is_counted():
    # ±0.1 ± 0.2 ± 0.3 … in whole numbers and in tenths
    for draw in range(200):
        tenths = np.random.default_rng(draw).integers(-9, 10, size=6)
        assert sign_flip_p(tenths / 10) == sign_flip_p(tenths)


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_every_pattern_of_signs_or_its_mirror_image_is_counted_once(n):
    patterns = {tuple(signs) for signs in sign_patterns(n)}
    mirrored = {tuple(-sign for sign in signs) for signs in patterns}
    assert len(sign_patterns(n)) == len(patterns) == 2 ** (n - 1)
    assert patterns | mirrored == {*itertools.product([1.0, -1.0], repeat=n)}
    assert (sign_patterns(n)[0] == 1).all()


@pytest.mark.parametrize("n", [13, 30])
def test_of_many_seeds_ten_thousand_patterns_are_drawn_and_the_observed_one_is_among_them(n):
    assert sign_patterns(n).shape == (10_000, n)
    assert (sign_patterns(n)[0] == 1).all()
    assert np.unique(sign_patterns(n)).tolist() == [-1.0, 1.0]
    assert np.abs(sign_patterns(n)[1:].mean(axis=0)).max() < 0.05


@pytest.mark.parametrize(("count", "n"), [(-1, 3), (4, 3)])
def test_a_count_beyond_the_runs_is_refused(count, n):
    with pytest.raises(ValueError, match="not a count"):
        wilson_interval(count, n)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1e305])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(ValueError, match="finite"):
        mean_interval([1.0, value])


def test_statistics_end_where_a_loss_has_diverged():
    largest = math.nextafter(1e300, 0)
    assert mean_interval([largest]).mean == largest
    with pytest.raises(ValueError, match="finite"):
        mean_interval([1e300])


@pytest.mark.parametrize(("step", "is_constant"), [(0.9e-12, True), (1.1e-12, False)])
def test_what_varies_by_less_than_a_share_of_1e_12_of_the_values_varies_by_rounding(step, is_constant):
    b = [1.0, 0.5, 0.25, 0.75]
    found = paired_difference(dict(enumerate([1.0 + step, 0.5, 0.25, 0.75])), dict(enumerate(b)))
    assert (found.note == "constant") is is_constant
    assert (found.p is None) is is_constant
    assert (t_p([1.0 + step, 1.0, 1.0]) is None) is is_constant


def figures(found):
    return [figure for figure in vars(found).values() if isinstance(figure, float)]


@given(st.lists(st.tuples(finite, finite), max_size=7))
def test_no_figure_of_a_pair_is_ever_nan_or_infinite(pairs):
    a, b = dict(enumerate(x for x, _ in pairs)), dict(enumerate(y for _, y in pairs))
    for test in ("t", "sign-flip"):
        assert np.isfinite(figures(paired_difference(a, b, test=test))).all()
    assert np.isfinite(figures(mean_interval(list(a.values())))).all()


@given(st.lists(finite, max_size=14))
def test_every_p_of_any_sample_lies_between_0_and_1(values):
    for p in (t_p(values), sign_flip_p(values)):
        assert p is None or 0 <= p <= 1


@given(arrays(float, st.tuples(st.integers(0, 9), st.integers(0, 4)), elements=st.one_of(finite, st.just(math.nan))))
def test_every_p_of_any_family_lies_between_0_and_1(differences):
    found = max_t(differences)
    assert len(found) == differences.shape[1]
    assert all(p is None or 0 < p <= 1 for p in found)


@given(arrays(float, st.tuples(st.integers(0, 6), st.integers(1, 3), st.integers(1, 3)), elements=finite))
def test_every_p_of_any_interaction_lies_between_0_and_1(values):
    p = interaction_p(values)
    assert p is None or 0 < p <= 1


@given(finite, st.floats(0, 1e299), st.integers(1, 1000))
def test_any_effect_needs_some_seeds_or_none_that_anyone_runs(difference, sd, comparisons):
    needed = seeds_needed(difference, sd, comparisons=comparisons)
    assert needed is None or 3 <= needed <= 1_000_000
