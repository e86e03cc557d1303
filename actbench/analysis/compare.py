"""Records -> comparisons: rows of runs that share their settings, each against a baseline, paired by seed.

``compare`` reads top to bottom: the runs become tables of groups (``table.grouping``), a table's groups become rows and
paired differences (``table.rows``, ``table.contrasts``) with p adjusted by ``statistics.multiplicity``, and the result
is judged in words (``judgements``). ``reports`` render it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from actbench.analysis.compare_options import DEFAULT_ALPHA, DEFAULT_DELTA, CompareOptions
from actbench.analysis.judgements.expectations import judge_expectations
from actbench.analysis.judgements.families import context_settings
from actbench.analysis.judgements.gates import judge_gates, parse_gates
from actbench.analysis.judgements.limits import limits_of
from actbench.analysis.judgements.lost_runs import lost_in_words
from actbench.analysis.judgements.methods_text import methods_paragraph
from actbench.analysis.judgements.outlook import chances_on_a_new_seed, further_runs
from actbench.analysis.judgements.tables_beside import HypothesesData, TableBeside
from actbench.analysis.judgements.verdicts import commands_for_more_seeds, verdict_sentences
from actbench.analysis.judgements.warnings import two_stage_warnings, warnings_about
from actbench.analysis.leading_metric import default_metric
from actbench.analysis.table.against import SIDE, absent_rows, both_sides, is_new, options_with_base
from actbench.analysis.table.baselines import baseline_of
from actbench.analysis.table.contrasts import against_baseline, interaction
from actbench.analysis.table.factors import FlatSpec, Value, check_keys, context, flat_specs, row_name
from actbench.analysis.table.grouping import Filter, Run, Table, as_run_values, tables
from actbench.analysis.table.new_seed import new_seed
from actbench.analysis.table.pairs import all_pairs
from actbench.analysis.table.reach import rows_with_reach
from actbench.analysis.table.result import Comparison, Comparisons, Contrast, Family
from actbench.analysis.table.rows import rows_of, sort_rows
from actbench.analysis.table.rules import Rules
from actbench.analysis.table.tuning import MAX_NAMES, check_tune, tune_rows
from actbench.config import TwoStage
from actbench.config.hypotheses import UNFINISHED, Gate, OutcomeCount, parse_expectation
from actbench.errors import ResultsError, UnknownNameError, UsageError
from actbench.schema.metrics import METRICS, is_bounded
from actbench.schema.record import OUTCOMES, RunRecord
from actbench.schema.spec import RunSpec
from actbench.storage.reading import Records
from actbench.storage.unfinished import unfinished_runs
from actbench.system.collection import collection_paused
from actbench.system.text import some_names


@dataclass(frozen=True)
class TableRequest:
    """The request for one table: the caller's options, with the study's own settings filled in.

    Args:
        options: The caller's options.
        baseline: The caller's, else the study's own; empty for the default one.
        is_explicit: Whether the caller named that baseline.
        metrics: The leading one first.
        expect: The study's hypotheses.
        own_table: The table that the study's config asks for, which may be another one.
        folder: The study's folder; None for records that lie in none.
        rules: By which the table is judged.
        two_stage: How the study's config says that its seeds were chosen; None where it does not.
        zipped: Factors that the study's config changes in step.
        tune: The study's own tuned factors.
        unfinished: The study's runs that have not ended, with their flat keys, where its hypotheses need them; None
            where they are not known.
        contexts: The settings of dataset and model in each table that the study has, hidden ones included.
    """

    options: CompareOptions
    baseline: Mapping[str, Any]
    is_explicit: bool
    metrics: tuple[str, ...]
    expect: Sequence[str]
    own_table: TableBeside
    folder: Path | None
    rules: Rules
    two_stage: TwoStage | None = None
    zipped: Sequence[str] = ()
    tune: Sequence[str] = ()
    unfinished: Sequence[tuple[RunSpec, FlatSpec]] | None = ()
    contexts: Sequence[Sequence[FlatSpec]] = ()

    def hypotheses_data(self, table: Table) -> HypothesesData:
        """Return the runs by which the hypotheses are judged, and how: those of the new side, whatever is hidden."""
        shown = TableBeside(self.baseline, self.metrics, table.factors, is_explicit=self.is_explicit)
        runs = [run for run in table.all_runs if is_new(run[1])]
        options = self.options
        # Those that have not ended are of this table where they share its context.
        here = None if self.unfinished is None else [
            flat for spec, flat in self.unfinished
            if context(spec, flat, options.by) == context(table.runs[0][0].spec, table.runs[0][1], options.by)
        ]  # fmt: skip
        return HypothesesData(
            runs,
            table.all_factors,
            self.rules,
            options.delta / 100,
            beside=(self.own_table, shown),
            tune=self.tune,
            unfinished=here,
            contexts=self.contexts,
        )


@dataclass(frozen=True)
class View:
    """One table, its comparison, and the warnings that belong to it.

    Args:
        table: The groups that are compared.
        comparison: The outcome.
        warnings: Facts that a reader should know before believing the table.
        no_baseline: Why the baseline that was asked for is not in this table; empty where it is or none was.
        not_tuned: Why the factors to tune are not tuned; empty where they are or none were.
    """

    table: Table
    comparison: Comparison
    warnings: Sequence[str]
    no_baseline: str = ""
    not_tuned: str = ""


def compare(
    records: Sequence[RunRecord],
    *,
    by: Sequence[str] = (),
    baseline: Mapping[str, Any] | None = None,
    metric: str | Sequence[str] = (),
    where: Mapping[str, Any] | None = None,
    alpha: float = DEFAULT_ALPHA,
    delta: float = DEFAULT_DELTA,
    fail_if: Sequence[str] = (),
    against: Sequence[RunRecord] | None = None,
    tune: Sequence[str] = (),
    methods: bool = False,
    reach: float | None = None,
    all_pairs: bool = False,
    anytime: bool = False,
    prediction: bool = False,
    chance: bool = False,
) -> Comparisons:
    """Compare runs within each study, dataset and model.

    Runs that share every setting but the seed are one row. A mean carries its Student-t interval, a difference to the
    baseline is paired by seed, and its p is adjusted over all differences of its table: sign-flip max-T for bounded
    health shares; for other metrics paired t tests with Holm's method for rows with fewer than eight pairs, max-T for
    those with more.

    Args:
        records: Records as ``read_results`` returns them, or any others.
        by: Keep only these factors (dotted keys) and average over the others: per seed first, and only over seeds that
            have a value in every combination, so that no row gains by a missing combination. Empty keeps all that vary.
        baseline: Factor -> value. A factor left out is matched: each row is compared to the baseline with the same
            value there. None means the study's own ``compare.baseline``, else relu with bias_init 0, else the first.
        metric: Names of METRICS, the leading one first. Empty means the study's own ``compare.metric``, else
            ``test.accuracy``, or ``test.mse`` where the targets are numbers.
        where: Factor -> value; show only the rows that have it. Hiding rows changes no number of those that stay:
            baseline, best row and adjusted p are those of the whole table. A factor that is averaged over is
            restricted before the averaging instead.
        alpha: One minus the intervals' coverage, and the bound for ``significant``.
        delta: Percentage points within which two rows are practically the same, for metrics that are fractions.
        fail_if: Gates: ``expect``, ``test.accuracy drop > 0.5pp``, ``health.dead_fraction > 0.05``.
        against: Other records, such as those of an earlier version: each row is compared to the same cell among them.
        tune: Factors of which each row gets its own best value by the mean validation metric, in a further table behind
            the one at common values. Empty means the study's own ``tune``.
        methods: Whether to add a paragraph on how the numbers came about.
        reach: Add how many epochs the runs need to this validation accuracy, 0 … 1; needs records with curves.
        all_pairs: Whether to add the difference of every two rows in the leading metric.
        anytime: Whether intervals and tests hold at every look at a growing study, however seeds were added.
        prediction: Whether tables show the interval that one further run will lie in.
        chance: Whether tables show the chance that a row beats the baseline on a new seed, and by more than delta.

    Raises:
        UnknownNameError: For a metric or a factor that does not exist.
        UsageError: For a baseline, a filter or a gate that no run fits, or an alpha or delta out of range.
        ResultsError: When there are no records.
    """
    options = CompareOptions(
        by=by,
        baseline=baseline,
        metric=metric,
        where=where,
        alpha=alpha,
        delta=delta,
        fail_if=fail_if,
        against=against,
        tune=tune,
        methods=methods,
        reach=reach,
        all_pairs=all_pairs,
        anytime=anytime,
        prediction=prediction,
        chance=chance,
    )
    return compare_with(records, options)


@collection_paused()
def compare_with(records: Sequence[RunRecord], options: CompareOptions) -> Comparisons:
    """Do what ``compare`` does with its options as one value: cut into tables, compare their rows, judge the gates."""
    conditions = parse_gates(options.fail_if)
    settings, folders, reading_warnings = (
        (records.settings, records.folders, records.warnings) if isinstance(records, Records) else ({}, {}, ())
    )
    if not records:
        raise ResultsError("\n".join(("no finished run to compare", *reading_warnings)))
    if options.against is None:
        runs = list(zip(records, flat_specs([record.spec for record in records]), strict=True))
    else:
        runs = both_sides(records, options.against)
        options = options_with_base(options)
    check_keys("factor", options.where or {}, (one for _, one in runs))
    where = as_run_values(options.where or {}, runs)
    for keys in (options.by, options.baseline or {}):
        check_keys("factor", keys, (one for _, one in runs))
    check_tune(options.tune, options.baseline or {}, where, (one for _, one in runs))

    views: list[View] = []
    for table in tables(runs, options.by, where):
        own = settings.get(table.runs[0][0].study, {})
        default = default_metric(record.final for record, _ in table.runs)
        request = TableRequest(
            options=replace(options, tune=options.tune or own.get("tune", ())),
            baseline=options.baseline or own.get("baseline") or {},
            is_explicit=bool(options.baseline),
            metrics=_metrics(options.metric or own.get("metric") or default),
            expect=own.get("expect", ()),
            own_table=TableBeside(own.get("baseline") or {}, _metrics(own.get("metric") or default)),
            folder=folders.get(table.runs[0][0].study),
            rules=_rules(table, own.get("two_stage"), options),
            two_stage=own.get("two_stage"),
            zipped=own.get("zip", ()),
            tune=own.get("tune", ()),
            contexts=_contexts(table.runs[0][0].study, runs, options.by) if own.get("expect") else (),
            unfinished=_awaited(table, own.get("expect", ()), folders.get(table.runs[0][0].study)),
        )
        views += _views(table, request, where)
    # A baseline or tuning that the caller named and no table has is an error, with the first table's reason.
    if options.baseline and all(view.comparison.baseline is None for view in views):
        raise UsageError(views[0].no_baseline)
    if options.tune and not any(view.comparison.tuned for view in views):
        raise UsageError(views[0].not_tuned)
    titles = [f"{view.comparison.title}: " if len(views) > 1 else "" for view in views]
    warnings = [title + text for title, view in zip(titles, views, strict=True) for text in view.warnings]
    shown = [(view.table, view.comparison) for view in views]
    unfinished = _unfinished(records, folders, conditions)
    gates = judge_gates(conditions, shown, where=where, unfinished=unfinished)
    return Comparisons(tuple(view.comparison for view in views), (*reading_warnings, *warnings), gates)


def _rules(table: Table, two_stage: TwoStage | None, options: CompareOptions) -> Rules:
    """Return the rules of a table: two-stage ones only for the seeds that the two-stage rule chose.

    With others, and with those of an earlier version, the number of pairs is not what the first stage's spread chose.
    """
    seeds = {record.spec.seed for record, _ in table.runs}
    is_other = two_stage is None or not seeds <= set(two_stage.all_seeds) or options.against is not None
    return Rules(options.alpha, options.anytime, None if is_other or options.anytime else two_stage)


def _unfinished(
    records: Sequence[RunRecord], folders: Mapping[str, Path], conditions: Mapping[str, Gate | None]
) -> dict[str, tuple[RunSpec, ...]]:
    """Return study -> its runs that have not ended, where a gate counts them: only then are their files looked at.

    Raises:
        UsageError: When it is not known what was planned for a study.
    """
    texts = [text for text, one in conditions.items() if isinstance(one, OutcomeCount) and one.outcome == UNFINISHED]
    if not texts:
        return {}
    for study in dict.fromkeys(record.study for record in records):
        if study not in folders:
            why = f"what was planned for '{study}' is not known: its runs do not lie in one folder"
            raise UsageError(f"--fail-if '{texts[0]}': {why}")
    try:
        return {study: unfinished_runs(folder) for study, folder in folders.items()}
    except UsageError as error:
        raise UsageError(f"--fail-if '{texts[0]}': {error}") from error


def _contexts(study: str, runs: Sequence[Run], by: Sequence[str]) -> list[list[FlatSpec]]:
    """Return the settings of dataset and model in each table of a study, each once."""
    found: dict[tuple[str, ...], list[FlatSpec]] = {}
    seen = set[int]()
    for record, one in runs:
        if record.study == study and id(one) not in seen and is_new(one):
            seen.add(id(one))
            settings = context_settings(one)
            own = found.setdefault(tuple(context(record.spec, one, by).values()), [])
            if settings not in own:
                own.append(settings)
    return list(found.values())


def _awaited(table: Table, expect: Sequence[str], folder: Path | None) -> list[tuple[RunSpec, FlatSpec]] | None:
    """Return a study's runs that have not ended, where one of its hypotheses is about outcomes; None where unknown.

    Runs that diverge end early, so those that have ended show too many of them while others are on their way.
    """
    if folder is None or not any(parse_expectation(text).metric in OUTCOMES for text in expect):
        return []
    try:
        specs = unfinished_runs(folder)
    except UsageError:
        return None
    # Labels are chosen among all runs, so that equal settings have equal ones.
    ended = [record.spec for record, _ in table.all_runs]
    return list(zip(specs, flat_specs([*ended, *specs])[len(ended) :], strict=True))


def _metrics(names: str | Sequence[str]) -> tuple[str, ...]:
    found = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
    for name in found:
        if name not in METRICS:
            raise UnknownNameError("metric", name, METRICS)
    return found


def _views(table: Table, request: TableRequest, where: Filter) -> Iterator[View]:
    """Compare the table, then the tuned table; a warning is reported once."""
    tune = request.options.tune
    common = _view(table, request)
    if request.two_stage is not None and not request.options.anytime and request.options.against is None:
        notes_on_seeds = two_stage_warnings(request.two_stage, table, request.metrics)
        common = replace(common, warnings=[*common.warnings, *notes_on_seeds])
    if absent := absent_rows(table.groups, where):
        names = [row_name({key: value for key, value in one.factors.items() if key != SIDE}) for one in absent]
        text = f"rows of the base that have no runs among the new results: {some_names(names, MAX_NAMES)}"
        common = replace(common, warnings=[*common.warnings, text])
    tuned, notes = tune_rows(table, tune, metric=request.metrics[0], where=where)
    if tuned is None:
        yield replace(common, warnings=[*common.warnings, *notes], not_tuned=notes[-1] if notes else "")
        return
    yield common
    # A tuned factor has no common value that a baseline could name, and hypotheses are judged once.
    baseline = {key: value for key, value in request.baseline.items() if key not in tune}
    is_explicit = request.is_explicit and bool(baseline)
    view = _view(tuned, replace(request, baseline=baseline, is_explicit=is_explicit, expect=()))
    yield replace(view, warnings=[*notes, *(text for text in view.warnings if text not in common.warnings)])


def _view(table: Table, request: TableRequest) -> View:
    """Compare the groups of one table, judge the result, and add what the caller asked for besides."""
    options, leading = request.options, request.metrics[0]
    records = [record for record, _ in table.runs]
    comparison, no_baseline = _compare_groups(table, request)
    delta = options.delta / 100 if METRICS[leading].unit == "fraction" and not is_bounded(leading) else None
    lost = lost_in_words(table.groups, leading)
    verdicts = verdict_sentences(comparison, delta, lost=lost)
    judged = replace(
        comparison,
        limits=limits_of(comparison),
        verdicts=tuple(verdicts),
        commands=commands_for_more_seeds(verdicts, request.folder, records),
        rows=comparison.rows if options.reach is None else rows_with_reach(comparison, table, options.reach),
        pairs=all_pairs(comparison, table) if options.all_pairs else None,
        has_prediction=options.prediction,
        has_chance=options.chance,
    )
    judged = replace(
        judged,
        further_runs=tuple(further_runs(judged, lost=lost)),
        new_seeds=tuple(chances_on_a_new_seed(judged, lost=lost)),
    )
    # The prose describes the finished table, so it comes last.
    finished = replace(judged, methods=methods_paragraph(judged, records)) if options.methods else judged
    problems = [no_baseline] if no_baseline else []
    return View(table, finished, [*problems, *warnings_about(comparison, table, lost=lost)], no_baseline)


def _compare_groups(table: Table, request: TableRequest) -> tuple[Comparison, str]:
    """Return every number of one table and its judged hypotheses; and why there is no baseline, else an empty text."""
    options, leading = request.options, request.metrics[0]
    baseline, no_baseline = baseline_of(
        table.groups, request.baseline, explicit=request.is_explicit, zipped=request.zipped
    )
    contrasts, families = _contrasts(table, baseline, request)
    # Every number is computed over all groups; hidden rows are removed last.
    rows, best = rows_of(table.groups, contrasts, request.metrics, request.rules)
    printed = {id(group) for group in table.shown}
    shown = [row for row, group in zip(rows, table.groups, strict=True) if id(group) in printed]
    records = [record for record, _ in table.runs]
    candidates = [group for group in table.groups if is_new(group.factors)]
    comparison = Comparison(
        study=records[0].study,
        context=context(records[0].spec, table.runs[0][1], options.by),
        factors=table.factors,
        baseline=baseline,
        rows=tuple(sort_rows(shown, leading)),
        metrics=request.metrics,
        averaged=table.averaged,
        tuned=table.tuned,
        rules=request.rules,
        dead=_definition(records),
        best=best,
        families=families,
        interaction=interaction(candidates, baseline, leading, request.rules),
        expectations=tuple(judge_expectations(request.expect, request.hypotheses_data(table))),
    )
    return comparison, no_baseline


def _contrasts(
    table: Table, baseline: Mapping[str, Value] | None, request: TableRequest
) -> tuple[list[dict[str, Contrast]], dict[str, Family]]:
    """Return each group's contrasts by metric, and the families in which their p are adjusted."""
    found: list[dict[str, Contrast]] = [{} for _ in table.groups]
    families: dict[str, Family] = {}
    if baseline is None:
        return found, families
    for name in request.metrics:
        contrasts, families[name] = against_baseline(table.groups, baseline, name, request.rules)
        alpha, delta = request.rules.alpha, request.options.delta / 100
        for index, contrast in contrasts.items():
            found[index][name] = replace(contrast, new_seed=new_seed(contrast.values, name, alpha, delta))
    return found, families


def _definition(records: Sequence[RunRecord]) -> str:
    """Return the definition of a dead unit in these runs, which is printed wherever a dead fraction is."""
    # The settings' probe_size is a limit, which a small dataset does not reach; a run that was measured has the number.
    measured = {
        f"slope ≤ {record.spec.health.dead_slope:g} on {probe:,} training {record.spec.example_word}s"
        for record in records
        if (probe := record.health.get("probe_size")) is not None
    }
    planned = {
        f"slope ≤ {record.spec.health.dead_slope:g} on up to {record.spec.health.probe_size:,} "
        f"training {record.spec.example_word}s"
        for record in records
    }
    return " or ".join(sorted(measured or planned))
