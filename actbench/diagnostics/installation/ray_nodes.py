"""Probe every machine of a Ray cluster: what it has, what differs from this one, and what to do about it.

The probe is carried to a machine by its code, since actbench may be missing there or be another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actbench.diagnostics.installation.facts import InstallationProblem, RayCluster, RayNode
from actbench.errors import UsageError
from actbench.execution.engines._ray_cluster import Connection, one_line
from actbench.execution.engines._ray_machine import PACKAGES, Description, differences_from_here
from actbench.schema.registry import names

PATIENCE = 120.0
"""Seconds for all answers: a machine starts a process for it, which imports torch."""


def examine_nodes(address: str, troubles: list[InstallationProblem]) -> RayCluster | None:
    """Return what is known of each machine; None, and a trouble, where there is no connection.

    Args:
        address: ``HOST:PORT`` of the cluster's head, or ``auto``.
        troubles: Gets every difference from this machine.
    """
    try:
        with Connection(address) as connection:
            ray = connection.ray
            listed = sorted(connection.nodes(), key=lambda node: (node["NodeManagerHostname"], node["NodeID"]))
            asked = [_asked(ray, node["NodeID"]) for node in listed]
            ray.wait(asked, num_returns=len(asked), timeout=PATIENCE)
            nodes = tuple(_node(ray, node, answer, troubles) for node, answer in zip(listed, asked, strict=True))
    except UsageError as error:
        what, _, remedy = str(error).partition(": ")
        troubles.append(InstallationProblem(what, remedy))
        return None
    return RayCluster(address, nodes)


def _asked(ray: Any, node: str) -> Any:
    """Start the probe on one machine and return the reference to its answer."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    where = NodeAffinitySchedulingStrategy(node, soft=False)
    options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": where}
    return ray.remote(_probe()).options(**options).remote(PACKAGES, names("datasets"))


def _node(ray: Any, node: dict[str, Any], answer: Any, troubles: list[InstallationProblem]) -> RayNode:
    """Return a machine's facts, and add what is wrong with it."""
    host, resources = node["NodeManagerHostname"], node["Resources"]
    cpus, gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    try:
        found = ray.get(answer, timeout=0)
    except Exception as error:  # lost meanwhile, or it can't even run the probe
        cause = "no answer in time" if isinstance(error, TimeoutError) else one_line(str(error))
        troubles.append(InstallationProblem(f"{host} can't be examined: {cause}", "look at it, or take it out"))
        return RayNode(host, node["NodeManagerAddress"], cpus, gpus, {}, None, (), ())
    machine = Description(node["NodeID"], host, found["code"], found["versions"])
    for what, remedy in differences_from_here(machine):
        troubles.append(InstallationProblem(f"{host} {what}", remedy))
    for text in found["broken"]:
        troubles.append(InstallationProblem(f"{host}: {one_line(text)}", "install it there anew"))
    if gpus > len(found["gpus"]):
        troubles.append(
            InstallationProblem(
                f"{host} offers {gpus:g} GPU(s), of which torch finds {len(found['gpus'])}",
                "install a build of torch there with the CUDA that its driver supports (nvidia-smi)",
            )
        )
    return RayNode(
        host,
        node["NodeManagerAddress"],
        cpus,
        gpus,
        found["versions"],
        found["code"],
        tuple(found["gpus"]),
        tuple(found["datasets"]),
    )


def _probe() -> Callable[[tuple[str, ...], tuple[str, ...]], dict[str, Any]]:
    """Return the probe, which uses nothing of this module: a function inside another is pickled by its code."""

    def probe(packages: tuple[str, ...], datasets: tuple[str, ...]) -> dict[str, Any]:
        import platform
        from importlib import metadata

        versions: dict[str, str | None] = {"python": platform.python_version()}
        for name in packages:
            try:
                versions[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                versions[name] = None
        found: dict[str, Any] = {"versions": versions, "code": None, "gpus": [], "datasets": [], "broken": []}
        try:
            from actbench.datasets import data_folder
            from actbench.diagnostics.installation.datasets import availability
            from actbench.system.code_digest import code_digest

            found["code"] = code_digest()
            at_hand = (availability(name, data_folder(None)) for name in datasets)
            found["datasets"] = [one.name for one in at_hand if one.state in ("installed", "present", "made")]
        except ModuleNotFoundError:
            pass  # not installed there, or an older one without these modules: the missing digest says so
        except Exception as error:  # a broken installation raises anything
            found["broken"].append(f"actbench can't be imported: {type(error).__name__}: {error}")
        try:
            import torch

            found["gpus"] = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        except ModuleNotFoundError:
            pass  # the missing version says so
        except Exception as error:
            found["broken"].append(f"torch can't be imported: {type(error).__name__}: {error}")
        return found

    return probe
