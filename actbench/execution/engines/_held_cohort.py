"""The cohort that a worker has, and which of its runs have not ended: what is tried again when the worker is lost."""

from __future__ import annotations

from dataclasses import dataclass, field

from actbench.schema.events import Event, Failed, Finished
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec


@dataclass(eq=False, kw_only=True)
class HeldCohort:
    """Base of a worker as its engine sees it.

    Args:
        cohort: The cohort that it computes; None while it is idle.
    """

    cohort: Cohort | None = None
    _ended: set[str] = field(default_factory=set)

    def hold(self, cohort: Cohort) -> None:
        """Note a cohort that is handed over, without the bytes of the checkpoint that came with it."""
        self.cohort = Cohort(cohort.specs)
        self._ended.clear()

    def note_ended(self, event: Event) -> None:
        """Remember the runs that have ended by this event."""
        if isinstance(event, Finished):
            self._ended.add(event.record.spec.digest)
        elif isinstance(event, Failed):
            self._ended |= {spec.digest for spec in event.cohort.specs}

    @property
    def unfinished(self) -> tuple[RunSpec, ...]:
        """The runs of the cohort that have not ended."""
        return () if self.cohort is None else tuple(s for s in self.cohort.specs if s.digest not in self._ended)
