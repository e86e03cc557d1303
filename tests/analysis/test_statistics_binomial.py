"""The share of runs that end in one way: exact, and at every look, held to scipy and to sums."""

import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from actbench.analysis.statistics import anytime_sign_p, exact_interval, share_interval, share_p, smallest_share_p

CASES = [(0, 1), (0, 10), (1, 10), (5, 10), (10, 10), (3, 36), (400, 1000)]
SHARES = [0.01, 0.1, 0.5, 0.73, 0.99]


@pytest.mark.parametrize(("count", "n"), CASES)
@pytest.mark.parametrize("share", SHARES)
def test_p_is_twice_the_smaller_tail(count, n, share):
    tails = [scipy.stats.binomtest(count, n, share, alternative=side).pvalue for side in ("less", "greater")]
    assert share_p(count, n, share) == pytest.approx(min(1.0, 2 * min(tails)))


@pytest.mark.parametrize(("count", "n"), CASES)
def test_the_interval_is_clopper_and_pearsons(count, n):
    expected = scipy.stats.binomtest(count, n).proportion_ci(0.95, method="exact")
    assert share_interval(count, n) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert share_interval(count, n, 0.05) == exact_interval(count, n, 0.05)


@given(st.integers(1, 60), st.data(), st.booleans(), st.sampled_from([0.01, 0.05, 0.2]))
@settings(max_examples=60, deadline=None)
def test_p_and_interval_say_the_same(n, data, anytime, alpha):
    count, share = data.draw(st.integers(0, n)), data.draw(st.floats(0, 1))
    low, high = share_interval(count, n, alpha, anytime=anytime)
    assert 0 <= low <= count / n <= high <= 1
    if min(abs(share - low), abs(share - high)) > 1e-9:
        assert (share_p(count, n, share, anytime=anytime) >= alpha) == (low <= share <= high)


@pytest.mark.parametrize(
    ("count", "share", "p"), [(0, 0.0, 1), (1, 0.0, 0), (5, 1.0, 1), (4, 1.0, 0), (3, -0.1, 0), (3, 1.2, 0)]
)
@pytest.mark.parametrize("anytime", [False, True])
def test_shares_of_none_and_all_are_refuted_by_one_run_and_impossible_ones_by_none(count, share, p, anytime):
    assert share_p(count, 5, share, anytime=anytime) == p


@pytest.mark.parametrize(("count", "n"), [one for one in CASES if one[1] < 1000])
def test_for_a_half_the_bet_is_that_of_the_sign_test(count, n):
    assert share_p(count, n, 0.5, anytime=True) == pytest.approx(anytime_sign_p(count, n - count))


@pytest.mark.parametrize("share", SHARES)
def test_the_winnings_of_the_bet_are_one_on_average(share):
    n = 12
    chances = scipy.stats.binom(n, share).pmf(range(n + 1))
    # p is cut at 1, where the winnings are below 1, so the mean of 1/p is at least that of the winnings.
    winnings = [1 / share_p(count, n, share, anytime=True) for count in range(n + 1)]
    kept = sum(chance * won for chance, won in zip(chances, winnings, strict=True) if won > 1)
    assert kept <= 1


def test_the_smallest_p_is_that_of_runs_that_all_end_alike():
    for share, above in ((0.9, True), (0.1, False)):
        assert smallest_share_p(10, share, above=above) == pytest.approx(2 * 0.9**10)
        assert smallest_share_p(10, share, above=above, anytime=True) >= smallest_share_p(10, share, above=above)


@pytest.mark.parametrize(("count", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_what_is_not_a_count_is_refused(count, n):
    with pytest.raises(ValueError, match="is not a count"):
        share_p(count, n, 0.5)
    with pytest.raises(ValueError, match="is not a count"):
        share_interval(count, n)
