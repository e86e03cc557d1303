"""How long runs will take, by the time that finished runs like them took on this machine.

The time of a cohort is its time by settings (``cost_model``), times the ratio of measured seconds to that among the
cohorts most like it. Epoch 0 and the epochs of training have a ratio each, so that a study with more epochs is
estimated as well as one with more runs. While a study runs, the times of its own epochs correct the expectation.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from statistics import median
from types import MappingProxyType

from actbench.execution.cohorts import schedule
from actbench.execution.cost_model import Basis, CohortTime, time_by_settings
from actbench.schema.events import (
    EpochDone,
    Event,
    Finished,
    JobsSeen,
    JobsSubmitted,
    Saved,
    Started,
    WeightsKept,
)
from actbench.schema.record import RunRecord, check_row
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec, canonical_json
from actbench.system.files import open_file, parse_json, read_json

STUDIES, RUNS_OF_A_STUDY = 8, 48
"""Studies that are read, the latest first, and runs of each. An estimate takes a tenth of a second, however much is
stored."""

LATEST = 32
"""Cohorts of a kind that count: a machine that others use changes its speed."""

STARTUP = 3.0
"""Seconds until workers train, where none have been measured: importing torch, mostly."""

OTHER_ACTIVATIONS = 0.25
"""Weight of a measured cohort that shares no activation, against 1.25 of one that has no others."""

TRUST = 0.05
"""The expectation counts like so much of the study's work measured, so what is measured soon overrules it."""


@dataclass(frozen=True)
class MeasuredCohort:
    """A finished cohort.

    Args:
        spec: Any of its runs.
        runs: Number of runs that trained together.
        activations: Labels of the activations of its runs that were read.
        opening: Seconds until its data and networks were there.
        start: Seconds of epoch 0.
        rest: Seconds after epoch 0.
        epochs: Epochs until its last run ended: fewer than planned where all ran out of patience.
        startup: Seconds until the workers were there; None when unknown.
    """

    spec: RunSpec
    runs: int
    activations: frozenset[str]
    opening: float
    start: float
    rest: float
    epochs: int
    startup: float | None = None

    @cached_property
    def by_settings(self) -> CohortTime:
        """Its time by the cost model."""
        return time_by_settings(self.spec, self.runs)


@dataclass(frozen=True)
class Estimates:
    """Expected times of cohorts.

    Args:
        measured: Finished cohorts on this machine, the latest first.
    """

    measured: Sequence[MeasuredCohort] = ()
    _ratios: dict[tuple[str, int, frozenset[str]], tuple[float, float]] = field(default_factory=dict, repr=False)

    @cached_property
    def startup(self) -> float:
        """Seconds until the workers train."""
        found = [one.startup for one in self.measured if one.startup is not None]
        return median(found) if found else STARTUP

    def expect(self, specs: Sequence[RunSpec]) -> CohortTime:
        """Return the time of these runs as one cohort."""
        runs, labels = len(specs), frozenset(spec.activation.label for spec in specs)
        found: Iterator[tuple[str, Basis | None]] = zip(_groups(specs[0]), ("kind", "family", None), strict=True)
        group, basis = next(((group, basis) for group, basis in found if group in self._alike), ("", None))
        alike = self._alike.get(group, ())
        if (group, runs, labels) not in self._ratios:  # a study asks for the same of every seed
            self._ratios[group, runs, labels] = _ratios(alike, runs, labels)
        evaluating, training = self._ratios[group, runs, labels]
        unscaled = time_by_settings(specs[0], runs)
        return CohortTime(
            # The first cohort of a worker loads libraries too, so the least opening is the usual one.
            start=min((one.opening for one in alike), default=0.0) + evaluating * unscaled.start,
            epoch=training * unscaled.epoch,
            end=evaluating * unscaled.end,  # the test set is passed through as epoch 0 is
            epochs=unscaled.epochs,
            basis=basis,
        )

    def weigh(self, specs: Sequence[RunSpec]) -> float:
        """Return the seconds of these runs as one cohort, by which ``plan_cohorts`` orders and cuts."""
        return self.expect(specs).total

    @cached_property
    def _alike(self) -> Mapping[str, Sequence[MeasuredCohort]]:
        """Return the latest cohorts of each group."""
        groups: dict[str, list[MeasuredCohort]] = {}
        for one in self.measured:
            for group in _groups(one.spec):
                if len(groups.setdefault(group, [])) < LATEST:
                    groups[group].append(one)
        return groups


def _groups(spec: RunSpec) -> tuple[str, str, str]:
    """Name the groups of a run from near to far: its kind, its dataset and model with any settings, all runs.

    Runs of one kind take equally long, but for their epochs, activations and number.
    """
    training = spec.training
    settings = [training.batch_size, training.optimizer.name, training.precision, training.augment is not None]
    kind = canonical_json([spec.dataset.to_json(), spec.model.to_json(), *settings, spec.health.probe_size])
    return kind, f"{spec.dataset.name} {spec.model.name}", ""


