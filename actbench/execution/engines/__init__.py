"""Engines compute cohorts, each somewhere else: one file an engine, with a ``plugin`` that follows ``Engine``.

An engine knows nothing of configs, stores or training: it is handed ``Work`` and cohorts, and yields events as they
come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from actbench.schema import registry
from actbench.schema.cluster import ClusterOptions
from actbench.schema.events import Event
from actbench.schema.runtime import Cohort, Runtime
from actbench.system import session


@dataclass(frozen=True)
class Work:
    """A function to apply to cohorts, named by its path, so that only the process that calls it imports torch.

    Args:
        path: ``module:function`` taking (cohort, runtime) and yielding events.
        runtime: How to compute.
    """

    path: str
    runtime: Runtime

    def __call__(self, cohort: Cohort) -> Iterator[Event]:
        """Apply the function in this process."""
        session.restore(self.runtime.functions)
        events: Iterator[Event] = registry.import_object(self.path)(cohort, self.runtime)
        yield from events


class Engine(Protocol):
    """Computes cohorts; a context manager, so that workers never outlive their use.

    Attributes:
        parallel: Whether more than one cohort is computed at a time.
        options: The class that checks what ``--cluster`` asks for.
    """

    parallel: ClassVar[bool]
    options: ClassVar[type[ClusterOptions]]

    def __init__(self, jobs: int, options: Any) -> None:
        """Take up to ``jobs`` cohorts at once; ``options`` is an instance of the class's own ``options``."""
        ...

    def __enter__(self) -> Self:
        """Start processes, if it needs any."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End them, at once if there was an error."""
        ...

    def stop(self) -> None:
        """Take no more cohorts and let those at work save themselves; ``execute`` then ends by itself.

        Called from signal handlers: it waits for nothing.
        """
        ...

    def execute(self, work: Work, cohorts: Iterable[Cohort]) -> Iterator[Event]:
        """Yield the events of all cohorts as they come; a run whose worker is lost ends with ``Failed``.

        A cohort is taken from ``cohorts`` only when it can be worked on at once: until then, another process may.
        """
        ...
