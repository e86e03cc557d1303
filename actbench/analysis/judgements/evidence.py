"""Evidence: on which side of a number a mean lies, as far as its seeds show; gates and hypotheses are judged by it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from actbench.analysis.judgements.formatting import fewest_in_words, p_value
from actbench.analysis.statistics import (
    BY_SIGNS,
    MIN_VALUES,
    Test,
    ends_of,
    fewest_values,
    mean_interval,
    p_of,
    share_interval,
    share_p,
    smallest_p_of,
    smallest_share_p,
)
from actbench.analysis.statistics.samples import ROUNDING, checked
from actbench.analysis.table.rules import Rules
from actbench.schema.metrics import described

Side = Literal["above", "below", "at"]

SIGN_TESTS = {"sign-flip": "sign-flip", "anytime signs": "anytime sign-test"}
"""A test by signs -> its name in a sentence."""


@dataclass(frozen=True)
class Evidence:
    """On which side of a number the mean of a sample lies, and by which interval or test.

    Args:
        side: Where the true mean lies, by this sample alone; ``at`` only for constant values that equal the number;
            None when it is open.
        mean: The mean of the sample; None without values.
        interval: The one that belongs to the test, or a point for constant values; None below three values and for
            bounded shares.
        n: Number of values.
        p: Two-sided, of a true mean that equals the number: a t test's, for bounded shares a test's by signs; 0
            for constant values, which are a point; None below three values.
        observed: Where the sample's own mean lies; None without values.
        can_decide: Whether any values of so many seeds could have decided.
        note: The test that decided in the interval's place, or the reason why nothing could.
        test: The test in use.
    """

    side: Side | None
    mean: float | None
    interval: tuple[float, float] | None
    n: int
    p: float | None = None
    observed: Side | None = None
    can_decide: bool = False
    note: str = ""
    test: Test | Literal["binomial"] = "t"

    @property
    def is_point(self) -> bool:
        """Return whether all values are the same, so that no test is needed."""
        return self.interval is not None and self.interval[0] == self.interval[1]


def evidence_of(
    values: Sequence[float],
    bound: float,
    metric: str,
    rules: Rules,
    *,
    seeds: Sequence[int] | None = None,
    of_differences: bool = False,
) -> Evidence:
    """Return on which side of a number the mean of one value per seed lies.

    Decided by the interval that belongs to the test in use, which has to lie on one side as a whole; for bounded health
    shares by the signs of value − number. Constant values are a point. Below three values nothing is decided.

    Args:
        values: One per seed.
        bound: The number.
        metric: A name of METRICS.
        rules: The level, and how the number of seeds came about.
        seeds: Those of paired differences; None for values of one side, which have no two-stage interval.
        of_differences: Whether the values are paired differences that a few seeds may have alike by chance. One that is
            the same in each seed but not 0 is a point only where the metric is a count: accuracies and shares are
            multiples of one image or one unit. It is judged by signs, since a t test needs a spread.
    """
    found, alpha = mean_interval(values, rules.alpha), rules.alpha
    if found.mean is None or found.n < MIN_VALUES:
        observed = None if found.mean is None else _side_of(found.mean, bound)
        return Evidence(None, found.mean, None, found.n, None, observed, note=f"fewer than {MIN_VALUES} seeds")
    observed, constant = _side_of(found.mean, bound), found.min == found.max
    by_chance = of_differences and found.mean != 0 and described(metric).unit != "count"
    if constant and not by_chance:
        point = (found.mean, found.mean)
        return Evidence(observed, found.mean, point, found.n, 0.0, observed, can_decide=True)
    data, test = checked(values), rules.test(metric, of_differences=seeds is not None)
    if test not in BY_SIGNS and not constant:
        pilot = [value for seed, value in zip(seeds or (), values, strict=False) if seed in rules.pilot(metric)]
        low, high = ends_of(data, test, alpha, pilot=pilot)
        p = p_of(data - bound, test, pilot=checked(pilot) - bound)
        if low is None or high is None:
            is_few = smallest_p_of(test, found.n) >= alpha
            note = too_few(found.n, alpha, test) if is_few else "the first seeds have no spread"
            return Evidence(None, found.mean, None, found.n, p, observed, note=note, test=test)
        side: Side | None = "above" if low > bound else "below" if high < bound else None
        # Values that vary by rounding alone once so far a bound is taken off are a point beside it.
        p = 0.0 if p is None else p
        return Evidence(side, found.mean, (low, high), found.n, p, observed, can_decide=True, test=test)
    signs: Test = "anytime signs" if rules.anytime else "sign-flip"
    p = p_of(data - bound, signs)
    p = 1.0 if p is None else p  # every value equals the number
    note = f"{SIGN_TESTS[signs]} p {p_value(p)}"
    can_decide = smallest_p_of(signs, found.n) < alpha
    if not can_decide:
        note += f"; {too_few(found.n, alpha, signs)}"
    side = observed if p < alpha else None
    return Evidence(side, found.mean, None, found.n, p, observed, can_decide, note, signs)


def evidence_of_share(count: int, n: int, bound: float, rules: Rules) -> Evidence:
    """Return on which side of a number the true share of an event lies, by ``count`` of n independent runs.

    Decided by the exact interval, Clopper and Pearson's. Where all runs end alike it is still an interval, not
    a point: other seeds may end otherwise.
    """
    if n < MIN_VALUES:
        mean = count / n if n else None
        observed = None if mean is None else _side_of(mean, bound)
        return Evidence(None, mean, None, n, None, observed, note=f"fewer than {MIN_VALUES} seeds", test="binomial")
    observed = _side_of(count / n, bound)
    interval = share_interval(count, n, rules.alpha, anytime=rules.anytime)
    p = share_p(count, n, bound, anytime=rules.anytime)
    least = min(smallest_share_p(n, bound, above=above, anytime=rules.anytime) for above in (True, False))
    side = observed if p < rules.alpha else None
    return Evidence(side, count / n, interval, n, p, observed, can_decide=least < rules.alpha, test="binomial")


def too_few(n: int, alpha: float, test: Test = "sign-flip") -> str:
    """Return that so many seeds can't decide by a test, and how many could.

    >>> too_few(5, 0.05)
    "5 seeds can't decide: smallest possible p = .063, 6 are the fewest that can"
    """
    smallest, enough = p_value(smallest_p_of(test, n)), fewest_in_words(fewest_values(test, alpha), noun="")
    return f"{n} seeds can't decide: smallest possible p {smallest}, {enough}"


def _side_of(mean: float, bound: float) -> Side:
    # 0.9 − 0.7 is 0.20000000000000007, which is not above 0.2.
    if math.isclose(mean, bound, rel_tol=ROUNDING):
        return "at"
    return "above" if mean > bound else "below"