def _ratios(alike: Sequence[MeasuredCohort], runs: int, activations: frozenset[str]) -> tuple[float, float]:
    """Return measured seconds over seconds by settings, of evaluating and of training; 1 where nothing was measured.

    Sums of all, not means of ratios, so that a long cohort tells more than a short one. Among them count most those of
    nearly as many runs (twice as many: a quarter) and of the same activations: GELU costs half as much again as ReLU.
    """
    start = start_by_settings = rest = epochs_by_settings = end_by_settings = 0.0
    for one in alike:
        weight = (min(one.runs, runs) / max(one.runs, runs)) ** 2
        weight *= OTHER_ACTIVATIONS + len(one.activations & activations) / len(one.activations | activations)
        expected = one.by_settings
        start += weight * one.start
        start_by_settings += weight * expected.start
        if one.epochs:
            rest += weight * one.rest
            epochs_by_settings += weight * one.epochs * expected.epoch
            end_by_settings += weight * expected.end
    evaluating = start / start_by_settings if start > 0 else 1.0
    training = rest - evaluating * end_by_settings  # of the time after epoch 0, what the test set did not take
    return evaluating, training / epochs_by_settings if training > 0 else evaluating


def read_estimates(results: Path, device: str) -> Estimates:
    """Read the times of finished runs below a results folder, in time that does not grow with their number.

    Runs of another machine or device do not count, nor does a run that diverged, because it ended early. One that can't
    be read is passed over in silence: ``compare`` names it.

    Args:
        results: The results folder; it need not exist.
        device: The device on which runs are to be computed.
    """
    found: list[tuple[float, RunRecord, float]] = []
    for folder in _sampled_runs(results):
        try:
            record = RunRecord.from_json(read_json(folder / "result.json"))
            with open_file(folder / "metrics.jsonl") as file:
                untrained = float(check_row(parse_json(file.readline()))["seconds"])
            if _is_of_this_machine(record, device) and record.outcome != "diverged":
                found.append(((folder / "result.json").stat().st_mtime, record, untrained))
        except (OSError, ValueError, TypeError, KeyError, ArithmeticError):
            continue  # under way, or damaged
    cohorts: dict[tuple[float, int], MeasuredCohort] = {}
    for _, record, untrained in sorted(found, key=itemgetter(0), reverse=True):
        seconds, runs = record.timing.get("cohort_seconds"), record.timing.get("cohort_runs")
        if not seconds or not runs:
            continue
        label = record.spec.activation.label
        if (seconds, runs) in cohorts:  # runs of one cohort share its clock to the last digit
            known = cohorts[seconds, runs]
            epochs = max(known.epochs, record.epochs_trained)
            cohorts[seconds, runs] = replace(known, activations=known.activations | {label}, epochs=epochs)
            continue
        start = untrained * runs
        cohorts[seconds, runs] = MeasuredCohort(
            spec=record.spec,
            runs=int(runs),
            activations=frozenset([label]),
            opening=record.timing.get("opening_seconds", 0.0),
            start=start,
            rest=max(0.0, seconds - start),
            epochs=record.epochs_trained,
            startup=record.timing.get("startup_seconds"),
        )
    return Estimates(tuple(cohorts.values()))


def _is_of_this_machine(record: RunRecord, device: str) -> bool:
    measured_on = record.environment
    same = measured_on.get("device") == device.partition(":")[0] and measured_on.get("processors") == os.cpu_count()
    return same and (device != "cpu" or measured_on.get("device_name") == platform.machine())


def _sampled_runs(results: Path) -> Iterator[Path]:
    """Yield some folders of runs of each of the latest studies."""
    studies = []
    for folder in results.glob("*/runs"):
        try:
            studies.append((folder.stat().st_mtime, folder, os.listdir(folder)))
        except OSError:
            continue
    for _, folder, names in sorted(studies, reverse=True)[:STUDIES]:
        # A name ends in a hash, so the first by the hash are a random sample, and the same one each time.
        yield from (folder / name for name in sorted(names, key=lambda name: name[-8:])[:RUNS_OF_A_STUDY])


@dataclass
class _Unfinished:
    """A cohort that is not done.

    Args:
        expected: Its time as expected.
        runs: Digests of its runs that have not ended.
        done: Seconds of its work that is done, by expectation.
        running: Whether a worker has taken it up.
        before: The last epoch that had ended when it was saved; its events come again. −1 for none.
    """

    expected: CohortTime
    runs: set[str]
    done: float = 0.0
    running: bool = False
    before: int = -1


