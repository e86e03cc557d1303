"""Runs -> tables of groups: one group per combination of the factors' values, one table per study, dataset, model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from actbench.analysis.table.factors import FlatSpec, Value, context, distinct, matching_value, varying
from actbench.analysis.table.result import Tuned
from actbench.schema.record import RunRecord

Run = tuple[RunRecord, FlatSpec]
"""A record with its settings as flat keys."""

Filter = Mapping[str, Value]
"""Factor -> value that a run must have."""


@dataclass(frozen=True)
class Group:
    """The runs of one row.

    Args:
        factors: Factor -> the value that they share.
        runs: The records, each with its flat keys.
        averaged: Factors over which each seed's values are averaged.
        picked: Tuned factor -> the value of these runs.

    What ``values`` returns is kept by metric: a table of 500 rows asks for each of them several times.
    """

    factors: Mapping[str, Value]
    runs: Sequence[Run]
    averaged: tuple[str, ...] = ()
    picked: Mapping[str, Value] = field(default_factory=dict)
    _known: dict[str, dict[int, float]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def values(self, metric: str) -> Mapping[int, float]:
        """Return seed -> mean over the combinations of ``averaged``, for seeds that have a value in each of them."""
        if metric not in self._known:
            self._known[metric] = by_seed(self.runs, self.averaged, metric)
        return self._known[metric]

    def lost(self, metric: str) -> list[RunRecord]:
        """Return the runs without a finite value in a metric, such as those that diverged."""
        return [record for record, _ in self.runs if _value(record, metric) is None]


@dataclass(frozen=True)
class Table:
    """The groups that are compared with each other.

    Args:
        factors: Factors in which the groups differ.
        averaged: Factors that vary besides, and are averaged over.
        groups: All of them, those that ``where`` hides included, so that hiding changes no number.
        shown: The groups that are printed.
        repeats: Runs left out because they repeat a shown one's settings and seed.
        all_runs: All runs that the table could be about, whatever this view hides or averages; hypotheses are judged by
            these.
        all_factors: The factors that vary in them.
        tuned: How each group's value of some factors was picked; None at common values.
    """

    factors: tuple[str, ...]
    averaged: tuple[str, ...]
    groups: tuple[Group, ...]
    shown: tuple[Group, ...]
    repeats: int
    all_runs: Sequence[Run]
    all_factors: tuple[str, ...]
    tuned: Tuned | None = None

    @property
    def runs(self) -> list[Run]:
        """Return all runs of the shown groups."""
        return [run for group in self.shown for run in group.runs]


def as_run_values(settings: Mapping[str, Any], runs: Sequence[Run]) -> Filter:
    """Return settings as a user wrote them in the runs' own values: 0 becomes 0.0, ``{name: relu}`` becomes ``relu``.

    Raises:
        UsageError: When no run has all of them.
    """
    found: dict[str, Value] = {}
    for key, given in settings.items():
        value = found[key] = matching_value(key, given, [one.get(key) for _, one in runs])
        runs = [run for run in runs if run[1].get(key) == value]
    return found


def tables(runs: Sequence[Run], by: Sequence[str], where: Filter) -> list[Table]:
    """Return the tables of which any group is shown, sorted by study, dataset and model."""
    members: dict[tuple[str, ...], list[Run]] = {}
    contexts: dict[int, tuple[str, ...]] = {}  # of the settings that all seeds of a cell share
    for record, one in runs:
        if id(one) not in contexts:
            contexts[id(one)] = tuple(context(record.spec, one, by).values())
        members.setdefault((record.study, *contexts[id(one)]), []).append((record, one))
    found = [_table(own, tuple(by), where) for _, own in sorted(members.items(), key=lambda item: item[0])]
    return [table for table in found if table.shown]


def grouped(runs: Sequence[Run], factors: tuple[str, ...], averaged: tuple[str, ...] = ()) -> list[Group]:
    """Return one group for each combination of the factors' values."""
    members: dict[tuple[Value, ...], list[Run]] = {}
    for run in runs:
        members.setdefault(tuple(run[1].get(key) for key in factors), []).append(run)
    return [Group(dict(zip(factors, values, strict=True)), own, averaged) for values, own in members.items()]


def by_seed(runs: Sequence[Run], averaged: tuple[str, ...], metric: str) -> dict[int, float]:
    """Return seed -> mean over the combinations of ``averaged``, for seeds that have a finite value in each of them."""
    parts: dict[tuple[Value, ...], dict[int, float]] = {}
    for record, one in runs:
        part = parts.setdefault(tuple(one.get(key) for key in averaged), {})
        value = _value(record, metric)
        if value is not None:
            part.setdefault(record.spec.seed, value)
    if not parts:
        return {}
    # A seed without a value in one combination would be averaged over fewer of them than the others.
    seeds = set.intersection(*(set(part) for part in parts.values()))
    return {seed: sum(part[seed] for part in parts.values()) / len(parts) for seed in sorted(seeds)}


def fits(one: FlatSpec, where: Filter) -> bool:
    """Return whether a run has all of these values."""
    return all(one.get(key) == value for key, value in where.items())


def _value(record: RunRecord, metric: str) -> float | None:
    value = record.value(metric)
    return float(value) if value is not None and isfinite(value) else None


def _table(found: Sequence[Run], by: tuple[str, ...], where: Filter) -> Table:
    factors = by or _varying(found)
    # A filter on a factor that is averaged over leaves runs out before the averaging; any other hides whole groups.
    inner = {key: value for key, value in where.items() if not _is_determined(key, factors, found)}
    kept = [run for run in found if fits(run[1], inner)]
    averaged = _averaged(kept, factors)
    runs = distinct(kept, (*factors, *averaged))
    groups = grouped(runs, factors, averaged)
    shown = tuple(group for group in groups if fits(group.runs[0][1], where))
    repeats = sum(fits(one, where) for _, one in kept) - sum(len(group.runs) for group in shown)
    # Hypotheses are judged by all runs: neither ``where`` nor the averaging of this view may change their verdict.
    varied = (*factors, *_averaged(found, factors))
    return Table(factors, averaged, tuple(groups), shown, repeats, distinct(found, varied), varied)


def _is_determined(key: str, factors: tuple[str, ...], runs: Sequence[Run]) -> bool:
    """Return whether all runs of a group agree on the key."""
    # It is when splitting the groups by the key as well makes no more of them.
    groups = {tuple(one.get(factor) for factor in factors) for _, one in runs}
    finer = {tuple(one.get(factor) for factor in (*factors, key)) for _, one in runs}
    return len(groups) == len(finer)


def _averaged(runs: Sequence[Run], factors: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys that vary besides the factors."""
    found = [key for key in _varying(runs) if len({one.get(key) for _, one in runs}) > 1] if runs else []
    return tuple(key for key in found if not any(f"{key}.".startswith(f"{kept}.") for kept in factors))


def _varying(runs: Sequence[Run]) -> tuple[str, ...]:
    return varying([record.spec for record, _ in runs], [one for _, one in runs])
