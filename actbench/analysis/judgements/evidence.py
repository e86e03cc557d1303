"""On which side of a number do a cell's seeds lie, as far as they tell?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from actbench.analysis.judgements.formatting import number, p_value, signed, unit_of_difference
from actbench.analysis.statistics import MIN_VALUES, mean_interval, sign_flip_p, smallest_p
from actbench.analysis.table.result import is_bounded

Side = Literal["above", "below", "at"]


@dataclass(frozen=True)
class Evidence:
    """What a sample says about a number.

    Args:
        side: Where the mean lies; ``at`` only for constant values that equal the number; None when it is open.
        mean: The sample's; None without values.
        interval: Student's, or a point for constant values; None below three values and for bounded shares.
        n: Number of values.
        note: What decided in the interval's place, or why nothing could.
    """

    side: Side | None
    mean: float | None
    interval: tuple[float, float] | None
    n: int
    note: str = ""


def weigh(values: Sequence[float], bound: float, metric: str, alpha: float) -> Evidence:
    """Compare the mean of one value a seed with a number.

    By the Student-t interval, which has to lie on one side as a whole; for bounded health shares by the sign-flip test
    of value − number. Constant values are a point. Below three values nothing is decided.
    """
    found = mean_interval(values, alpha)
    if found.mean is None or found.n < MIN_VALUES or found.low is None or found.high is None:
        return Evidence(None, found.mean, None, found.n, f"fewer than {MIN_VALUES} seeds")
    constant = found.min == found.max
    if not is_bounded(metric) or constant:
        side = _side(found.low, found.high, bound, constant=constant)
        return Evidence(side, found.mean, (found.low, found.high), found.n)
    p = sign_flip_p([value - bound for value in values])
    side = None if p >= alpha else "above" if found.mean > bound else "below"
    return Evidence(side, found.mean, None, found.n, _sign_flip_note(p, found.n, alpha))


def interval_in_words(metric: str, interval: tuple[float, float], *, of_difference: bool) -> str:
    """``[92.80, 93.44]``, or ``[+0.20, +0.37] points`` of a difference."""
    if not of_difference:
        return f"[{number(metric, interval[0])}, {number(metric, interval[1])}]"
    return f"[{signed(metric, interval[0])}, {signed(metric, interval[1])}] {unit_of_difference(metric)}"


def _side(low: float, high: float, bound: float, *, constant: bool) -> Side | None:
    if constant and low == bound:
        return "at"
    return "above" if low > bound else "below" if high < bound else None


def _sign_flip_note(p: float, n: int, alpha: float) -> str:
    text = f"sign-flip p {p_value(p)}"
    if smallest_p(n) <= alpha:
        return text
    enough = next(count for count in range(n, 10**6) if smallest_p(count) <= alpha)
    return f"{text}, and {enough} seeds are the fewest that can decide"
