"""Adjusted p against scipy, hand work, published examples and an enumeration that shares no code."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from actbench.analysis.statistics import (
    benjamini_hochberg,
    family_p,
    family_parts,
    holm,
    max_t,
    sign_flip_p,
    smallest_adjusted_p,
    smallest_p,
    t_p,
)
from actbench.analysis.statistics.westfall_young import _bounded_t

INFARCTION = [
    *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459),
    *(0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000),
]
"""Fifteen p of a trial in myocardial infarction: Benjamini and Hochberg (1995), section 4."""


def family(seeds, contrasts, *, effects=0.0):
    """Differences to one baseline, whose noise they share."""
    generator = np.random.default_rng(seeds + 100 * contrasts)
    baseline = generator.normal(size=(seeds, 1))
    return generator.normal(size=(seeds, contrasts)) - baseline + effects


def evidence(column, signs):
    """One contrast under one pattern of signs, written down from the definition: its p, and |t| for equal ones."""
    own = [(sign, d) for sign, d in zip(signs, column, strict=True) if not math.isnan(d)]
    sums = [abs(sum(s * d for s, (_, d) in zip(flips, own, strict=True))) for flips in plain_patterns(len(own))]
    here, total = abs(sum(sign * d for sign, d in own)), sum(abs(d) for _, d in own)
    by_flips = sum(one >= here - 1e-9 * total for one in sums) / len(sums)
    found = scipy.stats.ttest_1samp([sign * d for sign, d in own], 0.0)
    return max(2.0 ** (1 - len(own)), min(by_flips, found.pvalue)), abs(found.statistic)


def plain_patterns(n):
    return list(itertools.product([1, -1], repeat=n))


def is_as_strong(one, other):
    """Whether the evidence of one contrast is at least that of the other: the smaller p, of equal ones the larger t."""
    same = one[0] == pytest.approx(other[0], rel=1e-9, abs=0)
    return one[1] >= other[1] * (1 - 1e-9) if same else one[0] < other[0]


def enumerated(differences):
    """Westfall and Young's step-down, contrast by contrast and pattern by pattern, in plain Python."""
    seeds, contrasts = differences.shape
    patterns = plain_patterns(seeds)
    found = [[evidence(list(differences[:, k]), signs) for k in range(contrasts)] for signs in patterns]
    observed = found[0]
    order = sorted(range(contrasts), key=lambda k: (observed[k][0], -observed[k][1]))
    ps, largest = [0.0] * contrasts, 0.0
    for rank, index in enumerate(order):
        weaker = order[rank:]
        hits = sum(any(is_as_strong(one[k], observed[index]) for k in weaker) for one in found)
        ps[index] = largest = max(largest, hits / len(patterns))
    return ps


def test_holm_done_by_hand():
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_and_keeps_the_order(ps):
    adjusted = holm(ps)
    assert all(p <= q <= 1 for p, q in zip(ps, adjusted, strict=True))
    assert [adjusted[i] for i in sorted(range(len(ps)), key=ps.__getitem__)] == sorted(adjusted)


