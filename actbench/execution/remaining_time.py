"""How long a study still takes, while it runs: what was expected, corrected by what is measured on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actbench.execution.cohorts import schedule
from actbench.execution.estimates import KNOWN, Estimates, Expected
from actbench.schema.events import EpochDone, Event, Finished, Started
from actbench.schema.runtime import Cohort

TRUST = 0.05
"""What was expected counts like so much of the study's work measured, so what is measured soon overrules it."""


def seconds(cohorts: Sequence[Cohort], jobs: int, estimates: Estimates) -> float | None:
    """How long these cohorts will take on so many workers, which have to be started; None when that is not known."""
    expected = [estimates.expect(cohort.specs) for cohort in cohorts]
    if any(one.basis not in KNOWN for one in expected):
        return None
    return estimates.startup + schedule([one.total for one in expected], [0.0] * jobs)[-1] if expected else 0.0


@dataclass
class _Part:
    """A cohort that is not done.

    Args:
        expected: What it was expected to take.
        runs: Digests of its runs that have not ended.
        done: Seconds of what is done, by expectation.
    """

    expected: Expected
    runs: set[str]
    done: float = 0.0


class Outlook:
    """The seconds left, event by event.

    Args:
        cohorts: The work, in its order.
        jobs: Workers.
        estimates: What is known about it beforehand.
    """

    def __init__(self, cohorts: Sequence[Cohort], jobs: int, estimates: Estimates) -> None:
        """Nothing is done yet."""
        self._jobs, self._estimates = jobs, estimates
        self._waiting = [self._part(cohort) for cohort in cohorts]
        self._running: list[_Part] = []
        self._startup = estimates.startup
        known = all(part.expected.basis in KNOWN for part in self._waiting)
        self._expected = TRUST * sum(part.expected.total for part in self._waiting) if known else 0.0
        self._took = self._expected

    @property
    def left(self) -> float | None:
        """Seconds from the last event until all is done; None while nothing is known about it."""
        if not self._expected:
            return None
        scale = self._took / self._expected
        busy = [max(0.0, part.expected.total - part.done) * scale for part in self._running]
        loads = [*busy, *([0.0] * (self._jobs - len(busy)))]
        return self._startup + schedule([part.expected.total * scale for part in self._waiting], loads)[-1]

    def count(self, event: Event) -> None:
        """Take notice of one event."""
        if isinstance(event, Started):
            self._begin(event.cohort)
        elif isinstance(event, EpochDone):
            self._measure(event)
        elif isinstance(event, Finished):
            self._end({event.record.spec.digest})
        else:
            self._end(_digests(event.cohort))

    def _part(self, cohort: Cohort) -> _Part:
        return _Part(self._estimates.expect(cohort.specs), _digests(cohort))

    def _begin(self, cohort: Cohort) -> None:
        """A cohort as it was planned, or without runs that another process took, or half of one that failed."""
        runs = _digests(cohort)
        self._end(runs)
        self._waiting = [part for part in self._waiting if part.runs.isdisjoint(runs)]
        self._running.append(self._part(cohort))
        self._startup = 0.0

    def _measure(self, event: EpochDone) -> None:
        rows = [row for row in event.rows if row is not None]
        runs = _digests(event.cohort)
        for part in self._running:
            if rows and not part.runs.isdisjoint(runs):
                expected = part.expected.epoch if rows[0]["epoch"] else part.expected.start
                part.done += expected
                self._expected += expected
                self._took += rows[0]["seconds"] * len(event.cohort.specs)

    def _end(self, runs: set[str]) -> None:
        for part in self._running:
            part.runs -= runs
        self._running = [part for part in self._running if part.runs]


def _digests(cohort: Cohort) -> set[str]:
    return {spec.digest for spec in cohort.specs}