class RemainingTime:
    """The seconds that a study still takes, event by event.

    Args:
        cohorts: The work, in its order.
        jobs: Number of workers; they have to be started.
        estimates: Expected times.
        resumed: Digest of a run that goes on from a checkpoint -> the last epoch that had ended there.
    """

    def __init__(
        self,
        cohorts: Iterable[Cohort],
        jobs: int,
        estimates: Estimates,
        resumed: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._jobs, self._estimates, self._startup = jobs, estimates, estimates.startup
        self._resumed = resumed
        self._parts: dict[int, _Unfinished] = {}
        self._of: dict[str, _Unfinished] = {}
        for cohort in cohorts:
            self._add(self._part(cohort, resumes=True))
        parts = self._parts.values()
        known = all(part.expected.basis is not None for part in parts)
        self._expected = self._took = TRUST * sum(part.expected.total for part in parts) if known else 0.0

    @property
    def seconds(self) -> float | None:
        """Seconds from the last event until all is done; None while they are not known.

        Looks at every cohort that is left, as ``count`` does not: there are thousands of events a second where there
        are a thousand workers.
        """
        parts = tuple(self._parts.values())  # at once: a display asks from a thread of its own, while events come
        if not parts:
            return 0.0
        if not self._expected:
            return None
        slower = self._took / self._expected
        left = [(part.running, slower * max(0.0, part.expected.total - part.done)) for part in parts]
        busy = [seconds for running, seconds in left if running]
        free = [0.0] * (self._jobs - len(busy))
        return self._startup + schedule([seconds for running, seconds in left if not running], [*busy, *free])[-1]

    def count(self, event: Event) -> None:
        """Take notice of one event."""
        if isinstance(event, (Saved, WeightsKept, JobsSubmitted, JobsSeen)):
            return
        if isinstance(event, Finished):
            self._end({event.record.spec.digest})
            return
        runs = _digests(event.cohort)
        if isinstance(event, EpochDone):
            row = next((row for row in event.rows if row is not None), None)
            for part in self._with(runs):
                if row is not None and part.running:
                    expected = part.expected.epoch if row["epoch"] else part.expected.start
                    if row["epoch"] > part.before:
                        part.done += expected
                    self._expected += expected
                    self._took += row["seconds"] * len(event.cohort.specs)
            return
        if isinstance(event, Started):
            # The cohort is the planned one, or lacks runs that another process took, which are not waited for; or it is
            # half of one that failed, whose other half is.
            for part in self._with(runs):
                if not part.running:
                    self._end(set(part.runs))
            self._startup = 0.0
        self._end(runs)
        if isinstance(event, Started):
            part = self._part(event.cohort, resumes=event.resumes)
            part.running = True
            self._add(part)

    def _part(self, cohort: Cohort, *, resumes: bool) -> _Unfinished:
        """Return a cohort's part of the work, of which the epochs before its checkpoint are done."""
        part = _Unfinished(self._estimates.expect(cohort.specs), _digests(cohort))
        epochs = [self._resumed.get(spec.digest) for spec in cohort.specs]
        if resumes and epochs[0] is not None:  # a cohort is saved as a whole
            part.before = epochs[0]
            part.done = part.expected.start + epochs[0] * part.expected.epoch
        return part

    def _with(self, runs: set[str]) -> list[_Unfinished]:
        """Return the parts that have any of these runs; a run is in one part at most."""
        return list({id(part): part for run in runs if (part := self._of.get(run)) is not None}.values())

    def _add(self, part: _Unfinished) -> None:
        self._parts[id(part)] = part
        self._of |= dict.fromkeys(part.runs, part)

    def _end(self, runs: set[str]) -> None:
        for run in runs:
            part = self._of.pop(run, None)
            if part is not None:
                part.runs.discard(run)
                if not part.runs:
                    del self._parts[id(part)]


class Stopwatch:
    """Measures, in the process that hands out the work, the two times that a cohort's own clock does not see.

    ``startup_seconds`` is the time from here until the first cohort was open: workers started, libraries imported, data
    checked. ``opening_seconds`` is the time from handing out the cohort until its own clock began: data put on the
    device, networks initialised. Both are the cohort's, not divided by its runs; each record's ``timing`` holds them.
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._startup: float | None = None
        self._handed_out: dict[str, float] = {}

    def timed(self, event: Event) -> Event:
        """Return the event; that of a finished run with its record completed."""
        now = time.perf_counter()
        if isinstance(event, Started):
            self._handed_out |= dict.fromkeys(_digests(event.cohort), now)
        elif isinstance(event, EpochDone) and self._startup is None:
            untrained = sum(row["seconds"] for row in event.rows if row is not None)
            self._startup = max(0.0, now - self._began - untrained)
        elif isinstance(event, Finished):
            timing = dict(event.record.timing)
            handed_out = self._handed_out.pop(event.record.spec.digest, None)
            if handed_out is not None and "cohort_seconds" in timing:
                timing["opening_seconds"] = max(0.0, now - handed_out - timing["cohort_seconds"])
            if self._startup is not None:
                timing["startup_seconds"] = self._startup
            return Finished(replace(event.record, timing=timing))
        return event


def _digests(cohort: Cohort) -> set[str]:
    return {spec.digest for spec in cohort.specs}
