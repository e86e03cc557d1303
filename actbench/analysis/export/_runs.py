"""Runs as trackers take them: settings, numbers by epoch, numbers at the end, and a fingerprint of all that."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from actbench.analysis.table.factors import Value, flat_specs, varying
from actbench.schema.record import RunRecord
from actbench.schema.spec import canonical_json
from actbench.storage.reading import Records

RENAMED = {"seconds": "epoch_seconds"}
"""Numbers of an epoch that have another meaning at the end: the seconds of a run are those of all its epochs."""


@dataclass(frozen=True)
class ExportedRun:
    """One run.

    Args:
        record: The run, with its curve.
        settings: All its settings by dotted key, and its seed.
        varied: Those in which the runs of its study differ, its dataset, its model and its seed.
        ended: When its result was written, in seconds since 1970; None where that is not known.
        with_layers: Whether the numbers of an epoch include those of each layer.
    """

    record: RunRecord
    settings: Mapping[str, Value]
    varied: Mapping[str, Value]
    ended: float | None = None
    with_layers: bool = field(default=False, kw_only=True)

    @cached_property
    def epochs(self) -> tuple[tuple[int, Mapping[str, float]], ...]:
        """Each epoch with its numbers by name; what is not known is left out."""
        return tuple((row["epoch"], dict(self._numbers(row))) for row in self.record.curves)

    @cached_property
    def final(self) -> Mapping[str, float]:
        """The metrics at the end; what is not known is left out."""
        return {name: float(value) for name, value in self.record.final.items() if value is not None}

    @property
    def last_epoch(self) -> int:
        """The epoch at which the metrics at the end stand."""
        return self.epochs[-1][0] if self.epochs else self.record.epochs_trained

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits of everything that is exported: another result has others."""
        content = [self.record.study, self.record.run_id, self.record.outcome, self.record.spec.digest]
        numbers = [[epoch, dict(own)] for epoch, own in self.epochs]
        return hashlib.sha256(canonical_json([*content, numbers, dict(self.final)]).encode()).hexdigest()[:16]

    def times(self) -> list[float]:
        """Return when each epoch ended, counted back from the end of the run, or from 1970 where that is not known."""
        seconds = [float(row.get("seconds") or 0.0) for row in self.record.curves]
        start = (self.ended or sum(seconds)) - sum(seconds)
        return [start + sum(seconds[: place + 1]) for place in range(len(seconds))]

    def _numbers(self, row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
        for name, value in row.items():
            if name not in ("epoch", "layers") and value is not None:
                yield RENAMED.get(name, name), float(value)
        for layer in (row.get("layers") or ()) if self.with_layers else ():
            own = {**layer, **{f"learned.{name}": value for name, value in (layer.get("learned") or {}).items()}}
            for name, value in own.items():
                if isinstance(value, (int, float)):
                    yield f"layers/{layer['name']}/{name}", float(value)


@dataclass(frozen=True)
class Exported:
    """What an exporter has done.

    Args:
        written: Number of runs that were written.
        present: Number of those that lay there already with the same content.
        places: What was written or added to.
        command: The other program's command that shows them, for a POSIX shell; empty where there is none.
    """

    written: int
    present: int
    places: Sequence[Path]
    command: str = ""


def exported_runs(records: Records, *, with_layers: bool = False) -> list[ExportedRun]:
    """Return runs that were read with their curves as exporters take them."""
    cells = flat_specs([record.spec for record in records])
    found: list[ExportedRun] = []
    for study in dict.fromkeys(record.study for record in records):
        own = [(record, cell) for record, cell in zip(records, cells, strict=True) if record.study == study]
        keys = varying([record.spec for record, _ in own], [cell for _, cell in own])
        for record, cell in own:
            varied = {key: cell.get(key) for key in ("dataset", "model", *keys)}
            seed = {"seed": record.spec.seed}
            ended = _ended(records, record)
            found.append(ExportedRun(record, {**cell, **seed}, {**varied, **seed}, ended, with_layers=with_layers))
    return found


def _ended(records: Records, record: RunRecord) -> float | None:
    if record.study not in records.folders:
        return None
    try:
        return (records.folders[record.study] / "runs" / record.run_id / "result.json").stat().st_mtime
    except OSError:  # a failed run has none, and a packed study no files
        return None
