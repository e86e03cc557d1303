"""What the machines of a Ray cluster must have in common with the one that gives the command."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

from actbench.execution.engines._ray_import import import_ray
from actbench.system import environment
from actbench.system.code_digest import code_digest

PACKAGES = ("ray", "torch", "numpy")
"""Packages of which every machine needs the same version: Ray's refuse each other, the others round differently."""


@dataclass(frozen=True)
class Description:
    """A machine of the cluster.

    Args:
        node: Ray's id of it.
        host: Its name.
        code: ``system.code_digest`` there; None where actbench is not installed.
        versions: ``python`` and each of ``PACKAGES`` -> version; None where it is not installed.
    """

    node: str
    host: str
    code: str | None
    versions: Mapping[str, str | None]


def describe_here() -> Description:
    """Describe the machine of the calling process, which is connected to the cluster."""
    node: str = import_ray().get_runtime_context().get_node_id()
    return Description(node, socket.gethostname(), code_digest(), versions_here())


def versions_here() -> dict[str, str | None]:
    """Return the versions that a ``Description`` holds."""
    found: dict[str, str | None] = {"python": environment.describe_machine()["python"]}
    return found | {name: metadata.version(name) for name in PACKAGES}


def differences_from_here(machine: Description) -> list[tuple[str, str]]:
    """Return what another machine lacks, each with its remedy; the sentences go on from the machine's name."""
    found = []
    for name, own in versions_here().items():
        other = machine.versions[name]
        if other is None:
            found.append(
                (f"has no {name}", f"install {name} {own} in the environment that `ray start` belongs to there")
            )
        elif other != own:
            found.append((f"has {name} {other}, here is {own}", f"install {name} {own} there"))
    if machine.code is None:
        found.append(("has no actbench", "install the same there, with pip install 'activation-bench[ray]'"))
    elif machine.code != code_digest():
        found.append(("has another state of actbench's code", "install the same version or commit there as here"))
    return found
