"""Published values beside our own: the mean over seeds, where one more run of ours would lie, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from actbench.analysis.judgements.formatting import NOTHING, interval, quantity
from actbench.analysis.statistics import MIN_VALUES
from actbench.schema.record import OUTCOMES
from benchmarks.claims.answers import Mean, Share, Verdict
from benchmarks.claims.evidence import Study
from benchmarks.claims.published import PUBLISHED, Published, held_against

SHARE_OF_RUNS = "test.accuracy"
"""A metric that is a fraction, as whose values shares of runs are written."""


@dataclass(frozen=True)
class Beside:
    """One published value and ours.

    Args:
        published: The value and its source.
        study: Our runs.
    """

    published: Published
    study: Study

    @property
    def is_outcome(self) -> bool:
        """Return whether the value is the share of runs that ended so."""
        return self.published.metric in OUTCOMES

    @property
    def said(self) -> str:
        """Return the published value: ``88.62 %``, ``more than 90.00 %``."""
        metric = SHARE_OF_RUNS if self.is_outcome else self.published.metric
        return f"{'more than ' if self.published.relation == '>' else ''}{quantity(metric, self.published.value)}"

    @cached_property
    def ours(self) -> Mean | Share:
        """Return our mean, or our share of runs."""
        if self.is_outcome:
            return self.study.share(self.published.metric, self.published.cell)
        return self.study.cell(self.published.cell).mean(self.published.metric)

    @property
    def further(self) -> tuple[float, float] | None:
        """Return where one more run of ours would lie; for a bounded share the range of ours, for outcomes nothing."""
        runs = [record for record, _ in self.study.fitting(self.published.cell)]
        if self.is_outcome or sum(run.value(self.published.metric) is not None for run in runs) < MIN_VALUES:
            return None
        held = held_against(self.published, runs)
        return None if held.next_low is None or held.next_high is None else (held.next_low, held.next_high)

    @property
    def further_text(self) -> str:
        """Return ``further`` with the answer whether the published value lies there; a dash where it is no question."""
        ends = self.further
        if ends is None or self.published.relation != "=":
            return NOTHING
        inside = "inside" if ends[0] <= self.published.value <= ends[1] else "outside"
        return f"{inside} {interval(self.published.metric, ends)}"

    @property
    def verdict(self) -> Verdict:
        """Return the verdict of the ``expect`` line that states the value."""
        one = self.published
        parts = (one.metric, one.cell) if self.is_outcome else (f"{one.metric}: {one.cell} {one.relation}",)
        return self.study.verdict(*parts)


def beside(study: Study) -> list[Beside]:
    """Return the published values that a study runs again, each beside ours."""
    return [Beside(one, study) for one in PUBLISHED if one.study == study.name]
