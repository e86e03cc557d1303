"""Runs as rows of a further table: the settings in which they differ, but for some keys that the table lays out."""

from __future__ import annotations

from collections.abc import Sequence

from actbench.analysis.leading_metric import default_metric
from actbench.analysis.table.factors import Value, flat_specs, is_among, named_keys, row_name, varying
from actbench.analysis.table.grouping import Run
from actbench.errors import ResultsError, UsageError
from actbench.schema.metrics import METRICS
from actbench.schema.record import RunRecord
from actbench.schema.registry import load

Row = tuple[tuple[str, Value], ...]
"""A row's factors with their values, as a key."""


def runs_of(records: Sequence[RunRecord]) -> list[Run]:
    """Return the records with their settings by dotted key.

    Raises:
        ResultsError: When there are none.
    """
    if not records:
        raise ResultsError("no finished run to compare")
    return list(zip(records, flat_specs([record.spec for record in records]), strict=True))


def rows_without(runs: Sequence[Run], laid_out: Sequence[str]) -> list[Row]:
    """Return each run's row: its values of the keys in which runs differ, but for ``laid_out`` and options below them.

    Dataset and model are among these keys where they differ and are not laid out.
    """
    specs, cells = [record.spec for record, _ in runs], [one for _, one in runs]
    context = [key for key in ("dataset", "model") if key not in named_keys(specs)]
    differing = [key for key in context if len({one.get(key) for one in cells}) > 1]
    keys = [key for key in (*differing, *varying(specs, cells)) if not is_among(key, laid_out)]
    return [tuple((key, one.get(key)) for key in keys) for one in cells]


def named(row: Row) -> str:
    """Return a row's name in tables and sentences."""
    return row_name(dict(row)) or "all runs"


def leading_metric(runs: Sequence[Run], chosen: Sequence[str]) -> str:
    """Return the one metric of a further table: the chosen one, or that by which such runs are judged.

    Raises:
        UnknownNameError: For a metric that does not exist.
        UsageError: For several metrics.
    """
    if len(chosen) > 1:
        raise UsageError(f"this table has one metric, not {len(chosen)}: {', '.join(chosen)}")
    name = chosen[0] if chosen else default_metric(record.final for record, _ in runs)
    load("metrics", name)
    return name


def value_of(record: RunRecord, metric: str) -> float | None:
    """Return a run's finite final value; None for a run without one, such as a diverged run."""
    value = record.final.get(metric)
    return None if value is None else float(value)


def is_better(metric: str) -> bool:
    """Return whether a higher value of a metric ranks first: so it does where the metric has no direction."""
    return METRICS[metric].higher_is_better is not False
