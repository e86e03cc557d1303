"""What a running study shows on stderr: live rows on a terminal, plain lines anywhere else."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from actbench.schema.events import EpochDone, Event, Failed, Finished, Saved, Started
from actbench.schema.runtime import Cohort

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from actbench.execution.runner import Runner


class Shown(Protocol):
    """Something that shows events as they come."""

    def update(self, event: Event) -> None:
        """Take notice of one event."""
        ...

    def say(self, text: str) -> None:
        """Show a line between what is shown anyway."""
        ...


@contextmanager
def progress(runner: Runner) -> Iterator[Shown]:
    """Live rows when stderr is a terminal and not a CI job, plain lines otherwise."""
    if not sys.stderr.isatty() or os.environ.get("CI") == "true" or os.environ.get("TERM") == "dumb":
        yield PlainLines(runner)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    def text(field: str, ratio: int) -> TextColumn:
        """Takes its share of what the bar and the time leave, and is cut rather than wrapped."""
        return TextColumn(field, markup=False, table_column=Column(ratio=ratio, no_wrap=True, overflow="ellipsis"))

    left = TextColumn("{task.fields[left]}", markup=False, table_column=Column(min_width=7, no_wrap=True))
    bar = BarColumn(bar_width=12, table_column=Column(min_width=12))
    columns = (text("{task.description}", 5), bar, text("{task.fields[note]}", 4), left)
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as bars:
        yield LiveRows(runner, bars)


class TimeLeft:
    """Says how long a study still takes, between events too.

    Args:
        runner: Its cohorts are the work, and its estimates what is known about it beforehand.
    """

    def __init__(self, runner: Runner) -> None:
        """Nothing is done yet."""
        from actbench.execution.estimates import RemainingTime

        self._remaining = RemainingTime(runner.cohorts, runner.jobs, runner.estimates)
        self._left, self._at = self._remaining.seconds, time.monotonic()

    def count(self, event: Event) -> None:
        """Take notice of one event."""
        self._remaining.count(event)
        self._left, self._at = self._remaining.seconds, time.monotonic()

    def __str__(self) -> str:
        """Such as ``about 40 s``; empty while nothing is known."""
        return "" if self._left is None else in_words(max(0.0, self._left - (time.monotonic() - self._at)))


class Work:
    """How much of a study is done, in epochs of runs.

    Args:
        runner: Its cohorts are the work.
    """

    def __init__(self, runner: Runner) -> None:
        """Nothing is done yet."""
        waiting = [spec for cohort in runner.cohorts for spec in cohort.specs]
        self.total = sum(spec.training.epochs + 1 for spec in waiting)
        self.runs = len(waiting)
        self.finished = 0
        self._epochs: dict[str, int] = {}

    @property
    def done(self) -> int:
        """Epochs of runs, epoch 0 included; a cohort that starts over gives its own back."""
        return sum(self._epochs.values())

    def count(self, event: Event) -> None:
        """Take notice of one event."""
        if isinstance(event, Finished):
            self._epochs[event.record.spec.digest] = event.record.spec.training.epochs + 1
            self.finished += 1
            return
        if isinstance(event, Saved):
            return
        for spec in event.cohort.specs:
            if isinstance(event, EpochDone):
                self._epochs[spec.digest] = epoch_of(event) + 1
            else:
                self._epochs[spec.digest] = spec.training.epochs + 1 if isinstance(event, Failed) else 0
        self.finished += len(event.cohort.specs) if isinstance(event, Failed) else 0


class PlainLines:
    """A line for an epoch, at most one a second, without cursor codes."""

    def __init__(self, runner: Runner) -> None:
        """Say what is about to happen."""
        self._work, self._left, self._said = Work(runner), TimeLeft(runner), 0.0
        if runner.waiting:
            say = f"{runner.study.name}: {len(runner.waiting)} of {len(runner.specs)} runs to do"
            say += f", {runner.jobs} worker(s) on {runner.runtime.device}"
            self.say(_joined(say, self._left))

    def update(self, event: Event) -> None:
        """Print a line if the last one is a second old; a failure always."""
        self._work.count(event)
        self._left.count(event)
        if isinstance(event, Failed):
            self.say(f"failed: {describe(event.cohort)}: {event.message}")
        if not isinstance(event, EpochDone) or time.monotonic() - self._said < 1:
            return
        self._said = time.monotonic()
        share = self._work.done / self._work.total
        counts = _joined(f"{share:4.0%}  {self._work.finished}/{self._work.runs} runs", self._left)
        self.say(f"{counts}  {describe(event.cohort)}  {note(event)}")

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr, flush=True)


class LiveRows:
    """A row for every cohort in training, and one for the whole study with the time left."""

    def __init__(self, runner: Runner, bars: Progress) -> None:
        """Draw the row of the whole study."""
        self._bars, self._work, self._left = bars, Work(runner), TimeLeft(runner)
        self._rows: dict[str, TaskID] = {}
        # An object, not its text: it is asked anew whenever the row is drawn, and counts down between events.
        self._all = bars.add_task(runner.study.name, total=self._work.total, note="", left=self._left)

    def update(self, event: Event) -> None:
        """Move the rows; a cohort's row goes when its last run has ended."""
        self._work.count(event)
        self._left.count(event)
        note_all = f"{self._work.finished}/{self._work.runs} runs, {self._work.done / self._work.total:.0%}"
        self._bars.update(self._all, completed=self._work.done, note=note_all)
        if isinstance(event, Started):
            self._drop(event.cohort)
            row = self._bars.add_task(
                describe(event.cohort), total=event.cohort.shared.training.epochs, note="", left=""
            )
            self._rows |= {spec.digest: row for spec in event.cohort.specs}
        elif isinstance(event, EpochDone):
            row = self._rows[event.cohort.shared.digest]
            self._bars.update(row, completed=epoch_of(event), note=note(event))
        elif isinstance(event, Finished):
            self._drop(Cohort((event.record.spec,)))
        elif isinstance(event, Failed):
            self._drop(event.cohort)
            self.say(f"failed: {describe(event.cohort)}: {event.message}")

    def say(self, text: str) -> None:
        """Print a line above the rows."""
        self._bars.console.print(text, markup=False)

    def _drop(self, cohort: Cohort) -> None:
        for spec in cohort.specs:
            row = self._rows.pop(spec.digest, None)
            if row is not None and row not in self._rows.values():
                self._bars.remove_task(row)


