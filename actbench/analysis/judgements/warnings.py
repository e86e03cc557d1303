"""Warnings: facts that a reader should know before believing a table, one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from actbench.analysis.judgements.formatting import p_value, some_of
from actbench.analysis.judgements.lost_runs import lost_among, outcomes_in_words
from actbench.analysis.judgements.network_sizes import sizes_in_words
from actbench.analysis.statistics import MIN_VALUES, prediction_interval, smallest_p
from actbench.analysis.table.factors import row_name, show
from actbench.analysis.table.grouping import Group, Table
from actbench.analysis.table.result import Comparison
from actbench.config import TwoStage
from actbench.schema.metrics import is_bounded, monitored_metric
from actbench.schema.record import RunRecord

ALPHA_OF_MIXTURES = 0.05
"""How often a row of runs of one kind may be taken for one of two kinds."""

SCATTER = 0.02
"""Share of their size by which runs of one kind differ without being far from each other."""

ENVIRONMENT = ("actbench", "torch", "numpy", "python", "device", "device_name")
"""Entries of a record's environment that may move a number."""


def warnings_about(comparison: Comparison, table: Table, *, lost: Mapping[str, str]) -> Iterator[str]:
    """Yield all warnings about one table.

    Args:
        comparison: The table as it is shown.
        table: The groups behind it.
        lost: Row -> how many of its runs have no value in the leading metric, as ``lost_in_words`` returns it.
    """
    # The baseline's runs affect the differences even if its row is hidden.
    shown = {id(group) for group in table.shown}
    groups = [group for group in table.groups if id(group) in shown or comparison.is_baseline(group.factors)]
    runs = [run for group in groups for run in group.runs]
    records = [record for record, _ in runs]
    yield from outcomes_in_words(comparison.metrics, records, groups)
    yield from _mixtures(comparison, groups)
    if len({one["activation"] for _, one in runs}) > 1:
        # A linear model, or a user's own that was given an activation and did not use it.
        unused = (record.spec.model.label for record in records if record.health.get("units") == 0)
        for label in dict.fromkeys(unused):
            yield f"{label} never used the run's activation, so rows that differ only in it are the same network"
    yield from sizes_in_words(groups)
    yield from _seeds(comparison, groups, lost)
    alone = [row for row in comparison.rows if not row.vs_baseline and not comparison.is_baseline(row.factors)]
    if alone and comparison.baseline is not None:
        names = some_of([row_name(row.factors) for row in alone])
        yield f"{len(alone)} of {len(comparison.rows)} rows have no baseline run with the same other settings{names}"
    if comparison.averaged:
        yield f"averaged over {', '.join(comparison.averaged)}, per seed; seeds that lack a combination are left out"
        yield from _uneven(comparison.averaged, groups)
    if table.repeats:
        yield f"runs that repeat another's settings and seed, left out: {table.repeats}"
    environments = list({id(record.environment): record.environment for record in records}.values())
    for name in ENVIRONMENT:
        values = sorted({show(one[name]) for one in environments if name in one})
        if len(values) > 1:
            yield f"runs differ in {name}: {', '.join(values)}"
    yield from _data(records)
    yield from _epochs(records)


def two_stage_warnings(chosen: TwoStage, table: Table, metrics: Sequence[str]) -> Iterator[str]:
    """Warn of seeds that differ from those that the two-stage rule chose by the spread of the first ones.

    Args:
        chosen: How they were chosen.
        table: The groups that are compared.
        metrics: Those of the table.
    """
    if chosen.metric not in metrics:
        return
    seeds, planned = {record.spec.seed for record, _ in table.runs}, set(chosen.all_seeds)
    if more := len(seeds - planned):
        yield (
            f"{more} of the {len(seeds)} seeds are not among the {chosen.seeds} that `--exact` chose, so intervals in "
            f"{chosen.metric} are Student's, not Stein's"
        )
    elif less := len(planned - seeds):
        yield (
            f"{less} of the {chosen.seeds} seeds that `--exact` chose are not there, so intervals in {chosen.metric} "
            "are wider than was asked for"
        )


def _uneven(averaged: Sequence[str], groups: Sequence[Group]) -> Iterator[str]:
    """Name the rows that are averaged over fewer combinations than others, after ``exclude`` or in an unfinished study.

    Their means stand for other conditions than those of the rows that have all, so that a difference between the two is
    partly one of the conditions.
    """
    has = [{tuple(one.get(key) for key in averaged) for _, one in group.runs} for group in groups]
    every = set[tuple[object, ...]]().union(*has)
    lacking = [
        f"{row_name(group.factors)} has {len(own)} of {len(every)}"
        for group, own in zip(groups, has, strict=True)
        if own != every
    ]
    if lacking:
        factors = ", ".join(averaged)
        yield f"rows are averaged over different values of {factors}, which moves their differences{some_of(lacking)}"


def _mixtures(comparison: Comparison, groups: Sequence[Group]) -> Iterator[str]:
    """Warn of rows in which collapsed runs lie far from the others, so that their mean is that of two kinds of runs.

    A run is called collapsed by its hidden units. Where accuracy does not suffer, or suffers alike in all runs of a
    row, values scatter as they do elsewhere and the interval holds its level. Where some fall out by chance it does
    not: with 5 % of such runs a 95 % interval holds the mean in 52 to 85 of 100 studies (docs/statistics.md).
    """
    for metric in comparison.metrics:
        if is_bounded(metric):
            continue
        names = [row_name(group.factors) for group in groups if _is_mixture(group, metric)]
        if names:
            yield (
                f"collapsed runs lie far from the row's other runs in {metric}: no interval of such a mean or of its "
                f"difference can be trusted{some_of(names)}"
            )


