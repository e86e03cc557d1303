"""The progress of a running study on stderr: live rows on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from actbench.cli.output import is_live, print_note, rough_duration
from actbench.schema.events import (
    EpochDone,
    Event,
    Failed,
    Finished,
    JobsSeen,
    JobsSubmitted,
    Saved,
    Started,
    WeightsKept,
)
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec
from actbench.system.text import one_line, printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from actbench.execution.runner import Runner

SECONDS_BETWEEN_LINES = 1.0
"""Least time between two plain lines: a log is read by people, and kept."""

LABEL_WIDTH = 60
"""Characters of a cohort's label, at most."""


class ProgressDisplay(Protocol):
    """Shows events as they come."""

    def update(self, event: Event) -> None:
        """Take notice of one event."""
        ...

    def say(self, text: str) -> None:
        """Print a line that does not come from an event."""
        ...


@contextmanager
def progress(runner: Runner) -> Iterator[ProgressDisplay]:
    """Show live rows when stderr is a terminal and not a CI job, plain lines otherwise."""
    if not is_live(sys.stderr):
        yield PlainLines(runner)
        return
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    from actbench.system.console import PrintableConsole

    def text(field: str, ratio: int) -> TextColumn:
        # A share of the width that the bar and the time leave; a long text is cut, so that a row stays one line.
        return TextColumn(field, markup=False, table_column=Column(ratio=ratio, no_wrap=True, overflow="ellipsis"))

    left = TextColumn("{task.fields[left]}", markup=False, table_column=Column(min_width=7, no_wrap=True))
    bar = BarColumn(bar_width=12, table_column=Column(min_width=12))
    columns = (text("{task.description}", 5), bar, text("{task.fields[note]}", 4), left)
    with Progress(*columns, console=PrintableConsole(file=sys.stderr), transient=True, expand=True) as bars:
        yield LiveRows(runner, bars)


class StudyProgress:
    """The work done so far, in epochs of runs, and the time left.

    Args:
        runner: Its cohorts are the work, its estimates the expected times.

    Attributes:
        total: Epochs of all runs, epoch 0 included.
        runs: Number of runs.
        finished: Runs that have ended, failed ones included.
        done: Epochs that are done; those of a cohort that starts over no longer count.
    """

    def __init__(self, runner: Runner) -> None:
        from actbench.execution.estimates import Estimates, RemainingTime

        waiting = [spec for cohort in runner.cohorts for spec in cohort.specs]
        self.total = sum(spec.training.epochs + 1 for spec in waiting)
        self.runs = len(waiting)
        self.finished = 0
        self._epochs = {digest: epoch + 1 for digest, epoch in runner.resumed.items()}
        self.done = sum(self._epochs.values())
        # Nobody knows when a batch system begins with which of its jobs.
        estimates = Estimates() if runner.job_sizes else runner.estimates
        self._remaining = RemainingTime(runner.cohorts, runner.jobs, estimates, runner.resumed)
        self._left: float | None = None
        self._at, self._is_known = time.monotonic(), False

    def count(self, event: Event) -> None:
        """Take notice of one event."""
        if isinstance(event, (Saved, WeightsKept, JobsSubmitted, JobsSeen)):
            return
        if isinstance(event, Finished):
            self._put(event.record.spec, event.record.spec.training.epochs + 1)
            self.finished += 1
        else:
            for spec in event.cohort.specs:
                if isinstance(event, EpochDone):
                    # Not added: a resumed cohort's earlier epochs come again, which are counted from the start.
                    self._put(spec, max(self._epochs.get(spec.digest, 0), _epoch_of(event) + 1))
                elif isinstance(event, Failed):
                    self._put(spec, spec.training.epochs + 1)
                elif not (isinstance(event, Started) and event.resumes):
                    self._put(spec, 0)
            self.finished += len(event.cohort.specs) if isinstance(event, Failed) else 0
        self._remaining.count(event)
        self._at, self._is_known = time.monotonic(), False

    def _put(self, spec: RunSpec, epochs: int) -> None:
        """Note how many epochs of a run are done."""
        self.done += epochs - self._epochs.get(spec.digest, 0)
        self._epochs[spec.digest] = epochs

    def _time_left(self) -> float | None:
        """Return the seconds left at the last event, worked out when shown: that takes a look at every cohort."""
        if not self._is_known:
            self._is_known = True  # first, because rich asks from a thread of its own, and an event may come meanwhile
            self._left = self._remaining.seconds
        return self._left

    def comes_again(self, event: EpochDone) -> bool:
        """Return whether an epoch was over before its cohort was saved, and so says nothing of where the cohort is."""
        return self._epochs.get(event.cohort.shared.digest, 0) > _epoch_of(event) + 1

    def __str__(self) -> str:
        """Spell the time left, counted down since the last event; nothing while it is not known."""
        left = self._time_left()
        return "" if left is None else rough_duration(max(0.0, left - (time.monotonic() - self._at)))

    def with_time_left(self, text: str) -> str:
        """Return the text with followed by the time left, if that is known."""
        return text if self._time_left() is None else f"{text}, {self} left"