def test_benjamini_hochberg_done_by_hand():
    assert benjamini_hochberg([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.04, 0.04, 0.04, 0.04])
    assert benjamini_hochberg([0.01, 0.5, 0.02]) == pytest.approx([0.03, 0.5, 0.03])
    assert benjamini_hochberg([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_benjamini_hochberg_is_scipys(ps):
    assert benjamini_hochberg(ps) == pytest.approx(scipy.stats.false_discovery_control(ps).tolist())


def test_the_published_example_finds_what_its_authors_found():
    assert sum(p <= 0.05 for p in benjamini_hochberg(INFARCTION)) == 4
    assert sum(p <= 0.05 for p in holm(INFARCTION)) == 3


@pytest.mark.parametrize(("seeds", "contrasts"), [(3, 1), (5, 4), (6, 5), (8, 3)])
@pytest.mark.parametrize("effects", [0.0, 1.5])
def test_max_t_is_what_an_enumeration_in_plain_python_counts(seeds, contrasts, effects):
    differences = family(seeds, contrasts, effects=effects)
    assert max_t(differences) == pytest.approx(enumerated(differences), rel=1e-12)


def test_max_t_counts_zeros_and_missing_seeds_as_the_enumeration_does():
    differences = family(7, 4, effects=2.0)
    differences[:4, 0] = np.nan  # three pairs
    differences[0, 1] = np.nan
    differences[2:5, 2] = 0.0
    differences[:, 3] = 0.3 + 0.001 * np.arange(7)
    assert max_t(differences) == pytest.approx(enumerated(differences), rel=1e-12)


@pytest.mark.parametrize(
    "tenths",
    [
        [[1, -1], [-1, -3], [-3, -3], [-2, 4], [2, 5], [1, 2]],
        [[-1, 0, 1], [2, 0, -2], [5, 3, -3], [4, 3, -2], [2, 1, -3], [5, 3, -1]],
        [[5, -2, 2], [3, 5, 5], [-1, 2, 0], [1, 2, 2]],
        [[1, 2], [-2, 5], [-1, 1], [2, -2], [-2, 1], [-3, 2]],
    ],
)
def test_patterns_that_tie_on_paper_tie_whatever_rounding_does(tenths):
    # Sums of whole numbers are exact, those of tenths are not.
    whole = np.array(tenths, dtype=float)
    assert max_t(whole / 10) == pytest.approx(enumerated(whole), rel=1e-12)
    assert family_p(whole / 10, "sign-flip") == family_p(whole, "sign-flip")


@pytest.mark.parametrize("n", [3, 4, 10])
def test_of_equal_p_the_larger_t_is_the_stronger_one_on_a_scale_that_ends_at_1(n):
    values = np.random.default_rng(n).normal(0.5, 1.0, size=n)
    t = scipy.stats.ttest_1samp(values, 0.0).statistic
    square = values.sum() ** 2 / (n * np.square(values).sum())
    assert _bounded_t(np.array([square, 1.0, 0.0]), n) == pytest.approx([t**2 / (1 + t**2), 1.0, 0.0])


@pytest.mark.parametrize("contrasts", [1, 5, 40])
def test_six_seeds_of_one_sign_reach_the_smallest_p_over_any_number_of_rows(contrasts):
    relu = np.array([0.29, 0.31, 0.28, 0.33, 0.30, 0.26])[:, None]  # dead in relu, in no other row
    rows = np.repeat(-relu, contrasts, axis=1)
    assert max_t(rows) == family_p(rows, "sign-flip") == [2 / 2**6] * contrasts
    # Holm with the same test could never have shown them.
    assert contrasts == 1 or min(holm([sign_flip_p(column) for column in rows.T])) > 0.05


few_pairs = st.integers(3, 5).flatmap(lambda n: st.lists(st.floats(-1, 1).filter(bool), min_size=n, max_size=n))


@given(few_pairs, st.integers(0, 2**32 - 1))
def test_a_row_of_few_pairs_changes_no_p_below_the_smallest_that_it_could_reach(few, seed):
    rows = np.random.default_rng(seed).normal(1.5, 1.0, size=(8, 3))
    column = np.full((8, 1), np.nan)
    column[: len(few), 0] = few
    alone, beside = max_t(rows), max_t(np.hstack([rows, column]))[:3]
    for own, p, q in zip(rows.T, alone, beside, strict=True):
        assert p <= q
        if sign_flip_p(own) < smallest_p(len(few)):
            assert p == q


def test_the_largest_t_of_three_pairs_hides_no_other_row():
    rows = np.array([[0.31, 0.30], [0.28, np.nan], [0.35, 0.30], [0.22, np.nan], [0.30, 0.3001], [0.27, np.nan]])
    assert max_t(rows) == [2 / 2**6, 2 / 2**3]


@pytest.mark.parametrize("seeds", [8, 20])
def test_max_t_of_one_contrast_is_the_sign_flip_test(seeds):
    differences = family(seeds, 1, effects=0.5)
    assert max_t(differences) == [pytest.approx(sign_flip_p(differences[:, 0]))]


@pytest.mark.parametrize("seeds", [8, 13])
def test_max_t_keeps_its_order_and_never_beats_a_single_test(seeds):
    differences = family(seeds, 7, effects=np.linspace(0, 2, 7))
    adjusted = max_t(differences)
    single = [sign_flip_p(column) for column in differences.T]
    assert all(p >= q - 1e-12 for p, q in zip(adjusted, single, strict=True))
    ts = np.abs(scipy.stats.ttest_1samp(differences, 0.0).statistic)
    assert [adjusted[i] for i in np.argsort(-ts)] == sorted(adjusted)


def test_max_t_does_not_mind_order_scale_or_sign():
    differences = family(9, 5, effects=0.8)
    turned = differences[::-1, ::-1] * np.array([1e-290, -1.0, 1e250, 3.0, -1e-3])
    assert max_t(turned)[::-1] == pytest.approx(max_t(differences))


def test_correlated_contrasts_cost_less_than_holm():
    one = family(10, 1, effects=1.0)
    copies = np.repeat(one, 6, axis=1)
    (alone,) = max_t(one)
    assert max_t(copies) == [alone] * 6
    assert holm([alone] * 6) == pytest.approx([6 * alone] * 6)


def test_a_contrast_that_lacks_a_seed_is_tested_on_its_own():
    differences = family(9, 3, effects=1.0)
    differences[0, 1] = np.nan
    alone = differences[1:, 1]
    together = max_t(differences)
    assert together[1] >= sign_flip_p(alone) - 1e-12
    assert max_t(differences[:, 1:2]) == [pytest.approx(sign_flip_p(alone))]
    assert together[0] == pytest.approx(max_t(differences[:, [0, 2]])[0], abs=0.1)


def test_what_can_not_be_tested_is_none_and_leaves_the_rest_alone():
    differences = family(8, 2, effects=1.0)
    few = np.full((8, 1), np.nan)
    few[:2] = 1.0
    with_idle = np.hstack([np.zeros((8, 1)), differences, few])
    assert max_t(with_idle) == [None, *max_t(differences), None]
    assert max_t(np.full((4, 2), np.nan)) == [None, None]
    assert max_t(np.empty((5, 0))) == family_p(np.empty((5, 0))) == []


def test_a_constant_difference_has_the_smallest_p_there_is():
    assert max_t(np.full((8, 1), 0.1)) == [2 / 2**8]


def test_a_small_family_is_tested_one_by_one_and_adjusted_by_holm():
    differences = family(7, 4, effects=1.0)
    assert family_p(differences) == pytest.approx(holm([t_p(column) for column in differences.T]))


@pytest.mark.parametrize("seeds", [3, 7, 8, 13])
def test_bounded_shares_are_tested_by_max_t_with_any_number_of_seeds(seeds):
    differences = family(seeds, 4, effects=1.0)
    assert family_p(differences, "sign-flip") == max_t(differences)


def test_a_family_of_eight_seeds_is_tested_by_max_t():
    differences = family(8, 4, effects=1.0)
    assert family_p(differences) == max_t(differences)


def test_one_row_with_few_pairs_leaves_the_others_their_method_and_each_part_its_share_of_the_level():
    differences = family(9, 4, effects=1.0)
    differences[:3, 0] = np.nan
    few, many = t_p(differences[3:, 0]), max_t(differences[:, 1:])
    assert family_p(differences) == pytest.approx([few * 4, *(min(1, p * 4 / 3) for p in many)])


def test_one_row_with_many_pairs_leaves_the_others_their_method():
    differences = family(9, 6, effects=1.0)
    differences[5:, 1:] = np.nan
    (many,), few = max_t(differences[:, :1]), holm([t_p(column) for column in differences[:5, 1:].T])
    # Its own share would be a sixth, with which nine pairs can show little: it has a quarter.
    assert family_p(differences) == pytest.approx([min(1, 4 * many), *(min(1, p * 4 / 3) for p in few)])


def test_rows_that_can_not_be_tested_choose_no_method():
    differences = family(9, 4, effects=1.0)
    differences[2:, 3] = np.nan
    assert family_p(differences) == [*max_t(differences[:, :3]), None]
    assert [part.method for part in family_parts([9, 9, 2, 0])] == ["max-T"]
    assert [part.method for part in family_parts([5, 2])] == ["Holm"]


@pytest.mark.parametrize(
    ("alpha", "pairs", "method"),
    [
        (0.1, 7, "Holm"),
        (0.1, 8, "max-T"),
        (0.05, 7, "Holm"),
        (0.05, 8, "max-T"),
        (0.01, 9, "Holm"),
        (0.01, 10, "max-T"),
    ],
)
def test_max_t_is_used_from_eight_pairs_on_or_more_where_a_quarter_of_the_level_asks_for_more(alpha, pairs, method):
    assert [part.method for part in family_parts([pairs] * 3, alpha=alpha)] == [method]


@given(
    st.lists(st.integers(0, 20), max_size=12), st.sampled_from(["t", "sign-flip"]), st.sampled_from([0.1, 0.05, 0.003])
)
def test_the_parts_of_a_family_hold_each_contrast_once_and_share_the_level(pairs, test, alpha):
    parts = family_parts(pairs, test, alpha=alpha)
    assert sorted(index for part in parts for index in part.contrasts) == list(range(len(pairs)))
    assert sum(part.share for part in parts) == pytest.approx(1)
    least = smallest_adjusted_p(pairs, test, alpha=alpha)
    for n, p in zip(pairs, least, strict=True):
        # With the t test or with max-T from enough pairs on, everything that is tested can be shown.
        assert p == 1.0 if n < 3 else (p < alpha or test == "sign-flip")


@pytest.mark.parametrize("pairs", [3, 6, 9, 12])
@pytest.mark.parametrize("seeds", [13, 15, 20])
def test_where_patterns_are_drawn_a_row_of_few_pairs_keeps_its_exact_p(seeds, pairs):
    differences = np.full((seeds, 2), np.nan)
    differences[:pairs, 0] = 0.4
    differences[:, 1] = 0.0  # only here so that the table has so many seeds
    (p, _) = max_t(differences)
    assert 2.0 ** (1 - pairs) <= p <= 2.0 ** (1 - pairs) + 0.02


@given(st.integers(1, 7), st.integers(3, 16), st.integers(0, 2**32 - 1))
def test_no_row_falls_below_the_smallest_p_that_its_pairs_can_reach(contrasts, seeds, draw):
    generator = np.random.default_rng(draw)
    differences = generator.normal(3.0, 1.0, size=(seeds, contrasts))
    differences[generator.random(differences.shape) < 0.2] = np.nan
    pairs = [int(n) for n in (~np.isnan(differences)).sum(axis=0)]
    for test in ("t", "sign-flip"):
        least = smallest_adjusted_p(pairs, test)
        assert all(p is None or p >= q for p, q in zip(family_p(differences, test), least, strict=True))


@pytest.mark.parametrize("pairs", [[6], [6, 6, 6], [6, 3, 4], [10, 10, 8], [8, 5, 5, 5, 5, 5]])
def test_the_smallest_p_is_reached_by_differences_of_one_sign(pairs):
    differences = np.full((max(pairs), len(pairs)), np.nan)
    for index, n in enumerate(pairs):
        differences[:n, index] = np.linspace(1, 1.1, n) + 0.001 * index
    for test in ("t", "sign-flip"):
        by_flips = [i for part in family_parts(pairs, test) if part.method == "max-T" for i in part.contrasts]
        found, least = family_p(differences, test), smallest_adjusted_p(pairs, test)
        assert [found[i] for i in by_flips] == pytest.approx([least[i] for i in by_flips])


def test_what_can_not_be_tested_still_counts_in_holms_family():
    differences = np.hstack([family(5, 2, effects=1.0), np.zeros((5, 1)), np.full((5, 1), 0.1)])
    expected = holm([t_p(differences[:, 0]), t_p(differences[:, 1]), 1.0, 1.0])
    assert family_p(differences) == [*map(pytest.approx, expected[:2]), None, None]


@pytest.mark.parametrize("value", [np.inf, -1e305])
def test_max_t_refuses_what_is_no_finite_number(value):
    with pytest.raises(ValueError, match="finite"):
        max_t(np.array([[1.0], [value], [2.0]]))
