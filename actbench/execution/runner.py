"""Run a study: plan its unfinished runs into cohorts, hand them to an engine, and store the events as they come.

The command line and the Python API both call ``Runner``. This module never imports torch; the workers do.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, cast

from actbench.config import Study
from actbench.errors import LostResultsError, ResultsError, UsageError
from actbench.execution.cohorts import plan_cohorts
from actbench.execution.engines import DelegatingEngine, Engine, Errand, Work
from actbench.execution.estimates import Estimates, Stopwatch, read_estimates
from actbench.execution.event_storage import EventStorage
from actbench.execution.retry import RETRIED, RetryChoice
from actbench.execution.shards import Shard
from actbench.execution.work_sharing import WorkSharing
from actbench.schema import registry
from actbench.schema.cluster import ClusterOptions
from actbench.schema.events import Event, Failed, Noted, Saved
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec
from actbench.storage.checkpoints import Checkpoints
from actbench.storage.folders import refuse_packed
from actbench.storage.leftovers import remove_leftovers
from actbench.storage.lock_files import somebody_is_at_work
from actbench.storage.locks import Locks
from actbench.storage.reading import Records, read_results
from actbench.storage.store import Store, weight_files
from actbench.storage.submissions import Ending, remove_ended
from actbench.system import session

_log = logging.getLogger("actbench.execution.runner")

_PROGRESS = "actbench.cli.notebook_progress:notebook_progress"
"""Found by its name, as engines are: what is shown is the command line's, which imports this room."""

TRAIN, CHECK = "actbench.training.loop:run_cohort", "actbench.training.loop:check_cohort"
DATASET = "actbench.datasets._handover:load_packed"


