"""What the process that hands out the work can measure besides a cohort's own clock: written to each run's timing."""

from __future__ import annotations

import time
from dataclasses import replace

from actbench.schema.events import EpochDone, Event, Finished, Started


class Stopwatch:
    """Started with the engine; adds to ``timing`` of each record what its cohort can't know.

    ``startup_seconds`` is the time until the first cohort was open: workers started, libraries imported, data checked.
    ``opening_seconds`` is the time from handing out the cohort until its own clock began: data put on the device,
    networks initialised. Both are the cohort's, not divided by its runs.
    """

    def __init__(self) -> None:
        """Start the clock."""
        self._began = time.perf_counter()
        self._startup: float | None = None
        self._opened: dict[str, float] = {}

    def timed(self, event: Event) -> Event:
        """The event; a finished run's with its record completed."""
        now = time.perf_counter()
        if isinstance(event, Started):
            self._opened |= dict.fromkeys((spec.digest for spec in event.cohort.specs), now)
        elif isinstance(event, EpochDone) and self._startup is None:
            untrained = sum(row["seconds"] for row in event.rows if row is not None)
            self._startup = max(0.0, now - self._began - untrained)
        elif isinstance(event, Finished):
            return Finished(replace(event.record, timing=self._completed(event, now)))
        return event

    def _completed(self, event: Finished, now: float) -> dict[str, float]:
        timing = dict(event.record.timing)
        opened = self._opened.pop(event.record.spec.digest, None)
        if opened is not None and "cohort_seconds" in timing:
            timing["opening_seconds"] = max(0.0, now - opened - timing["cohort_seconds"])
        if self._startup is not None:
            timing["startup_seconds"] = self._startup
        return timing
