"""``actbench status --watch``: a status that is looked at again and again, until nothing is running any more."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from actbench.cli.output import is_live, print_result, rough_duration
from actbench.system.text import printable

if TYPE_CHECKING:
    from rich.console import Group

    from actbench.storage.status import StudyStatus

Statuses = Sequence["StudyStatus"]
Clock = Callable[[], float]

MIN_INTERVAL = 0.1
"""Seconds. A look reads the folders of all runs: more often it would burden a shared disk."""

MAX_INTERVAL = 86_400.0
"""Seconds; a longer wait is a mistake in the number, and far longer ones are too long for the system's sleep."""

MIN_PLAIN_INTERVAL = 1.0
"""Seconds: a log gets at most a line a second, however often a terminal's view is drawn."""

IDLE_LOOKS = 2
"""Looks without a run at work that end the watch: between two cohorts a process has none for a moment."""

MIN_OBSERVED = 10.0
"""Seconds that must have been watched before their pace gives the time left."""

BAR_WIDTH = 24


class Pace:
    """The progress of a study since the first look, and the time left at that pace.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._first: dict[str, tuple[float, float]] = {}

    def seconds_left(self, one: StudyStatus) -> float | None:
        """Return the expected time until the study is finished; None while that is not known.

        It is not known before ten seconds have been watched and something got on in them, nor where the study's
        config can't be read or nobody works on it.
        """
        now, done, total = self._clock(), runs_done(one), runs_in_all(one)
        began, before = self._first.setdefault(str(one.folder), (now, done))
        if total is None or not one.running or now - began < MIN_OBSERVED or done <= before:
            return None
        return (total - done) * (now - began) / (done - before)


def runs_done(one: StudyStatus) -> float:
    """Return how many runs have ended, one at work or paused counting as the share of its epochs, epoch 0 included."""
    epochs = [*((run.epoch, run.epochs) for run in one.running), *((run.epoch, run.epochs) for run in one.paused)]
    at_work = sum((done + 1) / (of + 1) for done, of in epochs if done is not None and of)
    return sum(one.done.values()) + len(one.failed) + at_work


def runs_in_all(one: StudyStatus) -> int | None:
    """Return the number of the study's runs; None where its config can't be read."""
    if one.to_do is None:
        return None
    return sum(one.done.values()) + len(one.running) + len(one.failed) + len(one.paused) + len(one.stale) + one.to_do


def watch(
    look: Callable[[], Statuses],
    lines: Callable[[Statuses], Iterator[str]],
    *,
    interval: float = 2.0,
    clock: Clock = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Show each look until nothing is running any more, then print the last one in full.

    On a terminal the view is drawn anew in its place; elsewhere each change is one line, without cursor codes.

    Args:
        look: Returns the status of every study.
        lines: What ``actbench status`` prints of them.
        interval: Seconds between two looks; without a terminal at least one.
        clock: Seconds that only grow.
        sleep: Waits so many seconds.

    Raises:
        KeyboardInterrupt: For Ctrl-C, after the last look has been printed.
    """
    last = look()  # an error of the path comes before anything is drawn
    show, pause = (_live, interval) if is_live(sys.stdout) else (_plain, max(interval, MIN_PLAIN_INTERVAL))

    def looks() -> Iterator[Statuses]:
        nonlocal last
        idle = 0
        while True:
            yield last
            idle = 0 if any(one.running for one in last) else idle + 1
            if idle == IDLE_LOOKS:
                return
            sleep(pause)
            last = look()

    try:
        show(looks(), lines, Pace(clock))
    finally:
        for line in lines(last):
            print_result(printable(line))


def _plain(looks: Iterator[Statuses], lines: Callable[[Statuses], Iterator[str]], pace: Pace) -> None:
    """Print a line for each look in which something changed."""
    shown: dict[str, str] = {}
    for found in looks:
        texts = {str(one.folder): _summary(one, pace) for one in found}
        changed = [text for folder, text in texts.items() if shown.get(folder) != text]
        if changed:
            print_result(printable(f"{datetime.now().astimezone():%H:%M:%S}  {'; '.join(changed)}"))
            sys.stdout.flush()  # a log that is followed shows it now
        shown = texts


def _summary(one: StudyStatus, pace: Pace) -> str:
    counts = {
        "done": sum(one.done.values()),
        "running": len(one.running),
        "failed": len(one.failed),
        "paused": len(one.paused),
        "stale": len(one.stale),
        "to do": "?" if one.to_do is None else one.to_do,
    }
    parts = [f"{count} {word}" for word, count in counts.items()]
    if total := runs_in_all(one):
        parts.insert(0, f"{runs_done(one) / total:.0%}")
    left = pace.seconds_left(one)
    return f"{one.study}: {', '.join(parts)}" + ("" if left is None else f", {rough_duration(left)} left")


def _live(looks: Iterator[Statuses], lines: Callable[[Statuses], Iterator[str]], pace: Pace) -> None:
    from rich.live import Live

    from actbench.system.console import console_for

    with Live(console=console_for(sys.stdout), auto_refresh=False, transient=True) as view:
        for found in looks:
            view.update(_picture(found, lines, pace), refresh=True)


def _picture(found: Statuses, lines: Callable[[Statuses], Iterator[str]], pace: Pace) -> Group:
    """Return a bar for each study above the lines of ``actbench status``, each of which is cut at the width."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    bars = Table.grid(padding=(0, 2, 0, 0))
    for one in found:
        total, left = runs_in_all(one), pace.seconds_left(one)
        done = runs_done(one)
        bars.add_row(
            Text(printable(one.study), style="bold", no_wrap=True, overflow="ellipsis"),
            ProgressBar(total=total or 1, completed=done if total else 0, width=BAR_WIDTH),
            Text(f"{done / total:.0%}" if total else "?"),
            Text("" if left is None else f"{rough_duration(left)} left"),
        )
    texts = [Text(printable(line), no_wrap=True, overflow="ellipsis") for line in lines(found)]
    hint = Text("Ctrl-C ends this view, not the runs.", style="dim", no_wrap=True, overflow="ellipsis")
    return Group(bars, hint, Text(), *texts)
