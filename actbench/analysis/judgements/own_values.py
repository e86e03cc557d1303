"""Hypotheses ``when tuned``: each cell at its own best value of the tuned factors, as in the tuned table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from actbench.analysis.judgements.tables_beside import HypothesesData, OwnValues
from actbench.analysis.table.factors import Value, row_name, show
from actbench.analysis.table.grouping import Filter, Group, Run, fits
from actbench.analysis.table.result import PickedCell
from actbench.analysis.table.tuning import cells_at_own_values
from actbench.errors import UsageError


def at_own_values(data: HypothesesData) -> HypothesesData:
    """Return the runs that the study's own tuned table has, and how to judge by them.

    Raises:
        UsageError: When the study tunes nothing, or none of the tuned factors varies in these runs.
    """
    keys = tuple(key for key in data.tune if key in data.factors)
    if not data.tune:
        raise UsageError("the study has no 'tune', so no row has a value of its own")
    if not keys:
        raise UsageError(f"not tuned: the runs have one value of {', '.join(data.tune)}")
    leading = data.beside[0].metrics[0] if data.beside else "test.accuracy"
    cells, without, by = cells_at_own_values(data.runs, data.factors, keys, metric=leading)
    beside = [
        replace(
            table,
            baseline={key: value for key, value in table.baseline.items() if key not in keys},
            factors=None if table.factors is None else tuple(key for key in table.factors if key not in keys),
            # A baseline that named the tuned factor alone is the default one of the tuned table.
            is_explicit=table.is_explicit and not table.baseline.keys() <= set(keys),
        )
        for table in data.beside
    ]
    return replace(
        data,
        runs=[run for cell in cells for run in cell.runs],
        factors=tuple(key for key in data.factors if key not in keys),
        beside=beside,
        at_own=OwnValues(keys, by, without),
    )


def all_known(data: HypothesesData) -> list[Run]:
    """Return the runs by which a hypothesis is judged, and those of the cells that have no value to pick."""
    without = () if data.at_own is None else data.at_own.without
    return [*data.runs, *(run for cell in without for run in cell.runs)]


def without_value(data: HypothesesData, where: Filter) -> list[Group]:
    """Return the cells with these settings that have no value to pick."""
    return [] if data.at_own is None else [cell for cell in data.at_own.without if fits(cell.runs[0][1], where)]


def picked_of(runs: Iterable[Run], data: HypothesesData) -> tuple[PickedCell, ...]:
    """Return the picked values of each cell of these runs; empty where none are picked."""
    if data.at_own is None:
        return ()
    found: dict[tuple[Value, ...], PickedCell] = {}
    for _, one in runs:
        cell = {key: one.get(key) for key in data.factors}
        picked = {key: one.get(key) for key in data.at_own.keys}
        found.setdefault(tuple(cell.values()), PickedCell(cell, picked))
    return tuple(found.values())


def picked_in_words(sides: Sequence[tuple[Mapping[str, Value], Sequence[PickedCell]]], own: OwnValues) -> str:
    """Return which values were picked: ``each at its own lr, picked on validation (val.loss): silu 0.1, relu 0.03``.

    Args:
        sides: The settings of each side, and its cells.
        own: How they were picked.
    """
    parts = [f"{row_name(settings)} {_several(cells)}".strip() for settings, cells in sides if cells]
    text = f"each at its own {', '.join(own.keys)}, picked on validation ({own.by})"
    return f"{text}: {', '.join(parts)}" if parts else text


def none_to_pick(cells: Sequence[Group], own: OwnValues, total: int) -> str:
    """Return how many cells have no value to pick; empty for none.

    A cell has none where a run diverged or failed at every value, so the cells left out are the unstable ones.
    """
    if not cells:
        return ""
    names = ", ".join(own.keys)
    return f"{len(cells)} of {total} cells left out: no {names} at which all runs have {own.by}"


def _several(cells: Sequence[PickedCell]) -> str:
    """Return the values picked for several cells: ``0.03 or 0.1``."""
    return " or ".join(dict.fromkeys("/".join(map(show, one.picked.values())) for one in cells))
