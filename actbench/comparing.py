"""Records -> comparisons: rows of runs that share their settings, each against a baseline, paired by seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from actbench import cautions, plugins
from actbench.comparison import DEAD, Comparison, Comparisons, Contrast, Row, Value, is_bounded
from actbench.errors import ResultsError, UnknownNameError, UsageError
from actbench.factors import Cell, cell, check_keys, context, distinct, fitting, show_all, varying
from actbench.record import METRICS, OUTCOMES, RunRecord
from actbench.statistics import Difference, Interval, holm, mean_interval, paired_difference
from actbench.store import Records

CONTEXT_METRICS = (DEAD, "parameters", "seconds")
"""Carried by every row beside the metrics asked for."""

DEFAULT_METRIC = "test.accuracy"
DEFAULT_BASELINE: Mapping[str, Value] = {"activation": "relu", "bias_init": 0.0}

Run = tuple[RunRecord, Cell]


@dataclass(frozen=True)
class Group:
    """The runs of one row.

    Args:
        factors: What they share.
        runs: The records, each with its flat keys.
        values: Metric -> seed -> value.
    """

    factors: Mapping[str, Value]
    runs: Sequence[Run]
    values: Mapping[str, Mapping[int, float]]


@dataclass(frozen=True)
class Question:
    """What is asked of one table.

    Args:
        by: Factors to keep; empty for all that vary.
        baseline: The user's, else the study's own; empty for the default one.
        explicit: Whether the user named that baseline.
        metrics: Metrics asked for.
        alpha: One minus the intervals' coverage.
    """

    by: tuple[str, ...]
    baseline: Mapping[str, Any]
    explicit: bool
    metrics: tuple[str, ...]
    alpha: float


def compare(
    records: Sequence[RunRecord],
    *,
    by: Sequence[str] = (),
    baseline: Mapping[str, Any] | None = None,
    metric: str | Sequence[str] = (),
    where: Mapping[str, Any] | None = None,
    alpha: float = 0.05,
) -> Comparisons:
    """Compare runs within each study, dataset and model.

    Runs that share every setting but the seed are one row. A mean carries its Student-t interval, a difference to the
    baseline is paired by seed, and its p is Holm-adjusted over all differences of its table.

    Args:
        records: What ``read_results`` returns, or any records.
        by: Keep only these factors (dotted keys) and average over the others: per seed first, and only over seeds that
            have a value in every combination, so that no row gains by what it lacks. Empty keeps all that vary.
        baseline: Factor -> value. A factor left out is matched: each row is compared to the baseline with the same
            value there. None means the study's own ``compare.baseline``, else relu with bias_init 0, else the first.
        metric: Names of METRICS. Empty means the study's own ``compare.metric``, else ``test.accuracy``.
        where: Factor -> value; keep only the runs that have it.
        alpha: One minus the intervals' coverage, and the bound for ``significant``.

    Raises:
        UnknownNameError: For a metric or a factor that does not exist.
        UsageError: For a baseline or a filter that no run fits, or an alpha outside (0, 1).
        ResultsError: When there are no records.
    """
    if not 0 < alpha < 1:
        raise UsageError(f"alpha should lie between 0 and 1, not {alpha:g}")
    settings = records.settings if isinstance(records, Records) else {}
    earlier = records.warnings if isinstance(records, Records) else ()
    if not records:
        raise ResultsError("\n".join(("no finished run to compare", *earlier)))
    runs = _filtered([(record, cell(record.spec)) for record in records], where or {})
    for keys in (by, baseline or {}):
        check_keys("factor", keys, (one for _, one in runs))
    found = []
    for (study, *_), table in _tables(runs, by).items():
        own = settings.get(study, {})
        asked = _metrics(metric or own.get("metric") or DEFAULT_METRIC)
        wanted = baseline or own.get("baseline") or {}
        found.append(_compare_table(table, Question(tuple(by), wanted, bool(baseline), asked, alpha)))
    if baseline and all(comparison.baseline is None for comparison, _ in found):
        raise UsageError(found[0][1][0])
    return Comparisons(tuple(comparison for comparison, _ in found), (*earlier, *_titled(found)))


def _titled(found: Sequence[tuple[Comparison, Sequence[str]]]) -> list[str]:
    """The tables' warnings; with the table's title where there are several."""
    titles = [f"{comparison.title}: " if len(found) > 1 else "" for comparison, _ in found]
    return [title + text for title, (_, texts) in zip(titles, found, strict=True) for text in texts]


def _metrics(names: str | Sequence[str]) -> tuple[str, ...]:
    found = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
    for name in found:
        if name not in METRICS:
            raise UnknownNameError("metric", name, tuple(METRICS), plugins.nearest(name, METRICS))
    return found


def _filtered(runs: Sequence[Run], where: Mapping[str, Any]) -> Sequence[Run]:
    check_keys("factor", where, (one for _, one in runs))
    for key, given in where.items():
        value = fitting(key, given, [one.get(key) for _, one in runs])
        runs = [(record, one) for record, one in runs if one.get(key) == value]
    return runs


def _tables(runs: Sequence[Run], by: Sequence[str]) -> dict[tuple[str, ...], list[Run]]:
    tables: dict[tuple[str, ...], list[Run]] = {}
    for record, one in runs:
        tables.setdefault((record.study, *context(record.spec, by).values()), []).append((record, one))
    return dict(sorted(tables.items()))


def _compare_table(found: Sequence[Run], question: Question) -> tuple[Comparison, list[str]]:
    """One table, and what to know before believing it."""
    vary = varying([record.spec for record, _ in found], [one for _, one in found])
    factors = question.by or vary
    averaged = tuple(key for key in vary if not any(f"{key}.".startswith(f"{kept}.") for kept in factors))
    runs = distinct(found, (*factors, *averaged))
    names = tuple(dict.fromkeys((*question.metrics, *CONTEXT_METRICS)))
    groups = _groups(runs, factors, averaged, names)
    baseline, problems = _baseline(groups, question)
    contrasts = _contrasts(groups, baseline, question)
    rows = [_row(group, contrast, question.alpha) for group, contrast in zip(groups, contrasts, strict=True)]
    comparison = Comparison(
        study=runs[0][0].study,
        context=context(runs[0][0].spec, question.by),
        factors=factors,
        baseline=baseline,
        rows=_best_first(rows, question.metrics[0]),
        metrics=question.metrics,
        averaged=averaged,
        alpha=question.alpha,
        dead=_definition([record for record, _ in runs]),
    )
    return comparison, [*problems, *cautions.of(comparison, runs, repeats=len(found) - len(runs))]


def _groups(
    runs: Sequence[Run], factors: tuple[str, ...], averaged: tuple[str, ...], names: tuple[str, ...]
) -> list[Group]:
    members: dict[tuple[Value, ...], list[Run]] = {}
    for record, one in runs:
        members.setdefault(tuple(one.get(key) for key in factors), []).append((record, one))
    return [
        Group(dict(zip(factors, values, strict=True)), own, {name: _by_seed(own, averaged, name) for name in names})
        for values, own in members.items()
    ]


def _by_seed(runs: Sequence[Run], averaged: tuple[str, ...], name: str) -> dict[int, float]:
    """Seed -> value: the mean over the combinations of ``averaged``, for seeds that have a value in each of them."""
    parts: dict[tuple[Value, ...], dict[int, float]] = {}
    for record, one in runs:
        part = parts.setdefault(tuple(one.get(key) for key in averaged), {})
        value = record.final.get(name)
        if value is not None and isfinite(value):
            part.setdefault(record.spec.seed, float(value))
    seeds = set.intersection(*(set(part) for part in parts.values()))
    return {seed: sum(part[seed] for part in parts.values()) / len(parts) for seed in sorted(seeds)}


def _baseline(groups: Sequence[Group], question: Question) -> tuple[Mapping[str, Value] | None, list[str]]:
    """The baseline in the rows' own values; or None and why there is none."""
    try:
        # A study's own baseline may name what this view holds fixed or averages over; a user's may not.
        found = {
            key: _baseline_value(key, given, groups)
            for key, given in question.baseline.items()
            if question.explicit or key in groups[0].factors
        }
    except UsageError as error:
        return None, [f"no baseline: {error}"]
    telling = {key: value for key, value in found.items() if len(_values(key, groups)) > 1}
    if not telling and not question.explicit:
        return _default_baseline(groups), []
    if not any(telling.items() <= group.factors.items() for group in groups):
        return None, [f"no baseline: no run has {show_all(telling)}"]
    return telling, []


