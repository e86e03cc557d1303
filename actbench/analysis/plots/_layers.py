"""Numbers of a row's hidden layers by epoch, as means over its seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, isfinite
from typing import Any

from actbench.analysis.plots._data import runs_by_seed
from actbench.analysis.table.result import Row
from actbench.schema.record import RunRecord

LayerRow = Mapping[str, Any]
"""An entry of ``layers`` in ``metrics.jsonl``."""


@dataclass(frozen=True)
class SeedMean:
    """The mean of one number over the seeds of a row.

    Args:
        mean: Of the seeds' values, each of which is the mean over the seed's runs.
        low: The smallest of them; None for a single seed.
        high: The largest.
        n: The number of seeds.
        zeros: How many of them are 0.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    zeros: int


def layer_means(row: Row, value: Callable[[LayerRow], float | None]) -> dict[str, dict[int, SeedMean]]:
    """Return layer -> epoch -> mean over seeds, for the epochs at which every run of the row has the number.

    A mean of those runs that are left when others have diverged would flatter the row.

    Args:
        row: With its records' curves.
        value: Returns the number of one layer's entry, or None where the entry has none.
    """
    by_seed = [
        [_values(record, value) for record in records if record.curves] for records in runs_by_seed(row).values()
    ]
    runs = [one for records in by_seed for one in records]
    if not runs or len(runs) < len(row.records):
        return {}
    found: dict[str, dict[int, SeedMean]] = {}
    for layer, epochs in runs[0].items():
        for epoch in epochs:
            if all(epoch in one.get(layer, {}) for one in runs):
                means = [fsum(one[layer][epoch] for one in records) / len(records) for records in by_seed]
                found.setdefault(layer, {})[epoch] = _over_seeds(means)
    return found


def layer_names(means: Sequence[Mapping[str, object]]) -> list[str]:
    """Return the layers of several rows in forward order, each once."""
    return list(dict.fromkeys(name for row in means for name in row))


def _values(record: RunRecord, value: Callable[[LayerRow], float | None]) -> dict[str, dict[int, float]]:
    """Return layer -> epoch -> finite value of one run."""
    found: dict[str, dict[int, float]] = {}
    for row in record.curves:
        for layer in row.get("layers") or ():
            number = value(layer)
            if number is not None and isfinite(number):
                found.setdefault(str(layer["name"]), {})[int(row["epoch"])] = float(number)
    return found


def _over_seeds(values: Sequence[float]) -> SeedMean:
    several = len(values) > 1
    return SeedMean(
        fsum(values) / len(values),
        min(values) if several else None,
        max(values) if several else None,
        len(values),
        sum(value == 0 for value in values),
    )
