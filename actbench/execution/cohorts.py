"""Group runs into cohorts that train together, and order the cohorts so that no worker is idle at the end.

Cohorts hold runs that are equal but for activation, biases, weight init and seed. A run's numbers never depend on the
cohort it is in (on a GPU but for rounding), so cohort size affects only speed: cohorts are as large as they may be,
because runs of one cohort share their batches, and smaller only where the last workers would otherwise wait for one of
them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from actbench.execution.cost_model import time_by_settings
from actbench.schema.registry import load
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec

GPU_COHORT = 64
"""Most runs of a cohort on a GPU, where launches dominate; a lack of memory halves it. On an H200, twice as many took
15 % off a small network's step, and half as many added 35 % (docs/benchmarks.md)."""

FINEST = 4
"""A worker's share of the last round is cut into at most so many parts of equal cost."""

ROUNDING = 1e-9
"""Keeps a part that costs exactly one share from being cut in two."""

WORTH = 0.99
"""Smaller cohorts, or another order of seeds, must end the study within this part of the time; else nothing changes."""

Weigh = Callable[[Sequence[RunSpec]], float]
"""The cost of these runs as one cohort, in a unit that is the same for all cohorts."""


@dataclass(frozen=True)
class _Part:
    """A cohort in the making.

    Args:
        seed: The place of the runs' seed among the seeds.
        runs: The runs.
        cost: Their cost as one cohort.
    """

    seed: int
    runs: Sequence[RunSpec]
    cost: float

    def by_seed(self) -> tuple[int, float]:
        """Return a sort key: seeds outermost, within a seed the longest first."""
        return self.seed, -self.cost


def weigh_by_settings(runs: Sequence[RunSpec]) -> float:
    """Return the cost of a cohort when nothing like it has been measured."""
    return time_by_settings(runs[0], len(runs)).total


def plan_cohorts(
    specs: Iterable[RunSpec],
    *,
    device: str,
    jobs: int,
    limit: int | None = None,
    weigh: Weigh = weigh_by_settings,
) -> list[Cohort]:
    """Group runs into cohorts, in the order in which to compute them: seeds outermost, within a seed the longest first.

    On a CPU a cohort holds one seed, so that its runs share their batches. Elsewhere seeds go together. At the end,
    where fewer cohorts than workers are left, the last seeds are cut finer, and their order is given up, if that ends
    the study earlier.

    Args:
        specs: What to run; the order decides which seed comes first, and which of equally long cohorts.
        device: ``cpu``, ``cuda`` …
        jobs: Workers that take cohorts.
        limit: Most runs a cohort; None for what suits the device and the model.
        weigh: The cost of runs that train together.

    Raises:
        ValueError: When the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"a cohort holds at least one run, not {limit}")
    together: dict[int, dict[str, list[RunSpec]]] = {}
    for spec in specs:
        alike = together.setdefault(spec.seed if device == "cpu" else -1, {})
        alike.setdefault(spec.cohort_key, []).append(spec)
    parts = [
        _Part(place, piece, weigh(piece))
        for place, alike in enumerate(together.values())
        for runs in alike.values()
        for piece in cut(runs, ceil(len(runs) / _most(runs[0], device, limit)))
    ]
    planned = _without_idle_tail(sorted(parts, key=_Part.by_seed), jobs, weigh)
    return [Cohort(tuple(sorted(part.runs, key=lambda spec: spec.activation.label))) for part in planned]


def schedule(costs: Iterable[float], loads: Sequence[float]) -> list[float]:
    """Return the times when the workers are done, if cohorts are handed out in order, each to the next free worker.

    >>> schedule([5, 3, 2, 2], [0, 0])
    [5, 7]

    Args:
        costs: Costs of the cohorts, in their order.
        loads: Times when the workers become free; at least one.
    """
    ends = list(loads)
    heapq.heapify(ends)
    for cost in costs:
        heapq.heapreplace(ends, ends[0] + cost)
    return sorted(ends)


def cut(runs: Sequence[RunSpec], pieces: int) -> list[Sequence[RunSpec]]:
    """Return parts of nearly equal size, in the order given."""
    bounds = [len(runs) * piece // pieces for piece in range(pieces + 1)]
    return [runs[start:stop] for start, stop in pairwise(bounds)]


def _without_idle_tail(parts: list[_Part], jobs: int, weigh: Weigh) -> list[_Part]:
    """Return the parts with some of the last cut finer or reordered, so that the last worker is done earliest.

    Greedy, not optimal: a few numbers of last parts, each cut into one to ``FINEST`` pieces a share, in two orders.
    """
    costs = [part.cost for part in parts]
    best, least = parts, schedule(costs, [0.0] * jobs)[-1]
    for count in _tails(len(parts), jobs):
        body, tail = parts[:-count], parts[-count:]
        before = schedule(costs[:-count], [0.0] * jobs)
        for finer in _finer(tail, sum(costs[-count:]) / jobs, weigh):
            end = schedule((part.cost for part in finer), before)[-1]
            # Fewer and larger cohorts come first, so what follows has to be better, not just as good.
            if end < WORTH * least:
                best, least = [*body, *finer], end
    return best


def _tails(parts: int, jobs: int) -> list[int]:
    """Return the numbers of last parts whose cut is tried: a few, and up to two rounds of all workers."""
    if jobs == 1:
        return []  # a single worker is never idle at the end
    tried = (1, 2, 3, jobs // 2, jobs - 1, jobs, jobs + 1, 3 * jobs // 2, 2 * jobs)
    return sorted({min(count, parts) for count in tried} - {0})


def _finer(tail: Sequence[_Part], share: float, weigh: Weigh) -> Iterator[list[_Part]]:
    """Yield the tail cut to ever smaller costs: in the order of seeds, then the longest of all seeds first.

    Args:
        tail: The last parts.
        share: The tail's cost a worker.
        weigh: As in ``plan_cohorts``.
    """
    for times in range(1, FINEST + 1):
        smaller = [
            _Part(part.seed, piece, weigh(piece))
            for part in tail
            for piece in cut(part.runs, max(1, min(len(part.runs), ceil(part.cost * times / share - ROUNDING))))
        ]
        yield sorted(smaller, key=_Part.by_seed)
        yield sorted(smaller, key=lambda part: -part.cost)


def _most(spec: RunSpec, device: str, limit: int | None) -> int:
    """Return the most runs like this one in a cohort: one for a user's own ``nn.Module``, which has no run axis."""
    if spec.model.path is not None:
        return 1
    if limit is not None:
        return limit
    return int(load("models", spec.model.name).cpu_cohort) if device == "cpu" else GPU_COHORT
