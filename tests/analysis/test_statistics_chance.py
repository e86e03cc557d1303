"""The chance of a win on a new seed and of differences that matter: against scipy, by hand, on odd data."""

import numpy as np
import pytest
import scipy.stats

from actbench.analysis.statistics import chance_of_more, chances_within, exact_interval


@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize(("count", "n"), [(0, 5), (1, 5), (5, 5), (7, 10), (13, 30)])
def test_the_interval_of_a_count_is_clopper_and_pearsons(count, n, alpha):
    wanted = scipy.stats.binomtest(count, n).proportion_ci(1 - alpha, method="exact")
    assert exact_interval(count, n, alpha) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_it_never_covers_less_than_it_says(n):
    ends = [exact_interval(count, n) for count in range(n + 1)]
    for share in np.linspace(0, 1, 401):
        held = [low <= share <= high for low, high in ends]
        assert scipy.stats.binom.pmf(np.arange(n + 1), n, share) @ held >= 0.95 - 1e-12


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("ties", [0.2, 0.6])
def test_neither_does_it_where_ties_count_half(n, ties):
    for wins in np.linspace(0, 1 - ties, 41):
        truth, covered = wins + ties / 2, 0.0
        for won in range(n + 1):
            for tied in range(n + 1 - won):
                # The ties are a binomial count, and so are the wins among the rest.
                chance = scipy.stats.binom.pmf(tied, n, ties)
                chance *= scipy.stats.binom.pmf(won, n - tied, min(1.0, wins / (1 - ties)))
                low, high = exact_interval(won + tied / 2, n)
                covered += chance * (low <= truth <= high)
        assert covered >= 0.95


def test_a_tie_counts_half():
    found = chance_of_more([0.2, 0.0, -0.1, 0.3])
    assert (found.share, found.n) == (2.5 / 4, 4)
    identical = chance_of_more([0.0, 0.0, 0.0])
    assert identical.share == 0.5
    assert identical.low == pytest.approx(1 - identical.high)


def test_turning_the_signs_turns_the_chance():
    data = np.array([0.2, 0.0, -0.1, 0.3, 0.5])
    one, other = chance_of_more(data), chance_of_more(-data)
    assert (one.share, one.low, one.high) == pytest.approx((1 - other.share, 1 - other.high, 1 - other.low))


def test_worse_same_and_better_are_counted_beyond_delta():
    worse, same, better = chances_within([-0.3, -0.1, 0.0, 0.1, 0.2, 0.25], 0.1)
    assert [one.share for one in (worse, same, better)] == pytest.approx([1 / 6, 3 / 6, 2 / 6])
    assert (same.low, same.high) == exact_interval(3, 6)


def test_a_difference_of_exactly_delta_is_the_same_whatever_rounding_makes_of_it():
    assert 0.901 - 0.9 > 0.001
    assert [one.share for one in chances_within([0.901 - 0.9] * 3, 0.001)] == [0, 1, 0]


def test_fewer_than_three_seeds_have_no_chance():
    assert chance_of_more([0.1, 0.2]) is chances_within([0.1, 0.2], 0.1) is None


def test_what_is_no_number_is_refused():
    with pytest.raises(ValueError, match="finite"):
        chance_of_more([0.1, float("nan"), 0.2])
    with pytest.raises(ValueError, match="delta"):
        chances_within([0.1, 0.2, 0.3], 0.0)
    with pytest.raises(ValueError, match="not a count"):
        exact_interval(6, 5)
