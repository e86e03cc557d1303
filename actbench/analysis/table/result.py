"""The result of a comparison, ready to be shown: reports render these classes and compute nothing."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from actbench.analysis.statistics import Difference, Interval, Part, Test
from actbench.analysis.table.factors import Value
from actbench.analysis.table.new_seed import NewSeed
from actbench.analysis.table.rules import Rules
from actbench.errors import UsageError
from actbench.schema import registry
from actbench.schema.metrics import METRICS
from actbench.schema.record import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FRAME = "actbench.analysis.frames:frame_of_comparisons"
_HTML = "actbench.analysis.notebook:html_of"
_CHART = "actbench.analysis.plots._figures:draw_chart"
"""Where the methods for notebooks find what they call: by name, as plugins are found, for these modules import this."""

SCHEMA = 1
"""Version of ``compare --format json``."""

DEAD_FRACTION = "health.dead_fraction"

REACH_METRIC = "val.accuracy"
"""How fast a run learns is judged on validation examples, the only ones that are looked at after every epoch."""

MAX_VERDICTS = 5
"""More sentences than these are not read."""


def difference_numbers(metric: str, found: Difference, p_adjusted: float | None) -> dict[str, Any]:
    """Return the numbers of a paired difference, as the JSON has them."""
    return {
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "beyond_scale": METRICS[metric].beyond_scale(found.low, found.high, differences=1),
        "p": found.p,
        "p_adjusted": p_adjusted,
        "n_pairs": found.n_pairs,
        "wins": found.wins,
    }


def mean_numbers(metric: str, found: Interval, prediction: tuple[float, float] | None) -> dict[str, Any]:
    """Return a mean with its interval and that of one further run, as the JSON has them."""
    return {
        **asdict(found),
        "beyond_scale": METRICS[metric].beyond_scale(found.low, found.high),
        "prediction": None if prediction is None else list(prediction),
    }


@dataclass(frozen=True)
class Contrast:
    """One metric of one row against the baseline.

    Args:
        difference: The paired difference, row − baseline.
        p_adjusted: Over all differences of the metric in the table, hidden rows included; None where there is no p.
        significant: Whether ``p_adjusted`` is below alpha.
        smallest_p: The smallest adjusted p that the test in use can reach with so many pairs; 1 for fewer than three.
        values: The paired differences, one per seed.
        new_seed: The chances on a new seed; None for fewer than three pairs.
    """

    difference: Difference
    p_adjusted: float | None
    significant: bool
    smallest_p: float = 1.0
    values: tuple[float, ...] = ()
    new_seed: NewSeed | None = None

    def to_dict(self, metric: str) -> dict[str, Any]:
        """Return the contrast as in the JSON, without what only tables and sentences need."""
        rest = {
            "pairing_gain": self.difference.pairing_gain,
            "significant": self.significant,
            "new_seed": None if self.new_seed is None else self.new_seed.to_dict(),
        }
        return difference_numbers(metric, self.difference, self.p_adjusted) | rest


@dataclass(frozen=True)
class Family:
    """The differences of one metric that are adjusted together.

    Args:
        test: The one in use: by the table's rules, ``sign-flip`` for bounded shares and ``t`` for other metrics.
        parts: The contrasts that are adjusted by one method, and their share of the level: two parts where some rows
            have too few pairs for the method of the others.
    """

    test: Test
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Return the number of differences."""
        return sum(len(part.contrasts) for part in self.parts)


@dataclass(frozen=True)
class Interaction:
    """Whether the effect of one factor depends on the other.

    Args:
        metric: The leading metric.
        factors: The two factors.
        p: Of the test by sign flips of the double-centred residuals.
        at: The values of both at which the effect is largest.
        origin: The values of both from which the effect is counted, the baseline's.
        effect: (at − origin in the first factor) at the second one's value, less the same at its origin; paired.
    """

    metric: str
    factors: tuple[str, str]
    p: float
    at: Mapping[str, Value]
    origin: Mapping[str, Value]
    effect: Difference

    def to_dict(self) -> dict[str, Any]:
        """Return the interaction as in the JSON."""
        largest = {
            "at": dict(self.at),
            "from": dict(self.origin),
            "difference": self.effect.difference,
            "low": self.effect.low,
            "high": self.effect.high,
            "beyond_scale": METRICS[self.metric].beyond_scale(self.effect.low, self.effect.high, differences=2),
            "n_pairs": self.effect.n_pairs,
        }
        return {"metric": self.metric, "factors": list(self.factors), "p": self.p, "largest": largest}


