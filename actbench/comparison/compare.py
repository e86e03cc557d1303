"""Records -> comparisons: rows of runs that share their settings, each against a baseline, paired by seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from actbench import plugins
from actbench.comparison import cautions, gates
from actbench.comparison.baselines import baseline_of
from actbench.comparison.contrasts import against_baseline, interaction, tied_with_best
from actbench.comparison.expectations import judged
from actbench.comparison.factors import cell, check_keys, context
from actbench.comparison.grouping import Group, Table, matched, tables
from actbench.comparison.result import (
    DEAD,
    Comparison,
    Comparisons,
    Contrast,
    Family,
    Row,
    Value,
    is_bounded,
)
from actbench.comparison.sides import asked, is_new, joined
from actbench.comparison.verdicts import sentences, settling
from actbench.errors import ResultsError, UnknownNameError, UsageError
from actbench.record import METRICS, OUTCOMES, RunRecord
from actbench.statistics import Interval, mean_interval, wilson_interval
from actbench.store import Records

CONTEXT_METRICS = (DEAD, "parameters", "seconds")
"""Carried by every row beside the metrics asked for."""

DEFAULT_METRIC = "test.accuracy"
DEFAULT_DELTA = 0.1
"""Percentage points: the test set of MNIST has 10,000 images, of which this is ten."""


@dataclass(frozen=True)
class Question:
    """What is asked of one table.

    Args:
        by: Factors to keep; empty for all that vary.
        baseline: The user's, else the study's own; empty for the default one.
        explicit: Whether the user named that baseline.
        metrics: Metrics asked for.
        alpha: One minus the intervals' coverage.
        delta: Percentage points that do not matter.
        expect: The study's hypotheses.
    """

    by: tuple[str, ...]
    baseline: Mapping[str, Any]
    explicit: bool
    metrics: tuple[str, ...]
    alpha: float
    delta: float
    expect: Sequence[str]


def compare(
    records: Sequence[RunRecord],
    *,
    by: Sequence[str] = (),
    baseline: Mapping[str, Any] | None = None,
    metric: str | Sequence[str] = (),
    where: Mapping[str, Any] | None = None,
    alpha: float = 0.05,
    delta: float = DEFAULT_DELTA,
    fail_if: Sequence[str] = (),
    against: Sequence[RunRecord] | None = None,
) -> Comparisons:
    """Compare runs within each study, dataset and model.

    Runs that share every setting but the seed are one row. A mean carries its Student-t interval, a difference to the
    baseline is paired by seed, and its p is adjusted over all differences of its table: Holm's with fewer than eight
    pairs, sign-flip max-T from eight on.

    Args:
        records: What ``read_results`` returns, or any records.
        by: Keep only these factors (dotted keys) and average over the others: per seed first, and only over seeds that
            have a value in every combination, so that no row gains by what it lacks. Empty keeps all that vary.
        baseline: Factor -> value. A factor left out is matched: each row is compared to the baseline with the same
            value there. None means the study's own ``compare.baseline``, else relu with bias_init 0, else the first.
        metric: Names of METRICS. Empty means the study's own ``compare.metric``, else ``test.accuracy``.
        where: Factor -> value; show only the rows that have it. Hiding rows changes no number of those that stay:
            baseline, best row and adjusted p are those of the whole table. A factor that is averaged over is
            restricted before the averaging instead.
        alpha: One minus the intervals' coverage, and the bound for ``significant``.
        delta: Percentage points within which two rows are practically the same, for metrics that are fractions.
        fail_if: Gates: ``expect``, ``test.accuracy drop > 0.5pp``, ``health.dead_fraction > 0.05``.
        against: Other records, such as those of an earlier version: each row is compared to the same cell among them.

    Raises:
        UnknownNameError: For a metric or a factor that does not exist.
        UsageError: For a baseline, a filter or a gate that no run fits, or an alpha or delta out of range.
        ResultsError: When there are no records.
    """
    _check_range(alpha, delta)
    conditions = gates.parsed(fail_if)
    settings = records.settings if isinstance(records, Records) else {}
    earlier = records.warnings if isinstance(records, Records) else ()
    if not records:
        raise ResultsError("\n".join(("no finished run to compare", *earlier)))
    if against is None:
        runs = [(record, cell(record.spec)) for record in records]
    else:
        runs = joined(records, against)
        by, baseline, where = asked(by, baseline, where)
    shown = matched(runs, where or {})
    for keys in (by, baseline or {}):
        check_keys("factor", keys, (one for _, one in runs))
    found, texts = [], []
    for table in tables(runs, by, shown):
        own = settings.get(table.runs[0][0].study, {})
        metrics = _metrics(metric or own.get("metric") or DEFAULT_METRIC)
        wanted = baseline or own.get("baseline") or {}
        question = Question(tuple(by), wanted, bool(baseline), metrics, alpha, delta, own.get("expect", ()))
        comparison, warnings = _compare_table(table, question)
        found.append((table, comparison))
        texts.append(warnings)
    if baseline and all(comparison.baseline is None for _, comparison in found):
        raise UsageError(texts[0][0])
    comparisons = tuple(comparison for _, comparison in found)
    return Comparisons(comparisons, (*earlier, *_titled(comparisons, texts)), gates.judged(conditions, found, alpha))


def _check_range(alpha: float, delta: float) -> None:
    if not 0 < alpha < 1:
        raise UsageError(f"alpha should lie between 0 and 1, not {alpha:g}")
    if not 0 < delta < 100:
        raise UsageError(f"delta should lie between 0 and 100 percentage points, not {delta:g}")


def _titled(comparisons: Sequence[Comparison], texts: Sequence[Sequence[str]]) -> list[str]:
    """The tables' warnings; with the table's title where there are several."""
    titles = [f"{comparison.title}: " if len(comparisons) > 1 else "" for comparison in comparisons]
    return [title + text for title, own in zip(titles, texts, strict=True) for text in own]


def _metrics(names: str | Sequence[str]) -> tuple[str, ...]:
    found = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
    for name in found:
        if name not in METRICS:
            raise UnknownNameError("metric", name, tuple(METRICS), plugins.nearest(name, METRICS))
    return found


def _compare_table(table: Table, question: Question) -> tuple[Comparison, list[str]]:
    """One table, and what to know before believing it."""
    leading = question.metrics[0]
    baseline, problems = baseline_of(table.groups, question.baseline, explicit=question.explicit)
    contrasts, families = _contrasts(table, baseline, question)
    rows, best = _rows(table, contrasts, question)
    printed = {id(group) for group in table.shown}
    shown = [row for row, group in zip(rows, table.groups, strict=True) if id(group) in printed]
    records = [record for record, _ in table.runs]
    candidates = [group for group in table.groups if is_new(group.factors)]
    everything, varied = table.everything
    comparison = Comparison(
        study=records[0].study,
        context=context(records[0].spec, question.by),
        factors=table.factors,
        baseline=baseline,
        rows=_best_first(shown, leading),
        metrics=question.metrics,
        averaged=table.averaged,
        alpha=question.alpha,
        dead=_definition(records),
        best=best,
        families=families,
        interaction=interaction(candidates, baseline, leading, question.alpha),
        expectations=tuple(
            judged(question.expect, [run for run in everything if is_new(run[1])], varied, question.alpha)
        ),
    )
    delta = question.delta / 100 if METRICS[leading].unit == "fraction" and not is_bounded(leading) else None
    verdicts = sentences(comparison, comparison.rows, delta, settling(records))
    behind = [
        run
        for row, group in zip(rows, table.groups, strict=True)
        if id(group) in printed or comparison.is_baseline(row)
        for run in group.runs
    ]
    warnings = [*problems, *cautions.of(comparison, behind, repeats=table.repeats)]
    return replace(comparison, verdicts=verdicts), warnings


def _contrasts(
    table: Table, baseline: Mapping[str, Value] | None, question: Question
) -> tuple[list[dict[str, Contrast]], dict[str, Family]]:
    """Each group's contrasts by metric, and the families in which their p are adjusted."""
    found: list[dict[str, Contrast]] = [{} for _ in table.groups]
    families: dict[str, Family] = {}
    if baseline is None:
        return found, families
    for name in question.metrics:
        contrasts, families[name] = against_baseline(table.groups, baseline, name, question.alpha)
        for index, contrast in contrasts.items():
            found[index][name] = contrast
    return found, families


