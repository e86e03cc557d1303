"""Parquet: a table of runs, one of their epochs, and one of their layers where these are asked for."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from actbench.analysis.export._runs import Exported, ExportedRun
from actbench.analysis.frames import Per, frame_of_runs
from actbench.system.files import write_atomically


class Parquet:
    """Writes the columns of ``to_frame()`` with polars; a second export replaces the first."""

    package = "polars"
    default = Path("parquet")

    def export(self, runs: Sequence[ExportedRun], target: Path) -> Exported:
        """Write ``TARGET/runs.parquet``, ``epochs.parquet`` and ``layers.parquet``."""
        import polars  # noqa: F401  so that a missing one is reported as that of an exporter

        records = [run.record for run in runs]
        target.mkdir(parents=True, exist_ok=True)
        places = []
        for per in get_args(Per):
            if per == "layer" and not any(run.with_layers for run in runs):
                continue
            place = target / f"{per}s.parquet"
            if (
                per != "run"
                and not any(record.curves for record in records)
                and any(one.lacks_curve for one in records)
            ):
                place.unlink(missing_ok=True)  # of an export that had them
                continue
            stream = io.BytesIO()
            frame_of_runs(records, "polars", per).write_parquet(stream)
            write_atomically(place, stream.getvalue())
            places.append(place)
        return Exported(len(runs), 0, places)


plugin = Parquet()
