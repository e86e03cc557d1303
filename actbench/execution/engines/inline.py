"""The obviously right engine: one cohort after another, in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import ClassVar, Self

from actbench.execution.engines import ThisMachine, Work
from actbench.schema.cluster import ClusterOptions
from actbench.schema.events import Event
from actbench.schema.runtime import Cohort
from actbench.system import cancellation


class Inline(ThisMachine):
    """Computes in the calling process: easy to debug and to profile, but a step that hangs can't be ended."""

    parallel: ClassVar[bool] = False
    delegates: ClassVar[bool] = False
    options: ClassVar[type[ClusterOptions]] = ClusterOptions

    def __init__(self, jobs: int, options: ClusterOptions) -> None:
        pass  # jobs is 1: there is one process, and no cluster

    def __enter__(self) -> Self:
        """Forget that an earlier use was asked to stop."""
        cancellation.reset()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Forget that this use was asked to stop."""
        cancellation.reset()

    def stop(self) -> None:
        """Let the cohort at work save itself, and take no other."""
        cancellation.request_stop()

    def execute(self, work: Work, cohorts: Iterable[Cohort]) -> Iterator[Event]:
        """Yield the events of the cohorts, one cohort after another."""
        waiting = iter(cohorts)
        while not cancellation.stop_requested() and (cohort := next(waiting, None)) is not None:
            yield from work(cohort)


plugin = Inline
