"""The arguments and options that ``run`` and ``plan`` share, and the planned study that they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from actbench.execution.runner import Runner
    from actbench.schema.runtime import Runtime


Config = Annotated[Path, typer.Argument(help="A study's YAML file.", metavar="CONFIG")]


Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Change a key by its dotted path; a comma list sweeps.", metavar="KEY=VALUE"),
]


Results = Annotated[Path, typer.Option("-o", "--results", help="Folder for results.")]


Device = Annotated[str, typer.Option(help="auto, cpu, cuda (cuda:1 …) or mps.")]


Engine = Annotated[str, typer.Option(help="Where runs are computed: see `actbench list engines`.")]


CohortSize = Annotated[int | None, typer.Option(min=1, help="Most runs that train together.")]


Jobs = Annotated[str, typer.Option("-j", "--jobs", metavar="N|auto", help="Worker processes.")]


DataDir = Annotated[
    Path | None, typer.Option(help="Folder of datasets. [default: the user's cache folder]", envvar="ACTBENCH_DATA")
]


Smoke = Annotated[bool, typer.Option("--smoke", help="The study cut to seconds: 1 epoch, 2 seeds, 512 examples.")]


Retry = Annotated[
    Literal["failed", "none", "all"], typer.Option(help="Earlier runs to run again; all: collapsed, diverged too.")
]


Until = Annotated[
    str | None,
    typer.Option(metavar="CONDITION", help="Add seeds until differences are known: 'test.accuracy ci < 0.2pp'."),
]


MaxSeeds = Annotated[int | None, typer.Option(min=1, help="Where --until ends. [default: 30]")]


def prepared(
    context: typer.Context,
    config: Path,
    overrides: list[str] | None,
    results: Path,
    runtime: Runtime,
    *,
    smoke: bool,
    retry: Literal["failed", "none", "all"],
    force: bool,
) -> Runner:
    """The study that the options of ``run`` or ``plan`` stand for, planned; nothing is written.

    Raises:
        UsageError: When the config, an option or the results folder has to be mended first.
    """
    from actbench.cli.without_effect import refuse_what_has_no_effect
    from actbench.config import Study
    from actbench.execution.runner import Runner
    from actbench.schema.registry import load

    load("engines", runtime.engine)
    study = Study.from_yaml(config, overrides or ())
    runner = Runner(study.smoke() if smoke else study, results, runtime, retry=retry, force=force)
    refuse_what_has_no_effect(context, runner)
    return runner


def workers(text: str) -> int | None:
    """The number in ``--jobs``; None for ``auto``."""
    if text == "auto":
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise typer.BadParameter(f"'{text}' is neither auto nor a number of at least 1", param_hint="--jobs")
    return int(text)
