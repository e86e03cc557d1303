"""What finished runs took, read from a results folder in time that does not grow with the number of runs."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from actbench.execution.estimates import Estimates, Measured
from actbench.schema.record import RunRecord
from actbench.system.files import read_json

STUDIES, OF_A_STUDY, LOOKED_AT = 8, 48, 10_000
"""Studies that are read, the latest first; runs of each, spread over its time; run folders that are looked at in all.
So an estimate takes a tenth of a second, however much has been stored."""


def read_timings(results: Path, device: str) -> Estimates:
    """Estimates from the finished runs below a results folder, in time that does not grow with their number.

    Runs from another machine or device tell nothing, and neither does a run that diverged, because it ended early. One
    that can't be read is passed by without a word: ``compare`` names it.

    Args:
        results: The results folder; it need not exist.
        device: The device on which runs are to be computed.
    """
    cohorts: dict[tuple[float, int], Measured] = {}
    for folder in _latest(results):
        try:
            record = RunRecord.from_json(read_json(folder / "result.json"))
            if _is_of_this_machine(record, device) and record.outcome != "diverged":
                _add(cohorts, record, _untrained_seconds(folder))
        except (OSError, ValueError):
            continue  # under way, or damaged
    return Estimates(tuple(cohorts.values()))


def _add(cohorts: dict[tuple[float, int], Measured], record: RunRecord, untrained: float) -> None:
    """Runs of one cohort share its clock to the last digit."""
    timing = record.timing
    seconds, runs = timing.get("cohort_seconds"), timing.get("cohort_runs")
    if not seconds or not runs:
        return
    known = cohorts.get((seconds, runs))
    if known is not None:
        labels = Counter(known.activations) + Counter([record.spec.activation.label])
        cohorts[seconds, runs] = replace(known, activations=labels)
        return
    start = untrained * runs
    cohorts[seconds, runs] = Measured(
        spec=record.spec,
        runs=int(runs),
        activations={record.spec.activation.label: 1},
        opening=timing.get("opening_seconds", 0.0),
        start=start,
        rest=max(0.0, seconds - start),
        startup=timing.get("startup_seconds"),
    )


def _untrained_seconds(folder: Path) -> float:
    """Seconds a run of epoch 0: the first line of the curve.

    Raises:
        ValueError: When the line is torn or has no such number.
    """
    with (folder / "metrics.jsonl").open(encoding="utf-8") as file:
        seconds = json.loads(file.readline()).get("seconds")
    if not isinstance(seconds, (int, float)):
        raise ValueError("epoch 0 has no 'seconds'")
    return float(seconds)


def _is_of_this_machine(record: RunRecord, device: str) -> bool:
    told = record.environment
    same = told.get("device") == device.partition(":")[0] and told.get("processors") == os.cpu_count()
    return same and (device != "cpu" or told.get("device_name") == platform.machine())


def _latest(results: Path) -> Iterator[Path]:
    """Folders of runs: of the latest studies some each, the latest first."""
    found: list[tuple[float, Path]] = []
    looked_at = 0
    for _, study in sorted(_folders(results, "runs"), reverse=True)[:STUDIES]:
        runs = sorted(islice(_folders(study, ""), LOOKED_AT - looked_at), reverse=True)
        looked_at += len(runs)
        found += runs[:: -(-len(runs) // OF_A_STUDY) or 1]
    yield from (folder for _, folder in sorted(found, reverse=True))


def _folders(path: Path, inner: str) -> Iterator[tuple[float, Path]]:
    """(When it last changed, folder) of the folders below, or of one of this name in each; none if it can't be read."""
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                folder = Path(entry.path, inner)
                if folder.is_dir():
                    yield folder.stat().st_mtime, folder
    except OSError:
        return
