"""Jobs of Slurm: the study is dealt out to arrays of jobs, each of which is a command of its own.

What is submitted is a command line, the runs it is about, and a digest of the code; nothing is pickled. So a job that
Slurm puts back into its queue, hours later and on another node, goes on by what it finds: results and checkpoints in
the study's folder. The folder lies on a file system that all nodes share, and its locks say who computes what. Slurm is
asked only for what the folder does not show: which jobs wait, and why one ended without results.

    driver                                      job <array>_<index>, by job.sh
    slurm/<submission>/chunk-0.json, 1, 2 …
    sbatch --array=0-2 job.sh            ────▶  actbench run study.yaml --engine pool --only chunk-<n>.json
    looks for result.json, error.txt     ◀────  locks, computes and stores runs, as any other command does
    squeue: did a job end without them?         SIGTERM (cancelled, preempted, out of time): saves and ends

submitit, which other programs use for this, does not fit: it submits pickled functions, its own class for command lines
included; its jobs ignore SIGTERM; and it asks ``sacct`` alone for states. So Slurm's commands are called here.
``_slurm_batch`` says what is submitted; this file, what becomes of it.
"""

from __future__ import annotations

import itertools
import logging
import queue
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from actbench.errors import UsageError
from actbench.execution.engines import Errand
from actbench.execution.engines._slurm_batch import (
    SlurmOptions,
    array_sizes,
    array_words,
    batch_script,
    batch_words,
    remedy,
)
from actbench.execution.run_watch import RunWatch
from actbench.schema.cluster import ClusterOptions
from actbench.schema.events import Event, Failed, JobsSeen, JobsSubmitted
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec
from actbench.storage import submissions
from actbench.storage.checkpoints import Checkpoints
from actbench.storage.submissions import Array, Chunk, Submission, changed
from actbench.system import slurm
from actbench.system.code_digest import code_digest
from actbench.system.files import write_atomically
from actbench.system.slurm import JobState
from actbench.system.text import one_line

_log = logging.getLogger("actbench.execution.engines.slurm")

MAX_JOBS = 64
"""Jobs into which a study is divided unless ``cohorts`` says how: enough for a partition, few enough for a queue."""

LOOK = 1.0
"""Seconds between two looks at the study's folder, at least."""

SHARE_OF_LOOKS = 20
"""A look at a large study on a slow file system takes a while; the next one comes after so many times that long."""

PARTING = 30.0
"""Seconds for which jobs may go on whose runs have all ended: they release locks and end their workers."""

KILLED = 5.0
"""Seconds for which a command that is ended at once waits for the end of jobs that it has killed."""

MAX_TRIES = 3
"""How often jobs for the same runs are submitted while none of these runs ends or is saved further on.

One that ran out of memory before any of that is not submitted again: it asks for as much, and takes as much.
"""

_NO_NEWS = frozenset({"None", "NonZeroExitCode", "OutOfMemory", "TimeLimit"})
"""Reasons that say no more than the state and the exit code do; of a killed job, so does ``JobLaunchFailure``."""


@dataclass
class _Job:
    """A job that computes some of the runs.

    Args:
        name: ``<array>_<index>``.
        log: Where it prints.
        cohorts: Its runs.
        tries: How many jobs there have been for these runs since one of them got on.
        left: Number of runs that had not ended when it was submitted.
        saved: The checkpoints of these runs at that time.
        seen_ended: Whether Slurm reported its end at the last question; its last files may come a moment later.
    """

    name: str
    log: Path
    cohorts: Sequence[Sequence[RunSpec]]
    tries: int
    left: int
    saved: frozenset[tuple[str, int]]
    seen_ended: bool = False


@dataclass
class _Orphans:
    """Runs without a job, since a process that is not one of this command's jobs computes them.

    Args:
        cohorts: The runs.
        tries: As of the job that was to compute them.
    """

    cohorts: Sequence[Sequence[RunSpec]]
    tries: int


