"""Work that trains nothing, found by an engine's workers under this module's name."""

from __future__ import annotations

from collections.abc import Iterator

from actbench.schema.events import Event, Started
from actbench.schema.runtime import Cohort, Runtime


def nothing(cohort: Cohort, runtime: Runtime) -> Iterator[Event]:
    """Yield that the cohort has begun, so that the time of a cohort is the engine's alone."""
    yield Started(cohort)


def none(_: int) -> None:
    """Do nothing: the work of the peer, a ``ProcessPoolExecutor``."""
