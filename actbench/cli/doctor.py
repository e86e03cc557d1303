"""``actbench doctor``: versions, devices, datasets and folders of this installation, and problems with remedies."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from actbench.system.text import printable

if TYPE_CHECKING:
    from actbench.diagnostics.installation.facts import FolderState, Installation, RayCluster, RayNode

EXAMPLES = {
    "actbench doctor": "what is installed, and what is wrong",
    "actbench doctor --json": "the same for programs, or to send along with a question",
    "actbench doctor --address auto": "and every machine of the Ray cluster that this one belongs to",
}

GIBIBYTE = 2**30
UNKNOWN = "unknown"
SHOWN = 12
"""Digits of a digest of code, enough to tell two apart."""


def doctor(
    results: Annotated[Path, typer.Option("-o", "--results", metavar="DIR", help="Folder for results.")] = Path(
        "results"
    ),
    data_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Datasets. [default: the user's cache folder]", envvar="ACTBENCH_DATA"),
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="And all machines of this Ray cluster.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show versions, devices, datasets and folders here, and problems.

    Each problem comes with its remedy. The exit code is 0.
    """
    from actbench.cli.output import as_json, print_result
    from actbench.diagnostics.installation.examine import examine

    found = examine(data_dir, results=results, address=address)
    if json:
        print_result(as_json(found.to_json()))
        return
    for line in lines(found):
        print_result(printable(line))


def lines(found: Installation) -> list[str]:
    """Return the lines for a reader; plain text, since rich may be what is missing."""
    threads = f", torch starts with {found.processors['threads']} thread(s)" if found.processors["threads"] else ""
    usable = f"{found.processors['usable']} usable of {found.processors['machine'] or UNKNOWN}{threads}"
    machine = {
        "system": found.system,
        "processor": found.processor.description,
        "processors": usable,
        "memory": f"{_size(found.memory['total'])}, {_size(found.memory['available'])} available",
    }
    shown = [
        *_section("versions", {name: version or "not installed" for name, version in found.versions.items()}.items()),
        *_section("machine", machine.items()),
        *_section("devices", found.devices.items()),
        *_section("kernels", ((one.name, f"{one.choice} ({one.why})") for one in found.kernels)),
        *_section("datasets", ((one.name, f"{one.state}: {one.note}") for one in found.datasets)),
        *_section("folders", _folders(found)),
        *([] if found.ray_cluster is None else _section(*_nodes(found.ray_cluster))),
    ]
    if not found.troubles:
        return [*shown, "no problem found"]
    troubles = [line for one in found.troubles for line in (f"  - {one.what}", f"    remedy: {one.remedy}")]
    return [*shown, f"problems: {len(found.troubles)}", *troubles]


def _section(title: str, content: Iterable[tuple[str, str]]) -> list[str]:
    pairs = list(content)
    width = max((len(name) for name, _ in pairs), default=0)
    return [title, *(f"  {name:<{width}}  {text}" for name, text in pairs), ""] if pairs else []


def _folders(found: Installation) -> list[tuple[str, str]]:
    folders = {"data": found.data, "results": found.results}
    return [(name, _folder_state(folder)) for name, folder in folders.items() if folder is not None]


def _nodes(cluster: RayCluster) -> tuple[str, list[tuple[str, str]]]:
    return f"machines of the Ray cluster {cluster.address}", [(one.host, _node(one)) for one in cluster.nodes]


def _node(node: RayNode) -> str:
    offered = f"{node.cpus:g} CPU(s), {node.gpus:g} GPU(s)"
    if node.gpu_names:
        offered += f" ({', '.join(dict.fromkeys(node.gpu_names))})"
    versions = ", ".join(f"{name} {version or 'missing'}" for name, version in node.versions.items()) or UNKNOWN
    code = "no actbench" if node.code is None else f"code {node.code[:SHOWN]}"
    return f"{node.address}: {offered}; {versions}; {code}; data: {', '.join(node.datasets) or 'none'}"


def _folder_state(folder: FolderState) -> str:
    state = "" if folder.exists else ", made when it is needed"
    rights = "writable" if folder.writable else "NOT writable"
    return f"{folder.path} ({rights}, {_size(folder.free_bytes)} free{state})"


def _size(count: int | None) -> str:
    return UNKNOWN if count is None else f"{count / GIBIBYTE:.1f} GiB"
