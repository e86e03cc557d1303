"""The progress of ``actbench.run``: one output of a notebook's cell that changes, or lines on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

from actbench.cli.progress import ProgressDisplay, StudyProgress, failure_line, progress
from actbench.schema.events import Event, Failed

if TYPE_CHECKING:
    from actbench.execution.runner import Runner

SECONDS_BETWEEN_LOOKS = 0.5
"""Least time between two changes of the output, each of which is a message to the browser."""

MAX_FAILURES = 5
"""Failures that are named; ``actbench status`` and the records have all."""


@contextmanager
def notebook_progress(runner: Runner, is_asked: bool | None) -> Iterator[ProgressDisplay | None]:
    """Yield a display of a running study.

    Args:
        runner: The planned study.
        is_asked: Whether the caller wants one; None for one in a notebook and none elsewhere.
    """
    display = None if is_asked is False else _notebook_display()
    if display is not None and runner.waiting:
        output = NotebookOutput(runner, display)
        try:
            yield output
        finally:
            output.show()
    elif is_asked and runner.waiting:
        with progress(runner) as lines:
            yield lines
    else:
        yield None


class NotebookOutput:
    """An output below the cell: a bar, the runs that have ended, the time left, and what failed.

    Args:
        runner: The planned study.
        display: IPython's function of this name.
    """

    def __init__(self, runner: Runner, display: Any) -> None:
        self._name, self._study, self._failures = runner.title, StudyProgress(runner), list[str]()
        self._shown_at = time.monotonic()
        self._handle = display(self, display_id=True)

    def update(self, event: Event) -> None:
        """Take notice of one event, and show it if the last look is half a second old."""
        self._study.count(event)
        if isinstance(event, Failed):
            self.say(failure_line(event))
        elif time.monotonic() - self._shown_at >= SECONDS_BETWEEN_LOOKS:
            self.show()

    def say(self, text: str) -> None:
        """Add a line below the bar."""
        self._failures.append(text)
        self.show()

    def show(self) -> None:
        """Bring the output up to date."""
        self._shown_at = time.monotonic()
        self._handle.update(self)

    def _lines(self) -> list[str]:
        study, more = self._study, len(self._failures) - MAX_FAILURES
        head = f"{self._name}: {study.finished} of {study.runs} runs"
        if study.finished < study.runs:
            head = study.with_time_left(f"{head}, {study.done / study.total:.0%}")
        return [head, *self._failures[:MAX_FAILURES], *([f"… and {more} more"] if more > 0 else [])]

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        bar = f'<progress max="{self._study.total}" value="{self._study.done}"></progress>'
        return f"<div>{bar} {'<br>'.join(map(escape, self._lines()))}</div>"


def _notebook_display() -> Any:
    """Return IPython's ``display`` where this process is the kernel of a notebook, else None.

    A kernel has imported IPython, so it is looked for and not imported.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return ipython.display.display if ipython is not None and hasattr(shell, "kernel") else None
