"""Statistics against scipy.stats and cases small enough to do by hand."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from actbench.statistics import holm, mean_interval, paired_difference, sign_flip_p, smallest_p, t_p

numbers = st.floats(-1e6, 1e6, allow_nan=False)


def seeds(*values):
    return dict(enumerate(values))


def columns(n, *, noise=1.0, effect=0.4):
    generator = np.random.default_rng(n)
    shared = generator.normal(size=n)
    a, b = shared + effect + noise * generator.normal(size=n), shared + noise * generator.normal(size=n)
    return a, b


@pytest.mark.parametrize("n", [3, 4, 5, 10, 50])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_the_interval_is_students(n, alpha):
    data, _ = columns(n)
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


@pytest.mark.parametrize("n", [3, 5, 10, 30])
def test_the_paired_test_is_students(n):
    a, b = columns(n)
    got = paired_difference(seeds(*a), seeds(*b))
    expected = scipy.stats.ttest_rel(a, b)
    low, high = expected.confidence_interval(0.95)
    assert got.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (got.difference, got.low, got.high) == pytest.approx(((a - b).mean(), low, high), rel=1e-9)
    assert got.pairing_gain == pytest.approx((a.var(ddof=1) + b.var(ddof=1)) / (a - b).var(ddof=1))
    assert (got.wins, got.losses, got.n_pairs) == ((a > b).sum(), (a < b).sum(), n)


def test_swapping_the_sides_turns_the_sign_and_keeps_p():
    a, b = columns(6)
    there, back = paired_difference(seeds(*a), seeds(*b)), paired_difference(seeds(*b), seeds(*a))
    assert (there.difference, there.low, there.p) == pytest.approx((-back.difference, -back.high, back.p))
    assert (there.wins, there.losses) == (back.losses, back.wins)


def test_only_common_seeds_count():
    got = paired_difference({0: 5.0, 1: 2.0, 2: 3.5, 7: 100.0}, {0: 4.0, 1: 1.5, 2: 2.0, 3: -100.0})
    assert (got.n_pairs, got.difference) == (3, 1.0)


def test_a_lower_loss_wins_when_lower_is_better():
    got = paired_difference(seeds(0.1, 0.2, 0.9), seeds(0.3, 0.2, 0.4), higher_is_better=False)
    assert (got.wins, got.losses) == (1, 1)


def test_identical_columns_say_so_instead_of_a_test():
    got = paired_difference(seeds(0.9, 0.8, 0.7), seeds(0.9, 0.8, 0.7))
    assert (got.difference, got.low, got.high, got.p, got.note) == (0.0, 0.0, 0.0, None, "identical")
    assert got.pairing_gain is None


def test_a_constant_difference_is_a_point_even_when_rounding_blurs_it():
    b = [0.93, 0.94, 0.91, 0.97]
    got = paired_difference(seeds(*[x + 0.01 for x in b]), seeds(*b))
    assert (got.p, got.note, got.wins) == (None, "constant", 4)
    assert got.low == got.difference == got.high == pytest.approx(0.01)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_pairs_have_no_interval_and_no_test(n):
    a, b = columns(n)
    got = paired_difference(seeds(*a), seeds(*b))
    assert (got.low, got.high, got.p, got.pairing_gain, got.n_pairs) == (None, None, None, None, n)
    assert (got.difference is None) == (n == 0)


@pytest.mark.parametrize("n", [3, 5, 8])
def test_the_sign_flip_test_counts_every_pattern(n):
    a, b = columns(n)
    differences = a - b
    patterns = [np.array(signs) @ differences for signs in itertools.product([1, -1], repeat=n)]
    expected = np.mean(np.abs(patterns) >= abs(differences.sum()) - 1e-12)
    assert sign_flip_p(differences) == pytest.approx(expected)
    assert paired_difference(seeds(*a), seeds(*b), test="sign-flip").p == pytest.approx(expected)


def test_many_pairs_draw_their_sign_patterns_the_same_way_twice():
    a, b = columns(40)
    exact = scipy.stats.permutation_test(
        (a - b,), np.mean, permutation_type="samples", n_resamples=50_000, rng=np.random.default_rng(1)
    ).pvalue
    assert sign_flip_p(a - b) == sign_flip_p(a - b) == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize("n", range(1, 10))
def test_the_smallest_p_is_what_all_wins_give(n):
    assert sign_flip_p(np.arange(1.0, n + 1)) == smallest_p(n)


def test_holm_done_by_hand():
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_and_keeps_the_order(ps):
    adjusted = holm(ps)
    assert all(p <= q <= 1 for p, q in zip(ps, adjusted, strict=True))
    assert [adjusted[i] for i in sorted(range(len(ps)), key=ps.__getitem__)] == sorted(adjusted)


@given(st.lists(st.tuples(numbers, numbers), max_size=7))
def test_no_figure_is_ever_nan(pairs):
    a, b = seeds(*[x for x, _ in pairs]), seeds(*[y for _, y in pairs])
    for test in ("t", "sign-flip"):
        figures = [*vars(paired_difference(a, b, test=test)).values(), *vars(mean_interval(list(a.values()))).values()]
        assert all(math.isfinite(figure) for figure in figures if isinstance(figure, float))


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_huge_and_tiny_values_neither_overflow_nor_vanish(size):
    a, b = columns(5)
    got = paired_difference(seeds(*(a * size)), seeds(*(b * size)))
    assert got.p == pytest.approx(t_p(a - b))
    assert got.low == pytest.approx(size * paired_difference(seeds(*a), seeds(*b)).low)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1e305])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(ValueError, match="finite"):
        mean_interval([1.0, value])
