"""Split a study into shards, so that machines that share nothing train a part each: ``--shard I/N``.

Every machine computes the same split from the runs' settings and actbench's version alone. What is finished, measured
times, processors and devices have no say in it, and costs are compared as whole numbers, since Python versions round
sums of floats differently. The shards are disjoint, and together they are the study.

The rule, in this order:

1. **Whole seeds.** The seeds are dealt out like cards: shard 1 gets the first, the (N+1)-th … Runs of one seed are
   compared with each other, so a shard that holds whole seeds gives whole pairs by itself, and one that never comes
   back takes whole seeds out of the table instead of making holes in it. On a CPU a cohort is of one seed, so none is
   cut. With more seeds in the config, every seed that was dealt out keeps its shard.
2. **The rest is cut into N equal parts.** Seeds that do not go round, all of them when there are more shards than
   seeds, are laid in a line, cohort by cohort as one worker on a CPU would train them, and the line is cut into N parts
   of equal cost. A cut is moved to the end of a cohort when that is near.
3. With more shards than runs, the last shards are empty.

    8 seeds, 3 shards     1/3: 0 3 6a     2/3: 1 4 6b 7a     3/3: 2 5 7b         (6a, 6b: parts of seed 6)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from actbench.errors import UsageError
from actbench.execution.cohorts import plan_cohorts, weigh_by_settings
from actbench.schema.spec import RunSpec
from actbench.system.text import one_line, shortened

MAX_SHARDS = 100_000
"""As many as a study may have runs."""

MAX_SHOWN = 20
"""Characters of a wrong option that a message repeats."""

NANOSECONDS = 1e9
"""Costs are whole nanoseconds of the cost model."""

NEAR = 40
"""A cut is moved to the end of a cohort by at most one part in so many of a shard: 2.5 %, so that two shards differ by
5 % at most for that reason."""


@dataclass(frozen=True)
class Shard:
    """One part of a split.

    Args:
        number: Which one, from 1.
        of: How many there are.

    >>> str(Shard.parse("02/5"))
    '2/5'
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``I/N``.

        Raises:
            UsageError: When it is not that, or there is no such shard.
        """
        number, slash, of = text.partition("/")
        given = f"--shard {one_line(text, MAX_SHOWN)}"
        if slash and not (number and of):
            raise UsageError(f"{given}: a number is missing; is a variable in it not set? write I/N, such as 2/5")
        if not slash and _is_number(text):
            raise UsageError(
                f"{given}: which of them? write I/N, such as 1/{number[:MAX_SHOWN]}; `actbench plan` shows all of them"
            )
        if not (_is_number(number) and _is_number(of)):
            raise UsageError(f"{given}: write I/N, two whole numbers, such as 2/5 for the second of five")
        shards = count(of)
        if not 1 <= _whole(number) <= shards:
            hint = "; a job array that begins at 0 has to begin at 1" if _whole(number) == 0 else ""
            raise UsageError(f"{given}: I goes from 1 to N, so here from 1/{shards} to {shards}/{shards}{hint}")
        return cls(_whole(number), shards)

    def __str__(self) -> str:
        """Return ``I/N``."""
        return f"{self.number}/{self.of}"

    def part_of(self, specs: Sequence[RunSpec]) -> tuple[RunSpec, ...]:
        """Return this shard's runs of a study, in the study's order."""
        return split(specs, self.of)[self.number - 1]


def count(text: str) -> int:
    """Read the number of shards, N.

    Raises:
        UsageError: When it is not a number that makes sense.
    """
    if not _is_number(text):
        raise UsageError(
            f"--shard {one_line(text, MAX_SHOWN)}: write how many shards, such as 5, or I/N for one of them"
        )
    found = _whole(text)
    if not 1 <= found <= MAX_SHARDS:
        raise UsageError(f"--shard: a study is split into 1 to {MAX_SHARDS:,} shards, not {shortened(text, MAX_SHOWN)}")
    return found


def split(specs: Sequence[RunSpec], shards: int) -> list[tuple[RunSpec, ...]]:
    """Split the runs of a study by the rule above.

    Args:
        specs: All runs of the study, in its order: seeds outermost, every seed with the same combinations.
        shards: Number of parts, at least 1.

    Returns:
        The runs of each shard, in the study's order; the last ones may be empty.
    """
    seeds: dict[int, list[RunSpec]] = {}
    for spec in specs:
        seeds.setdefault(spec.seed, []).append(spec)
    whole = len(seeds) - len(seeds) % shards
    found: list[list[RunSpec]] = [[] for _ in range(shards)]
    for place, runs in enumerate(list(seeds.values())[:whole]):
        found[place % shards] += runs
    rest = list(seeds.values())[whole:]
    if rest:
        line, ends, cost = _line(rest)
        for part, runs in zip(found, _cut(line, ends, cost * len(seeds), shards), strict=True):
            part += runs
    places = {spec.digest: place for place, spec in enumerate(specs)}
    return [tuple(sorted(part, key=lambda spec: places[spec.digest])) for part in found]


@dataclass(frozen=True)
class _Step:
    """One run of the line.

    Args:
        spec: The run.
        end: Nanoseconds of all runs up to and with this one.
    """

    spec: RunSpec
    end: int


def _line(seeds: Sequence[Sequence[RunSpec]]) -> tuple[list[_Step], list[int], int]:
    """Lay seeds in a line, in the order of their cohorts.

    Cohorts are planned for the first seed alone: the others hold the same combinations in the same order.

    Returns:
        The runs; the ends of the cohorts; the cost of one seed.
    """
    places = {spec.digest: place for place, spec in enumerate(seeds[0])}
    line: list[_Step] = []
    ends: list[int] = []
    cohorts = [
        ([places[spec.digest] for spec in cohort.specs], max(1, round(NANOSECONDS * weigh_by_settings(cohort.specs))))
        for cohort in plan_cohorts(seeds[0], device="cpu", jobs=1)
    ]
    passed = 0
    for runs in seeds:
        for members, cost in cohorts:
            for number, place in enumerate(members, start=1):
                line.append(_Step(runs[place], passed + cost * number // len(members)))
            passed += cost
            ends.append(passed)
    return line, ends, passed // len(seeds)


def _cut(line: Sequence[_Step], ends: Sequence[int], study: int, shards: int) -> list[list[RunSpec]]:
    """Cut a line into parts of equal cost, at runs' ends, and where it is near enough at a cohort's.

    Args:
        line: The runs.
        ends: The ends of the cohorts.
        study: The cost of the whole study, of which the line may be a part.
        shards: Number of parts.
    """
    used = min(shards, len(line))
    run_ends = [0, *(step.end for step in line)]
    cohort_ends = [0, *ends]
    cuts = [0]
    for number in range(1, used):
        # All in units of 1/used ns, so that the ideal cut is a whole number.
        ideal = number * line[-1].end
        at = _nearest(cohort_ends, ideal, used)
        if abs(at * used - ideal) * shards * NEAR > study * used:
            at = _nearest(run_ends, ideal, used)
        cuts.append(bisect_left(run_ends, at))
    parts = [[step.spec for step in line[start:stop]] for start, stop in pairwise([*cuts, len(line)])]
    # A run that costs more than a share leaves parts empty: those go last, as when there are fewer runs than shards.
    filled = [part for part in parts if part]
    return filled + [[] for _ in range(shards - len(filled))]


def _nearest(ends: Sequence[int], ideal: int, unit: int) -> int:
    """Return the end that is nearest to a place in the line given in parts of a nanosecond; of two, the earlier."""
    after = bisect_left(ends, -(-ideal // unit))
    candidates = ends[max(0, after - 1) : after + 1]
    return min(candidates, key=lambda end: abs(end * unit - ideal))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _whole(text: str) -> int:
    """Return a number of any length; one too long to be read counts as too large."""
    return int(text) if len(text.lstrip("0")) <= 12 else 10**12
