"""Warnings: facts that a reader should know before believing a table, one sentence each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from actbench.analysis.statistics import MIN_VALUES, smallest_p
from actbench.analysis.table.factors import FlatSpec, show
from actbench.analysis.table.result import Comparison
from actbench.schema.record import RunRecord

ENVIRONMENT = ("actbench", "torch", "numpy", "python", "device", "device_name")
"""Entries of a record's environment that may move a number."""


def warnings_about(
    comparison: Comparison, runs: Sequence[tuple[RunRecord, FlatSpec]], *, repeats: int
) -> Iterator[str]:
    """Yield all warnings about one table.

    Args:
        comparison: The table.
        runs: The runs behind its printed numbers, those of a hidden baseline included.
        repeats: Runs left out because they repeat the settings and seed of one of these.
    """
    records = [record for record, _ in runs]
    counted = Counter(record.outcome for record in records)
    for outcome in ("diverged", "failed"):
        if counted[outcome]:
            yield f"{counted[outcome]} of {len(records)} runs {outcome}: counted beside the means, not averaged in"
    if counted["collapsed"]:
        # Measured in docs/statistics.md: with 5 % of seeds collapsing, a 95 % interval covers .52 to .85.
        yield f"{counted['collapsed']} of {len(records)} runs collapsed: averaged in, so those intervals are too narrow"
    if len({one["activation"] for _, one in runs}) > 1:
        # A linear model, or a user's own that was given an activation and did not use it.
        unused = (record.spec.model.label for record in records if record.health.get("units") == 0)
        for label in dict.fromkeys(unused):
            yield f"{label} never used the run's activation, so rows that differ only in it are the same network"
    yield from _seeds(comparison)
    alone = [row for row in comparison.rows if not row.vs_baseline and not comparison.is_baseline(row.factors)]
    if alone and comparison.baseline is not None:
        yield f"{len(alone)} of {len(comparison.rows)} rows have no baseline run with the same other settings"
    if comparison.averaged:
        yield f"averaged over {', '.join(comparison.averaged)}, per seed; seeds that lack a combination are left out"
    if repeats:
        yield f"runs that repeat another's settings and seed, left out: {repeats}"
    for name in ENVIRONMENT:
        values = sorted({show(record.environment[name]) for record in records if name in record.environment})
        if len(values) > 1:
            yield f"runs differ in {name}: {', '.join(values)}"
    yield from _data(records)


def _seeds(comparison: Comparison) -> Iterator[str]:
    """Warn of different and of too few seeds."""
    seeds = {row.metrics[comparison.metrics[0]].n for row in comparison.rows}
    pairs = {one.difference.n_pairs for row in comparison.rows for one in row.vs_baseline.values()}
    if len(seeds) > 1:
        yield f"rows have {min(seeds)} to {max(seeds)} seeds: a difference uses only those that both sides have"
    if min(seeds) < MIN_VALUES:
        yield f"fewer than {MIN_VALUES} seeds: no interval and no test"
    few = {n for n in pairs if n >= MIN_VALUES and smallest_p(n) > comparison.alpha}
    if few:
        yield (
            f"with {min(few)} paired seeds no exact test can reach p < {comparison.alpha:g} (smallest possible "
            f"{smallest_p(min(few)):.3g}): a smaller p rests on normally distributed differences"
        )


def _data(records: Sequence[RunRecord]) -> Iterator[str]:
    """Warn of a dataset's name that stood for different images or labels: a replaced file, a changed loader."""
    found: dict[str, set[str]] = {}
    for record in records:
        if "data" in record.environment:
            found.setdefault(record.spec.dataset.label, set()).add(str(record.environment["data"]))
    for label, fingerprints in found.items():
        if len(fingerprints) > 1:
            short = ", ".join(sorted(fingerprint[:12] for fingerprint in fingerprints))
            yield f"runs of {label} were trained on different data: {short}"
