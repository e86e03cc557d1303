"""Welch's test and Cohen's d from summaries, against scipy on values with these summaries."""

import math

import numpy as np
import pytest
from scipy import stats

from actbench.analysis.statistics.unpaired import Summary, welch_difference


def values(generator, n, sd=1.0, mean=0.0):
    return generator.normal(size=n) * sd + mean


def summary(data):
    return Summary(float(data.mean()), float(data.std(ddof=1)), len(data))


@pytest.mark.parametrize(("n_a", "n_b", "sd"), [(3, 3, 1.0), (10, 10, 1.0), (4, 20, 5.0), (25, 3, 0.1)])
def test_the_test_and_its_interval_are_those_of_scipy(n_a, n_b, sd):
    generator = np.random.default_rng(n_a)
    a, b = values(generator, n_a, mean=1.0), values(generator, n_b, sd)
    found = welch_difference(summary(a), summary(b), alpha=0.1)
    expected = stats.ttest_ind(a, b, equal_var=False)
    ends = expected.confidence_interval(0.9)

    assert found.p == pytest.approx(expected.pvalue, rel=1e-10)
    assert found.df == pytest.approx(expected.df)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))


@pytest.mark.parametrize(("n_a", "n_b", "shift"), [(3, 3, 0.0), (5, 9, 2.0), (10, 4, -6.0), (100, 100, 0.3)])
def test_the_interval_of_d_ends_where_the_noncentral_t_leaves_half_of_alpha(n_a, n_b, shift):
    generator = np.random.default_rng(n_b)
    a, b = values(generator, n_a, mean=shift), values(generator, n_b)
    found = welch_difference(summary(a), summary(b))
    pooled = math.sqrt((a.var(ddof=1) * (n_a - 1) + b.var(ddof=1) * (n_b - 1)) / (n_a + n_b - 2))
    root = math.sqrt(n_a * n_b / (n_a + n_b))
    tails = [stats.nct.cdf(found.d * root, n_a + n_b - 2, end * root) for end in (found.d_low, found.d_high)]

    assert found.d == pytest.approx((a.mean() - b.mean()) / pooled)
    assert tails == pytest.approx([0.975, 0.025], abs=1e-7)


def test_a_large_difference_has_an_interval_too():
    found = welch_difference(Summary(95.0, 0.01, 5), Summary(10.0, 0.01, 5))

    assert 0 < found.d_low < found.d < found.d_high < math.inf


def test_the_unit_of_the_values_changes_nothing_but_the_difference():
    one, huge = (
        welch_difference(Summary(1.2 * unit, 0.3 * unit, 5), Summary(0.9 * unit, 0.1 * unit, 4)) for unit in (1, 1e250)
    )

    assert (huge.p, huge.d, huge.d_low) == pytest.approx((one.p, one.d, one.d_low))
    assert huge.high == pytest.approx(1e250 * one.high)


def test_two_runs_a_side_have_a_difference_and_no_test():
    found = welch_difference(Summary(2.0, 0.5, 2), Summary(1.0, 0.5, 9))

    assert (found.difference, found.d) == (1.0, 2.0)
    assert found.p is found.low is found.high is found.d_low is None


def test_sides_that_do_not_vary_have_a_difference_alone():
    found = welch_difference(Summary(2.0, 0.0, 5), Summary(1.0, 1e-17, 5))

    assert (found.difference, found.p, found.d) == (1.0, None, None)


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        ((1.0, -0.1, 5), "a standard deviation is at least 0, not -0.1"),
        ((1.0, 0.1, 1), "needs at least 2 values, not 1"),
        ((math.nan, 0.1, 5), "finite numbers"),
        ((1.0, math.inf, 5), "finite numbers"),
    ],
)
def test_what_no_sample_has_is_refused(figures, text):
    with pytest.raises(ValueError, match=text):
        Summary(*figures)
