"""Adjusted p against scipy, hand work, published examples and an enumeration that shares no code."""

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from actbench.analysis.statistics import benjamini_hochberg, family_p, holm, max_t, sign_flip_p, t_p

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


def enumerated(differences):
    """Westfall and Young's step-down, written down as in the book: t by t, pattern by pattern."""

    def ts(columns):
        return np.abs(scipy.stats.ttest_1samp(columns, 0.0).statistic)

    observed = ts(differences)
    order = np.argsort(-observed)
    patterns = [
        ts(np.array(signs)[:, None] * differences) for signs in itertools.product([1, -1], repeat=len(differences))
    ]
    ps = np.empty(len(order))
    largest = 0.0
    for rank, index in enumerate(order):
        share = np.mean([pattern[order[rank:]].max() >= observed[index] * (1 - 1e-9) for pattern in patterns])
        ps[index] = largest = max(largest, share)
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


@pytest.mark.parametrize(("seeds", "contrasts"), [(3, 1), (5, 4), (8, 3), (9, 6)])
@pytest.mark.parametrize("effects", [0.0, 1.5])
def test_max_t_is_westfall_and_youngs(seeds, contrasts, effects):
    differences = family(seeds, contrasts, effects=effects)
    assert max_t(differences) == pytest.approx(enumerated(differences).tolist(), rel=1e-12)


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


@pytest.mark.parametrize(("test", "single"), [("t", t_p), ("sign-flip", sign_flip_p)])
def test_a_small_family_is_tested_one_by_one_and_adjusted_by_holm(test, single):
    differences = family(7, 4, effects=1.0)
    assert family_p(differences, test) == pytest.approx(holm([single(column) for column in differences.T]))


@pytest.mark.parametrize("test", ["t", "sign-flip"])
def test_a_family_of_eight_seeds_is_tested_by_max_t(test):
    differences = family(8, 4, effects=1.0)
    assert family_p(differences, test) == max_t(differences)


def test_one_contrast_with_few_seeds_keeps_the_whole_family_at_holm():
    differences = family(9, 3, effects=1.0)
    differences[:3, 0] = np.nan
    ps = [t_p(differences[3:, 0]), t_p(differences[:, 1]), t_p(differences[:, 2])]
    assert family_p(differences) == pytest.approx(holm(ps))


def test_what_can_not_be_tested_still_counts_in_holms_family():
    differences = np.hstack([family(5, 2, effects=1.0), np.zeros((5, 1)), np.full((5, 1), 0.1)])
    expected = holm([t_p(differences[:, 0]), t_p(differences[:, 1]), 1.0, 1.0])
    assert family_p(differences) == [*map(pytest.approx, expected[:2]), None, None]


@pytest.mark.parametrize("value", [np.inf, -1e305])
def test_max_t_refuses_what_is_no_finite_number(value):
    with pytest.raises(ValueError, match="finite"):
        max_t(np.array([[1.0], [value], [2.0]]))
