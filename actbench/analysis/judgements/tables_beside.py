"""Find the adjusted p of a hypothesis in a table of the same difference: in the study's own, or in the one shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actbench.analysis.table.baselines import baseline_of, counterpart
from actbench.analysis.table.contrasts import Values, against_baseline
from actbench.analysis.table.factors import FlatSpec, Value
from actbench.analysis.table.grouping import Filter, Group, Run, fits, grouped
from actbench.analysis.table.rules import Rules


@dataclass(frozen=True)
class TableBeside:
    """A table whose tests hypotheses must not contradict: the study's own, and the one that is shown.

    Args:
        baseline: Factor -> value as the study or the caller wrote it; empty for the default one.
        metrics: The metrics that it tests.
        factors: The factors of its rows; None for the study's own, which has those of the hypothesis at hand.
        is_explicit: Whether the caller named the baseline.
    """

    baseline: Mapping[str, Any]
    metrics: Sequence[str]
    factors: tuple[str, ...] | None = None
    is_explicit: bool = False


@dataclass(frozen=True)
class OwnValues:
    """How each cell got its own value of the tuned factors.

    Args:
        keys: The tuned factors.
        by: The validation metric whose best mean picked.
        without: The cells that have no value to pick.
    """

    keys: tuple[str, ...]
    by: str
    without: Sequence[Group]


@dataclass(frozen=True)
class HypothesesData:
    """The runs by which hypotheses are judged, and how.

    Args:
        runs: All runs of one table, whatever the view shows of it.
        factors: All factors in which the runs differ.
        rules: Of which the level is that of the family of all hypotheses.
        delta: Two values of a fraction that are less apart than this are the same; itself a fraction.
        beside: The tables that may test the same differences, the study's own first.
        tune: The study's tuned factors.
        unfinished: Settings of the runs that are planned or begun and have not ended; None where that is not known.
        contexts: For each table that the study has, hidden ones included, the settings of its dataset and its model.
        at_own: How these runs were picked, where each cell is at its own value of the tuned factors.
    """

    runs: Sequence[Run]
    factors: tuple[str, ...]
    rules: Rules
    delta: float
    beside: Sequence[TableBeside] = ()
    tune: Sequence[str] = ()
    unfinished: Sequence[FlatSpec] | None = ()
    contexts: Sequence[Sequence[FlatSpec]] = ()
    at_own: OwnValues | None = None


def p_in_a_table(
    data: HypothesesData, metric: str, rest: tuple[str, ...], sides: Sequence[Filter], values: Sequence[Values]
) -> tuple[float, int] | None:
    """Return the largest adjusted p of the same difference in a table, and the number of differences adjusted with it.

    Args:
        data: All runs.
        metric: The entry's.
        rest: The factors over which it averages.
        sides: The settings of its two sides.
        values: Their values by seed.

    Returns:
        None where no table has this difference: neither side is the baseline, or a side is more or less than one row.
    """
    factors = tuple(key for key in data.factors if key not in rest)
    groups = grouped(data.runs, factors, rest)
    rows = [group for side in sides for group in groups if fits(group.runs[0][1], side)]
    if [row.values(metric) for row in rows] != list(values):
        return None
    by_factors = {tuple(group.factors.values()): group for group in groups}
    wanted = {id(row) for row in rows}
    found: list[tuple[float, int]] = []
    baselines: list[Mapping[str, Value]] = []
    for table in data.beside:
        if metric in table.metrics and (table.factors is None or {*table.factors} == {*factors}):
            baseline, _ = baseline_of(groups, table.baseline, explicit=table.is_explicit)
            if baseline is not None and baseline not in baselines:
                baselines.append(baseline)
    for baseline in baselines:
        # The row of the two that is not the baseline's, if they are compared in this table.
        row = next((one for one in rows if {id(one), id(counterpart(one, baseline, by_factors))} == wanted), None)
        if row is not None:
            contrasts, family = against_baseline(groups, baseline, metric, data.rules)
            p = next(contrasts[index].p_adjusted for index, group in enumerate(groups) if group is row)
            found.append((1.0 if p is None else p, family.size))  # without a p the table leaves the difference open
    return max(found, default=None)
