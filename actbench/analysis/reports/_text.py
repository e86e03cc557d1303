"""Numbers as words: units, intervals, differences; shared by every format that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from actbench.analysis.judgements.evidence import in_words
from actbench.analysis.judgements.formatting import number, signed
from actbench.analysis.statistics import Interval
from actbench.analysis.table.extras import REACH_METRIC, Reach
from actbench.analysis.table.result import Contrast, Expectation, Row, is_bounded
from actbench.config import hypotheses
from actbench.schema.metrics import METRICS

NOTHING = "–"
"""Stands where there is no number."""

VERDICTS = {"supported": "✓", "contradicted": "✗", "undecided": "?"}


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
        return f"{number(metric, value)} %"
    return f"{value:,.3g} s" if unit == "seconds" else number(metric, value)


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
    ends = number(metric, low), number(metric, high)
    return f"{text} ({ends[0]}–{ends[1]})" if is_bounded(metric) else f"{text} [{ends[0]}, {ends[1]}]"


def difference(metric: str, contrast: Contrast) -> str:
    """A difference to the baseline, as ``+0.42 [+0.12, +0.72] *``; the star marks an adjusted p below alpha."""
    found = contrast.difference
    if found.difference is None:
        return NOTHING
    if found.note == "identical":
        return "identical"
    text = signed(metric, found.difference)
    if found.low is not None and found.high is not None and found.low != found.high:
        text += f" [{signed(metric, found.low)}, {signed(metric, found.high)}]"
    return f"{text} *" if contrast.significant else text


def wins(contrast: Contrast) -> str:
    """In how many pairs the row is the better one: ``9 of 10``."""
    return f"{contrast.difference.wins} of {contrast.difference.n_pairs}"


def outcomes(row: Row) -> str:
    """What went wrong in how many runs, with the Wilson interval of that share: ``2 of 10 diverged [6–51 %]``.

    Empty when nothing did.
    """
    if row.failure_rate is None:
        return ""
    bad = [f"{count} {outcome}" for outcome, count in row.outcomes.items() if count and outcome != "ok"]
    low, high = row.failure_rate
    return f"{', '.join(bad).replace(' ', f' of {row.runs} ', 1)} [{100 * low:.0f}–{100 * high:.0f} %]"


def expectation(found: Expectation) -> str:
    """A hypothesis with what decides: ``✓ supported: … ([0.96, 0.97], 5 seeds)``."""
    claim = hypotheses.expectation(found.text)
    is_difference = isinstance(claim, hypotheses.Ordering)
    parts = [in_words(claim.metric, found.interval, of_difference=is_difference)] if found.interval else []
    parts += [f"{found.n} seeds"] if found.n else []
    parts += [found.note] if found.note else []
    return f"{VERDICTS[found.verdict]} {found.verdict}: {found.text} ({', '.join(parts)})"


def verdicts(found: Sequence[str], most: int | None) -> list[str]:
    """At most so many sentences, and how many more there are."""
    if most is None or len(found) <= most:
        return list(found)
    return [*found[:most], f"… and {len(found) - most} more (--verdicts all)"]


def reach_title(found: Reach) -> str:
    """The heading of the column with the speed of convergence; ``reach_in_words`` says of what."""
    return f"epochs (to {100 * found.level:g} %)"


def reach(found: Reach) -> str:
    """A row's speed of convergence, as ``3.4 (4 of 5)``; a dash when no seed got there."""
    epochs = NOTHING if found.epochs is None else f"{found.epochs:.1f}"
    return f"{epochs} ({found.reached} of {found.n})"


def reach_in_words(found: Reach) -> str:
    """What the figures of that column mean."""
    return (
        f"{reach_title(found)}: epochs to {REACH_METRIC} ≥ {100 * found.level:g} %, mean over the seeds that "
        "reached it (k of n reached; the others are in no mean)"
    )


def short_names(keys: Iterable[str]) -> Mapping[str, str]:
    """Each dotted key's last part, where that is unambiguous.

    >>> short_names(["activation", "training.optimizer.lr"])
    {'activation': 'activation', 'training.optimizer.lr': 'lr'}
    """
    last = {key: key.rpartition(".")[2] for key in keys}
    return {key: name if list(last.values()).count(name) == 1 else key for key, name in last.items()}
