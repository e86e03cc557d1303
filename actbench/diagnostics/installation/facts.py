"""What there is to know about an installation, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Trouble:
    """Something that is wrong, and what to do about it."""

    what: str
    remedy: str


@dataclass(frozen=True)
class KernelChoice:
    """An implementation that was chosen where there are several.

    Args:
        name: What is computed, such as ``linear``.
        choice: The implementation.
        why: What decided, such as the times that were measured.
    """

    name: str
    choice: str
    why: str


@dataclass(frozen=True)
class Place:
    """A folder that is read or written.

    Args:
        path: Absolute.
        exists: Whether it is there; it is made when it is first needed.
        writable: Whether this user may write to it, or make it.
        free_bytes: Free space there; None where the system does not tell.
    """

    path: str
    exists: bool
    writable: bool
    free_bytes: int | None


@dataclass(frozen=True)
class Availability:
    """Whether a dataset is at hand.

    Args:
        name: As in a config.
        state: ``installed`` with a package; ``present`` in the data folder; ``download`` when it is first used;
            ``yours`` where the config names your folder; ``unknown`` until it is loaded; ``broken``.
        note: Where it is or would be, or what is missing.
    """

    name: str
    state: Literal["installed", "present", "download", "yours", "unknown", "broken"]
    note: str


@dataclass(frozen=True)
class Installation:
    """All there is to know.

    Args:
        versions: Package -> version; None where it is not installed.
        system: Operating system.
        processor: Its name.
        processors: ``usable`` by this process, in the ``machine``, and torch's ``threads`` outside of training.
        memory: ``total`` and ``available`` bytes; None where the system does not tell.
        devices: What torch can compute on, each with a description.
        kernels: Implementations that were chosen.
        data: The data folder; None where the part that knows it can't be imported.
        datasets: Which are at hand.
        results: The results folder.
        troubles: What is wrong.
    """

    versions: Mapping[str, str | None]
    system: str
    processor: str
    processors: Mapping[str, int | None]
    memory: Mapping[str, int | None]
    devices: Mapping[str, str]
    kernels: Sequence[KernelChoice]
    data: Place | None
    datasets: Sequence[Availability]
    results: Place
    troubles: Sequence[Trouble]

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {"schema": 1, **asdict(self)}
