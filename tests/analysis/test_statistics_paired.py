"""Paired differences, the t and the sign-flip test: against scipy.stats, full enumeration and published examples."""

import itertools

import numpy as np
import pytest
import scipy.stats

from actbench.analysis.statistics import Difference, paired_difference, sign_flip_p, smallest_p, t_p

SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
"""Hours of sleep that a drug gained over another: Student (1908)."""

MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
"""Crossed minus self-fertilised plants, eighths of an inch: Darwin's data in Fisher (1935)."""


def seeds(*values):
    return dict(enumerate(values))


def columns(n, *, noise=1.0, effect=0.4):
    generator = np.random.default_rng(n)
    shared = generator.normal(size=n)
    a, b = shared + effect + noise * generator.normal(size=n), shared + noise * generator.normal(size=n)
    return a, b


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


def test_sides_without_a_common_seed_have_nothing():
    assert paired_difference({0: 0.9}, {1: 0.9}) == Difference(None, None, None, None, 0, 0, 0, None, "")


@pytest.mark.parametrize(("a", "b"), [(0.9, 0.9), (0.9, 0.8)])
def test_a_lone_pair_is_neither_identical_nor_constant(a, b):
    got = paired_difference(seeds(a), seeds(b))
    assert (got.note, got.n_pairs, got.difference, got.wins) == ("", 1, pytest.approx(a - b), int(a > b))


@pytest.mark.parametrize(("shift", "note"), [(0.0, "identical"), (0.1, "constant")])
def test_two_pairs_with_the_same_difference_are_noted(shift, note):
    assert paired_difference(seeds(0.9 + shift, 0.7 + shift), seeds(0.9, 0.7)).note == note


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_pairs_have_no_interval_and_no_test(n):
    a, b = columns(n)
    got = paired_difference(seeds(*a), seeds(*b))
    assert (got.low, got.high, got.p, got.pairing_gain, got.n_pairs) == (None, None, None, None, n)
    assert (got.difference is None) == (n == 0)


def test_students_example_comes_out_as_published():
    got = paired_difference(seeds(*SLEEP), seeds(*[0.0] * 10))
    assert (got.difference, got.low, got.high) == pytest.approx((1.58, 0.7001, 2.4599), abs=1e-4)
    assert got.p == pytest.approx(0.002833, abs=1e-6)


def test_the_t_test_of_fishers_example_comes_out_as_published():
    assert t_p(MAIZE) == pytest.approx(0.0497, abs=5e-5)  # The Design of Experiments, section 17: t = 2.148


def test_the_sign_flip_test_of_fishers_example_comes_out_as_published():
    # Section 21: in 863 of 32,768 patterns the sum is as large as 314; drawn here, 15 pairs being more than 12.
    assert sign_flip_p(MAIZE) == pytest.approx(2 * 863 / 32768, abs=0.007)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_the_sign_flip_test_counts_every_pattern(n):
    a, b = columns(n)
    differences = a - b
    sums = [np.array(signs) @ differences for signs in itertools.product([1, -1], repeat=n)]
    expected = np.mean(np.abs(sums) >= abs(differences.sum()) - 1e-12)
    assert sign_flip_p(differences) == expected
    if n >= 3:
        assert paired_difference(seeds(*a), seeds(*b), test="sign-flip").p == expected


@pytest.mark.parametrize("n", [4, 10, 12])
def test_the_sign_flip_test_is_scipys_permutation_test(n):
    a, b = columns(n)
    expected = scipy.stats.permutation_test((a - b,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(a - b) == pytest.approx(expected.pvalue, rel=1e-12)


@pytest.mark.parametrize("differences", [[0.1, 0.2, -0.3], [0.0, 0.0, 0.7], [0.1] * 5, [0.1, -0.1, 0.1, -0.1]])
def test_sums_that_are_equal_on_paper_count_as_equal(differences):
    tenths = np.rint(10 * np.array(differences))
    sums = [np.array(signs) @ tenths for signs in itertools.product([1, -1], repeat=len(tenths))]
    assert sign_flip_p(differences) == np.mean(np.abs(sums) >= abs(tenths.sum()))


@pytest.mark.parametrize("n", [13, 40])
def test_many_pairs_draw_their_sign_patterns_the_same_way_twice(n):
    a, b = columns(n)
    oracle = scipy.stats.permutation_test(
        (a - b,), np.mean, permutation_type="samples", n_resamples=50_000, rng=np.random.default_rng(1)
    ).pvalue
    assert sign_flip_p(a - b) == sign_flip_p(a - b) == pytest.approx(oracle, abs=0.01)


@pytest.mark.parametrize("n", range(1, 10))
def test_the_smallest_p_is_what_all_wins_give(n):
    assert sign_flip_p(np.arange(1.0, n + 1)) == smallest_p(n)


@pytest.mark.parametrize("differences", [[], [1.0], [1.0, 2.0], [0.3] * 5, [0.0] * 5, [0.1 + 0.2, 0.3, 0.3]])
def test_what_does_not_vary_has_no_t_test(differences):
    assert t_p(differences) is None


def test_the_sign_flip_test_of_no_difference_finds_none():
    assert sign_flip_p([]) == sign_flip_p([0.0] * 7) == 1.0


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_huge_and_tiny_values_neither_overflow_nor_vanish(size):
    a, b = columns(5)
    got = paired_difference(seeds(*(a * size)), seeds(*(b * size)))
    assert got.p == pytest.approx(t_p(a - b))
    assert got.low == pytest.approx(size * paired_difference(seeds(*a), seeds(*b)).low)
