"""Engines compute cohorts, each somewhere else: one file an engine, with a ``plugin`` that follows ``Engine``.

An engine knows nothing of configs, stores or training: it is handed ``Work`` and cohorts, and yields events as they
come.

An engine that *delegates* hands the whole study to a batch system instead. Its jobs are commands of their own, which
lock and store what they compute; the engine submits them, watches the store, and stores nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from actbench.schema import registry
from actbench.schema.cluster import ClusterOptions
from actbench.schema.events import Event
from actbench.schema.runtime import Cohort, Runtime
from actbench.storage.store import Store
from actbench.system import devices, session


@dataclass(frozen=True)
class Work:
    """A function to apply to cohorts, named by its path, so that only the process that calls it imports torch.

    Args:
        path: ``module:function`` taking (cohort, runtime) and yielding events.
        runtime: How to compute.
        dataset: ``module:function`` taking (component as JSON, data folder) and returning the cohorts' dataset as one
            block of bytes, for an engine whose workers are on machines without its files; empty for work that needs
            none.
        resume: Attaches the last checkpoint that was stored of a cohort, for one that is tried again elsewhere. It
            stays in the process that stores; workers get the work without it.
    """

    path: str
    runtime: Runtime
    dataset: str = ""
    resume: Callable[[Cohort], Cohort] | None = field(default=None, compare=False, repr=False)

    def for_worker(self) -> Work:
        """Return the work as it is sent to a worker."""
        return replace(self, resume=None)

    def __call__(self, cohort: Cohort) -> Iterator[Event]:
        """Apply the function in this process."""
        session.restore(self.runtime.functions)
        events: Iterator[Event] = registry.import_object(self.path)(cohort, self.runtime)
        yield from events


class ThisMachine:
    """What engines that compute on this machine alone have in common: its devices, and its number of processors."""

    @classmethod
    def device(cls, asked: str, options: Any) -> str:
        """Return the device asked for, or for ``auto`` the best that is here.

        Raises:
            DeviceError: When it is not there.
        """
        return devices.choose(asked)

    @classmethod
    def default_jobs(cls, device: str, options: Any) -> int:
        """Return one worker a processor, or one a GPU."""
        return devices.processors() if device == "cpu" else devices.count(device)


class Engine(Protocol):
    """Computes cohorts; a context manager, so that workers never outlive their use.

    Attributes:
        parallel: Whether more than one cohort is computed at a time.
        delegates: Whether it is a ``DelegatingEngine`` instead.
        options: The class that checks what ``--cluster`` asks for.
    """

    parallel: ClassVar[bool]
    delegates: ClassVar[bool] = False
    options: ClassVar[type[ClusterOptions]]

    @classmethod
    def device(cls, asked: str, options: Any) -> str:
        """Return the device for the one asked for, which may be ``auto``.

        Raises:
            DeviceError: When it is not there.
        """
        ...

    @classmethod
    def default_jobs(cls, device: str, options: Any) -> int:
        """Return the number of workers where none is given."""
        ...

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


@dataclass(frozen=True)
class Errand:
    """A study for an engine that delegates.

    Args:
        text: Its config.
        store: Where its results go, on a file system that the jobs see too.
        cohorts: The runs to compute, in their order.
        before: Digest of such a run -> how it had ended when they were planned; one that ends otherwise meanwhile, by
            another process, is not computed again.
        runtime: How to compute, with the device that the planner assumed.
        device: The device as it was asked for; each job finds out by itself what ``auto`` is there.
        joins: Whether runs that jobs of an earlier command are to compute are left to these jobs.
    """

    text: str
    store: Store
    cohorts: Sequence[Cohort]
    before: Mapping[str, tuple[str, int] | None]
    runtime: Runtime
    device: str
    joins: bool


class DelegatingEngine(Protocol):
    """Hands a study to a batch system; a context manager. What it was asked to compute goes on without it.

    Attributes:
        parallel: True.
        delegates: True.
        options: The class that checks what ``--cluster`` asks for.
    """

    parallel: ClassVar[bool]
    delegates: ClassVar[bool]
    options: ClassVar[type[ClusterOptions]]

    @classmethod
    def device(cls, asked: str, options: Any) -> str:
        """Return the device to plan for: this machine is not one that computes.

        Raises:
            UsageError: When a job can't have that device.
        """
        ...

    @classmethod
    def default_jobs(cls, device: str, options: Any) -> int:
        """Return the workers of each job where ``--jobs`` gives none."""
        ...

    def __init__(self, jobs: int, options: Any) -> None:
        """Submit jobs of so many workers each; ``options`` is an instance of the class's own ``options``."""
        ...

    @staticmethod
    def sharing(cohorts: Sequence[Cohort], workers: int, options: Any) -> list[Sequence[Cohort]]:
        """Return the cohorts of each job."""
        ...

    def __enter__(self) -> Self:
        """Look for the batch system.

        Raises:
            UsageError: When it is not there.
        """
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the jobs alone, but cancel them when the user ended the command at once."""
        ...

    def stop(self) -> None:
        """Cancel the jobs, which save what they are at; ``run`` then ends. Called from signal handlers."""
        ...

    def run(self, errand: Errand) -> Iterator[Event]:
        """Submit what no job computes yet, and yield how the runs end.

        Raises:
            UsageError: When the batch system does not take the jobs.
        """
        ...
