"""``actbench status``: how far the studies below a folder are, and why some runs have no result."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from actbench.cli.study_names import result_path
from actbench.system.text import one_line, printable, shell_command

if TYPE_CHECKING:
    from actbench.storage.status import Running, StudyStatus

EXAMPLES = {
    "actbench status": "every study below results/",
    "actbench status results/study --watch": "one study, again and again while it trains",
}

HEADINGS = ("study", "done", "running", "failed", "paused", "stale", "to do")
MOST_LEFT = 5
"""Paused runs, and stale ones, that are named; the command that resumes them is the same for all."""


def status(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="A results folder or a study's.", metavar="PATH")] = Path("results"),
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again while runs are training.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks of --watch.", metavar="SECONDS")] = 2.0,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what is done, running, failed, paused and still to do.

    Each failure comes with its log. Ctrl-C ends a --watch with exit code 130; the runs go on.
    """
    from actbench.cli.output import as_json, print_result
    from actbench.cli.shard_folders import with_shards
    from actbench.cli.submitted_jobs import with_jobs
    from actbench.errors import UsageError
    from actbench.storage.status import study_statuses

    path = result_path(path)
    if watch:
        from actbench.cli import watch as watching

        if json:
            raise UsageError("--json is one look at the runs: give it without --watch")
        if not watching.MIN_INTERVAL <= every <= watching.MAX_INTERVAL:
            least, most = watching.MIN_INTERVAL, watching.MAX_INTERVAL
            raise UsageError(f"--every: expected {least:g} to {most:,.0f} seconds between two looks, not {every:g}")
        watching.watch(lambda: with_jobs(with_shards(study_statuses(path))), _lines, interval=every)
        return
    source = context.get_parameter_source("every")
    if source is not None and source.name == "COMMANDLINE":  # a variable may hold the user's own default
        raise UsageError("--every is the time between two looks of --watch: give that, too")
    found = with_jobs(with_shards(study_statuses(path)))
    if json:
        print_result(as_json({"schema": 1, "studies": [one.to_dict() for one in found]}))
        return
    for line in _lines(found):
        print_result(printable(line))


def _lines(found: Sequence[StudyStatus]) -> Iterator[str]:
    rows = [HEADINGS, *map(_row, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for study, *numbers in rows:
        aligned = (number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True))
        yield "  ".join((study.ljust(widths[0]), *aligned))
    for one in found:
        for index, line in enumerate(_details(one)):
            if not index:
                yield from ("", one.study)
            yield f"  {line}"


def _row(one: StudyStatus) -> tuple[str, ...]:
    from actbench.cli.output import shown_on

    numbers = (sum(one.done.values()), len(one.running), len(one.failed), len(one.paused), len(one.stale))
    return shown_on(sys.stdout, one.study), *map(str, numbers), "?" if one.to_do is None else str(one.to_do)


def _details(one: StudyStatus) -> Iterator[str]:
    """Yield what a study's numbers do not show: processes, jobs, failures, stale runs, the command that goes on."""
    from actbench.cli.submitted_jobs import job_lines

    if any(count for outcome, count in one.done.items() if outcome != "ok"):
        yield "done: " + ", ".join(f"{count} {outcome}" for outcome, count in one.done.items() if count)
    for who, runs in groupby(sorted(one.running, key=_who), key=_who):
        yield f"running: {who}"
        yield from (f"  {run.run}  {_epoch(run)}, since {_local(run.since)}" for run in runs)
    yield from job_lines(one.jobs)
    for failure in one.failed:
        yield f"failed: {failure.run}: {one_line(failure.message)}"
        yield f"  {failure.log}"
    for paused in one.paused[:MOST_LEFT]:
        yield f"{goes_on(paused.epoch, paused.epochs)}: {paused.run}"
    if len(one.paused) > MOST_LEFT:
        yield f"paused: … and {len(one.paused) - MOST_LEFT} more (--json)"
    for stale in one.stale[:MOST_LEFT]:
        yield f"stale: {stale.run}: {one_line(stale.why)}"
    if len(one.stale) > MOST_LEFT:
        yield f"stale: … and {len(one.stale) - MOST_LEFT} more (--json)"
    yield from (f"warning: {warning}" for warning in one.warnings)
    if one.resume and (one.failed or one.paused or one.stale or one.to_do):
        command = shell_command(one.resume, sys.stdout.encoding or "utf-8")
        if one.shard and "--shard" not in one.resume:
            yield f"shard {one.shard} is done, the other shards are not in this folder"
            yield f"to train them here, too: {command}"
        else:
            yield f"to go on: {command}"


def goes_on(epoch: int | None, epochs: int | None) -> str:
    """Spell where a paused run goes on.

    >>> goes_on(3, 20), goes_on(None, 20)
    ('paused, goes on from epoch 3 of 20', 'paused, goes on where it was saved')
    """
    if epoch is None:
        return "paused, goes on where it was saved"
    return f"paused, goes on from epoch {epoch}" + ("" if epochs is None else f" of {epochs}")


def _who(run: Running) -> str:
    return f"pid {run.pid} on {run.host}" if run.pid else "a process that has only just begun"


def _epoch(run: Running) -> str:
    return "starting" if run.epoch is None else f"epoch {run.epoch}/{run.epochs}"


def _local(since: str) -> str:
    """Spell a time in this machine's time zone; a dash while there is none."""
    return f"{datetime.fromisoformat(since).astimezone():%Y-%m-%d %H:%M:%S}" if since else "–"
