"""Group runs into cohorts that train together: equal but for activation, biases, weight init and seed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from actbench.spec import Cohort, RunSpec

CPU_COHORT = 8
"""Most runs a cohort on a CPU: more leave the cache with their parameters, gradients and momentum."""

GPU_COHORT = 64
"""Most runs a cohort elsewhere, where launches dominate; a lack of memory halves it. Not measured yet."""


def cohorts(specs: Iterable[RunSpec], *, device: str, jobs: int, limit: int | None = None) -> list[Cohort]:
    """Cohorts in the order in which they should be computed, seeds outermost.

    On a CPU a cohort holds one seed, so that its runs share their batches, and a seed's runs are cut into at least
    ``jobs`` cohorts, so that no worker idles. Elsewhere seeds go together.

    Args:
        specs: What to run; the order decides which seed and which study part come first.
        device: ``cpu``, ``cuda`` …
        jobs: Workers that take cohorts.
        limit: Most runs a cohort; None for the device's own limit.

    Raises:
        ValueError: When the limit is below 1.
    """
    most = limit if limit is not None else (CPU_COHORT if device == "cpu" else GPU_COHORT)
    if most < 1:
        raise ValueError(f"a cohort holds at least one run, not {most}")
    together: dict[tuple[str, int], list[RunSpec]] = {}
    for spec in specs:
        together.setdefault((spec.cohort_key, spec.seed if device == "cpu" else -1), []).append(spec)
    return [cohort for runs in together.values() for cohort in _cut(runs, 1 if _alone(runs) else most, jobs)]


def _cut(runs: Sequence[RunSpec], most: int, jobs: int) -> list[Cohort]:
    """Parts of nearly equal size, equal activations side by side."""
    pieces = max(-(-len(runs) // most), min(jobs, len(runs)))
    ordered = sorted(runs, key=lambda spec: spec.activation.label)
    bounds = [len(runs) * piece // pieces for piece in range(pieces + 1)]
    return [Cohort(tuple(ordered[start:stop])) for start, stop in itertools.pairwise(bounds)]


def _alone(runs: Sequence[RunSpec]) -> bool:
    """A user's own ``nn.Module`` has no run axis."""
    return runs[0].model.path is not None
