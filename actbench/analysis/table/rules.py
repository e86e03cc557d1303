"""The rules by which a table is judged: the level, and how its seeds came about, which decides the valid tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from actbench.analysis.statistics import (
    Interval,
    Test,
    fewest_values,
    mean_interval,
)
from actbench.analysis.statistics.anytime import anytime_ends
from actbench.config import TwoStage
from actbench.schema.metrics import is_bounded


@dataclass(frozen=True)
class Rules:
    """The level of a comparison, and how the number of its seeds came about.

    Args:
        alpha: One minus the coverage of intervals, and the bound for ``significant``.
        anytime: Whether seeds may have been added after a look at the results, so that every look has to hold.
        two_stage: How the spread of the first seeds chose the number of all; None where it was fixed beforehand.
    """

    alpha: float = 0.05
    anytime: bool = False
    two_stage: TwoStage | None = None

    def test(self, metric: str, *, of_differences: bool = True) -> Test:
        """Return the test of a metric's differences, or of its means.

        The two-stage rule is about differences in one metric: the spread of its means chose nothing.
        """
        if self.anytime:
            return "anytime signs" if is_bounded(metric) else "anytime t"
        if is_bounded(metric):
            return "sign-flip"
        is_two_stage = of_differences and self.two_stage is not None and metric == self.two_stage.metric
        return "two-stage t" if is_two_stage else "t"

    def pilot(self, metric: str) -> tuple[int, ...]:
        """Return the seeds of the first stage, empty where the metric has another test."""
        return self.two_stage.pilot if self.two_stage is not None and self.test(metric) == "two-stage t" else ()

    def mean_interval(self, values: Sequence[float]) -> Interval:
        """Return a mean and its interval, which holds at every look where ``anytime`` is set."""
        found = mean_interval(values, self.alpha)
        if not self.anytime or found.mean is None:
            return found
        low, high = anytime_ends(found.mean, found.sd, found.n, self.alpha)
        return replace(found, low=low, high=high)

    def fewest_seeds(self, metric: str, family: int) -> int | None:
        """Return the fewest pairs with which any of so many differences can be significant; None where none can.

        The smallest p of max-T does not depend on the number of differences; Holm multiplies the first by it.
        """
        test = self.test(metric)
        return fewest_values(test, self.alpha if test == "sign-flip" else self.alpha / max(family, 1))

    @property
    def interval_name(self) -> str:
        """Return the kind of the intervals of means."""
        return "anytime-valid interval" if self.anytime else "Student-t interval"

    def interval_note(self, metrics: Sequence[str]) -> str:
        """Return how the intervals of differences in one of the metrics came about, where it is by two stages."""
        if self.two_stage is None or self.test(self.two_stage.metric) != "two-stage t":
            return ""
        if self.two_stage.metric not in metrics:
            return ""
        first = len(self.two_stage.pilot)
        return (
            f"intervals and p of differences in {self.two_stage.metric} are Stein's: the spread of the first {first} "
            f"seeds, which chose {self.two_stage.seeds}, and t of {first - 1} degrees of freedom"
        )