class PlainLines:
    """A line for an epoch, at most one a second, without cursor codes."""

    def __init__(self, runner: Runner) -> None:
        self._study, self._last_line = StudyProgress(runner), 0.0
        self._last_jobs = ""
        if runner.waiting:
            text = f"{runner.title}: {len(runner.waiting)} of {len(runner.specs)} runs to do{resumed_note(runner)}"
            self.say(self._study.with_time_left(f"{text}, {runner.jobs} worker(s) on {runner.runtime.device}"))

    def update(self, event: Event) -> None:
        """Print a failure at once, and an epoch if the last line is a second old."""
        self._study.count(event)
        if isinstance(event, Failed):
            self.say(failure_line(event))
        elif isinstance(event, JobsSubmitted):
            self.say(submission_line(event))
        elif isinstance(event, JobsSeen):
            self._show_jobs(event)
        if not isinstance(event, EpochDone) or time.monotonic() - self._last_line < SECONDS_BETWEEN_LINES:
            return
        if self._study.comes_again(event):
            return
        self._last_line = time.monotonic()
        share = self._study.done / self._study.total
        counts = self._study.with_time_left(f"{share:4.0%}  {self._study.finished}/{self._study.runs} runs")
        self.say(f"{counts}  {cohort_label(event.cohort)}  {epoch_note(event)}")

    def _show_jobs(self, event: JobsSeen) -> None:
        """Print a line about jobs, if it says something new."""
        share = self._study.done / self._study.total
        counts = f"{share:4.0%}  {self._study.finished}/{self._study.runs} runs"
        if counts + jobs_note(event) != self._last_jobs:
            self._last_jobs = counts + jobs_note(event)
            self.say(f"{self._study.with_time_left(counts)}  {jobs_note(event)}")

    def say(self, text: str) -> None:
        """Print a line."""
        print_note(text)


class LiveRows:
    """A row for every cohort in training, and one for the whole study with the time left."""

    def __init__(self, runner: Runner, bars: Progress) -> None:
        self._bars, self._study = bars, StudyProgress(runner)
        self._rows: dict[str, TaskID] = {}
        self._jobs = ""
        # An object, not its text: rich asks anew whenever the row is drawn, so that it counts down between events.
        self._all = bars.add_task(runner.title, total=self._study.total, note="", left=self._study)

    def update(self, event: Event) -> None:
        """Move the rows; a cohort's row goes when its last run has ended."""
        self._study.count(event)
        if isinstance(event, JobsSubmitted):
            self.say(submission_line(event))
        if isinstance(event, JobsSeen):
            self._jobs = f", {jobs_note(event)}"
        done, total = self._study.done, self._study.total
        note = f"{self._study.finished}/{self._study.runs} runs, {done / total:.0%}{self._jobs}"
        self._bars.update(self._all, completed=done, note=note)
        if isinstance(event, Started):
            self._drop(event.cohort)  # begun a second time: without its checkpoint, or in halves for lack of memory
            epochs = event.cohort.shared.training.epochs
            row = self._bars.add_task(cohort_label(event.cohort), total=epochs, note="", left="")
            self._rows |= {spec.digest: row for spec in event.cohort.specs}
        elif isinstance(event, EpochDone):
            row = self._rows[event.cohort.shared.digest]
            self._bars.update(row, completed=_epoch_of(event), note=epoch_note(event))
        elif isinstance(event, Finished):
            self._drop(Cohort((event.record.spec,)))
        elif isinstance(event, Failed):
            self._drop(event.cohort)
            self.say(failure_line(event))

    def say(self, text: str) -> None:
        """Print a line above the rows."""
        self._bars.console.print(text)

    def _drop(self, cohort: Cohort) -> None:
        for spec in cohort.specs:
            row = self._rows.pop(spec.digest, None)
            # Runs of a cohort share one row, which goes with the last of them.
            if row is not None and row not in self._rows.values():
                self._bars.remove_task(row)


