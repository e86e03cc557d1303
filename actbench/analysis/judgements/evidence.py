"""Evidence: on which side of a number a mean lies, as far as its seeds show; gates and hypotheses are judged by it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from actbench.analysis.judgements.formatting import fewest_in_words, p_value
from actbench.analysis.statistics import MIN_VALUES, fewest_pairs, mean_interval, sign_flip_p, smallest_p, t_p
from actbench.analysis.statistics.samples import ROUNDING
from actbench.schema.metrics import METRICS, is_bounded

Side = Literal["above", "below", "at"]


@dataclass(frozen=True)
class Evidence:
    """On which side of a number the mean of a sample lies, and by which interval or test.

    Args:
        side: Where the true mean lies, by this sample alone; ``at`` only for constant values that equal the number;
            None when it is open.
        mean: The mean of the sample; None without values.
        interval: Student's, or a point for constant values; None below three values and for bounded shares.
        n: Number of values.
        p: Two-sided, of a true mean that equals the number: the t test's, for bounded shares the sign-flip test's; 0
            for constant values, which are a point; None below three values.
        observed: Where the sample's own mean lies; None without values.
        can_decide: Whether any values of so many seeds could have decided.
        note: The test that decided in the interval's place, or the reason why nothing could.
    """

    side: Side | None
    mean: float | None
    interval: tuple[float, float] | None
    n: int
    p: float | None = None
    observed: Side | None = None
    can_decide: bool = False
    note: str = ""

    @property
    def is_point(self) -> bool:
        """Return whether all values are the same, so that no test is needed."""
        return self.interval is not None and self.interval[0] == self.interval[1]


def evidence_of(
    values: Sequence[float], bound: float, metric: str, alpha: float, *, of_differences: bool = False
) -> Evidence:
    """Return on which side of a number the mean of one value per seed lies.

    Decided by the Student-t interval, which has to lie on one side as a whole; for bounded health shares by the
    sign-flip test of value − number. Constant values are a point. Below three values nothing is decided.

    Args:
        values: One per seed.
        bound: The number.
        metric: A name of METRICS.
        alpha: Level of the test, one minus the coverage of the interval.
        of_differences: Whether the values are paired differences. One that is the same in each seed but not 0 is a
            point only where the metric is a count: accuracies and shares are multiples of one image or one unit, so
            that a few seeds may agree by chance. It is judged by sign flips, since a t test needs a spread.
    """
    found = mean_interval(values, alpha)
    if found.mean is None or found.n < MIN_VALUES or found.low is None or found.high is None:
        observed = None if found.mean is None else _side_of(found.mean, bound)
        return Evidence(None, found.mean, None, found.n, None, observed, note=f"fewer than {MIN_VALUES} seeds")
    observed, interval = _side_of(found.mean, bound), (found.low, found.high)
    constant = found.min == found.max
    by_chance = of_differences and found.mean != 0 and METRICS[metric].unit != "count"
    if constant and not by_chance:
        return Evidence(observed, found.mean, interval, found.n, 0.0, observed, can_decide=True)
    if not is_bounded(metric) and not constant:
        p = t_p([value - bound for value in values])
        side: Side | None = "above" if found.low > bound else "below" if found.high < bound else None
        # Values that vary by rounding alone once so far a bound is taken off are a point beside it.
        return Evidence(side, found.mean, interval, found.n, 0.0 if p is None else p, observed, can_decide=True)
    p = sign_flip_p([value - bound for value in values])
    note = f"sign-flip p {p_value(p)}"
    can_decide = smallest_p(found.n) < alpha
    if not can_decide:
        note += f"; {too_few(found.n, alpha)}"
    side = observed if p < alpha else None
    return Evidence(side, found.mean, None, found.n, p, observed, can_decide, note)


def too_few(n: int, alpha: float) -> str:
    """Return that so many seeds can't decide by sign flips, and how many could.

    >>> too_few(5, 0.05)
    "5 seeds can't decide: smallest possible p = .063, 6 are the fewest that can"
    """
    smallest, enough = p_value(smallest_p(n)), fewest_in_words(fewest_pairs(alpha), noun="")
    return f"{n} seeds can't decide: smallest possible p {smallest}, {enough}"


def _side_of(mean: float, bound: float) -> Side:
    # 0.9 − 0.7 is 0.20000000000000007, which is not above 0.2.
    if math.isclose(mean, bound, rel_tol=ROUNDING):
        return "at"
    return "above" if mean > bound else "below"
