"""The answers of the evidence: numbers with their interval, their n and their p, written as ``compare`` writes them."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import ge, gt, le, lt

from actbench.analysis.judgements.expectations import CONTRADICTED, SUPPORTED, UNDECIDED
from actbench.analysis.judgements.formatting import (
    MINUS,
    NOTHING,
    in_units,
    interval,
    p_value,
    percents,
    quantity,
    signed,
)
from actbench.analysis.reports._cells import mean_cell
from actbench.analysis.statistics import Difference, Interval, exact_interval
from actbench.analysis.table.factors import row_name, show
from actbench.analysis.table.result import Expectation
from actbench.config.hypotheses import Bound, Ordering, parse_expectation, parse_gate

MIXED = "mixed"
"""The word for a claim whose verdict is not the same everywhere."""

NOT_JUDGED = "not judged"

HOLDS: Mapping[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


class EvidenceError(ValueError):
    """A question that the results do not answer, or more than once."""


@dataclass(frozen=True)
class Mean:
    """The mean of one metric over the seeds of one cell, with its interval; a bounded share has its range instead.

    >>> str(Mean("test.accuracy", Interval(0.9, 0.88, 0.92, 0.01, 0.89, 0.91, 5)))
    '90.00 % [88.00, 92.00]'
    """

    metric: str
    found: Interval

    @property
    def value(self) -> float:
        """Return the mean itself.

        Raises:
            EvidenceError: When no run has a value.
        """
        if self.found.mean is None:
            raise EvidenceError(f"no run has a value in {self.metric}")
        return self.found.mean

    @property
    def n(self) -> int:
        """Return the number of seeds."""
        return self.found.n

    @property
    def short(self) -> str:
        """Return the mean without its interval: ``90.00 %``."""
        return quantity(self.metric, self.found.mean)

    def __str__(self) -> str:
        return mean_cell(self.metric, self.found).text()


@dataclass(frozen=True)
class Effect:
    """The paired difference of two cells.

    Args:
        metric: Of the two means.
        found: left − right, seed by seed.
        p: By which it is judged; None where there is none.
        family: Number of differences over which p is adjusted; 1 for a difference by itself.
        alpha: Level of the judgement.
    """

    metric: str
    found: Difference
    p: float | None
    family: int = 1
    alpha: float = 0.05

    @property
    def value(self) -> float:
        """Return the mean difference, in the metric's unit.

        Raises:
            EvidenceError: When the two cells have no seed in common.
        """
        if self.found.difference is None:
            raise EvidenceError(f"no pair of seeds has a value in {self.metric}")
        return self.found.difference

    @property
    def n(self) -> int:
        """Return the number of pairs."""
        return self.found.n_pairs

    @property
    def is_shown(self) -> bool:
        """Return whether p is below alpha."""
        return self.p is not None and self.p < self.alpha

    @property
    def is_more(self) -> bool:
        """Return whether the left side is shown to have more of the metric."""
        return self.is_shown and self.value > 0

    @property
    def is_less(self) -> bool:
        """Return whether the left side is shown to have less of the metric."""
        return self.is_shown and self.value < 0

    @property
    def p_text(self) -> str:
        """Return ``p = .003``, or ``adjusted p = .003``."""
        if self.p is None:
            return "no p"
        return f"{'adjusted ' if self.family > 1 else ''}p {p_value(self.p)}"

    def verdict(self, direction: str) -> Verdict:
        """Return the verdict on the claim that the left side has more (``>``) or less (``<``) of the metric."""
        if direction not in ("<", ">"):
            raise EvidenceError(f"a claim about a difference has a direction, '<' or '>', not '{direction}'")
        if not self.is_shown:
            return Verdict((UNDECIDED,))
        return Verdict((SUPPORTED if self.is_more == (direction == ">") else CONTRADICTED,))

    @property
    def short(self) -> str:
        """Return the difference without its interval: ``+0.41 points``."""
        return in_units(self.metric, signed(self.metric, self.value))

    def __str__(self) -> str:
        if self.found.difference is None:
            return NOTHING
        if self.found.low is None or self.found.high is None or self.found.low == self.found.high:
            return self.short
        return f"{self.short} {interval(self.metric, (self.found.low, self.found.high), differences=1)}"


@dataclass(frozen=True)
class Share:
    """How many of some runs, with Clopper and Pearson's interval of the share, by which ``expect`` decides.

    >>> str(Share(6, 10)), Share(0, 0).text
    ('6 of 10, 60 % [31, 83]', '0 of 0')
    """

    count: int
    runs: int

    @property
    def value(self) -> float:
        """Return the share itself, 0 … 1; 0 of no runs."""
        return self.count / self.runs if self.runs else 0.0

    @property
    def text(self) -> str:
        """Return the counts alone: ``6 of 10``."""
        return f"{self.count:,} of {self.runs:,}"

    def __str__(self) -> str:
        if not self.runs:
            return self.text
        return f"{self.text}, {percents(self.value, exact_interval(self.count, self.runs))}"


@dataclass(frozen=True)
class Verdict:
    """The verdicts on one claim: one word where all agree, else ``mixed`` with how often each was found.

    >>> str(Verdict(("supported", "supported"))), str(Verdict(("supported", "undecided", "undecided")))
    ('supported', 'mixed (1 supported, 2 undecided)')
    """

    words: tuple[str, ...]

    @property
    def word(self) -> str:
        """Return ``supported``, ``contradicted``, ``undecided``, ``mixed``, or ``not judged`` without any."""
        return (self.words[0] if len(set(self.words)) == 1 else MIXED) if self.words else NOT_JUDGED

    @property
    def counts(self) -> str:
        """Return how often each word was found: ``1 supported, 2 undecided``."""
        found = Counter(self.words)
        return ", ".join(f"{found[word]} {word}" for word in (SUPPORTED, CONTRADICTED, UNDECIDED) if found[word])

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(self.words + other.words)

    def __str__(self) -> str:
        return f"{self.word} ({self.counts})" if self.word == MIXED else self.word


@dataclass(frozen=True)
class Judged:
    """One ``expect`` line, judged in one table.

    Args:
        context: Dataset and model of the table.
        found: The line with its verdict.
    """

    context: str
    found: Expectation

    @property
    def effect(self) -> str:
        """Return what decides: a mean or difference with its interval, or counts of runs; a dash where nothing does."""
        found, claim = self.found, parse_expectation(self.found.text)
        if found.counts:
            return " against ".join(Share(count, runs).text for count, runs in found.counts)
        is_difference = isinstance(claim, Ordering)
        if found.estimate is None:
            return NOTHING
        if not is_difference:
            text = quantity(claim.metric, found.estimate)
        else:
            text = in_units(claim.metric, signed(claim.metric, found.estimate))
        if found.interval is None or found.interval[0] == found.interval[1]:
            return text
        return f"{text} {interval(claim.metric, found.interval, differences=int(is_difference))}"

    @property
    def is_of_survivors(self) -> bool:
        """Return whether runs without a value, such as those that diverged, stand in no mean here."""
        return bool(self.found.left_out)

    @property
    def p_text(self) -> str:
        """Return the p that decides: ``p = .13``; nothing for values that need no test, or are too few for one."""
        return "" if self.found.p_adjusted is None else f"p {p_value(self.found.p_adjusted)}"

    @property
    def picked(self) -> str:
        """Return the values at which the cells were judged, where it is by each cell's own; else nothing."""
        cells = () if self.found.own is None else self.found.own.cells
        return ", ".join(f"{row_name(one.factors)} {', '.join(map(show, one.picked.values()))}" for one in cells)


