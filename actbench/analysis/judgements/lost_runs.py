"""Runs that have no value in a metric, counted beside each statement about the values that are left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actbench.analysis.table.factors import row_name
from actbench.analysis.table.grouping import Group

NO_VALUE = "have no value"
"""Said of runs that ended well, such as those of a network without hidden units in a health metric."""


def lost_in_words(groups: Sequence[Group], metric: str) -> dict[str, str]:
    """Return row -> ``2 of 6 runs diverged``, for the rows of which some runs have no value in the metric.

    Args:
        groups: All of a table, hidden ones included.
        metric: The leading metric.
    """
    found: dict[str, str] = {}
    for group in groups:
        if lost := group.lost(metric):
            verbs = dict.fromkeys(NO_VALUE if one.outcome in ("ok", "collapsed") else one.outcome for one in lost)
            found[row_name(group.factors)] = f"{len(lost)} of {len(group.runs)} runs {' or '.join(verbs)}"
    return found


def lost_among(names: Sequence[str], lost: Mapping[str, str]) -> list[str]:
    """Return ``elu: 2 of 6 runs diverged`` for those of the named rows that lost runs."""
    return [f"{name}: {lost[name]}" for name in dict.fromkeys(names) if name in lost]
