"""Adding seeds to a study until its differences to the baseline are known well enough.

When to stop is decided by the width of intervals alone, never by p or by which side is ahead. Whoever looks after every
seed and stops as soon as p < 0.05 finds a difference between equals in about a fifth of the studies that grow from 5 to
30 seeds, and in the long run always. A width shows how much is known and not which side is ahead, so looking at it
favours no side.

``grow`` is not free: a width that is small by chance stops early. A 95 % interval then covers the truth in at least 90
% of studies that start from 3 seeds, 92 % from 5, 93 % from 8 and 94 % from 10 (20,000 simulated normal studies for
each of nine bounds; ``tests/analysis/test_sequential.py`` repeats a part). Adding single seeds covers no more but
starts the workers more often, so seeds are added by the quarter, which trains about a tenth more than are needed.

``choose_seeds`` is Stein's two-stage rule, which covers the truth in 95 % of studies exactly: the spread of the first
seeds alone chooses the number of all.

Reference: Armitage, McPherson, Rowe (1969), Repeated significance tests on accumulating data, JRSS A 132 (why not on
p). Chow, Robbins (1965), On the asymptotic theory of fixed-width sequential confidence intervals for the mean, Annals
of Mathematical Statistics 36 (why on width). Stein (1945): ``statistics.two_stage``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from actbench.analysis.compare import compare
from actbench.analysis.compare_options import DEFAULT_ALPHA
from actbench.analysis.statistics import MIN_VALUES, Difference, mean_interval, two_stage_ends, two_stage_size
from actbench.analysis.statistics.samples import ROUNDING
from actbench.analysis.table.factors import show_all
from actbench.analysis.table.result import Comparisons, Contrast
from actbench.config import TwoStage, amounts
from actbench.errors import UnknownNameError, UsageError
from actbench.schema.metrics import METRICS, is_bounded
from actbench.schema.record import RunRecord

DEFAULT_MAX_SEEDS = 30
"""Seeds beyond which none are added unless the user allows more."""

FORM = "METRIC ci < NUMBER, such as 'test.accuracy ci < 0.2pp'"

_CONDITION = re.compile(r"\s*(?P<metric>\S+)\s+ci\s*<\s*(?P<bound>[0-9.].*)")


@dataclass(frozen=True)
class StoppingRule:
    """When a study has enough seeds: (high − low) / 2 < bound for every difference of a metric to the baseline.

    Args:
        metric: A name of METRICS that has intervals.
        bound: What the ± of each 95 % interval has to stay below, in the metric's stored unit (0.002 for 0.2pp).
        text: The condition as the user wrote it.
    """

    metric: str
    bound: float
    text: str


@dataclass(frozen=True)
class InterimLook:
    """One interim look: how well the differences are known with the seeds so far.

    Args:
        seeds: The study's seeds so far.
        differences: Number of rows that are compared to a baseline.
        open: Rows whose interval is too wide or not there yet.
        hopeless: Rows without a single pair after three seeds (every run diverged, or the baseline's did). More seeds
            would hardly help, so these rows do not keep the study growing.
        widest: The largest ± so far and its row; None while no difference has an interval.
    """

    seeds: tuple[int, ...]
    differences: int
    open: tuple[str, ...]
    hopeless: tuple[str, ...]
    widest: tuple[float, str] | None


def parse_rule(text: str) -> StoppingRule:
    """Read the condition of ``--until``.

    >>> parse_rule("test.accuracy ci < 0.2pp").bound, parse_rule("test.loss ci < 0.01").bound
    (0.002, 0.01)

    Raises:
        UsageError: For another form, a bound that is not above 0 or that ``amounts.difference`` refuses, or a metric
            that has no interval.
        UnknownNameError: For a metric that does not exist.
    """
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise UsageError(f"--until: expected {FORM}, not '{text}'")
    metric = found["metric"]
    if metric not in METRICS:
        raise UnknownNameError("metric", metric, METRICS)
    if is_bounded(metric):
        raise UsageError(f"--until: '{metric}' is mostly 0, so its differences have no interval: choose another metric")
    try:
        bound = amounts.difference(metric, found["bound"])
    except UsageError as error:
        raise UsageError(f"--until: {error}") from error
    if not bound > 0:
        raise UsageError(f"--until: the bound should be above 0, not {found['bound'].strip()}")
    return StoppingRule(metric, bound, text.strip())


def grow(
    seeds: tuple[int, ...],
    rule: StoppingRule,
    train: Callable[[tuple[int, ...]], Sequence[RunRecord]],
    *,
    max_seeds: int = DEFAULT_MAX_SEEDS,
) -> Iterator[InterimLook]:
    """Train, look, add seeds, until nothing is open or there are ``max_seeds`` seeds.

    Args:
        seeds: The study's own, which are trained in any case.
        rule: When to stop.
        train: Trains the unfinished runs of the study with these seeds and returns the records of all its runs.
        max_seeds: Number of seeds that is not exceeded.

    Yields:
        A look after each round; the last one shows how it ended.

    Raises:
        UsageError: When nothing is compared to a baseline.
    """
    found = interim_look(seeds, train(seeds), rule)
    yield found
    while found.open and len(found.seeds) < max_seeds:
        seeds = more_seeds(found.seeds, max_seeds)
        found = interim_look(seeds, train(seeds), rule)
        yield found


def more_seeds(seeds: tuple[int, ...], max_seeds: int) -> tuple[int, ...]:
    """Return a quarter more seeds, at least one: the numbers that follow the largest.

    >>> more_seeds((0, 1, 2, 3, 4), 30), more_seeds((7,), 30), more_seeds(tuple(range(28)), 30)[-1]
    ((0, 1, 2, 3, 4, 5, 6), (7, 8), 29)
    """
    count = min(-(-len(seeds) // 4), max_seeds - len(seeds))  # -(-n // 4) rounds up
    return (*seeds, *range(max(seeds) + 1, max(seeds) + 1 + count))


def interim_look(
    seeds: tuple[int, ...], records: Sequence[RunRecord], rule: StoppingRule, *, at_most: bool = False
) -> InterimLook:
    """Return how well the differences are known.

    Args:
        seeds: The seeds so far.
        records: All runs with these seeds and no others, so that other runs in the folder do not matter.
        rule: When a study has enough seeds.
        at_most: Whether a ± that equals the bound is narrow enough, as under the two-stage rule.

    Raises:
        UsageError: When nothing is compared to a baseline.
    """
    compared = compare(records, metric=rule.metric)
    found = dict(_differences(compared, rule.metric))
    if not found:
        raise UsageError("\n".join(("--until: nothing is compared to a baseline", *compared.all_warnings)))
    # The ± of each interval: None where there is none, 0 where the differences do not vary.
    widths = {
        name: None if one.low is None or one.high is None else (one.high - one.low) / 2 for name, one in found.items()
    }
    hopeless = tuple(name for name, one in found.items() if one.n_pairs == 0 and len(seeds) >= MIN_VALUES)
    limit = rule.bound * (1 + ROUNDING) if at_most else rule.bound
    wide = tuple(name for name, width in widths.items() if width is None or width >= limit)
    known = [(width, name) for name, width in widths.items() if width is not None]
    return InterimLook(
        seeds=seeds,
        differences=len(found),
        open=tuple(name for name in wide if name not in hopeless),
        hopeless=hopeless,
        widest=max(known) if known else None,
    )


@dataclass(frozen=True)
class ChosenSeeds:
    """The number of seeds by Stein's two-stage rule.

    Args:
        plan: The seeds of both stages.
        needed: The number that makes every interval as narrow as wanted, which may be more than are planned.
        widest: The largest ± that the planned number will leave, and its row: that of the largest spread.
        without: Rows with too few pairs in the first stage for a spread, which choose nothing.
        differences: Number of rows that are compared to a baseline.
    """

    plan: TwoStage
    needed: int
    widest: tuple[float, str]
    without: tuple[str, ...]
    differences: int


def choose_seeds(
    pilot: tuple[int, ...], records: Sequence[RunRecord], rule: StoppingRule, *, max_seeds: int = DEFAULT_MAX_SEEDS
) -> ChosenSeeds:
    """Return the number of seeds that makes the interval of every difference as narrow as wanted.

    All rows get the number that the one with the largest spread needs, by its own pairs in the first stage.

    Args:
        pilot: The seeds of the first stage.
        records: All runs with these seeds and no others.
        rule: The metric and the wanted half-width.
        max_seeds: Number of seeds that is not exceeded. The intervals are then wider than wanted, and as reliable.

    Raises:
        UsageError: When nothing is compared to a baseline, or no row has pairs enough for a spread.
    """
    differences = _seed_differences(pilot, records, rule)
    spreads = {
        name: (sd, len(values))
        for name, values in differences.items()
        if len(values) >= MIN_VALUES and (sd := mean_interval(values).sd) is not None
    }
    without = tuple(name for name in differences if name not in spreads)
    if not spreads:
        raise UsageError(f"--exact: no row has {MIN_VALUES} pairs of runs with a value of {rule.metric}, for a spread")
    needed = max(len(pilot), *(two_stage_size(sd, n, rule.bound) for sd, n in spreads.values()))
    count = max(len(pilot), min(needed, max_seeds))
    # An interval around 0 ends at its half-width; there is one, since each first stage has pairs enough.
    halves = {name: two_stage_ends(0.0, sd, n, count, DEFAULT_ALPHA)[1] or 0.0 for name, (sd, n) in spreads.items()}
    widest = max((half, name) for name, half in halves.items())
    plan = TwoStage(metric=rule.metric, pilot=pilot, seeds=count)
    return ChosenSeeds(plan, needed, widest, without, len(differences))


def _seed_differences(
    seeds: tuple[int, ...], records: Sequence[RunRecord], rule: StoppingRule
) -> dict[str, tuple[float, ...]]:
    """Return the paired differences of every row to its baseline, by the row's name."""
    compared = compare(records, metric=rule.metric)
    found = {name: one.values for name, one in _contrasts(compared, rule.metric)}
    if not found:
        raise UsageError("\n".join(("--until: nothing is compared to a baseline", *compared.all_warnings)))
    return found


def _differences(comparisons: Comparisons, metric: str) -> Iterator[tuple[str, Difference]]:
    """Yield every row's difference under a name of its own."""
    for name, contrast in _contrasts(comparisons, metric):
        yield name, contrast.difference


def _contrasts(comparisons: Comparisons, metric: str) -> Iterator[tuple[str, Contrast]]:
    """Yield every row's contrast under a name of its own; with the table's title where there are several tables."""
    several = len(comparisons.comparisons) > 1
    for comparison in comparisons.comparisons:
        for row in comparison.rows:
            if metric in row.vs_baseline:
                name = show_all(row.factors)
                yield f"{comparison.title}: {name}" if several else name, row.vs_baseline[metric]
