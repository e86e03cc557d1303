"""Evidence: on which side of a number a mean lies, as far as its seeds show; gates and hypotheses are judged by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from actbench.analysis.judgements.formatting import interval_to_quote, p_value, unit_of_difference
from actbench.analysis.statistics import MIN_VALUES, mean_interval, sign_flip_p, smallest_p
from actbench.analysis.table.result import is_bounded

Side = Literal["above", "below", "at"]


@dataclass(frozen=True)
class Evidence:
    """On which side of a number the mean of a sample lies, and by which interval or test.

    Args:
        side: Where the true mean lies; ``at`` only for constant values that equal the number; None when it is open.
        mean: The mean of the sample; None without values.
        interval: Student's, or a point for constant values; None below three values and for bounded shares.
        n: Number of values.
        note: The test that decided in the interval's place, or the reason why nothing could.
    """

    side: Side | None
    mean: float | None
    interval: tuple[float, float] | None
    n: int
    note: str = ""


def evidence_of(values: Sequence[float], bound: float, metric: str, alpha: float) -> Evidence:
    """Return on which side of a number the mean of one value per seed lies.

    Decided by the Student-t interval, which has to lie on one side as a whole; for bounded health shares by the
    sign-flip test of value − number. Constant values are a point. Below three values nothing is decided.
    """
    found = mean_interval(values, alpha)
    if found.mean is None or found.n < MIN_VALUES or found.low is None or found.high is None:
        return Evidence(None, found.mean, None, found.n, f"fewer than {MIN_VALUES} seeds")
    constant = found.min == found.max
    if not is_bounded(metric) or constant:
        side: Side | None = "above" if found.low > bound else "below" if found.high < bound else None
        if constant and found.low == bound:
            side = "at"
        return Evidence(side, found.mean, (found.low, found.high), found.n)
    p = sign_flip_p([value - bound for value in values])
    side = None if p >= alpha else "above" if found.mean > bound else "below"
    note = f"sign-flip p {p_value(p)}"
    if smallest_p(found.n) > alpha:  # no data with so few seeds could have decided
        enough = next(count for count in range(found.n, 10**6) if smallest_p(count) <= alpha)
        note += f", and {enough} seeds are the fewest that can decide"
    return Evidence(side, found.mean, None, found.n, note)


def interval_in_words(metric: str, interval: tuple[float, float], *, of_difference: bool) -> str:
    """Return ``[92.80, 93.44]``, or ``[+0.20, +0.37] points`` for the interval of a difference."""
    if not of_difference:
        return interval_to_quote(metric, interval)
    return interval_to_quote(metric, interval, differences=1, unit=unit_of_difference(metric))
