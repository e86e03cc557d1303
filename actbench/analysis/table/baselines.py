"""Choose the row that the others are compared to: the user's, the study's, or the default one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actbench.analysis.table.factors import Value, matching_value, show_all
from actbench.analysis.table.grouping import Group
from actbench.errors import UsageError

DEFAULT: Mapping[str, Value] = {"activation": "relu", "bias_init": 0.0}


def baseline_of(
    groups: Sequence[Group], wanted: Mapping[str, Any], *, explicit: bool, zipped: Sequence[str] = ()
) -> tuple[Mapping[str, Value] | None, str]:
    """Return the baseline in the rows' own values and "", or None and the reason why there is none.

    Args:
        groups: All groups of the table.
        wanted: Factor -> value as the user or the study wrote it; empty for the default one.
        explicit: Whether the user named it for this view. A study's own baseline may name factors that the view holds
            fixed or averages over; a user's may not.
        zipped: Factors that the study's config changes in step; a baseline that names one of them includes the others.
    """
    found: dict[str, Value] = {}
    for key, given in wanted.items():
        if not explicit and key not in groups[0].factors:
            continue
        values = _values(key, groups)
        if key not in groups[0].factors and len(values) > 1:
            return None, f"no baseline: '{key}' is averaged over, so it can't be part of the baseline: add it to --by"
        try:
            found[key] = matching_value(key, given, values)
        except UsageError as error:
            return None, f"no baseline: {error}"
    # A factor with one value in all groups distinguishes none of them.
    found = {key: value for key, value in found.items() if len(_values(key, groups)) > 1}
    if not found and not explicit:
        return _default(groups), ""
    found = {**found, **_in_step(found, groups, zipped)}
    if not any(found.items() <= group.factors.items() for group in groups):
        return None, f"no baseline: no run has {show_all(found)}"
    return found, ""


def counterpart(
    group: Group, baseline: Mapping[str, Value], by_factors: Mapping[tuple[Value, ...], Group]
) -> Group | None:
    """Return the baseline's group with the same other factors; None for the baseline itself and where it is missing."""
    # The union keeps the order of the group's factors, as the keys of ``by_factors`` do.
    found = by_factors.get(tuple({**group.factors, **baseline}.values()))
    return None if found is group else found


def _in_step(found: Mapping[str, Value], groups: Sequence[Group], zipped: Sequence[str]) -> dict[str, Value]:
    """Return the values of the factors that change in step with those of a baseline.

    They belong to it: no row has the baseline's learning rate and another one's number of epochs, say, so that matching
    rows by the latter would leave all others without a baseline. Factors of which two happen to vary together, as in a
    study that has only begun, are matched all the same: the next run may part them.
    """
    own = [key for key in zipped if key in found and key in groups[0].factors]
    others = [key for key in zipped if key not in found and key in groups[0].factors]
    if not own:
        return {}
    rows = [group.factors for group in groups if all(group.factors[key] == found[key] for key in own)]
    values = {key: list(dict.fromkeys(row[key] for row in rows)) for key in others}
    return {key: choices[0] for key, choices in values.items() if len(choices) == 1}


def _values(key: str, groups: Sequence[Group]) -> list[Value]:
    return list(dict.fromkeys(one.get(key) for group in groups for _, one in group.runs))


def _default(groups: Sequence[Group]) -> Mapping[str, Value] | None:
    """Return relu with bias 0 where these vary and are there, matched in all else; otherwise the first row."""
    if len(groups) == 1:
        return None
    factors = groups[0].factors
    usual = {key: value for key, value in DEFAULT.items() if key in factors and len(_values(key, groups)) > 1}
    there = any(usual.items() <= group.factors.items() for group in groups)
    return usual if usual and there else factors