class Slurm:
    """Submits jobs and watches the study's folder."""

    parallel: ClassVar[bool] = True
    delegates: ClassVar[bool] = True
    options: ClassVar[type[ClusterOptions]] = SlurmOptions

    def __init__(self, jobs: int, options: SlurmOptions) -> None:
        self._workers, self._options = jobs, options
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._stopping = False
        self._jobs: dict[str, _Job] = {}
        self._orphans: list[_Orphans] = []
        self._submissions: dict[str, Submission] = {}
        self._blamed = set[str]()
        self._done: list[str] = []
        self._cancelled: list[str] = []

    @classmethod
    def device(cls, asked: str, options: SlurmOptions) -> str:
        """Return ``cuda`` or ``cpu``, as it was asked for, else by the resources of a job."""
        if ":" in asked:
            raise UsageError(
                f"--device {asked}: a job has the GPUs that Slurm gives it: ask for one with --cluster gres=gpu:1, and "
                f"take --device {asked.partition(':')[0]}"
            )
        if asked == "auto":
            return "cuda" if options.has_gpu else "cpu"
        return asked

    @classmethod
    def default_jobs(cls, device: str, options: SlurmOptions) -> int:
        """Return one worker a processor of a job; one for a job with GPUs, which finds out how many it has."""
        return 1 if options.has_gpu else options.cpus or 1

    @staticmethod
    def sharing(cohorts: Sequence[Cohort], workers: int, options: SlurmOptions) -> list[Sequence[Cohort]]:
        """Return the cohorts of each job, in their order, so that the first seeds are the first to be complete."""
        size = options.cohorts or max(workers, ceil(len(cohorts) / MAX_JOBS))
        return [cohorts[first : first + size] for first in range(0, len(cohorts), size)]

    def __enter__(self) -> Self:
        """Look for ``sbatch``."""
        if not slurm.is_here():
            raise UsageError(
                "engine 'slurm' needs the commands of Slurm, and sbatch is not on PATH: give the command on a login "
                "node of the cluster, or take --engine pool"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel the jobs when the user ended the command; a command that is lost otherwise leaves them alone."""
        if kind is not None and issubclass(kind, (KeyboardInterrupt, GeneratorExit)):
            names = [*self._jobs, *self._cancelled]
            slurm.cancel(names)
            if issubclass(kind, KeyboardInterrupt):
                slurm.cancel(names, at_once=True)
                end = time.monotonic() + KILLED
                while names and self._is_any_computed() and time.monotonic() < end:
                    self._wait(LOOK / 5)

    def stop(self) -> None:
        """Cancel the jobs at the next look; safe inside a signal handler, as this queue is."""
        self._stopping = True
        self._wakes.put(None)

    def run(self, errand: Errand) -> Iterator[Event]:
        """Submit what no job computes yet, and yield how the runs end."""
        cohorts: Sequence[Sequence[RunSpec]] = [cohort.specs for cohort in errand.cohorts]
        self._store = errand.store
        self._watch = RunWatch(errand.store, itertools.chain(*cohorts), errand.before, self._is_ours)
        if errand.joins:
            cohorts, joined = self._join(errand, cohorts)
            yield from joined
            yield from self._watch.look()  # some may have ended since they were planned
            cohorts = self._unended(cohorts)
        shares = self.sharing([Cohort(tuple(specs)) for specs in cohorts], self._workers, self._options)
        if shares:
            yield self._submit(errand, [[cohort.specs for cohort in share] for share in shares], [1] * len(shares))
        if not self._options.detach:
            yield from self._look_on(errand)

    def _is_ours(self, argv: Iterable[str]) -> bool:
        """Return whether a run was computed by one of the jobs, by the words of its command."""
        parts = {part for word in argv for part in Path(str(word)).parts}
        return not parts.isdisjoint(self._submissions)

    # ---- submitting

    def _join(
        self, errand: Errand, cohorts: Sequence[Sequence[RunSpec]]
    ) -> tuple[list[Sequence[RunSpec]], list[Event]]:
        """Take up the jobs of earlier commands that wait or run; return the cohorts without their runs."""
        waiting = {spec.digest: spec for cohort in cohorts for spec in cohort}
        events: list[Event] = []
        for submission in submissions.submissions(errand.store.folder.absolute()):
            if not submission.arrays:  # the command was lost between sbatch and its answer
                ids = slurm.arrays_named(submission.job_name)
                submission = self._with_found(submission, ids)
            states = slurm.states(array.job for array in submission.arrays)
            jobs = runs = 0
            for number in range(submission.chunks):
                name = submission.job_of(number)
                state = None if name is None or states is None else states.get(name, JobState(slurm.GONE))
                if name is None or (state is not None and state.phase == "ended"):
                    continue
                if submission.code != code_digest() and (state is None or state.phase == "waiting"):
                    _log.warning("job %s was submitted by other code of actbench, and will refuse to begin", name)
                    continue
                chunk = submission.chunk(number)
                # One that had ended in that job when this command was planned is to be computed once more.
                same = {digest for digest, before in chunk.before.items() if errand.before.get(digest) == before}
                taken = [
                    tuple(waiting.pop(one) for one in cohort if one in waiting and one in same)
                    for cohort in chunk.cohorts
                ]
                taken = [cohort for cohort in taken if cohort]
                if not taken:
                    continue
                specs = [spec for cohort in taken for spec in cohort]
                self._submissions[submission.name] = submission
                saved = _saved(errand, specs)
                self._jobs[name] = _Job(name, submission.log_of(name), taken, 1, len(specs), saved)
                jobs, runs = jobs + 1, runs + len(specs)
            if jobs:
                events.append(JobsSubmitted(jobs, runs, self._place(submission), earlier=True))
        rest = [tuple(spec for spec in cohort if spec.digest in waiting) for cohort in cohorts]
        return [cohort for cohort in rest if cohort], events

    @staticmethod
    def _with_found(submission: Submission, ids: Sequence[str]) -> Submission:
        """Note the arrays of a submission whose answer was lost, as Slurm knows them by name."""
        first = 0
        arrays = []
        for job, size in zip(ids, array_sizes(submission.chunks), strict=False):
            arrays.append(Array(job, first, size))
            first += size
        return submission.with_arrays(*arrays) if arrays else submission

    def _submit(
        self, errand: Errand, shares: Sequence[Sequence[Sequence[RunSpec]]], tries: Sequence[int]
    ) -> JobsSubmitted:
        """Submit a job for each share of the cohorts, in arrays of the size that the site allows.

        Raises:
            UsageError: When Slurm takes none of them, or not all; those that it took go on.
        """
        store, options = errand.store, self._options
        chunks = [Chunk.of(code_digest(), share, errand.before) for share in shares]
        submission = submissions.begin(
            store.folder.absolute(), errand.text, chunks, code=code_digest(), argv=sys.argv[1:]
        )
        write_atomically(submission.folder / "job.sh", batch_script(submission, errand, self._workers, options))
        self._submissions[submission.name] = submission
        first, before = 0, None
        for size in array_sizes(len(shares)):
            words = [*batch_words(submission, options, self._workers), *array_words(size, options, before)]
            try:
                before = slurm.submit(words, [str(submission.folder / "job.sh"), str(first)])
            except UsageError:
                if not submission.arrays:
                    submission.remove()
                raise
            submission = self._submissions[submission.name] = submission.with_arrays(Array(before, first, size))
            for number in range(first, first + size):
                specs = [spec for cohort in shares[number] for spec in cohort]
                name = f"{before}_{number - first}"
                saved = _saved(errand, specs)
                self._jobs[name] = _Job(name, submission.log_of(name), shares[number], tries[number], len(specs), saved)
            first += size
        runs = sum(len(cohort) for share in shares for cohort in share)
        return JobsSubmitted(len(shares), runs, self._place(submission))

    @staticmethod
    def _place(submission: Submission) -> str:
        arrays = ", ".join(array.job for array in submission.arrays)
        return f"{'arrays' if len(submission.arrays) > 1 else 'array'} {arrays}, logs in {submission.folder}"

    # ---- watching

    def _look_on(self, errand: Errand) -> Iterator[Event]:
        """Yield how runs end, until each has ended or was given up."""
        asked = cancelled = False
        next_question = last = 0.0
        while True:
            began = time.monotonic()
            yield from self._watch.look()
            took = time.monotonic() - began
            self._forget_the_done()
            if self._stopping and not cancelled:
                self._cancelled = list(self._jobs)
                slurm.cancel(self._cancelled)
                cancelled, next_question = True, 0.0
                last = time.monotonic() + PARTING + LOOK
            if not (self._jobs or (self._orphans and not cancelled)) and not (
                # Slurm calls jobs cancelled that are still saving, for half a minute.
                cancelled and self._is_any_computed() and time.monotonic() < last
            ):
                break
            if time.monotonic() >= next_question:
                states = slurm.states(name.partition("_")[0] for name in self._jobs)
                if states is None and not asked:
                    _log.warning("Slurm does not answer; the jobs go on, and their results are looked for meanwhile")
                asked = states is None
                if states is not None:
                    yield _seen(states, self._jobs)
                    yield from self._settle(errand, states, cancelled=cancelled)
                elif cancelled and not self._is_any_computed():
                    break
                next_question = time.monotonic() + (LOOK if cancelled else self._options.poll)
            self._wait(max(min(LOOK, self._options.poll), SHARE_OF_LOOKS * took))
        self._await_end_of(self._done, PARTING)
        for submission in self._submissions.values() if cancelled else ():
            if submission.name not in self._blamed:
                submission.remove()  # its jobs have ended, and nobody was told to read their logs

    def _is_any_computed(self) -> bool:
        """Return whether a living process holds one of the runs: Slurm calls jobs cancelled that are still ending."""
        return any(map(self._store.is_computed, tuple(self._watch.waiting.values())))

    def _wait(self, seconds: float) -> None:
        try:
            self._wakes.get(timeout=seconds)
        except queue.Empty:
            return

    def _forget_the_done(self) -> None:
        """Forget jobs whose runs have all ended: whatever Slurm says of them, they are done."""
        waiting = self._watch.waiting
        for name, job in tuple(self._jobs.items()):
            if not any(spec.digest in waiting for cohort in job.cohorts for spec in cohort):
                del self._jobs[name]
                self._done.append(name)
        self._orphans = [one for one in self._orphans if self._unended(one.cohorts)]

    def _await_end_of(self, names: Sequence[str], seconds: float) -> None:
        """Wait for the end of jobs, but not for long; those that have not begun are taken out of the queue."""
        end = time.monotonic() + seconds
        while names and time.monotonic() < end:
            states = slurm.states(name.partition("_")[0] for name in names)
            if states is None:
                return
            phases = {name: states.get(name, JobState(slurm.GONE)).phase for name in names}
            slurm.cancel(name for name, phase in phases.items() if phase == "waiting")
            names = [name for name, phase in phases.items() if phase == "running"]
            if names:
                self._wait(LOOK / 2)

    def _unended(self, cohorts: Sequence[Sequence[RunSpec]]) -> list[Sequence[RunSpec]]:
        left = [tuple(spec for spec in cohort if spec.digest in self._watch.waiting) for cohort in cohorts]
        return [cohort for cohort in left if cohort]

    def _settle(self, errand: Errand, states: Mapping[str, JobState], *, cancelled: bool) -> Iterator[Event]:
        """Decide what becomes of runs whose jobs have ended without them: again, given up, or somebody else's."""
        again: list[tuple[list[Sequence[RunSpec]], int]] = []
        for name, job in tuple(self._jobs.items()):
            state = states.get(name, JobState(slurm.GONE))
            if state.phase != "ended":
                job.seen_ended = False
                continue
            if not job.seen_ended and not cancelled:
                job.seen_ended = True  # its last results may be on their way through a network file system
                continue
            del self._jobs[name]
            if cancelled:
                continue
            if state.state == slurm.GONE:
                state = slurm.recorded_end(name)
            state = slurm.read_with_log(state, job.log)
            free, taken = self._parted(self._unended(job.cohorts))
            if taken:
                _log.warning("job %s has ended, and other processes compute %d of its runs", name, sum(map(len, taken)))
                self._orphans.append(_Orphans(taken, job.tries))
            if not free:
                continue
            left = [spec for cohort in self._unended(job.cohorts) for spec in cohort]
            is_as_before = len(left) == job.left and _saved(errand, left) == job.saved
            tries = job.tries + 1 if is_as_before else 1
            advice = remedy(state, self._workers, self._options) if is_as_before else ""
            end = f"job {name} ended without a result: {_spelled(state)}{advice}; its log: {job.log}"
            if _is_final(state) or tries > (1 if state.state == "OUT_OF_MEMORY" else MAX_TRIES):
                self._blamed.add(job.log.parent.name)
                sentence = _sentence_of(job.log) if state.exit_code == 2 else ""
                for cohort in free:
                    for spec in cohort:
                        self._watch.drop(spec)
                    yield Failed(Cohort(tuple(cohort)), f"{sentence} ({end})" if sentence else end, "")
            else:
                _log.warning("%s; its runs are submitted again", end)
                again.append((free, tries))
        if not cancelled:
            again += self._freed()
            if again:
                yield self._submit(errand, [cohorts for cohorts, _ in again], [tries for _, tries in again])

    def _parted(self, cohorts: Sequence[Sequence[RunSpec]]) -> tuple[list[Sequence[RunSpec]], list[Sequence[RunSpec]]]:
        """Part runs that nobody computes from those that a living process holds, as of another command."""
        free, taken = list[Sequence[RunSpec]](), list[Sequence[RunSpec]]()
        for cohort in cohorts:
            held = {spec.digest for spec in cohort if self._store.is_computed(spec)}
            free.append(tuple(spec for spec in cohort if spec.digest not in held))
            taken.append(tuple(spec for spec in cohort if spec.digest in held))
        return list(filter(None, free)), list(filter(None, taken))

    def _freed(self) -> list[tuple[list[Sequence[RunSpec]], int]]:
        """Return runs of others that nobody computes any more, though they have no result."""
        found = []
        for orphans in self._orphans:
            free, taken = self._parted(self._unended(orphans.cohorts))
            orphans.cohorts = taken
            if free:
                found.append((free, orphans.tries))
        return found


def _saved(errand: Errand, specs: Iterable[RunSpec]) -> frozenset[tuple[str, int]]:
    """Return the checkpoints that hold any of some runs, each with the time at which it was written."""
    digests = {spec.digest for spec in specs}
    found = Checkpoints(errand.store.folder).found.items()
    return frozenset((path.name, changed(path)) for path, runs in found if not digests.isdisjoint(runs))


def _is_final(state: JobState) -> bool:
    """Return whether the same job would end likewise: somebody cancelled it, or the user has to mend something."""
    return state.state == "CANCELLED" or state.exit_code == 2


def _spelled(state: JobState) -> str:
    """Spell how a job ended.

    >>> _spelled(JobState("FAILED", "NonZeroExitCode", "node3", exit_code=1))
    'FAILED, exit code 1, on node3'
    >>> _spelled(JobState("TIMEOUT", "TimeLimit", "node3", signal=9))
    'TIMEOUT, killed by signal 9, on node3'
    >>> _spelled(JobState(slurm.GONE))
    'Slurm does not know it any more'
    """
    if state.state == slurm.GONE:
        return "Slurm does not know it any more"
    words = [state.state]
    if state.signal:
        words.append(f"killed by signal {state.signal}")
    elif state.exit_code:
        words.append(f"exit code {state.exit_code}")
    if state.reason and state.reason not in _NO_NEWS and not (state.signal and state.reason == "JobLaunchFailure"):
        words.append(state.reason)
    if state.node:
        words.append(f"on {state.node}")
    return ", ".join(words)


def _sentence_of(log: Path) -> str:
    """Return the last message of a job that ended with exit code 2; empty where it left none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    found = [line.removeprefix("actbench: ") for line in lines if line.startswith("actbench: ")]
    return one_line(found[-1]) if found else ""


def _seen(states: Mapping[str, JobState], jobs: Iterable[str]) -> JobsSeen:
    phases = [states[name] for name in jobs if name in states]
    waiting = [state for state in phases if state.phase == "waiting"]
    reasons = [state.reason for state in waiting if state.reason]
    most = max(set(reasons), key=reasons.count) if reasons else ""
    return JobsSeen(sum(state.phase == "running" for state in phases), len(waiting), most)


plugin = Slurm
