"""Two sets of results side by side: each row of the new one against the same row of the base.

The side is one more factor, ``results``, and the base is the baseline, so that everything else stays as in one table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from actbench.analysis.compare_options import CompareOptions
from actbench.analysis.table.factors import distinct_cells, flat_specs
from actbench.analysis.table.grouping import Filter, Group, Run, fits
from actbench.errors import ResultsError, UsageError
from actbench.schema.record import RunRecord

SIDE = "results"
"""The factor that distinguishes the sides."""

BASE, NEW = "base", "new"


def both_sides(new: Sequence[RunRecord], base: Sequence[RunRecord]) -> list[Run]:
    """Return the runs of both sides, with their side as one more factor.

    Studies match by name; where each side has only one, these two match whatever they are called. Base studies without
    a counterpart are left out.

    Raises:
        ResultsError: When a side has no finished run.
        UsageError: When no study is on both sides.
    """
    if not new or not base:
        raise ResultsError(f"no finished run to compare on the {'base' if new else 'new'} side")
    names, earlier = {record.study for record in new}, {record.study for record in base}
    if len(names) == len(earlier) == 1:
        base = [replace(record, study=new[0].study) for record in base]
    elif not names & earlier:
        raise UsageError(f"no study is on both sides: {', '.join(sorted(earlier))} against {', '.join(sorted(names))}")
    base = [record for record in base if record.study in names]
    specs, earlier_specs = ([record.spec for record in records] for records in (new, base))
    runs: list[Run] = []
    for side, records, cells in (
        (NEW, new, flat_specs(specs, beside=earlier_specs)),
        (BASE, base, flat_specs(earlier_specs, beside=specs)),
    ):
        of_side = {id(one): {**one, SIDE: side} for one in distinct_cells(cells)}
        runs += [(record, of_side[id(one)]) for record, one in zip(records, cells, strict=True)]
    return runs


def is_new(factors: Mapping[str, Any]) -> bool:
    """Return whether a row belongs to the new side; always true where there is only one side."""
    return bool(factors.get(SIDE, NEW) == NEW)


def absent_rows(groups: Sequence[Group], where: Filter) -> list[Group]:
    """Return the groups of the base that the new results have no runs of, as far as they fit the filter."""
    shared = {key: value for key, value in where.items() if key != SIDE}
    there = {tuple({**group.factors, SIDE: ""}.values()) for group in groups if is_new(group.factors)}
    return [
        group
        for group in groups
        if not is_new(group.factors)
        and tuple({**group.factors, SIDE: ""}.values()) not in there
        and fits(group.runs[0][1], shared)
    ]


def options_with_base(options: CompareOptions) -> CompareOptions:
    """Return the options with the base's rows as the baseline and only the new side's rows shown.

    Raises:
        UsageError: For a baseline of the caller's own, since the base is the baseline.
    """
    if options.baseline:
        raise UsageError("either --baseline or --against: with two results, each row is compared to its own base")
    by = (*options.by, SIDE) if options.by else ()
    return replace(options, by=by, baseline={SIDE: BASE}, where={**(options.where or {}), SIDE: NEW})
