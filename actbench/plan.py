"""Group runs into cohorts that train together: equal but for activation, biases, weight init and seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from actbench.plugins import load
from actbench.spec import Cohort, RunSpec

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
        limit: Most runs a cohort; None for what suits the device and the model.

    Raises:
        ValueError: When the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"a cohort holds at least one run, not {limit}")
    together: dict[tuple[str, int], list[RunSpec]] = {}
    for spec in specs:
        together.setdefault((spec.cohort_key, spec.seed if device == "cpu" else -1), []).append(spec)
    return [cohort for runs in together.values() for cohort in _cut(runs, _most(runs[0], device, limit), jobs)]


def _cut(runs: Sequence[RunSpec], most: int, jobs: int) -> list[Cohort]:
    """Parts of nearly equal size in the order given; within a part, equal activations side by side."""
    pieces = max(-(-len(runs) // most), min(jobs, len(runs)))
    bounds = [len(runs) * piece // pieces for piece in range(pieces + 1)]
    parts = [runs[start:stop] for start, stop in pairwise(bounds)]
    return [Cohort(tuple(sorted(part, key=lambda spec: spec.activation.label))) for part in parts]


def _most(spec: RunSpec, device: str, limit: int | None) -> int:
    """Most runs like this one in a cohort; a user's own ``nn.Module`` has no run axis."""
    if spec.model.path is not None:
        return 1
    if limit is not None:
        return limit
    return int(load("models", spec.model.name).cpu_cohort) if device == "cpu" else GPU_COHORT
