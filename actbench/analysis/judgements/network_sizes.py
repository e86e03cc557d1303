"""Say that rows are networks of different sizes, where an activation changes the width of its layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from actbench.analysis.table.factors import row_name
from actbench.analysis.table.grouping import Group
from actbench.schema.record import RunRecord
from actbench.schema.unit_groups import group_of

SHOWN = 6
"""Sizes, and layers of a network, that a sentence lists."""


class NetworkSize(NamedTuple):
    """The size of a run's network: the parameters that it trains, and the outputs of each hidden layer."""

    parameters: int
    widths: tuple[int, ...]

    def in_words(self) -> str:
        """Return, for example, ``269,290 parameters at widths 144-144``."""
        widths = "-".join(map(str, self.widths[:SHOWN]))
        more = f"-… ({len(self.widths)} layers)" if len(self.widths) > SHOWN else ""
        return f"{self.parameters:,} parameters at width{'s' * (len(self.widths) > 1)} {widths}{more}"


def sizes_in_words(groups: Sequence[Group]) -> Iterator[str]:
    """Yield a sentence if rows differ in the size of their networks and one has an activation that changes the width.

    Args:
        groups: The runs of each row that enters the table.
    """
    records = [record for group in groups for record, _ in group.runs]
    if all(group_of(record.spec.activation).is_elementwise for record in records):
        return
    rows: dict[NetworkSize, list[str]] = {}
    for group in groups:
        for size in dict.fromkeys(size for record, _ in group.runs if (size := size_of(record)) is not None):
            rows.setdefault(size, []).append(row_name(group.factors))
    if len(rows) > 1:
        listed = [f"{_names(names)}: {size.in_words()}" for size, names in list(rows.items())[:SHOWN]]
        more = [f"and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
        told = "; ".join((*listed, *more))
        yield f"rows differ in size, since an activation changes the width of its layers ({told})"


def size_of(record: RunRecord) -> NetworkSize | None:
    """Return the size of a run's network; None where the record has none, as that of a failed run."""
    parameters, layers = record.final.get("parameters"), record.health.get("layers")
    if not parameters or not layers:
        return None
    return NetworkSize(int(parameters), tuple(layer.get("outputs", layer["units"]) for layer in layers))


def _names(names: Sequence[str]) -> str:
    """Return two of the rows, and the number of the others."""
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return f"{', '.join(names[:2])}{more}"
