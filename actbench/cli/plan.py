"""``actbench plan`` and ``run --dry-run``: what would be run, with what time and disk it may take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from actbench.cli import run as running

if TYPE_CHECKING:
    from actbench.runner import Runner

SAMPLED = 50
"""Finished runs whose files are measured: enough to tell the size of one."""


def plan(
    context: typer.Context,
    config: running.Config,
    overrides: running.Overrides = None,
    results: running.Results = Path("results"),
    jobs: running.Jobs = "auto",
    device: running.Device = "auto",
    engine: running.Engine = "pool",
    cohort_size: running.CohortSize = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="The study cut to seconds.")] = False,
    retry: running.Retry = "failed",
    force: Annotated[bool, typer.Option("--force", help="As if no run had finished.")] = False,
    until: running.Until = None,
    max_seeds: running.MaxSeeds = None,
) -> None:
    """What `run` would do: runs done and to do, estimated time and disk. Trains nothing and writes nothing."""
    running.run(
        context,
        config,
        overrides,
        results=results,
        jobs=jobs,
        device=device,
        engine=engine,
        cohort_size=cohort_size,
        dry_run=True,
        smoke=smoke,
        retry=retry,
        force=force,
        until=until,
        max_seeds=max_seeds,
    )


def describe(runner: Runner) -> str:
    """The plan, as aligned lines of text."""
    specs, study = runner.specs, runner.study
    shared = sorted({f"{spec.dataset.label} · {spec.model.label}" for spec in specs})
    lines = {
        "study": f"{study.name} -> {runner.store.folder}",
        "data, model": "; ".join(shared),
        "factors": ", ".join(study.factors) or "none",
        "seeds": _seeds(list(dict.fromkeys(spec.seed for spec in specs))),
        "runs": f"{len(specs)}: {len(specs) - len(runner.waiting)} done, {len(runner.waiting)} to do",
        "cohorts": f"{len(runner.cohorts)} on {runner.jobs} worker(s), {runner.runtime.device}",
        "time": _time(runner),
        "disk": _disk(runner),
    }
    return "\n".join(f"{name:12} {value}" for name, value in lines.items())


def _seeds(seeds: list[int]) -> str:
    """All of them, or the first and the last of many."""
    if len(seeds) <= 12:
        return ", ".join(map(str, seeds))
    return f"{seeds[0]}, {seeds[1]}, {seeds[2]} … {seeds[-1]} ({len(seeds)} in all)"


def _time(runner: Runner) -> str:
    """For the whole command, by the finished runs below the results folder."""
    from actbench.cli.progress import in_words
    from actbench.outlook import seconds

    if not runner.waiting:
        return "nothing to do"
    expected = seconds(runner.cohorts, runner.jobs, runner.estimates)
    if expected is None:
        return "unknown until a run of this kind has finished"
    bases = {runner.estimates.expect(cohort.specs).basis for cohort in runner.cohorts}
    grounds = "finished runs of this kind" if bases == {"kind"} else "runs of this dataset and model, set otherwise"
    return f"{in_words(expected)}, by {grounds}"


def _disk(runner: Runner) -> str:
    """By this study's finished runs."""
    sizes = list(islice(_sizes(runner.store.folder / "runs"), SAMPLED))
    if not sizes:
        return "unknown until a run has finished; a few KB a run"
    each = sum(sizes) / len(sizes)
    return f"about {each * len(runner.waiting) / 1024:.0f} KB, {each / 1024:.1f} KB a run"


def _sizes(runs: Path) -> Iterator[int]:
    """Bytes of each finished run."""
    if not runs.is_dir():
        return
    with os.scandir(runs) as entries:
        for entry in entries:
            if Path(entry.path, "result.json").is_file():
                yield sum(file.stat().st_size for file in Path(entry.path).iterdir())