def _is_mixture(group: Group, metric: str) -> bool:
    """Return whether collapsed runs and the others of a row are two kinds of runs.

    They are where one of the fewer lies outside the 95 % prediction interval of the more, which would happen to five in
    a hundred rows if both were of one kind.
    """
    values = group.values(metric)
    collapsed = {record.spec.seed for record, _ in group.runs if record.outcome == "collapsed"}
    own = [value for seed, value in values.items() if seed in collapsed]
    others = [value for seed, value in values.items() if seed not in collapsed]
    if len(values) < MIN_VALUES or not own or not others:
        return False
    fewer, more = sorted((own, others), key=len)
    low, high = prediction_interval(more, ALPHA_OF_MIXTURES / len(fewer))
    # Equal values, such as a few accuracies of one test set, say less about their scatter than their sd of 0.
    room = SCATTER * max(map(abs, more))
    return any(not low - room <= value <= high + room for value in fewer)


def _seeds(comparison: Comparison, groups: Sequence[Group], lost: Mapping[str, str]) -> Iterator[str]:
    """Warn of different and of too few seeds, in the rows that are shown and in those that they are compared to."""
    leading = comparison.metrics[0]
    found = {row_name(row.factors): row.metrics[leading].n for row in comparison.rows}
    compared = [row.factors for row in comparison.rows if leading in row.vs_baseline]
    bases = {row_name({**factors, **(comparison.baseline or {})}) for factors in compared}
    counts = {row_name(group.factors): len(group.values(leading)) for group in groups}
    found |= {name: n for name, n in counts.items() if name in bases}
    seeds = set(found.values())
    noun = "seeds with a value" if lost else "seeds"
    if len(seeds) > 1:
        fewest = some_of([f"{name}: {n}" for name, n in found.items() if n == min(seeds)])
        numbers = f"{min(seeds)} to {max(seeds)} {noun}{fewest}"
        yield f"rows have {numbers}: a difference uses only those that both sides have"
    elif any(row.vs_baseline[leading].difference.n_pairs not in seeds for row in comparison.rows if row.vs_baseline):
        yield f"rows have different {noun}: a difference uses only those that both sides have"
    few_values = [name for name, n in found.items() if n < MIN_VALUES]
    if few_values:
        is_all = len(few_values) == len(found)
        of = "" if is_all else f" in {len(few_values)} of {len(found)} rows"
        names = lost_among(few_values, lost)
        names += [] if is_all else [name for name in few_values if name not in lost]
        yield f"fewer than {MIN_VALUES} {noun}{of}: no interval and no test{some_of(names)}"
    # Of bounded shares, which have no other test, the table's limits say so.
    by_t = {
        name: [row.vs_baseline[name].difference.n_pairs for row in comparison.rows if name in row.vs_baseline]
        for name in comparison.metrics
        if not is_bounded(name)
    }
    few = {n for pairs in by_t.values() for n in pairs if n >= MIN_VALUES and smallest_p(n) >= comparison.alpha}
    if few:
        where = "" if len(by_t) == len(comparison.metrics) else f" in {', '.join(by_t)}"
        yield (
            f"with {min(few)} paired seeds no exact test can reach p < {comparison.alpha:g} (smallest possible p "
            f"{p_value(smallest_p(min(few)))}): a smaller p{where} rests on normally distributed differences"
        )


def _epochs(records: Sequence[RunRecord]) -> Iterator[str]:
    """Say which runs report a chosen epoch, and which ended before their last one."""
    known = [record for record in records if record.final.get("epochs_trained") is not None]
    chosen = [record for record in known if record.spec.training.select == "best"]
    if chosen:
        monitors = " or ".join(sorted({monitored_metric(one.final, one.spec.training.monitor) for one in chosen}))
        epochs = _range([record.selected_epoch for record in chosen])
        yield (
            f"{len(chosen)} of {len(records)} runs report the epoch with their best {monitors}, not the last "
            f"(training.select: best): epoch {epochs}; validation metrics flatter them, having chosen it"
        )
    early = [record for record in known if record.epochs_trained < record.spec.training.epochs]
    if early:
        epochs = _range([record.epochs_trained for record in early])
        yield (
            f"{len(early)} of {len(records)} runs ran out of patience (training.patience) and ended after epoch "
            f"{epochs}: their seconds do not compare"
        )


def _range(epochs: Sequence[int | None]) -> str:
    numbers = sorted({epoch for epoch in epochs if epoch is not None})
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _data(records: Sequence[RunRecord]) -> Iterator[str]:
    """Warn of a dataset's name that stood for different images or labels: a replaced file, a changed loader."""
    found: dict[str, set[str]] = {}
    for record in records:
        if "data" in record.environment:
            found.setdefault(record.spec.dataset.label, set()).add(str(record.environment["data"]))
    for label, fingerprints in found.items():
        if len(fingerprints) > 1:
            short = ", ".join(sorted(fingerprint[:12] for fingerprint in fingerprints))
            yield f"runs of {label} were trained on different data: {short}"
