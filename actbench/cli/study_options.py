"""The arguments and options that ``run`` and ``plan`` share, and the planned study that they stand for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actbench.cli import help_pages
from actbench.errors import UsageError
from actbench.execution.retry import RetryChoice

if TYPE_CHECKING:
    from actbench.config import Study, TwoStage
    from actbench.execution import shards
    from actbench.execution.runner import Runner
    from actbench.schema.runtime import Runtime
    from actbench.storage.submissions import Ending

AGAIN = "Runs that have ended"

Config = Annotated[Path, typer.Argument(help="A YAML file, or a name of `list configs`.", metavar="CONFIG")]

Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="A key of the config, set to a value; a,b sweeps.", metavar="KEY=VALUE"),
]

Results = Annotated[Path, typer.Option("-o", "--results", metavar="DIR", help="Folder for results.")]

Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda (cuda:1 …) or mps.")]

Engine = Annotated[
    str, typer.Option(metavar="NAME", help="See `actbench list engines`.", rich_help_panel=help_pages.RARE)
]

Cluster = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE|FILE",
        help="What the engine asks its cluster for.",
        rich_help_panel=help_pages.RARE,
    ),
]

Address = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="A Ray cluster that runs already.", rich_help_panel=help_pages.RARE),
]

CohortSize = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Most runs that train together.", rich_help_panel=help_pages.RARE),
]

Jobs = Annotated[str, typer.Option("-j", "--jobs", metavar="N|auto", help="Worker processes.")]

DataDir = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Datasets. [default: the user's cache folder]", envvar="ACTBENCH_DATA"),
]

Smoke = Annotated[bool, typer.Option("--smoke", help="Cut to seconds: 1 epoch, 2 seeds, 512 images.")]

Retry = Annotated[
    RetryChoice,
    typer.Option(
        metavar="failed|none|all",
        help="Which ended runs to repeat.",
        rich_help_panel=AGAIN,
    ),
]

Until = Annotated[str | None, typer.Option(metavar="CONDITION", help="Add seeds until this holds of differences.")]

MaxSeeds = Annotated[int | None, typer.Option(min=1, metavar="N", help="Where --until ends. [default: 30]")]

Shard = Annotated[str | None, typer.Option(metavar="I/N", help="The I-th of N parts; the others go elsewhere.")]

Exact = Annotated[bool, typer.Option("--exact", help="Their number at once, by Stein's rule.")]


@dataclass(frozen=True)
class StudyOptions:
    """The study that a command is about, and the part of it to train.

    Args:
        config: The study's YAML file.
        overrides: ``KEY=VALUE`` texts that change keys of the config.
        results: The results folder.
        runtime: How to compute.
        smoke: Whether the study is cut to seconds.
        retry: Which of the earlier runs that did not end with outcome ``ok`` to run again.
        force: Whether to run finished runs again too.
        until: Condition of ``--until``; None for the seeds of the config.
        max_seeds: Where ``--until`` ends; None when not given.
        exact: Whether ``--until`` adds them at once, by the spread of the first ones.
        shard: The part of the study to train; None for all of it.
        only: The runs to train, each with how it had ended when it was dealt out; None for all.
    """

    config: Path
    overrides: Sequence[str]
    _: KW_ONLY
    results: Path
    runtime: Runtime
    smoke: bool
    retry: RetryChoice
    force: bool
    until: str | None
    max_seeds: int | None
    exact: bool = False
    shard: shards.Shard | None = None
    only: Mapping[str, Ending] | None = None

    def study(self, seeds: Sequence[int] | None = None, two_stage: TwoStage | None = None) -> Study:
        """Read the config, with other seeds if they are given.

        Args:
            seeds: The seeds in place of the config's.
            two_stage: How they were chosen, which the config of the results then records.

        Raises:
            UsageError: When the config or an override has to be fixed.
        """
        from actbench.config import Study

        others = [] if seeds is None else [f"seeds={list(seeds)}"]
        if two_stage is not None:
            others.append(f"compare.two_stage={json.dumps(two_stage.model_dump(mode='json'))}")
        study = Study.from_yaml(self.config, [*self.overrides, *others])
        return study.smoke() if self.smoke else study


def prepared(context: typer.Context, options: StudyOptions) -> Runner:
    """Plan the study; nothing is written.

    Raises:
        UsageError: When the config, an option or the results folder has to be fixed first.
    """
    from actbench.cli.unused_options import reject_unused_options
    from actbench.execution.runner import Runner
    from actbench.schema.registry import load

    load("engines", options.runtime.engine)  # before the config is read: report a wrong name first
    runner = Runner(
        options.study(),
        options.results,
        options.runtime,
        retry=options.retry,
        force=options.force,
        shard=options.shard,
        only=options.only,
    )
    reject_unused_options(context, runner)
    return runner


def cluster_of(cluster: Sequence[str] | None, address: str | None) -> dict[str, Any]:
    """Return what ``--cluster`` and ``--address`` say, key -> text; ``--address`` is the option of that name.

    Raises:
        UsageError: When a text or a file can't be read.
    """
    from actbench.config.cluster import read_cluster

    return read_cluster(cluster or ()) | ({} if address is None else {"address": address})


def dealt_out(path: Path) -> Mapping[str, Ending]:
    """Return the runs of ``--only``, each with how it had ended when it was dealt out.

    Raises:
        UsageError: When the file can't be read, or other code than this is to compute them.
    """
    from actbench.storage.submissions import read_chunk
    from actbench.system.code_digest import PACKAGE, code_digest

    chunk = read_chunk(path)
    if chunk.code != code_digest():
        raise UsageError(
            f"the jobs were submitted by other code of actbench than {PACKAGE}, which is "
            f"{code_digest()[:12]}… here and not {chunk.code[:12]}…: install the same on all machines, and give the "
            "command that submitted them again"
        )
    return chunk.before


def workers(text: str) -> int | None:
    """Return the number in ``--jobs``; None for ``auto``."""
    if text == "auto":
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise typer.BadParameter(f"'{text}' is neither auto nor a number of at least 1", param_hint="--jobs")
    return int(text)