@dataclass(frozen=True)
class PickedCell:
    """The values that were picked for one cell.

    Args:
        factors: Factor -> value of the cell.
        picked: Tuned factor -> its value there.
    """

    factors: Mapping[str, Value]
    picked: Mapping[str, Value]


@dataclass(frozen=True)
class OwnRows:
    """How the cells of a hypothesis got their own values of the tuned factors.

    Args:
        tuned: The factors, and what picked their values.
        cells: The cells by which it is judged.
    """

    tuned: Tuned
    cells: tuple[PickedCell, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as in the JSON."""
        cells = [{"factors": dict(one.factors), "picked": dict(one.picked)} for one in self.cells]
        return {**self.tuned.to_dict(), "cells": cells}


@dataclass(frozen=True)
class Expectation:
    """A hypothesis of the study, judged.

    Args:
        text: As the config has it.
        verdict: ``supported``, ``contradicted`` or ``undecided``.
        interval: The one that decides: of the difference between the two sides, or of the mean that is held to a bound;
            None where there is none.
        n: Seeds behind it.
        note: The facts behind the verdict in words: the p that decides, the average, the runs left out.
        p: Two-sided, of this hypothesis alone; None below three seeds, and for values that do not vary.
        p_adjusted: By which it is judged: Holm's over the study's hypotheses, or the table's for the same difference if
            that is larger.
        averaged: Factors over which each seed's values are averaged.
        left_out: How many runs have no value and stand in no mean, in words; empty for none.
        is_of_survivors: Whether those are runs that would speak against the hypothesis.
        is_judged: Whether any values of so many seeds could have decided.
        estimate: The mean in the interval: of the difference, or of the sample that is held to a bound.
        counts: For an outcome, how many runs ended so and how many there are, of each side or of the deciding cell.
        own: How the cells got their own values; None at common values.
    """

    text: str
    verdict: str
    interval: tuple[float, float] | None
    n: int
    note: str = ""
    p: float | None = None
    p_adjusted: float | None = None
    averaged: tuple[str, ...] = ()
    left_out: str = ""
    is_of_survivors: bool = False
    is_judged: bool = False
    estimate: float | None = None
    counts: tuple[tuple[int, int], ...] = ()
    own: OwnRows | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the judged hypothesis as in the JSON."""
        return {
            "text": self.text,
            "verdict": self.verdict,
            "estimate": self.estimate,
            "interval": None if self.interval is None else list(self.interval),
            "n": self.n,
            "p": self.p,
            "p_adjusted": self.p_adjusted,
            "averaged": list(self.averaged),
            "left_out": self.left_out,
            "note": self.note,
            **({"counts": [list(pair) for pair in self.counts]} if self.counts else {}),
            **({} if self.own is None else {"tuned": self.own.to_dict()}),
        }


@dataclass(frozen=True)
class Tuned:
    """How each row of a tuned table got its own value of some factors.

    Args:
        factors: The tuned factors.
        by: The validation metric whose best mean picked the values.
    """

    factors: tuple[str, ...]
    by: str

    def to_dict(self) -> dict[str, Any]:
        """Return factors and metric as in the JSON."""
        return {"factors": list(self.factors), "by": self.by}


@dataclass(frozen=True)
class Reach:
    """How fast one row learns.

    Args:
        level: Validation accuracy to be reached, a fraction.
        epochs: Mean number of epochs over the seeds that reached it; None when none did.
        reached: Number of those seeds.
        n: Seeds that could have reached it: all that have a curve, in each combination that is averaged over.
    """

    level: float
    epochs: float | None
    reached: int
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Return the speed of convergence as in the JSON."""
        return {"metric": REACH_METRIC, **asdict(self)}


@dataclass(frozen=True)
class RowPair:
    """One pair of rows.

    Args:
        left: Factors of the row that stands higher in the table.
        right: Factors of the other one.
        difference: left − right, paired by seed.
        p_adjusted: Benjamini and Hochberg's, over all pairs of the table, those of hidden rows included; None where
            there is no p.
    """

    left: Mapping[str, Value]
    right: Mapping[str, Value]
    difference: Difference
    p_adjusted: float | None

    def numbers(self, metric: str) -> dict[str, Any]:
        """Return all but the factors, as in the JSON."""
        return difference_numbers(metric, self.difference, self.p_adjusted)


@dataclass(frozen=True)
class Pairs:
    """Every pair of rows in one metric: to explore, not to conclude.

    Args:
        metric: The leading metric.
        pairs: Those of which both rows are shown, smallest p first.
        family: Number of pairs that are adjusted together, those of hidden rows included.
        test: The test of each.
    """

    metric: str
    pairs: tuple[RowPair, ...]
    family: int
    test: Test = "t"

    def to_dict(self) -> dict[str, Any]:
        """Return all pairs as in the JSON."""
        return {
            "exploratory": True,
            "metric": self.metric,
            "adjustment": "Benjamini-Hochberg",
            "family": self.family,
            "pairs": [
                {"left": dict(one.left), "right": dict(one.right), **one.numbers(self.metric)} for one in self.pairs
            ],
        }


@dataclass(frozen=True)
class Prediction:
    """What theory expects of a network before it is trained.

    Args:
        mean_squares: E[z²] of each hidden layer's pre-activations z, over weights and inputs; empty where unknown.
        gradient_norms: Norm of the loss's gradient with respect to z in each hidden layer, over that in the last one.
        note: Why something is unknown; empty where nothing is.
    """

    mean_squares: tuple[float, ...] = ()
    gradient_norms: tuple[float, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Row:
    """All runs that share one combination of the factors' values.

    Args:
        factors: Factor -> value.
        runs: Number of runs, whatever their outcome.
        outcomes: Outcome -> number of runs.
        metrics: Metric -> its mean over seeds; runs without a value are counted in ``outcomes`` alone.
        vs_baseline: Metric -> contrast; empty for a baseline row.
        tied: Whether the row can't be told from the best one in the leading metric; None where nothing can be said,
            where neither direction is better, and for a row that lost runs.
        failure_rate: Wilson interval of the share of runs that are not ``ok``; None when all are.
        reach: Speed of convergence; None unless asked for.
        picked: Tuned factor -> its value for this row; empty in a table at common values.
        lost: Metric -> number of runs without a value in it, such as those that diverged.
        predictions: Metric -> the interval of one further run; a metric without one is not in it.
        parameters: Smallest and largest number of trained parameters among the runs; None where no run has recorded it.
        records: The runs themselves, for charts; not in the JSON.
        prediction: For charts, where their caller can make one; not in the JSON.
    """

    factors: Mapping[str, Value]
    runs: int
    outcomes: Mapping[str, int]
    metrics: Mapping[str, Interval]
    vs_baseline: Mapping[str, Contrast]
    tied: bool | None = None
    failure_rate: tuple[float, float] | None = None
    reach: Reach | None = None
    picked: Mapping[str, Value] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    predictions: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    parameters: tuple[float, float] | None = None
    records: tuple[RunRecord, ...] = field(default=(), repr=False, compare=False)
    prediction: Prediction | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the row as in the JSON; fractions stay fractions."""
        return {
            "factors": dict(self.factors),
            "runs": self.runs,
            "outcomes": dict(self.outcomes),
            "metrics": {
                name: mean_numbers(name, one, self.predictions.get(name)) for name, one in self.metrics.items()
            },
            "vs_baseline": {name: contrast.to_dict(name) for name, contrast in self.vs_baseline.items()},
            "tied_with_best": self.tied,
            "failure_rate": None if self.failure_rate is None else list(self.failure_rate),
            **({} if self.reach is None else {"reach": self.reach.to_dict()}),
        }


@dataclass(frozen=True, repr=False)
class Comparison:
    """One table: the rows of one study on one dataset with one model.

    Args:
        study: Name of the study.
        context: ``dataset`` and ``model``, which all rows share.
        factors: Factors in which the rows differ, in the columns' order.
        baseline: Factor -> value of the row that others are compared to; a factor that it leaves out is matched (each
            row against the baseline with the same value there). None when there is nothing to compare to.
        rows: Best mean of the first metric first, the highest where neither direction is better; rows that lost runs
            come last.
        metrics: The metrics asked for, the leading one first; rows carry a few more for context.
        averaged: Factors that were averaged over, seed by seed.
        rules: By which the table is judged: the level, and how its seeds came about.
        dead: The definition of a dead unit in these runs: the slope and the probe.
        best: Factor -> value of the best row, which may be hidden; None when neither direction is better, and when no
            row has a value from each of its runs.
        families: Metric -> the differences that are adjusted together, those of hidden rows included.
        interaction: Of the two factors that vary; None where more or fewer do, or nothing can be said.
        verdicts: The differences of the leading metric in sentences, the most useful one first.
        commands: Verdict -> the command that would settle it, in the folder in which this was computed. Reports print
            it behind the verdict; the JSON, which is the same wherever the results lie, has none.
        expectations: The study's hypotheses, judged by all its runs.
        pairs: Every row against every other one; None unless asked for.
        methods: How the numbers came about, in prose; empty unless asked for.
        tuned: How the rows were tuned; None at common values.
        limits: The metrics in which no values of so many seeds could show anything, for the head of the table.
        has_prediction: Whether the tables show the interval of one further run.
        has_chance: Whether the tables show the chances on a new seed.
        further_runs: Where one further run of each row will lie in the leading metric, in sentences, if asked for.
        new_seeds: The chance of each row to beat its baseline on a new seed, likewise.
    """

    study: str
    context: Mapping[str, str]
    factors: tuple[str, ...]
    baseline: Mapping[str, Value] | None
    rows: tuple[Row, ...]
    metrics: tuple[str, ...]
    averaged: tuple[str, ...] = ()
    rules: Rules = field(default_factory=Rules)
    dead: str = ""
    best: Mapping[str, Value] | None = None
    families: Mapping[str, Family] = field(default_factory=dict)
    interaction: Interaction | None = None
    verdicts: tuple[str, ...] = ()
    commands: Mapping[str, str] = field(default_factory=dict)
    expectations: tuple[Expectation, ...] = ()
    pairs: Pairs | None = None
    methods: str = ""
    tuned: Tuned | None = None
    limits: tuple[str, ...] = ()
    has_prediction: bool = False
    has_chance: bool = False
    further_runs: tuple[str, ...] = ()
    new_seeds: tuple[str, ...] = ()

    @property
    def alpha(self) -> float:
        """Return one minus the intervals' coverage, and the bound for ``significant``."""
        return self.rules.alpha

    @property
    def title(self) -> str:
        """Return study, context and tuned factors in one line."""
        tuned = (f"tuned on validation: {', '.join(self.tuned.factors)}",) if self.tuned else ()
        return " · ".join((self.study, *self.context.values(), *tuned))

    @property
    def level(self) -> str:
        """Return the intervals' coverage, such as ``95 %``."""
        return f"{100 * (1 - self.alpha):g} %"

    @property
    def matched(self) -> list[str]:
        """Return the factors in which each row is compared to the baseline of its own value."""
        return [] if self.baseline is None else [key for key in self.factors if key not in self.baseline]

    @property
    def reach(self) -> Reach | None:
        """Return the first row's speed of convergence, of which the level is that of all; None unless asked for."""
        return next((row.reach for row in self.rows if row.reach is not None), None)

    def is_baseline(self, factors: Mapping[str, Value]) -> bool:
        """Return whether the row with these factors is (one of) those that the others are compared to."""
        return self.baseline is not None and self.baseline.items() <= factors.items()

    def to_dict(self) -> dict[str, Any]:
        """Return the table as in the JSON."""
        picked = [dict(row.picked) for row in self.rows]
        return {
            "study": self.study,
            "context": dict(self.context),
            "factors": list(self.factors),
            "baseline": None if self.baseline is None else dict(self.baseline),
            "rows": [row.to_dict() for row in self.rows],
            "interaction": None if self.interaction is None else self.interaction.to_dict(),
            "verdicts": list(self.verdicts),
            "expectations": [expectation.to_dict() for expectation in self.expectations],
            **({} if self.pairs is None else {"all_pairs": self.pairs.to_dict()}),
            **({"further_runs": list(self.further_runs)} if self.has_prediction else {}),
            **({"new_seeds": list(self.new_seeds)} if self.has_chance else {}),
            **({"methods": self.methods} if self.methods else {}),
            **({} if self.tuned is None else {"tuned": {**self.tuned.to_dict(), "picked": picked}}),
        }

    def to_frame(self, backend: Literal["pandas", "polars"] | None = None) -> Any:
        """Return the table as a data frame, as ``Comparisons.to_frame`` does."""
        return Comparisons((self,)).to_frame(backend)

    def plot(
        self,
        chart: str = "differences",
        *,
        axes: Axes | Sequence[Axes] = (),
        style: str = "screen",
        columns: int = 2,
    ) -> Figure:
        """Draw one chart, which a notebook shows where it ends a cell.

        Args:
            chart: See ``actbench list charts``; most need records that were read with their curves.
            axes: Your own, one for each panel; empty for a new figure.
            style: Sizes: ``paper``, ``slides`` or ``screen``.
            columns: 1 or 2 columns of a page, for a new figure.

        Raises:
            UnknownNameError: For a chart or a style that does not exist.
            UsageError: When the runs have no data for it, or the axes are not as many as the chart has panels.
        """
        return registry.import_object(_CHART)(chart, self, axes=axes, style=style, columns=columns)

    def __repr__(self) -> str:
        rows = f"{len(self.rows)} row{'' if len(self.rows) == 1 else 's'}"
        return f"<Comparison {self.title}: {rows} in {', '.join(self.metrics)}>"

    def __str__(self) -> str:
        return str(Comparisons((self,)))

    def _repr_html_(self) -> str:
        return Comparisons((self,))._repr_html_()


@dataclass(frozen=True)
class Gate:
    """A condition of ``--fail-if``, judged.

    Args:
        text: As the user wrote it.
        tripped_reason: Which rows trip it and why, one line; empty when none does.
        undecided_reason: Why it could not be decided, one line; empty when it could.
    """

    text: str
    tripped_reason: str = ""
    undecided_reason: str = ""


@dataclass(frozen=True, repr=False)
class Comparisons:
    """Everything that one ``compare`` found.

    Args:
        comparisons: One a study, dataset and model.
        warnings: Facts that a reader should know before believing the tables, besides the tables' own limits.
        gates: The conditions of ``--fail-if``, judged; they show in the exit code and on stderr, not in reports.
        max_verdicts: Most verdicts below a table that people read; None for all.
    """

    comparisons: tuple[Comparison, ...]
    warnings: tuple[str, ...] = ()
    gates: tuple[Gate, ...] = ()
    max_verdicts: int | None = MAX_VERDICTS

    @property
    def all_warnings(self) -> tuple[str, ...]:
        """Return the limits of the tables, with their titles where there are several, and then the warnings."""
        several = len(self.comparisons) > 1
        limits = (
            f"{comparison.title}: {text}" if several else text
            for comparison in self.comparisons
            for text in comparison.limits
        )
        return (*limits, *self.warnings)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``compare --format json``: plain numbers, None for an unknown one, never NaN."""
        return {
            "schema": SCHEMA,
            "comparisons": [comparison.to_dict() for comparison in self.comparisons],
            "warnings": list(self.all_warnings),
        }

    def to_frame(self, backend: Literal["pandas", "polars"] | None = None) -> Any:
        """Return the tables as a data frame: the columns of ``compare --format csv``, a line a row and metric.

        Args:
            backend: The library; None for the one that is installed, pandas where both are.

        Returns:
            A ``pandas.DataFrame`` or ``polars.DataFrame``. Fractions stay fractions; what is not known is NaN or null.

        Raises:
            UsageError: When the library is not installed.
        """
        return registry.import_object(_FRAME)(self, backend)

    def plot(
        self,
        chart: str = "differences",
        *,
        axes: Axes | Sequence[Axes] = (),
        style: str = "screen",
        columns: int = 2,
    ) -> Figure:
        """Draw one chart of the only table, as ``Comparison.plot`` does.

        Raises:
            UnknownNameError: For a chart or a style that does not exist.
            UsageError: When there are several tables, or the runs have no data for the chart.
        """
        if len(self.comparisons) != 1:
            titles = "; ".join(f"[{place}] {one.title}" for place, one in enumerate(self.comparisons))
            raise UsageError(f"a chart is of one table: choose one of .comparisons, {titles}")
        return self.comparisons[0].plot(chart, axes=axes, style=style, columns=columns)

    def __repr__(self) -> str:
        return f"<Comparisons {', '.join(map(repr, self.comparisons))}>"

    def __str__(self) -> str:
        target = io.StringIO()
        registry.load("reports", "table").render(self, target)
        return target.getvalue().rstrip("\n")

    def _repr_html_(self) -> str:
        html: str = registry.import_object(_HTML)(self)
        return html


def has_intervals_beyond_scale(comparison: Comparison) -> bool:
    """Return whether an interval of the metrics asked for, or of a difference, lies partly where it can't be."""
    means = [(name, row.metrics[name]) for row in comparison.rows for name in comparison.metrics]
    contrasts = [(name, one.difference) for row in comparison.rows for name, one in row.vs_baseline.items()]
    runs = [(name, row.predictions[name]) for row in comparison.rows for name in comparison.metrics
            if comparison.has_prediction and name in row.predictions]  # fmt: skip
    return (
        any(METRICS[name].beyond_scale(one.low, one.high) for name, one in means)
        or any(METRICS[name].beyond_scale(one.low, one.high, differences=1) for name, one in contrasts)
        or any(METRICS[name].beyond_scale(*ends) for name, ends in runs)
    )
