"""What a comparison found, ready to be shown: reports render these and compute nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from actbench.record import METRICS
from actbench.statistics import Difference, Interval

SCHEMA = 1
"""Version of ``compare --format json``."""

Value = str | int | float | bool | None
"""A factor's value: a component's label, or the plain setting."""

DEAD = "health.dead_fraction"


@dataclass(frozen=True)
class Contrast:
    """One metric of one row against the baseline.

    Args:
        difference: The paired difference, row − baseline.
        p_adjusted: Holm's over all differences of the metric in the table; None where there is no p.
        significant: Whether ``p_adjusted`` is below alpha.
    """

    difference: Difference
    p_adjusted: float | None
    significant: bool

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON; what a reader of tables needs beyond it (losses, note) stays out."""
        found = self.difference
        return {
            "difference": found.difference,
            "low": found.low,
            "high": found.high,
            "p": found.p,
            "p_adjusted": self.p_adjusted,
            "n_pairs": found.n_pairs,
            "wins": found.wins,
            "pairing_gain": found.pairing_gain,
            "significant": self.significant,
        }


@dataclass(frozen=True)
class Row:
    """All runs that share one combination of the factors' values.

    Args:
        factors: Factor -> value.
        runs: Number of runs, whatever their outcome.
        outcomes: Outcome -> number of runs.
        metrics: Metric -> its mean over seeds; runs without a value are counted in ``outcomes`` alone.
        vs_baseline: Metric -> contrast; empty for a baseline row.
    """

    factors: Mapping[str, Value]
    runs: int
    outcomes: Mapping[str, int]
    metrics: Mapping[str, Interval]
    vs_baseline: Mapping[str, Contrast]

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON; fractions stay fractions."""
        return {
            "factors": dict(self.factors),
            "runs": self.runs,
            "outcomes": dict(self.outcomes),
            "metrics": {name: asdict(interval) for name, interval in self.metrics.items()},
            "vs_baseline": {name: contrast.to_dict() for name, contrast in self.vs_baseline.items()},
        }


@dataclass(frozen=True)
class Comparison:
    """One table: the rows of one study on one dataset with one model.

    Args:
        study: Name of the study.
        context: What all rows share, ``dataset`` and ``model``.
        factors: What they differ in, the columns' order.
        baseline: Factor -> value of the row that others are compared to; a factor that it leaves out is matched (each
            row against the baseline with the same value there). None when there is nothing to compare to.
        rows: Best mean of the first metric first.
        metrics: The metrics asked for; the rows' others are context.
        averaged: Factors that were averaged over, seed by seed.
        alpha: One minus the intervals' coverage.
        dead: What ``dead`` means here: the slope and the probe.
    """

    study: str
    context: Mapping[str, str]
    factors: tuple[str, ...]
    baseline: Mapping[str, Value] | None
    rows: tuple[Row, ...]
    metrics: tuple[str, ...]
    averaged: tuple[str, ...] = ()
    alpha: float = 0.05
    dead: str = ""

    @property
    def title(self) -> str:
        """Study and context in one line."""
        return " · ".join((self.study, *self.context.values()))

    def is_baseline(self, row: Row) -> bool:
        """Whether this is (one of) the rows that the others are compared to."""
        return self.baseline is not None and self.baseline.items() <= row.factors.items()

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON."""
        return {
            "study": self.study,
            "context": dict(self.context),
            "factors": list(self.factors),
            "baseline": None if self.baseline is None else dict(self.baseline),
            "rows": [row.to_dict() for row in self.rows],
            "interaction": None,
            "verdicts": [],
            "expectations": [],
        }


@dataclass(frozen=True)
class Comparisons:
    """Everything that one ``compare`` found.

    Args:
        comparisons: One a study, dataset and model.
        warnings: What a reader should know before believing the tables.
    """

    comparisons: tuple[Comparison, ...]
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The content of ``compare --format json``: plain numbers, None for what can't be known, never NaN."""
        return {
            "schema": SCHEMA,
            "comparisons": [comparison.to_dict() for comparison in self.comparisons],
            "warnings": list(self.warnings),
        }


def is_bounded(metric: str) -> bool:
    """Whether a metric is a bounded share with many zeros, whose mean has a range but no Student-t interval."""
    return metric.startswith("health.") and METRICS[metric].unit == "fraction"
