"""What the engine ``ray`` asks a cluster for, and how many slots fit on its machines."""

from __future__ import annotations

import os
from math import floor

from pydantic import Field, field_validator

from actbench.execution.engines._ray_cluster import Connection
from actbench.schema.cluster import ClusterOptions
from actbench.system import devices


class RayOptions(ClusterOptions):
    """What a Ray cluster is asked for.

    Attributes:
        address: The cluster's head, ``HOST:PORT``, or ``auto`` for the cluster that this machine belongs to; None to
            start one on this machine for the command alone.
        cpus: Processors that Ray sets aside for a worker, which uses one.
        gpus: GPUs of a worker, a part of one or 1: so many workers share a GPU, each with its part of the memory.
        retries: How often a cohort is tried again when its machine is lost, before it is halved.
        working_dir: A folder that Ray copies to every machine, for modules of the user's own.
    """

    address: str | None = None
    cpus: float = Field(default=1.0, gt=0)
    gpus: float | None = Field(default=None, ge=0)
    retries: int = Field(default=2, ge=0)
    working_dir: str | None = None

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, address: str | None) -> str | None:
        if address is None or address == "auto":
            return address
        if address.startswith("ray://"):
            raise ValueError(
                "addresses of Ray's client can't be used: give the command on a machine of the cluster, with "
                "--address auto or HOST:PORT of its head (6379 unless it was chosen otherwise)"
            )
        host, _, port = address.rpartition(":")
        if not host or "/" in address or not (port.isascii() and port.isdecimal()):
            raise ValueError("should be auto or HOST:PORT, such as 10.0.0.1:6379")
        return address

    @field_validator("gpus")
    @classmethod
    def _is_a_part(cls, gpus: float | None) -> float | None:
        if gpus is not None and gpus > 1:
            raise ValueError("a worker computes on one GPU: should be a part of one, or 1")
        return gpus

    @field_validator("working_dir")
    @classmethod
    def _is_a_folder(cls, folder: str | None) -> str | None:
        if folder is not None and not os.path.isdir(folder):
            raise ValueError("should be a folder of this machine")
        return folder


def cluster_resources(address: str) -> list[dict[str, float]]:
    """Return the resources of each machine of a running cluster."""
    with Connection(address) as connection:
        return [node["Resources"] for node in connection.nodes()]


def fitting(resources: dict[str, float], cpus: float, gpus: float) -> int:
    """Return how many slots fit on a machine.

    >>> fitting({"CPU": 8.0, "GPU": 1.0}, 1, 0.25), fitting({"CPU": 8.0}, 2, 0), fitting({"CPU": 8.0}, 1, 1)
    (4, 4, 0)
    """
    counts = [floor(resources.get("CPU", 0) / cpus + 1e-6)] if cpus else []
    if gpus:
        each = floor(1 / gpus + 1e-6)  # a slot's part lies on one GPU
        counts.append(floor(resources.get("GPU", 0)) * each)
    return min(counts)


def gpus_of_a_slot(device: str, options: RayOptions) -> float:
    """Return the GPUs of a slot."""
    if device == "cpu":
        return 0.0
    return 1.0 if options.gpus is None else options.gpus


def gpus_here() -> int:
    """Return the number of GPUs of this machine; torch is asked only where one may be."""
    return devices.count("cuda") if devices.choose("auto") == "cuda" else 0


def spelled(cpus: float, gpus: float) -> str:
    """Spell what a slot asks for, as "2 CPUs and 0.5 of a GPU"."""
    found = f"{cpus:g} CPU{'s' if cpus != 1 else ''}"
    return f"{found} and {gpus:g} of a GPU" if gpus else found
