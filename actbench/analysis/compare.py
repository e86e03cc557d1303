"""Records -> comparisons: rows of runs that share their settings, each against a baseline, paired by seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from actbench.analysis.compare_options import CompareOptions
from actbench.analysis.judgements import gates
from actbench.analysis.judgements import warnings as cautions
from actbench.analysis.judgements.expectations import judged
from actbench.analysis.judgements.methods import paragraph
from actbench.analysis.judgements.verdicts import sentences, settling
from actbench.analysis.table import tuning
from actbench.analysis.table.against import asked, is_new, joined
from actbench.analysis.table.baselines import baseline_of
from actbench.analysis.table.contrasts import against_baseline, interaction
from actbench.analysis.table.factors import Value, cell, check_keys, context
from actbench.analysis.table.grouping import Filter, Table, matched, tables
from actbench.analysis.table.pairs import all_pairs
from actbench.analysis.table.reach import with_reach
from actbench.analysis.table.result import Comparison, Comparisons, Contrast, Family, is_bounded
from actbench.analysis.table.rows import best_first, rows_of
from actbench.errors import ResultsError, UnknownNameError, UsageError
from actbench.schema import registry
from actbench.schema.metrics import METRICS
from actbench.schema.record import RunRecord
from actbench.storage.reading import Records

DEFAULT_METRIC = "test.accuracy"
DEFAULT_DELTA = 0.1
"""Percentage points: the test set of MNIST has 10,000 images, of which this is ten."""

NOTHING_MORE = CompareOptions()


@dataclass(frozen=True)
class TableRequest:
    """What is asked of one table.

    Args:
        by: Factors to keep; empty for all that vary.
        baseline: The user's, else the study's own; empty for the default one.
        explicit: Whether the user named that baseline.
        metrics: Metrics asked for.
        alpha: One minus the intervals' coverage.
        delta: Percentage points that do not matter.
        expect: The study's hypotheses.
        extras: What to add to the table.
    """

    by: tuple[str, ...]
    baseline: Mapping[str, Any]
    explicit: bool
    metrics: tuple[str, ...]
    alpha: float
    delta: float
    expect: Sequence[str]
    extras: CompareOptions


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
    extras: CompareOptions = NOTHING_MORE,
    tune: Sequence[str] = (),
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
        extras: What every table has besides: methods in prose, speed of convergence, all pairs of rows.
        tune: Factors of which each row gets its own best value by the mean validation metric, in a further table behind
            the one at common values. Empty means the study's own ``tune``.

    Raises:
        UnknownNameError: For a metric or a factor that does not exist.
        UsageError: For a baseline, a filter or a gate that no run fits, or an alpha or delta out of range.
        ResultsError: When there are no records.
    """
    _check_range(alpha, delta)
    conditions = gates.parsed(fail_if)
    settings, earlier = (records.settings, records.warnings) if isinstance(records, Records) else ({}, ())
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
    tuning.check(tune, baseline or {}, shown, (one for _, one in runs))
    found, texts = [], []
    for table in tables(runs, by, shown):
        own = settings.get(table.runs[0][0].study, {})
        metrics = _metrics(metric or own.get("metric") or DEFAULT_METRIC)
        wanted = baseline or own.get("baseline") or {}
        question = TableRequest(tuple(by), wanted, bool(baseline), metrics, alpha, delta, own.get("expect", ()), extras)
        for view, comparison, warnings in _views(table, question, tune or own.get("tune", ()), shown):
            found.append((view, comparison))
            texts.append(warnings)
    comparisons = tuple(comparison for _, comparison in found)
    _refuse_if_in_vain(comparisons, texts, baseline, tune)
    return Comparisons(comparisons, (*earlier, *_titled(comparisons, texts)), gates.judged(conditions, found, alpha))


def _check_range(alpha: float, delta: float) -> None:
    if not 0 < alpha < 1:
        raise UsageError(f"alpha should lie between 0 and 1, not {alpha:g}")
    if not 0 < delta < 100:
        raise UsageError(f"delta should lie between 0 and 100 percentage points, not {delta:g}")


def _refuse_if_in_vain(
    comparisons: Sequence[Comparison], texts: Sequence[Sequence[str]], baseline: object, tune: Sequence[str]
) -> None:
    """What the user asked for by name and no table could give is an error; the first table's warnings say why."""
    if baseline and all(comparison.baseline is None for comparison in comparisons):
        raise UsageError(texts[0][0])
    if tune and not any(comparison.tuned for comparison in comparisons):
        raise UsageError(texts[0][-1])


def _titled(comparisons: Sequence[Comparison], texts: Sequence[Sequence[str]]) -> list[str]:
    """The tables' warnings; with the table's title where there are several."""
    titles = [f"{comparison.title}: " if len(comparisons) > 1 else "" for comparison in comparisons]
    return [title + text for title, own in zip(titles, texts, strict=True) for text in own]


def _metrics(names: str | Sequence[str]) -> tuple[str, ...]:
    found = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
    for name in found:
        if name not in METRICS:
            raise UnknownNameError("metric", name, tuple(METRICS), registry.nearest(name, METRICS))
    return found


def _views(
    table: Table, question: TableRequest, tune: Sequence[str], where: Filter
) -> Iterator[tuple[Table, Comparison, list[str]]]:
    """The table, and behind it the one whose rows are tuned; each with its warnings, none twice."""
    comparison, warnings = _compare_table(table, question)
    tuned, notes = tuning.tuned(table, tune, metric=question.metrics[0], where=where)
    yield table, comparison, warnings if tuned else [*warnings, *notes]
    if tuned:
        baseline = {key: value for key, value in question.baseline.items() if key not in tune}
        explicit = question.explicit and bool(baseline)
        asked_of_it = replace(question, baseline=baseline, explicit=explicit, expect=())
        comparison, own = _compare_table(tuned, asked_of_it)
        yield tuned, comparison, [*notes, *(text for text in own if text not in warnings)]


def _compare_table(table: Table, question: TableRequest) -> tuple[Comparison, list[str]]:
    """One table, and what to know before believing it."""
    leading = question.metrics[0]
    baseline, problems = baseline_of(table.groups, question.baseline, explicit=question.explicit)
    contrasts, families = _contrasts(table, baseline, question)
    rows, best = rows_of(table.groups, contrasts, question.metrics, question.alpha)
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
        rows=best_first(shown, leading),
        metrics=question.metrics,
        averaged=table.averaged,
        tuned=table.tuned,
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
    return _extended(replace(comparison, verdicts=verdicts), table, question.extras), warnings


def _extended(comparison: Comparison, table: Table, extras: CompareOptions) -> Comparison:
    if extras.reach is not None:
        comparison = with_reach(comparison, table, extras.reach)
    if extras.all_pairs:
        comparison = replace(comparison, pairs=all_pairs(comparison, table))
    if extras.methods:
        comparison = replace(comparison, methods=paragraph(comparison, [record for record, _ in table.runs]))
    return comparison


def _contrasts(
    table: Table, baseline: Mapping[str, Value] | None, question: TableRequest
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


def _definition(records: Sequence[RunRecord]) -> str:
    """What ``dead`` means in these runs; printed wherever a dead fraction is."""
    definitions = {
        f"slope ≤ {record.spec.health.dead_slope:g} on "
        f"{record.health.get('probe_size', record.spec.health.probe_size):,} training images"
        for record in records
    }
    return " or ".join(sorted(definitions))