def in_words(seconds: float) -> str:
    """A time that is an estimate, to two figures.

    >>> in_words(0.4), in_words(38.4), in_words(200), in_words(8000), in_words(200_000)
    ('about 1 s', 'about 38 s', 'about 3.3 min', 'about 2.2 h', 'about 56 h')
    """
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            amount = seconds / size
            return f"about {amount:.{0 if amount >= 10 else 1}f} {unit}"
    return f"about {max(1, round(seconds))} s"


def _joined(text: str, left: TimeLeft) -> str:
    return f"{text}, {left} left" if str(left) else text


def describe(cohort: Cohort) -> str:
    """Seed and activations of a cohort, in at most 60 characters."""
    labels = ", ".join(dict.fromkeys(spec.activation.label for spec in cohort.specs))
    seeds = ",".join(dict.fromkeys(str(spec.seed) for spec in cohort.specs))
    runs = f"{len(cohort.specs)} run{'s' if len(cohort.specs) > 1 else ''}"
    text = f"seed {seeds}: {runs} of {labels}"
    return text if len(text) <= 60 else text[:59] + "…"


def epoch_of(event: EpochDone) -> int:
    """The epoch that has ended: that of any run still in training."""
    return next(int(row["epoch"]) for row in event.rows if row is not None)


def note(event: EpochDone) -> str:
    """Epoch, the range of validation accuracy and the mean training loss."""
    rows = [row for row in event.rows if row is not None]
    losses, accuracies = (_known(rows, name) for name in ("train.loss", "val.accuracy"))
    parts = [f"epoch {epoch_of(event)}/{event.cohort.shared.training.epochs}"]
    if accuracies:
        parts.append(f"val {min(accuracies):.1%}" + (f"–{max(accuracies):.1%}" if len(accuracies) > 1 else ""))
    if losses:
        parts.append(f"loss {sum(losses) / len(losses):.3f}")
    return "  ".join(parts)


def _known(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [row[name] for row in rows if row[name] is not None]
