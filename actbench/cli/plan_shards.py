"""``actbench plan --shard N``: how a study is divided into N shards, and what each of them takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actbench.cli.output import rough_duration
from actbench.system.text import printable

if TYPE_CHECKING:
    from actbench.execution.runner import Runner
    from actbench.schema.spec import RunSpec

HEADINGS = ("shard", "runs", "to do", "work", "time", "seeds")


@dataclass(frozen=True)
class ShardPlan:
    """One shard of a planned study.

    Args:
        number: Which one, from 1.
        runs: Number of its runs.
        to_do: Number of those that have no result in this results folder.
        share: Its part of the work, by the cost model.
        seconds: Expected time of what is to do, on a machine like this one; None when nothing like it has finished.
        seeds: The seeds of which it holds all runs.
        partial_seeds: Those of which it holds a part.
    """

    number: int
    runs: int
    to_do: int
    share: float
    seconds: float | None
    seeds: list[int]
    partial_seeds: list[int]


def shards_text(runner: Runner, shards: int) -> str:
    """Return the table of all shards, as aligned lines of text."""
    plans = shard_plans(runner, shards)
    rows = [HEADINGS, *(_row(one, shards) for one in plans)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"study        {runner.study.name} -> {runner.store.folder}"]
    lines.append(f"shards       {shards}, of {len(runner.specs)} runs; each on {runner.jobs} worker(s)")
    for row in rows:
        aligned = (cell.rjust(width) for cell, width in zip(row[:-1], widths, strict=False))
        lines.append("  ".join((*aligned, row[-1])).rstrip())
    return "\n".join(map(printable, lines))


def shards_json(runner: Runner, shards: int) -> dict[str, Any]:
    """Return the division as plain data."""
    return {
        "schema": 1,
        "study": runner.study.name,
        "folder": str(runner.store.folder),
        "runs": len(runner.specs),
        "workers": runner.jobs,
        "shards": [
            {
                "shard": f"{one.number}/{shards}",
                "seeds": one.seeds,
                "partial_seeds": one.partial_seeds,
                "runs": {"all": one.runs, "done": one.runs - one.to_do, "to_do": one.to_do},
                "work": one.share,
                "time": {"seconds": one.seconds},
            }
            for one in shard_plans(runner, shards)
        ],
    }


def shard_plans(runner: Runner, shards: int) -> list[ShardPlan]:
    """Plan each shard by itself, as its machine would if it were like this one.

    Args:
        runner: The planner of the whole study.
        shards: Number of shards.
    """
    from actbench.execution.cohorts import plan_cohorts, weigh_by_settings
    from actbench.execution.estimates import RemainingTime
    from actbench.execution.shards import split

    parts = split(runner.specs, shards)
    costs = [
        sum(weigh_by_settings(cohort.specs) for cohort in plan_cohorts(part, device="cpu", jobs=1)) for part in parts
    ]
    waiting = {spec.digest for spec in runner.waiting}
    plans = []
    for number, (part, cost) in enumerate(zip(parts, costs, strict=True), start=1):
        left = [spec for spec in part if spec.digest in waiting]
        runtime = runner.runtime
        cohorts = plan_cohorts(
            left,
            device=runtime.device,
            jobs=runner.jobs,
            limit=runtime.cohort_size,
            weigh=runner.estimates.weigh,
        )
        seconds = RemainingTime(cohorts, runner.jobs, runner.estimates).seconds
        whole, partial = seeds_of(part, runner.specs)
        plans.append(ShardPlan(number, len(part), len(left), cost / sum(costs), seconds, whole, partial))
    return plans


def seeds_of(part: Sequence[RunSpec], study: Sequence[RunSpec]) -> tuple[list[int], list[int]]:
    """Return the seeds of which a shard holds all of the study's runs, and those of which it holds some."""
    each = len(study) // len({spec.seed for spec in study})
    counts = Counter(spec.seed for spec in part)
    whole = [seed for seed, runs in counts.items() if runs == each]
    return whole, [seed for seed in counts if seed not in whole]


def spelled_seeds(whole: Sequence[int], partial: Sequence[int]) -> str:
    """Spell the seeds of a shard.

    >>> spelled_seeds([0, 3], [6]), spelled_seeds([], [1, 2]), spelled_seeds([], [])
    ('0, 3 and a part of 6', 'a part of 1, 2', '')
    """
    parts = [_spelled(whole)] if whole else []
    if partial:
        parts.append(f"a part of {_spelled(partial)}")
    return " and ".join(parts)


def _spelled(seeds: Sequence[int]) -> str:
    """Spell all seeds, or the first and the last of many."""
    if len(seeds) <= 6:
        return ", ".join(map(str, seeds))
    return f"{seeds[0]}, {seeds[1]} … {seeds[-1]} ({len(seeds)} in all)"


def _row(one: ShardPlan, shards: int) -> tuple[str, ...]:
    time = "unknown" if one.seconds is None else rough_duration(one.seconds) if one.to_do else "–"
    seeds = spelled_seeds(one.seeds, one.partial_seeds)
    return f"{one.number}/{shards}", str(one.runs), str(one.to_do), f"{one.share:.1%}", time, seeds
