"""``actbench list``: the names that configs and options know, one line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

KINDS = {
    "activations": "activations",
    "models": "models",
    "datasets": "datasets",
    "initializers": "weight_inits",
    "metrics": "metrics",
    "engines": "engines",
    "reports": "reports",
    "charts": "charts",
    "exporters": "exporters",
    "optimizers": "optimizers",
    "schedules": "schedules",
    "revivals": "revivals",
    "configs": "configs",
}
"""The word on the command line -> the kind in ``registry``; ``configs`` are files beside the package."""


MAX_NAME = 26
"""Letters of the left column. A longer name stands in a line of its own, so that the texts keep most of 80 columns."""

EXAMPLES = {
    "actbench list activations": "each with a line on it",
    "actbench list metrics --json": "for programs",
    "actbench list configs": "the studies that come with the installation",
}


def list_(
    kind: Annotated[str, typer.Argument(help=", ".join(KINDS), metavar="KIND")],
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List activations, models, datasets, shipped configs and more."""
    import shutil

    from actbench.cli.output import as_json, filled, print_result
    from actbench.errors import UnknownNameError

    if kind not in KINDS:
        raise UnknownNameError("kind", kind, KINDS)
    found = summaries(KINDS[kind])
    if json:
        print_result(as_json([{"name": name, "summary": text} for name, text in found.items()]))
        return
    width = min(max(map(len, found)), MAX_NAME, shutil.get_terminal_size().columns // 3)
    for name, text in found.items():
        start = f"{name:<{width}}  "
        if len(name) > width:
            print_result(name)
            start = " " * (width + 2)
        for line in filled(text, start, " " * (width + 2)) or [name]:
            print_result(line)


def summaries(kind: str) -> Mapping[str, str]:
    """Return a line about each name of a kind."""
    if kind == "configs":
        from actbench.config import shipped

        return {name: shipped.summary(path) for name, path in shipped.shipped().items()}
    from actbench.schema import summaries

    return summaries.summaries(kind)