@dataclass(frozen=True)
class Bin:
    """The runs of which one metric lies in ``[low, high)``; the last bin of a table holds its upper end, too.

    Args:
        metric: The metric that is binned.
        low: Lower end.
        high: Upper end.
        is_last: Whether the upper end belongs to it.
        of: The metric of ``values``.
        values: One a run, of all runs in the bin that have one, in order.
        outcomes: Outcome -> number of runs in the bin.
    """

    metric: str
    low: float
    high: float
    is_last: bool
    of: str
    values: tuple[float, ...]
    outcomes: Mapping[str, int] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Return the number of runs."""
        return len(self.values)

    @property
    def range(self) -> str:
        """Return the ends of the bin: ``50 to 75 %``."""
        return f"{100 * self.low:g} to {100 * self.high:g} %"

    @property
    def median(self) -> str:
        """Return the median of the values, or a dash."""
        return quantity(self.of, statistics.median(self.values)) if self.values else NOTHING

    @property
    def least(self) -> str:
        """Return the smallest value, or a dash."""
        return quantity(self.of, min(self.values)) if self.values else NOTHING

    @property
    def most(self) -> str:
        """Return the largest value, or a dash."""
        return quantity(self.of, max(self.values)) if self.values else NOTHING

    def share(self, condition: str) -> Share:
        """Return the share of the bin's runs of which the value fulfils a condition such as ``< 15%``."""
        bound = parse_gate(f"{self.of} {condition}")
        if not isinstance(bound, Bound):
            raise EvidenceError(f"'{condition}' is not a bound on {self.of}")
        return Share(sum(HOLDS[bound.operator](value, bound.number) for value in self.values), self.n)


@dataclass(frozen=True)
class Learned:
    """A learned parameter in one layer, over runs.

    Args:
        layer: The layer's name.
        found: Its mean, smallest and largest value.
    """

    layer: str
    found: Interval

    @property
    def value(self) -> float:
        """Return the mean."""
        return self.found.mean or 0.0

    def __str__(self) -> str:
        if self.found.mean is None or self.found.min is None or self.found.max is None:
            return NOTHING
        low, high = (_signed_number(end) for end in (self.found.min, self.found.max))
        return f"{_signed_number(self.found.mean)} ({low} to {high})"


@dataclass(frozen=True)
class Machine:
    """On what, with what and how long a study was computed, as its runs recorded it.

    Args:
        hardware: Processors or GPUs with the number of processors, several where runs were spread over machines.
        versions: Of actbench, Python, torch and numpy.
        commit: The git commits of actbench.
        seconds: Of all runs, added up: the time of one process alone.
    """

    hardware: str
    versions: str
    commit: str
    seconds: float

    @property
    def time(self) -> str:
        """Return the time in the largest fitting unit: ``3.2 h``."""
        if self.seconds >= 3600:
            return f"{self.seconds / 3600:.1f} h"
        return f"{self.seconds / 60:.1f} min" if self.seconds >= 60 else f"{self.seconds:.0f} s"


def _signed_number(value: float) -> str:
    return f"{MINUS if round(value, 2) < 0 else ''}{abs(value):.2f}"