class Runner:
    """Run one study on an engine and store its results.

    A new runner is planned: it has asked for the device and read how earlier runs ended, and nothing is written.

    Args:
        study: The study.
        results: The results folder; the study has its own folder below it.
        runtime: How to compute; None for the defaults.
        retry: Which of the earlier runs that did not end with outcome ``ok`` to run again: ``failed`` ones, ``none``,
            or ``all`` (also the collapsed and the diverged).
        force: Run all runs again, finished or not.
        shard: The part of the study that this runner is about, the others being trained elsewhere; None for all of it.
        only: Digests of the runs that this runner is about, each with how it had ended when it was dealt out: it is
            computed while that holds, whatever the outcome was. None for all.

    Attributes:
        runtime: How to compute, with the device that ``auto`` stands for.
        options: What the engine asks its cluster for, checked.
        specs: The runs of the study, or of its shard.
        waiting: Those to compute.
        finished_before: Those that have a result and are not run again.
        failed_before: Number of failed runs that are not run again.
        jobs: Number of workers.
        cohorts: The waiting runs in the order in which to compute them.
        resumed: Digest of a run that goes on from a checkpoint -> the last epoch that had ended there, where it is
            known.
        estimates: Times of runs like these, as stored in the results folder.

    Raises:
        UsageError: When the device is not there, or the engine or one of its options is unknown.
        ResultsError: When the results folder can't be read.
    """

    def __init__(
        self,
        study: Study,
        results: Path,
        runtime: Runtime | None = None,
        *,
        retry: RetryChoice = "failed",
        force: bool = False,
        shard: Shard | None = None,
        only: Mapping[str, Ending] | None = None,
    ) -> None:
        self.study, self.results, self.retry, self.force, self.shard = study, results, retry, force, shard
        self.stopping = False
        self._only = only
        self._working: Engine | DelegatingEngine | None = None
        self._storage: EventStorage | None = None

        refuse_packed(results)
        refuse_packed(results / study.name)
        asked = runtime or Runtime()
        self.engine: type[Engine] = registry.load("engines", asked.engine)
        self.options: ClusterOptions = self.engine.options.of(asked.engine, asked.cluster)
        self._asked_device = asked.device
        device = self.engine.device(asked.device, self.options)
        self.specs = study.specs() if shard is None else shard.part_of(study.specs())
        if only is not None:
            self.specs = tuple(spec for spec in self.specs if spec.digest in only)
        self.runtime = replace(
            asked,
            device=device,
            checkpoint_every=study.checkpoint_every,
            keep_weights=study.keep_weights,
            functions=session.packed({spec.activation.path for spec in self.specs}),
        )
        self.jobs = self._jobs()

        self.store = Store(results, study.name, study.factors)
        begun = [self.store.has_folder(spec) for spec in self.specs]
        self.sharing = WorkSharing(self.store, itertools.compress(self.specs, begun))
        # Read outcomes only of runs that have a folder: each costs a file access. With force, none counts.
        earlier = [
            self.store.outcome(spec) if is_begun and not force and not self._is_dealt_out(spec) else None
            for spec, is_begun in zip(self.specs, begun, strict=True)
        ]
        again = (None, *RETRIED[retry])
        self.waiting = [spec for spec, outcome in zip(self.specs, earlier, strict=True) if outcome in again]
        self.finished_before = [
            spec for spec, outcome in zip(self.specs, earlier, strict=True) if outcome not in (*again, "failed")
        ]
        self.failed_before = 0 if "failed" in again else earlier.count("failed")

        self.estimates = read_estimates(results, device) if self.waiting else Estimates()
        self.checkpoints = Checkpoints(self.store.folder)
        self.resumed: dict[str, int] = {}
        self.cohorts = self._plan()

    def with_study(self, study: Study) -> Runner:
        """Return a runner of another study with the same options, planned anew from the results folder as it is now."""
        return Runner(
            study,
            self.results,
            self.runtime,
            retry=self.retry,
            force=self.force,
            shard=self.shard,
            only=self._only,
        )

    @property
    def title(self) -> str:
        """The study's name, and which shard of it."""
        return self.study.name if self.shard is None else f"{self.study.name}, shard {self.shard}"

    @property
    def job_sizes(self) -> list[int]:
        """The number of cohorts of each job that a batch system would be given; none for an engine without jobs."""
        if not self.engine.delegates:
            return []
        sharing = cast("type[DelegatingEngine]", self.engine).sharing
        return [len(share) for share in sharing(self.cohorts, self.jobs, self.options)]

    @property
    def is_detached(self) -> bool:
        """Whether ``run`` ends when it has submitted jobs, which go on by themselves."""
        return self.options.is_detached

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
            UsageError: When the data, the model or the device can't be had; nothing that is finished is lost.
            ResultsError: When a result can't be written.
        """
        self._clear()
        self._warn_of_missing_weights()
        if not self.cohorts:
            self._warn_of_failure(self._keep_config)
            return
        yield from self._delegated() if self.engine.delegates else self._computed()
        remove_ended(self.store)

    def _computed(self) -> Iterator[Event]:
        """Yield the events of an engine that is handed cohorts, each stored."""
        clock = Stopwatch()
        with self.engine(min(self.jobs, len(self.cohorts)), self.options) as working:
            self._working = working
            if self.stopping:  # stop() was called before the engine started
                return
            self._check(working, self.runtime)
            with Locks(self.store.folder) as locks:
                self.store.create(self.study.text)
                self._storage = EventStorage(
                    self.study.name,
                    self.store,
                    checkpoints=self.checkpoints,
                    locks=locks,
                    ended=self._ended(),
                    finished=self.finished_before,
                    shard="" if self.shard is None else str(self.shard),
                )
                for event in self._train(working, locks):
                    yield self._storage.add(clock.timed(event))
                self._keep_config()  # which somebody may have moved away meanwhile

    def _delegated(self) -> Iterator[Event]:
        """Yield the events of an engine whose jobs store by themselves, then what they have saved in training."""
        if self.runtime.functions:
            names = ", ".join(self.runtime.functions)
            raise UsageError(
                f"engine '{self.runtime.engine}' hands out command lines, and no functions of this session ({names}): "
                "put them into a module, which every job can import, or take --engine pool"
            )
        yield from self._submitted(cast("type[DelegatingEngine]", self.engine))
        self.checkpoints = Checkpoints(self.store.folder)
        waiting = {spec.digest: spec for spec in self.waiting}
        for runs in self.checkpoints.found.values():
            if all(digest in waiting for digest in runs):
                yield Saved(Cohort(tuple(waiting[digest] for digest in runs)), b"")

    def _submitted(self, delegating: type[DelegatingEngine]) -> Iterator[Event]:
        """Try what the runs need, submit them, and yield how they end."""
        with delegating(self.jobs, self.options) as working:
            # By a process of this machine, which ends with the check: a job would find a mistake only once it begins.
            with registry.load("engines", "pool")(1, ClusterOptions()) as checking:
                self._working = checking
                if self.stopping:
                    return
                self._check(checking, replace(self.runtime, device="cpu"))
            if self._is_stopping():
                return
            self._working = working
            self.store.create(self.study.text)
            joins = not self.force and self.retry != "all"
            before = {spec.digest: self.sharing.before.get(spec.digest) for spec in self.waiting}
            errand = Errand(
                self.study.text, self.store, self.cohorts, before, self.runtime, self._asked_device, joins=joins
            )
            yield from working.run(errand)
            self._keep_config()

    def _is_stopping(self) -> bool:
        """Return whether ``stop`` was called, by a signal handler in the meantime."""
        return self.stopping

    def _check(self, working: Engine, runtime: Runtime) -> None:
        """Open what the runs need, before any of them is trained.

        Raises:
            UsageError: For the first that can't be had.
        """
        noted = set[str]()
        for event in working.execute(Work(CHECK, runtime, DATASET), self._samples()):
            # Other failures do not end the command: if a sample kills its worker, only runs with the same settings
            # will fail later.
            if isinstance(event, Failed) and event.usage:
                raise UsageError(event.message)
            # Logged here and not in the workers, of which each would report the same.
            if isinstance(event, Noted) and event.message not in noted:
                noted.add(event.message)
                _log.warning("%s", event.message)

    def loss(self) -> LostResultsError | None:
        """Look for the results of all runs that have finished, now or before; return the error for those that are gone.

        Returns:
            None when all are there, and when nothing was to do.

        Raises:
            ResultsError: When the results folder can't be read.
        """
        return None if self._storage is None else self._storage.loss()

    def saved(self) -> frozenset[str]:
        """Return the digests of the runs whose checkpoints lie in the results folder."""
        return frozenset(
            digest for path, runs in self.checkpoints.found.items() if os.path.exists(path) for digest in runs
        )

    def _train(self, working: Engine, locks: Locks) -> Iterator[Event]:
        """Yield the events of the cohorts, round by round, until none is left or ``stop`` is called."""
        for cohorts in self.sharing.rounds(locks, self.cohorts):
            restored = cohorts if self.force else map(self.checkpoints.attach_checkpoint, cohorts)
            # With force too: those from before are removed, so what is there was written by this command.
            work = Work(TRAIN, self.runtime, DATASET, self.checkpoints.attach_checkpoint)
            yield from working.execute(work, restored)
            if self.stopping:
                return

    def _plan(self) -> list[Cohort]:
        """Plan cohorts with a checkpoint first, each with the runs it was saved with; then the rest."""
        waiting = {spec.digest: spec for spec in self.waiting}
        resumed: list[Cohort] = []
        for path, runs in () if self.force else tuple(self.checkpoints.found.items()):
            specs = tuple(waiting[digest] for digest in runs if digest in waiting)
            if len(specs) == len(runs) and not any(self.store.is_computed(spec) for spec in specs):
                resumed.append(Cohort(specs))
                if path in self.checkpoints.epochs:
                    self.resumed |= dict.fromkeys(runs, self.checkpoints.epochs[path])
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

    def _keep_config(self) -> None:
        """Write the study's config, unless the one that is kept is the same or describes more runs.

        So one that is damaged or missing comes back, also when nothing is to do; and a part of a study that is asked
        for once more, say with fewer seeds, does not replace the whole. A shard's folder keeps that of the whole study.

        Raises:
            ResultsError: When it can't be written.
        """
        try:
            kept = self.store.config_text()
            if kept == self.study.text or set(Study.from_text(kept).specs()) > set(self.study.specs()):
                return
        except (OSError, ValueError):  # a ConfigError is one
            pass
        self.store.create(self.study.text)

    def _ended(self) -> frozenset[RunSpec]:
        """Return the runs that need no computing."""
        return frozenset(self.specs).difference(self.waiting)

    def _clear(self) -> None:
        """Remove what dead processes have left in the study's folder, and checkpoints that no run will resume from.

        A failure to do so does not stop the training: what is left does no harm, and the next command tries again.
        """
        remove_ended(self.store)
        for clear in (partial(remove_leftovers, self.store.folder), self._clear_checkpoints):
            self._warn_of_failure(clear)

    def _warn_of_missing_weights(self) -> None:
        """Warn about finished runs that have no weights, though the study keeps some: they are not trained again."""
        if self.runtime.keep_weights is None:
            return
        without = sum(not weight_files(self.store.run_folder(spec)) for spec in self.finished_before)
        if without:
            runs = "1 finished run" if without == 1 else f"{without} finished runs"
            them = "it" if without == 1 else "them"
            _log.warning(
                "%s kept no weights, since training.keep_weights was set later: --force trains %s again", runs, them
            )

    @staticmethod
    def _warn_of_failure(tidy: Callable[[], None]) -> None:
        try:
            tidy()
        except ResultsError as error:
            _log.warning("%s", error)

    def _clear_checkpoints(self) -> None:
        """Warn about unreadable checkpoints; remove those that are of no use, or that ``force`` ignores.

        A checkpoint is of no use when all its runs have ended. Runs that the study does not have now may be taken up
        by the same study with more seeds, or a larger sweep: they have ended only if their result is there.
        """
        if not (self.checkpoints.found or self.checkpoints.refused):
            return
        try:
            alone = not somebody_is_at_work(self.store.folder)
        except OSError as error:
            raise ResultsError(f"can't read {self.store.folder}: {error.strerror}") from error
        study = {spec.digest: spec for spec in self.specs}
        ended = frozenset(study) if self.force else {spec.digest for spec in self._ended()}
        finished = self.store.finished(digest for runs in self.checkpoints.found.values() for digest in runs)

        def has_ended(digest: str) -> bool:
            spec = study.get(digest)
            return digest in finished if spec is None else digest in ended and not self.store.is_computed(spec)

        for path, runs in tuple(self.checkpoints.found.items()):
            if all(map(has_ended, runs)):
                self.checkpoints.remove(path)
        for path in tuple(self.checkpoints.refused):
            if self.waiting and not self.force:
                self.checkpoints.warn(path)
            elif alone:
                self.checkpoints.remove(path)

    def _is_dealt_out(self, spec: RunSpec) -> bool:
        """Return whether a run is to be computed because nothing has changed since it was dealt out."""
        return self._only is not None and self.store.ending(spec) == self._only[spec.digest]

    def _jobs(self) -> int:
        """Return the number of workers: the one given; else the engine's own."""
        if not self.engine.parallel:
            return 1
        if self.runtime.jobs is not None:
            return self.runtime.jobs
        return self.engine.default_jobs(self.runtime.device, self.options)

    def _samples(self) -> list[Cohort]:
        """Return one run of each setting, whatever its seed, to find before any training what can't be opened.

        Each worker gets a share, so that all of them load the data at the same time, and have it when they train.
        """
        kinds = {spec.with_seed(0).digest: spec for cohort in self.cohorts for spec in cohort.specs}
        jobs = min(self.jobs, len(self.cohorts))
        return plan_cohorts(kinds.values(), device=self.runtime.device, jobs=jobs, limit=self.runtime.cohort_size)


