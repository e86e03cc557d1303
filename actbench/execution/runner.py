"""Run a study: plan its unfinished runs into cohorts, hand them to an engine, and store the events as they come.

The command line and the Python API both call ``Runner``. This module never imports torch; the workers do.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from actbench.config import Study
from actbench.errors import ResultsError, UsageError
from actbench.execution.cohorts import plan_cohorts
from actbench.execution.engines import Engine, Work
from actbench.execution.estimates import Estimates, Stopwatch, read_estimates
from actbench.execution.work_sharing import WorkSharing
from actbench.schema import registry
from actbench.schema.events import EpochDone, Event, Failed, Finished, Saved, Started
from actbench.schema.record import RunRecord
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec
from actbench.storage.checkpoints import Checkpoints
from actbench.storage.leftovers import remove_leftovers
from actbench.storage.lock_files import holder, somebody_is_at_work
from actbench.storage.locks import Locks
from actbench.storage.reading import read_results
from actbench.storage.store import Store
from actbench.system import devices, environment

_log = logging.getLogger("actbench.execution.runner")

Retry = Literal["failed", "none", "all"]

_AGAIN: dict[Retry, tuple[str, ...]] = {"failed": ("failed",), "none": (), "all": ("failed", "collapsed", "diverged")}

TRAIN, CHECK = "actbench.training.loop:run_cohort", "actbench.training.loop:check_cohort"


@dataclass
class Runner:
    """Takes one study through an engine into a results folder.

    Args:
        study: The study.
        results: The results folder; the study has its own folder below it.
        runtime: How to compute.
        retry: Which of the earlier runs without an ``ok`` to run again: ``failed`` ones, ``none``, or ``all`` (also
            the collapsed and the diverged).
        force: Run all runs again, finished or not.
        growing: More seeds may follow, so checkpoints of runs that the study does not have yet are kept.
    """

    study: Study
    results: Path
    runtime: Runtime = field(default_factory=Runtime)
    retry: Retry = "failed"
    force: bool = False
    growing: bool = False

    def __post_init__(self) -> None:
        """Resolve the device, read how earlier runs ended, and plan; nothing is written."""
        device = devices.choose(self.runtime.device)
        self.runtime = replace(self.runtime, device=device, checkpoint_every=self.study.checkpoint_every)
        self.engine: type[Engine] = registry.load("engines", self.runtime.engine)
        self._working: Engine | None = None
        self.stopping = False
        self.store = Store(self.results, self.study.name)
        self.specs = self.study.specs()
        begun = self.store.begun()
        self.sharing = WorkSharing(self.store, (spec for spec in self.specs if spec.run_id in begun))
        # Only of runs with a folder, since each is asked for its file; with force, no earlier outcome counts.
        known = frozenset[str]() if self.force else begun
        earlier = [self.store.outcome(spec) if spec.run_id in known else None for spec in self.specs]
        again = (None, *_AGAIN[self.retry])
        self.waiting = [spec for spec, outcome in zip(self.specs, earlier, strict=True) if outcome in again]
        self.failed_before = 0 if "failed" in again else earlier.count("failed")
        self.jobs = self._jobs()
        self.estimates = read_estimates(self.results, device) if self.waiting else Estimates()
        self.checkpoints = Checkpoints(self.store.folder)
        self.cohorts = self._plan()

    def stop(self) -> None:
        """Let ``run`` come to its end: cohorts in training are saved, no other is begun. Safe in signal handlers."""
        self.stopping = True
        if self._working is not None:
            self._working.stop()

    def run(self) -> Iterator[Event]:
        """Compute and store the waiting runs; yields the events as they come, already stored.

        Another process may work on the same study: each run is computed by the process that locks it first, and this
        generator ends when all runs that are left are locked by others.

        Raises:
            UsageError: The data, the model or the device can't be had; nothing that is finished is lost.
            ResultsError: A result can't be written.
        """
        self._clear()
        if not self.cohorts:
            return
        clock = Stopwatch()
        with self.engine(min(self.jobs, len(self.cohorts))) as self._working:
            if self.stopping:  # asked before there was an engine to be told
                return
            for event in self._working.execute(Work(CHECK, self.runtime), self._samples()):
                # Other failures do not end the command: if a sample kills its worker, only the runs like it will fail.
                if isinstance(event, Failed) and event.usage:
                    raise UsageError(event.message)
            with Locks(self.store.folder) as locks:
                self.store.create(self.study.text)
                ended = self._ended()
                for event in self._train(self._working, locks):
                    yield self._stored(clock.timed(event), ended, locks)

    def _train(self, working: Engine, locks: Locks) -> Iterator[Event]:
        """Yield the events of the cohorts, round by round, until none is left or ``stop`` is called."""
        for cohorts in self.sharing.rounds(locks, self.cohorts):
            restored = cohorts if self.force else map(self.checkpoints.of, cohorts)
            yield from working.execute(Work(TRAIN, self.runtime), restored)
            if self.stopping:
                return

    def _plan(self) -> list[Cohort]:
        """Plan cohorts with a checkpoint first, each with the runs it was saved with; then the rest."""
        waiting = {spec.digest: spec for spec in self.waiting}
        resumed: list[Cohort] = []
        for runs in () if self.force else tuple(self.checkpoints.found.values()):
            specs = tuple(waiting[digest] for digest in runs if digest in waiting)
            if len(specs) == len(runs) and not any(self._is_taken(spec) for spec in specs):
                resumed.append(Cohort(specs))
                for digest in runs:
                    del waiting[digest]
        rest = plan_cohorts(
            waiting.values(),
            device=self.runtime.device,
            jobs=self.jobs,
            limit=self.runtime.cohort_size,
            weigh=self.estimates.weigh,
        )
        return [*resumed, *rest]

    def _ended(self) -> set[str]:
        """Return the digests of the runs that need no computing."""
        return {spec.digest for spec in self.specs} - {spec.digest for spec in self.waiting}

    def _is_taken(self, spec: RunSpec) -> bool:
        """Whether a living process computes this run."""
        folder = self.store.run_folder(spec)
        try:
            found = holder(folder)
        except OSError as error:
            raise ResultsError(f"can't read {folder}: {error.strerror}") from error
        return found is not None and found.is_alive

    def _clear(self) -> None:
        """Remove what dead processes have left in the study's folder, and checkpoints that nobody will take up.

        A failure to do so is no reason not to train: what is left harms nobody, and the next command tries again.
        """
        try:
            remove_leftovers(self.store.folder)
            self._clear_checkpoints()
        except ResultsError as error:
            _log.warning("%s", error)

    def _clear_checkpoints(self) -> None:
        """Name those that can't be read; remove those that nobody can use, or that are to be ignored.

        Nobody can use one whose runs have all ended or are not the study's any more. One that a living process may
        have written stays, whatever is in it: that process holds the run, or is at least at work on the study.
        """
        if not (self.checkpoints.found or self.checkpoints.refused):
            return
        alone = not somebody_is_at_work(self.store.folder)
        study = {spec.digest: spec for spec in self.specs}
        ended = set(study) if self.force else self._ended()

        def is_of_no_use(digest: str) -> bool:
            spec = study.get(digest)
            if spec is None:
                return alone and not self.growing
            return digest in ended and not self._is_taken(spec)

        for path, runs in tuple(self.checkpoints.found.items()):
            if all(map(is_of_no_use, runs)):
                self.checkpoints.remove(path)
        for path in tuple(self.checkpoints.refused):
            if self.waiting and not self.force:
                self.checkpoints.warn(path)
            elif alone:
                self.checkpoints.remove(path)

    def _jobs(self) -> int:
        """Return the number of workers: as asked; else one a processor, or one a GPU."""
        if not self.engine.parallel:
            return 1
        if self.runtime.jobs is not None:
            return self.runtime.jobs
        return devices.processors() if self.runtime.device == "cpu" else devices.count(self.runtime.device)

    def _samples(self) -> list[Cohort]:
        """Return one run of each setting, whatever its seed: what can't be opened is found before any training."""
        kinds = {spec.with_seed(0).digest: spec for cohort in self.cohorts for spec in cohort.specs}
        return plan_cohorts(kinds.values(), device=self.runtime.device, jobs=1, limit=self.runtime.cohort_size)

    def _stored(self, event: Event, ended: set[str], locks: Locks) -> Event:
        """Store an event, but for runs that another process has taken over; unlock a run when it has ended.

        The record of a finished run is completed with its study and with the environment of this command.
        """
        if isinstance(event, Started):
            if event.refused:
                self.checkpoints.refuse(event.cohort, event.refused)
            for spec in event.cohort.specs:
                if locks.holds(self.store.run_folder(spec)):
                    self.store.begin(spec)
        elif isinstance(event, EpochDone):
            for spec, row in zip(event.cohort.specs, event.rows, strict=True):
                if row is not None and locks.holds(self.store.run_folder(spec)):
                    self.store.append(spec, row)
        elif isinstance(event, Saved):
            if all(locks.holds(self.store.run_folder(spec)) for spec in event.cohort.specs):
                self.checkpoints.write(event.cohort, event.state)
        elif isinstance(event, Finished):
            complete = {**environment.describe_command(), **event.record.environment}
            event = Finished(replace(event.record, study=self.study.name, environment=complete))
            with locks.releasing(self.store.run_folder(event.record.spec)) as held:
                if held:
                    self.store.finish(event.record)
            ended.add(event.record.spec.digest)
            self.checkpoints.end(ended)
        else:
            for spec in (spec for spec in event.cohort.specs if spec.digest not in ended):
                with locks.releasing(self.store.run_folder(spec)) as held:
                    if held:
                        self.store.fail(spec, event.message, event.traceback)
            ended |= {spec.digest for spec in event.cohort.specs}
            self.checkpoints.end(ended)
        return event


def run(
    study: Study,
    results: Path | str = "results",
    *,
    jobs: int | Literal["auto"] = "auto",
    device: str = "auto",
    engine: str = "pool",
    data_folder: Path | str | None = None,
) -> tuple[RunRecord, ...]:
    """Train every run of the study that is not finished yet, as ``actbench run`` does.

    Args:
        study: What to run.
        results: The results folder.
        jobs: Worker processes; ``auto`` for one a processor.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``.
        engine: ``pool``, or ``inline`` to compute in this process.
        data_folder: Where datasets lie; None for ``ACTBENCH_DATA`` or the platform's cache folder.

    Returns:
        The records of all the study's runs, those that were finished before included. Runs that another process is
        computing are left out; a logged warning counts them and names the process.

    Raises:
        UsageError: The caller has to mend something: a dataset that is absent, a device that is not there.
    """
    folder = None if data_folder is None else Path(data_folder)
    runtime = Runtime(device, engine, None if jobs == "auto" else jobs, data_folder=folder)
    runner = Runner(study, Path(results), runtime)
    for _ in runner.run():
        pass
    wanted = {spec.digest for spec in runner.specs}
    found = read_results(runner.store.folder, curves=True)
    return tuple(record for record in found if record.spec.digest in wanted)