def _values(key: str, groups: Sequence[Group]) -> list[Value]:
    return list(dict.fromkeys(one.get(key) for group in groups for _, one in group.runs))


def _baseline_value(key: str, given: Any, groups: Sequence[Group]) -> Value:
    values = _values(key, groups)
    if key not in groups[0].factors and len(values) > 1:
        raise UsageError(f"'{key}' is averaged over, so it can't be part of the baseline: add it to --by")
    return fitting(key, given, values)


def _default_baseline(groups: Sequence[Group]) -> Mapping[str, Value] | None:
    """Relu with bias 0 where these vary and are there, matched in all else; otherwise the first row."""
    if len(groups) == 1:
        return None
    factors = groups[0].factors
    usual = {key: value for key, value in DEFAULT_BASELINE.items() if key in factors and len(_values(key, groups)) > 1}
    there = any(usual.items() <= group.factors.items() for group in groups)
    return usual if usual and there else factors


def _contrasts(
    groups: Sequence[Group], baseline: Mapping[str, Value] | None, question: Question
) -> list[dict[str, Contrast]]:
    """Each row's contrasts by metric, Holm-adjusted over all differences of that metric."""
    found: list[dict[str, Contrast]] = [{} for _ in groups]
    if baseline is None:
        return found
    by_factors = {tuple(group.factors.values()): group for group in groups}
    for name in question.metrics:
        differences: dict[int, Difference] = {}
        for index, group in enumerate(groups):
            base = by_factors.get(tuple({**group.factors, **baseline}.values()))
            if base is not None and base is not group:
                differences[index] = _difference(group, base, name, question.alpha)
        for index, contrast in _adjusted(differences, question.alpha).items():
            found[index][name] = contrast
    return found


def _difference(group: Group, base: Group, name: str, alpha: float) -> Difference:
    return paired_difference(
        group.values[name],
        base.values[name],
        alpha=alpha,
        higher_is_better=METRICS[name].higher_is_better is not False,
        test="sign-flip" if is_bounded(name) else "t",
    )


def _adjusted(differences: Mapping[int, Difference], alpha: float) -> dict[int, Contrast]:
    """Holm over every difference that is shown: one that has no p (too few pairs, no variation) counts as p = 1."""
    adjusted = holm([1.0 if found.p is None else found.p for found in differences.values()])
    return {
        index: Contrast(found, None if found.p is None else p, p < alpha)
        for (index, found), p in zip(differences.items(), adjusted, strict=True)
    }


def _row(group: Group, contrasts: Mapping[str, Contrast], alpha: float) -> Row:
    counted = Counter(record.outcome for record, _ in group.runs)
    return Row(
        factors=group.factors,
        runs=len(group.runs),
        outcomes={outcome: counted[outcome] for outcome in OUTCOMES},
        metrics={name: _interval(name, values, alpha) for name, values in group.values.items()},
        vs_baseline=contrasts,
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
