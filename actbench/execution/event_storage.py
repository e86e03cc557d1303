"""Store the events of a study's training, and release each run when it has ended."""

from __future__ import annotations

from dataclasses import replace

from actbench.schema.events import EpochDone, Event, Failed, Finished, Saved, Started
from actbench.schema.spec import RunSpec
from actbench.storage.checkpoints import Checkpoints
from actbench.storage.locks import Locks
from actbench.storage.store import Store
from actbench.system import environment


class EventStorage:
    """Stores the events of one study, except those of runs that another process has taken over.

    Args:
        study: The study's name, which completes the records.
        store: Where the results go.
        checkpoints: Where the checkpoints go; one is removed when its runs have ended.
        locks: This process's locks.
        ended: Digests of the runs that have ended before.
    """

    def __init__(
        self, study: str, store: Store, *, checkpoints: Checkpoints, locks: Locks, ended: frozenset[str]
    ) -> None:
        self._study, self._store, self._checkpoints, self._locks = study, store, checkpoints, locks
        self._ended = set(ended)

    def add(self, event: Event) -> Event:
        """Store one event.

        Returns:
            The event; a finished run's with its record completed.

        Raises:
            ResultsError: When a file can't be written.
        """
        match event:
            case Started():
                self._start(event)
            case EpochDone():
                self._append_rows(event)
            case Saved():
                self._write_checkpoint(event)
            case Finished():
                return self._finish(event)
            case Failed():
                self._fail(event)
        return event

    def _start(self, event: Started) -> None:
        if event.refused:
            self._checkpoints.refuse(event.cohort, event.refused)
        for spec in event.cohort.specs:
            if self._holds(spec):
                self._store.begin(spec)

    def _append_rows(self, event: EpochDone) -> None:
        for spec, row in zip(event.cohort.specs, event.rows, strict=True):
            if row is not None and self._holds(spec):
                self._store.append(spec, row)

    def _write_checkpoint(self, event: Saved) -> None:
        if all(map(self._holds, event.cohort.specs)):
            self._checkpoints.write(event.cohort, event.state)

    def _finish(self, event: Finished) -> Finished:
        """Complete a record with its study and this command's environment, store it, and release its run."""
        complete = {**environment.describe_command(), **event.record.environment}
        record = replace(event.record, study=self._study, environment=complete)
        with self._locks.releasing(self._store.run_folder(record.spec)) as held:
            if held:
                self._store.finish(record)
        self._end(record.spec)
        return Finished(record)

    def _fail(self, event: Failed) -> None:
        """Store why the runs failed, and release them; those that had ended before the failure keep their results."""
        failed = [spec for spec in event.cohort.specs if spec.digest not in self._ended]
        for spec in failed:
            with self._locks.releasing(self._store.run_folder(spec)) as held:
                if held:
                    self._store.fail(spec, event.message, event.traceback)
        self._end(*failed)

    def _end(self, *specs: RunSpec) -> None:
        self._ended |= {spec.digest for spec in specs}
        self._checkpoints.remove_finished(self._ended)

    def _holds(self, spec: RunSpec) -> bool:
        return self._locks.holds(self._store.run_folder(spec))
