"""Store the events of a study's training, release each run when it has ended, and find what was not kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from actbench.errors import LostResultsError, ResultsError
from actbench.schema.events import EpochDone, Event, Failed, Finished, Saved, Started, WeightsKept
from actbench.schema.spec import RunSpec
from actbench.storage.checkpoints import Checkpoints
from actbench.storage.locks import Locks
from actbench.storage.store import Store
from actbench.system import environment
from actbench.system.text import some_names

_log = logging.getLogger("actbench.execution.event_storage")

MAX_NAMED = 5
"""Runs that a message names; those that have no result are begun again all the same."""


class EventStorage:
    """Stores the events of one study, except those of runs that another process has taken over.

    A run whose lock is gone, with its folder or the whole results folder, is locked anew and stored all the same if no
    other process has it: what was computed is worth more than a tidy folder.

    Args:
        study: The study's name, which completes the records.
        store: Where the results go.
        checkpoints: Where the checkpoints go; one is removed when its runs have ended.
        locks: This process's locks.
        ended: Runs that need no computing.
        finished: Those of them that have a result.
        shard: The part of the study that is computed, ``I/N``, for the records; empty for all of it.
    """

    def __init__(
        self,
        study: str,
        store: Store,
        *,
        checkpoints: Checkpoints,
        locks: Locks,
        ended: Iterable[RunSpec],
        finished: Iterable[RunSpec],
        shard: str = "",
    ) -> None:
        self._study, self._store, self._checkpoints, self._locks = study, store, checkpoints, locks
        self._ended = {spec.digest for spec in ended}
        self._finished = list(finished)
        self._own_part = {"shard": shard} if shard else {}
        self._taken_over_by: dict[str, str] = {}
        self._warned = False

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
            case WeightsKept():
                self._keep(event.spec, partial(self._store.keep_weights, event.spec, event.epoch, event.content))
            case Finished():
                return self._finish(event)
            case Failed():
                self._fail(event)
        return event

    def loss(self) -> LostResultsError | None:
        """Look for the results of all runs that have finished, now or before; return the error for those that are gone.

        Raises:
            ResultsError: When the results folder can't be read.
        """
        lost = [spec for spec in self._finished if self._store.outcome(spec) in (None, "failed")]
        if not lost:
            return None
        by_taker: dict[str, list[RunSpec]] = {}
        for spec in lost:
            by_taker.setdefault(self._taken_over_by.get(spec.digest, ""), []).append(spec)
        sentences = [
            self._taken_over(specs, who) if who else self._gone(specs) for who, specs in sorted(by_taker.items())
        ]
        return LostResultsError(". ".join(sentences), map(self._store.run_id, lost))

    def _gone(self, specs: Sequence[RunSpec]) -> str:
        were, have = ("run was", "has") if len(specs) == 1 else ("runs were", "have")
        return (
            f"{len(specs)} {were} stored in {self._store.folder / 'runs'} and {have} no result there any more: moved, "
            f"removed or replaced by another program ({self._named(specs)}). Put back what was moved, or give the same "
            "command again to compute it anew"
        )

    def _taken_over(self, specs: Sequence[RunSpec], who: str) -> str:
        were, have = ("run was", "has") if len(specs) == 1 else ("runs were", "have")
        return (
            f"{len(specs)} {were} taken over by {who} and {have} no result yet ({self._named(specs)}): this process "
            "looked dead, because it stood still or a clock was changed. Look at "
            f"`actbench status {self._store.folder}`, and give the same command again if that process has ended"
        )

    def _start(self, event: Started) -> None:
        if event.refused:
            self._checkpoints.refuse(event.cohort, event.refused)
        for spec in event.cohort.specs:
            self._keep(spec, partial(self._store.begin, spec, resumes=event.resumes))

    def _append_rows(self, event: EpochDone) -> None:
        for spec, row in zip(event.cohort.specs, event.rows, strict=True):
            if row is not None:
                self._keep(spec, partial(self._store.append, spec, row))

    def _write_checkpoint(self, event: Saved) -> None:
        if all(map(self._holds, event.cohort.specs)):
            self._checkpoints.write(event.cohort, event.state)

    def _finish(self, event: Finished) -> Finished:
        """Complete a record with its study and this command's environment, store it, and release its run."""
        complete = {**environment.describe_command(), **self._own_part, **event.record.environment}
        record = replace(event.record, study=self._study, environment=complete)
        self._keep(record.spec, partial(self._store.finish, record))
        self._locks.release(self._store.run_folder(record.spec))
        self._finished.append(record.spec)
        self._end(record.spec)
        return Finished(record)

    def _fail(self, event: Failed) -> None:
        """Store why the runs failed, and release them; those that had ended before the failure keep their results."""
        failed = [spec for spec in event.cohort.specs if spec.digest not in self._ended]
        for spec in failed:
            self._keep(spec, partial(self._store.fail, spec, event.message, event.traceback))
            self._locks.release(self._store.run_folder(spec))
        self._end(*failed)

    def _end(self, *specs: RunSpec) -> None:
        self._ended |= {spec.digest for spec in specs}
        self._checkpoints.remove_finished(self._ended)

    def _keep(self, spec: RunSpec, write: Callable[[], None]) -> None:
        """Write into a run's folder if the run is this process's; once more if the folder was moved away meanwhile."""
        if not self._holds(spec):
            return
        try:
            write()
        except ResultsError:
            if self._locks.holds(self._store.run_folder(spec)):
                raise  # the folder is there: it is full, or can't be written
            if self._holds(spec):
                write()

    def _holds(self, spec: RunSpec) -> bool:
        """Return whether the run is this process's, also by locking it anew when its lock is gone."""
        folder = self._store.run_folder(spec)
        if self._locks.holds(folder):
            return True
        attempt = self._locks.take(folder)
        if attempt.held_by is not None:
            self._taken_over_by[spec.digest] = attempt.held_by.who
            return False
        # Without a lock, and with an end though this process removed the earlier one: another took the run over, ended
        # it and gave it back.
        if self._store.ending(spec) is not None:
            self._locks.release(folder)
            return False
        if not self._warned:
            _log.warning(
                "files in %s were moved or removed while its runs are computed; what ends from now on is stored there "
                "all the same",
                self._store.folder,
            )
            self._warned = True
        self._store.begin(spec)
        return True

    def _named(self, specs: Sequence[RunSpec]) -> str:
        return some_names([self._store.run_id(spec) for spec in specs], MAX_NAMED)
