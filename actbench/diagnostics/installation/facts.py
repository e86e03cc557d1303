"""Hold the facts about an installation as plain data; ``asdict`` of them is the JSON of ``actbench doctor``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from actbench.system.processor import Processor


@dataclass(frozen=True)
class InstallationProblem:
    """Something that is wrong with the installation, and how to fix it."""

    what: str
    remedy: str


@dataclass(frozen=True)
class KernelChoice:
    """An implementation that was chosen where there are several.

    Args:
        name: The computation, such as ``dense products``.
        choice: The implementation.
        why: The reason, such as the times that were measured.
    """

    name: str
    choice: str
    why: str


@dataclass(frozen=True)
class FolderState:
    """A folder that is read or written.

    Args:
        path: Absolute.
        exists: Whether it is there; it is made when it is first needed.
        writable: Whether this user may write to it, or make it.
        free_bytes: Free space there; None where the system does not report it.
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
        state: ``installed`` with a package; ``present`` in the data folder; ``made`` on the spot; ``download`` when it
            is first used; ``yours`` where the config names your folder; ``unknown`` until it is loaded; ``broken``.
        note: Its place, now or after the download, or the missing part.
    """

    name: str
    state: Literal["installed", "present", "made", "download", "yours", "unknown", "broken"]
    note: str


@dataclass(frozen=True)
class RayNode:
    """A machine of a Ray cluster.

    Args:
        host: Its name.
        address: Its address in the network.
        cpus: Processors that it offers.
        gpus: GPUs that it offers.
        versions: ``python`` and packages -> version; None where one is not installed, empty where nothing is known.
        code: Digest of actbench's code there; None where it is not installed.
        gpu_names: The GPUs that torch finds there.
        datasets: Datasets at hand there, in the usual folder; those of a study are sent from here.
    """

    host: str
    address: str
    cpus: float
    gpus: float
    versions: Mapping[str, str | None]
    code: str | None
    gpu_names: Sequence[str]
    datasets: Sequence[str]


@dataclass(frozen=True)
class RayCluster:
    """A Ray cluster that runs.

    Args:
        address: As it was given.
        nodes: Its machines.
    """

    address: str
    nodes: Sequence[RayNode]


@dataclass(frozen=True)
class Installation:
    """Everything that ``actbench doctor`` shows.

    Args:
        versions: Package -> version; None where it is not installed.
        system: Operating system.
        processor: Its name, core, features and caches.
        processors: ``usable`` by this process, in the ``machine``, and torch's ``threads`` outside of training.
        memory: ``total`` and ``available`` bytes; None where the system does not report them.
        devices: Devices that torch can compute on, each with a description.
        kernels: Implementations that were chosen.
        data: The data folder; None where the code that knows it can't be imported.
        datasets: Which are at hand.
        results: The results folder.
        troubles: Everything that is wrong.
        ray_cluster: The cluster that was asked about; None without one.
    """

    versions: Mapping[str, str | None]
    system: str
    processor: Processor
    processors: Mapping[str, int | None]
    memory: Mapping[str, int | None]
    devices: Mapping[str, str]
    kernels: Sequence[KernelChoice]
    data: FolderState | None
    datasets: Sequence[Availability]
    results: FolderState
    troubles: Sequence[InstallationProblem]
    ray_cluster: RayCluster | None = None

    def to_json(self) -> dict[str, Any]:
        """Return all facts for JSON."""
        details = self.processor.to_json()
        return {"schema": 1, **asdict(self), "processor": self.processor.label, "processor_details": details}
