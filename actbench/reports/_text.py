"""Numbers as words: units, intervals, differences; shared by every format that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from actbench.comparison import Contrast, Row, is_bounded
from actbench.record import METRICS
from actbench.statistics import Interval

NOTHING = "–"
"""Stands where there is no number."""

MINUS = "−"
POINTS = {"fraction": "points"}
"""Differences of percentages are percentage points; other units keep their name."""


def quantity(metric: str, value: float | None) -> str:
    """A value with its unit; fractions as percent.

    >>> quantity("test.accuracy", 0.93124), quantity("parameters", 199210.0), quantity("test.loss", 0.23456)
    ('93.12 %', '199,210', '0.2346')
    >>> quantity("health.gradient_ratio", 0.0001234)
    '0.000123'
    """
    if value is None:
        return NOTHING
    unit = METRICS[metric].unit
    if unit == "fraction":
        return f"{_number(metric, value)} %"
    return f"{value:,.3g} s" if unit == "seconds" else _number(metric, value)


def mean(metric: str, interval: Interval) -> str:
    """A mean with its interval, as ``93.12 % [92.80, 93.44]``; a bounded share with its range instead.

    >>> mean("test.accuracy", Interval(0.9, 0.88, 0.92, 0.01, 0.89, 0.91, 5))
    '90.00 % [88.00, 92.00]'
    >>> mean("health.dead_fraction", Interval(0.02, None, None, 0.01, 0.01, 0.03, 5))
    '2.00 % (1.00–3.00)'
    """
    text = quantity(metric, interval.mean)
    low, high = (interval.min, interval.max) if is_bounded(metric) else (interval.low, interval.high)
    if low is None or high is None or low == high:
        return text
    ends = _number(metric, low), _number(metric, high)
    return f"{text} ({ends[0]}–{ends[1]})" if is_bounded(metric) else f"{text} [{ends[0]}, {ends[1]}]"


def difference(metric: str, contrast: Contrast) -> str:
    """A difference to the baseline, as ``+0.42 [+0.12, +0.72] *``; the star marks an adjusted p below alpha."""
    found = contrast.difference
    if found.difference is None:
        return NOTHING
    if found.note == "identical":
        return "identical"
    text = _signed(metric, found.difference)
    if found.low is not None and found.high is not None and found.low != found.high:
        text += f" [{_signed(metric, found.low)}, {_signed(metric, found.high)}]"
    return f"{text} *" if contrast.significant else text


def wins(contrast: Contrast) -> str:
    """In how many pairs the row is the better one: ``9 of 10``."""
    return f"{contrast.difference.wins} of {contrast.difference.n_pairs}"


def outcomes(row: Row) -> str:
    """What went wrong in how many runs: ``2 of 10 diverged``; empty when nothing did."""
    bad = [f"{count} {outcome}" for outcome, count in row.outcomes.items() if count and outcome != "ok"]
    return ", ".join(bad).replace(" ", f" of {row.runs} ", 1)


def unit_of_difference(metric: str) -> str:
    """The unit in which differences of a metric are printed."""
    unit = METRICS[metric].unit
    return POINTS.get(unit, unit)


def short_names(keys: Iterable[str]) -> Mapping[str, str]:
    """Each dotted key's last part, where that is unambiguous.

    >>> short_names(["activation", "training.optimizer.lr"])
    {'activation': 'activation', 'training.optimizer.lr': 'lr'}
    """
    last = {key: key.rpartition(".")[2] for key in keys}
    return {key: name if list(last.values()).count(name) == 1 else key for key, name in last.items()}


def _number(metric: str, value: float) -> str:
    unit = METRICS[metric].unit
    if unit == "fraction":
        return f"{100 * value:.2f}"
    if unit == "count":
        return f"{value:,.0f}"
    if unit == "ratio":
        return f"{value:#.3g}".rstrip(".")
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.4g}"


def _signed(metric: str, value: float) -> str:
    digits = _number(metric, abs(value))
    sign = "" if float(digits.replace(",", "")) == 0 else MINUS if value < 0 else "+"
    return sign + digits