def resumed_note(runner: Runner) -> str:
    """Say how many of the waiting runs go on from which epochs; nothing where all start from the beginning."""
    epochs = sorted(runner.resumed.values())
    if not epochs:
        return ""
    which = f"epoch {epochs[0]}" if epochs[0] == epochs[-1] else f"epochs {epochs[0]} to {epochs[-1]}"
    return f" ({len(epochs)} of them from {which})"


def cohort_label(cohort: Cohort) -> str:
    """Name a cohort by its seeds and activations, shortly."""
    labels = ", ".join(dict.fromkeys(spec.activation.label for spec in cohort.specs))
    seeds = ",".join(dict.fromkeys(str(spec.seed) for spec in cohort.specs))
    runs = f"{len(cohort.specs)} run{'s' if len(cohort.specs) > 1 else ''}"
    text = printable(f"seed {seeds}: {runs} of {labels}")
    return text if len(text) <= LABEL_WIDTH else text[: LABEL_WIDTH - 1] + "…"


def failure_line(event: Failed) -> str:
    """Name the runs that failed and why, in one line."""
    return f"failed: {cohort_label(event.cohort)}: {one_line(event.message)}"


def submission_line(event: JobsSubmitted) -> str:
    """Say which jobs a batch system has taken.

    >>> submission_line(JobsSubmitted(2, 16, "array 7"))
    'submitted 2 jobs for 16 runs: array 7'
    """
    jobs, runs = f"{event.jobs} job{'s' if event.jobs > 1 else ''}", f"{event.runs} run{'s' if event.runs > 1 else ''}"
    if event.earlier:
        return printable(f"{jobs} of an earlier command {'have' if event.jobs > 1 else 'has'} {runs}: {event.place}")
    return printable(f"submitted {jobs} for {runs}: {event.place}")


def jobs_note(event: JobsSeen) -> str:
    """Spell how a batch system's jobs are.

    >>> jobs_note(JobsSeen(2, 3, "Resources"))
    'jobs: 2 running, 3 waiting (Resources)'
    """
    why = f" ({event.reason})" if event.reason else ""
    return printable(f"jobs: {event.running} running, {event.waiting} waiting{why if event.waiting else ''}")


def epoch_note(event: EpochDone) -> str:
    """Spell the epoch, the range of validation accuracy or R², and the mean training loss."""
    rows = [row for row in event.rows if row is not None]
    training = event.cohort.shared.training
    losses, accuracies, explained = (
        _known(rows, name) for name in (f"train.{training.loss_name}", "val.accuracy", "val.r2")
    )
    parts = [f"epoch {_epoch_of(event)}/{training.epochs}"]
    if accuracies:
        parts.append(f"val {min(accuracies):.1%}" + (f"–{max(accuracies):.1%}" if len(accuracies) > 1 else ""))
    if explained:
        ends = dict.fromkeys(f"{end:.3f}" for end in (min(explained), max(explained)))
        parts.append(f"val R² {' to '.join(ends)}".replace("-", "−"))
    if losses:
        parts.append(f"{training.loss_name} {sum(losses) / len(losses):.3f}")
    return "  ".join(parts)


def _epoch_of(event: EpochDone) -> int:
    """Return the epoch that has ended, from the row of any run still in training."""
    return next(int(row["epoch"]) for row in event.rows if row is not None)


def _known(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [row[name] for row in rows if row.get(name) is not None]
