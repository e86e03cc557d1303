"""The options of ``compare``: each option of ``actbench compare`` that changes the result is a field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actbench.errors import UsageError

if TYPE_CHECKING:
    from actbench.schema.record import RunRecord

DEFAULT_ALPHA = 0.05

DEFAULT_DELTA = 0.1
"""Percentage points: the test set of MNIST has 10,000 images, of which this is ten."""


@dataclass(frozen=True)
class CompareOptions:
    """All that a caller may choose: the table's rows, its baseline, its statistics, and additions to it.

    Args:
        by: Keep only these factors (dotted keys) and average over the others: per seed first, and only over seeds that
            have a value in every combination, so that no row gains by a missing combination. Empty keeps all that vary.
        baseline: Factor -> value. A factor left out is matched: each row is compared to the baseline with the same
            value there. None means the study's own ``compare.baseline``, else relu with bias_init 0, else the first.
        metric: Names of METRICS, the leading one first. Empty means the study's own ``compare.metric``, else
            ``test.accuracy``.
        where: Factor -> value; show only the rows that have it. Hiding rows changes no number of those that stay:
            baseline, best row and adjusted p are those of the whole table. A factor that is averaged over is
            restricted before the averaging instead.
        alpha: One minus the intervals' coverage, and the bound for ``significant``.
        delta: Percentage points within which two rows are practically the same, for metrics that are fractions.
        tune: Factors of which each row gets its own best value by the mean validation metric, in a further table behind
            the one at common values. Empty means the study's own ``tune``.
        against: Other records, such as those of an earlier version: each row is compared to the same cell among them.
        fail_if: Gates: ``expect``, ``test.accuracy drop > 0.5pp``, ``health.dead_fraction > 0.05``.
        methods: Whether to add a paragraph on how the numbers came about.
        reach: Add how many epochs the runs need to this validation accuracy, 0 … 1; needs records with curves.
        all_pairs: Whether to add the difference of every two rows in the leading metric.

    Raises:
        UsageError: For an alpha or a delta out of range.
    """

    by: Sequence[str] = ()
    baseline: Mapping[str, Any] | None = None
    metric: str | Sequence[str] = ()
    where: Mapping[str, Any] | None = None
    alpha: float = DEFAULT_ALPHA
    delta: float = DEFAULT_DELTA
    tune: Sequence[str] = ()
    against: Sequence[RunRecord] | None = None
    fail_if: Sequence[str] = ()
    methods: bool = False
    reach: float | None = None
    all_pairs: bool = False

    def __post_init__(self) -> None:
        """Refuse levels that no interval can have."""
        if not 0 < self.alpha < 1:
            raise UsageError(f"alpha should lie between 0 and 1, not {self.alpha:g}")
        if not 0 < self.delta < 100:
            raise UsageError(f"delta should lie between 0 and 100 percentage points, not {self.delta:g}")