def _rows(
    table: Table, contrasts: Sequence[Mapping[str, Contrast]], question: Question
) -> tuple[list[Row], Mapping[str, Value] | None]:
    """One row a group, with its tie to the best; and the best one's factors."""
    names = tuple(dict.fromkeys((*question.metrics, *CONTEXT_METRICS)))
    pairs = zip(table.groups, contrasts, strict=True)
    rows = [_row(group, contrast, names, question.alpha) for group, contrast in pairs]
    leading = question.metrics[0]
    candidates = {id(row): group for row, group in zip(rows, table.groups, strict=True) if is_new(row.factors)}
    best = _best_first([row for row in rows if id(row) in candidates], leading)[0]
    if best.metrics[leading].mean is None:
        return rows, None
    tied = tied_with_best(list(candidates.values()), candidates[id(best)], leading, question.alpha)
    marks = dict(zip(candidates, tied, strict=True))
    return [replace(row, tied=marks.get(id(row))) for row in rows], best.factors


def _row(group: Group, contrasts: Mapping[str, Contrast], names: Sequence[str], alpha: float) -> Row:
    counted = Counter(record.outcome for record, _ in group.runs)
    bad = len(group.runs) - counted["ok"]
    return Row(
        factors=group.factors,
        runs=len(group.runs),
        outcomes={outcome: counted[outcome] for outcome in OUTCOMES},
        metrics={name: _interval(name, group.values(name), alpha) for name in names},
        vs_baseline=contrasts,
        failure_rate=wilson_interval(bad, len(group.runs), alpha) if bad else None,
    )


def _interval(name: str, values: Mapping[int, float], alpha: float) -> Interval:
    found = mean_interval(list(values.values()), alpha)
    return replace(found, low=None, high=None) if is_bounded(name) else found


def _best_first(rows: Sequence[Row], name: str) -> tuple[Row, ...]:
    """By the metric's mean; rows without one come last."""
    sign = 1 if METRICS[name].higher_is_better is False else -1
    means = {id(row): row.metrics[name].mean for row in rows}
    return tuple(sorted(rows, key=lambda row: (means[id(row)] is None, sign * (means[id(row)] or 0.0))))


def _definition(records: Sequence[RunRecord]) -> str:
    """What ``dead`` means in these runs; printed wherever a dead fraction is."""
    definitions = {
        f"slope ≤ {record.spec.health.dead_slope:g} on "
        f"{record.health.get('probe_size', record.spec.health.probe_size):,} training images"
        for record in records
    }
    return " or ".join(sorted(definitions))
