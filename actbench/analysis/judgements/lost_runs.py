"""Runs that have no value in a metric, counted beside each statement about the values that are left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from actbench.analysis.judgements.formatting import some_of
from actbench.analysis.table.factors import row_name
from actbench.analysis.table.grouping import Group
from actbench.schema.record import RunRecord

NO_VALUE = "have no value"
"""Said of runs that ended well, such as those of a network without hidden units in a health metric."""

PERFORMANCE = ("accuracy", "loss", "mse", "r2")
"""The ends of the names of the metrics that a collapse spoils."""


def lost_in_words(groups: Sequence[Group], metric: str) -> dict[str, str]:
    """Return row -> ``2 of 6 runs diverged``, for the rows of which some runs have no value in the metric.

    Args:
        groups: All of a table, hidden ones included.
        metric: The leading metric.
    """
    found: dict[str, str] = {}
    for group in groups:
        if lost := group.lost(metric):
            found[row_name(group.factors)] = lost_of(lost, len(group.runs))
    return found


def lost_of(lost: Sequence[RunRecord], total: int) -> str:
    """Return ``2 of 6 runs diverged`` for the runs without a value among so many.

    >>> from actbench.schema.spec import RunSpec
    >>> lost_of([RunRecord(RunSpec(), "diverged")] * 2, 6)
    '2 of 6 runs diverged'
    """
    return f"{len(lost)} of {total} runs {_reasons(lost)}"


def left_out_of(lost: Sequence[RunRecord], total: int) -> str:
    """Return ``2 of 6 runs left out: diverged`` where a judgement does without them; empty for none."""
    return f"{len(lost)} of {total} runs left out: {_reasons(lost)}" if lost else ""


def collapsed_alone(group: Group, base: Group, metric: str) -> str:
    """Return how many of a row's runs collapsed where the baseline's of the same seed did not; empty for none.

    A collapsed run has values, but its accuracy and its loss are those of a network that has largely died, so a gate on
    such a metric does not pass over it. Health metrics measure the collapse itself.
    """
    if not metric.endswith(PERFORMANCE):
        return ""
    spoilt = {record.spec.seed for record, _ in base.runs if record.outcome != "ok"}
    fine = {record.spec.seed for record, _ in base.runs} - spoilt
    count = sum(record.outcome == "collapsed" and record.spec.seed in fine for record, _ in group.runs)
    return f"{count} of {len(group.runs)} runs collapsed where the baseline's did not" if count else ""


def lost_among(names: Sequence[str], lost: Mapping[str, str]) -> list[str]:
    """Return ``elu: 2 of 6 runs diverged`` for those of the named rows that lost runs."""
    return [f"{name}: {lost[name]}" for name in dict.fromkeys(names) if name in lost]


def outcomes_in_words(
    metrics: Sequence[str], records: Sequence[RunRecord], groups: Sequence[Group] = ()
) -> Iterator[str]:
    """Yield ``2 of 10 runs diverged: counted beside the means, not averaged in`` for each outcome that is not ``ok``.

    Args:
        metrics: Those of the table. A diverged run has no accuracy, but a number of parameters and a duration.
        records: All runs that are counted.
        groups: Their rows, of which those with such runs are named: ``(elu: 2 of 5)``.
    """
    for outcome in ("diverged", "failed", "collapsed"):
        own = [record for record in records if record.outcome == outcome]
        valued = [name for name in metrics if any(record.value(name) is not None for record in own)]
        where = "" if len(valued) == len(metrics) else f" only in {', '.join(valued)}"
        averaged = f"averaged in{where}" if valued else "not averaged in"
        if own:
            names = some_of(_rows_with(outcome, groups))
            yield f"{len(own)} of {len(records)} runs {outcome}: counted beside the means, {averaged}{names}"


def _rows_with(outcome: str, groups: Sequence[Group]) -> list[str]:
    """Return ``elu: 2 of 5`` for the rows that have runs of an outcome."""
    counts = [(group, sum(record.outcome == outcome for record, _ in group.runs)) for group in groups]
    return [f"{row_name(group.factors)}: {count} of {len(group.runs)}" for group, count in counts if count]


def _reasons(lost: Sequence[RunRecord]) -> str:
    return " or ".join(dict.fromkeys(NO_VALUE if one.outcome in ("ok", "collapsed") else one.outcome for one in lost))