def run(
    study: Study,
    results: Path | str = "results",
    *,
    jobs: int | Literal["auto"] = "auto",
    device: str = "auto",
    engine: str = "pool",
    data_folder: Path | str | None = None,
    progress: bool | None = None,
    shard: str | None = None,
) -> Records:
    """Train every run of the study that is not finished yet, as ``actbench run`` does.

    Args:
        study: What to run.
        results: The results folder.
        jobs: Worker processes; ``auto`` for one a processor, or one a GPU.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``.
        engine: ``pool``, or ``inline`` to compute in this process.
        data_folder: Where datasets lie; None for ``ACTBENCH_DATA`` or the platform's cache folder.
        progress: Whether to show it, below the cell of a notebook or else on standard error; None in notebooks alone.
        shard: ``I/N`` for the I-th of N parts of the study, the same on every machine; None for all of it.

    Returns:
        The records of all the study's runs, or its shard's, with their curves, including those that were finished
        before. Runs that another process is computing are left out; a logged warning counts them and names the process.

    Raises:
        UsageError: When the caller has to fix something: a dataset that is absent, a device that is not there.
        LostResultsError: When results were stored and are not there any more; what was kept stays.
    """
    folder = None if data_folder is None else Path(data_folder)
    runtime = Runtime(device, engine, None if jobs == "auto" else jobs, data_folder=folder)
    runner = Runner(study, Path(results), runtime, shard=None if shard is None else Shard.parse(shard))
    with registry.import_object(_PROGRESS)(runner, progress) as display:
        for event in runner.run():
            if display is not None:
                display.update(event)
    if (loss := runner.loss()) is not None:
        raise loss
    wanted = {spec.digest for spec in runner.specs}
    if not wanted:  # there are fewer runs than shards
        return Records(())
    found = read_results(runner.store.folder, curves=True)
    return replace(found, runs=tuple(record for record in found if record.spec.digest in wanted))
