"""How a table's numbers came about, as a paragraph for a paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from actbench.analysis.judgements.formatting import p_value, series
from actbench.analysis.judgements.lost_runs import outcomes_in_words
from actbench.analysis.statistics import MIN_VALUES, Part, Test, fewest_values
from actbench.analysis.statistics.anytime import EFFECT_VARIANCE
from actbench.analysis.table.factors import show, show_all
from actbench.analysis.table.result import (
    REACH_METRIC,
    Comparison,
    Family,
    has_intervals_beyond_scale,
)
from actbench.schema.metrics import METRICS, is_bounded, monitored_metric
from actbench.schema.record import RunRecord
from actbench.schema.spec import canonical_json

ADJUSTMENTS = {"Holm": "Holm's (1979) method", "max-T": "the step-down max-T method (Westfall and Young, 1993)"}
TESTS: Mapping[Test, str] = {
    "t": "paired t tests",
    "sign-flip": "sign-flip tests",
    "two-stage t": "paired t tests of two stages",
    "anytime t": "anytime-valid paired t tests",
    "anytime signs": "anytime-valid tests of signs",
}
"""A test -> its name in a paper."""

LIBRARIES = {"actbench": "actbench", "torch": "PyTorch", "numpy": "NumPy", "python": "Python"}
"""An environment's entry -> how papers spell it."""


def methods_paragraph(comparison: Comparison, records: Sequence[RunRecord]) -> str:
    """Return the methods behind one table, one sentence a fact, with the numbers filled in.

    Args:
        comparison: The table, with speed of convergence and all pairs where they were asked for.
        records: The runs of its rows, at least one.
    """
    dead = comparison.dead.replace("slope", "a slope", 1)
    return " ".join(
        (
            *_design(comparison, records),
            _training(records),
            *_selection(records),
            *_outcomes(comparison, records),
            *_means(comparison),
            *_differences(comparison),
            *_interaction(comparison),
            *_additions(comparison),
            f"A hidden unit counts as dead when, at the {_reported(records)} epoch, it has {dead} (the probe).",
            _environment(records),
        )
    )


def _design(comparison: Comparison, records: Sequence[RunRecord]) -> Iterator[str]:
    rows, runs = len(comparison.rows), len(records)
    differing = f" that differ in {series(comparison.factors)}" if rows > 1 else ""
    # Not the context: --by may have made a factor of the dataset or the model.
    models = _values(records, lambda record: record.spec.model.label)
    datasets = _values(records, lambda record: record.spec.dataset.label)
    yield (
        f"Of the study {comparison.study}, the table shows {_count(runs, 'training run')} of {models} on {datasets}: "
        f"{_count(rows, 'configuration')}{differing}, with {_seeds(records)}."
    )
    as_script = [record for record in records if record.spec.draws != "actbench"]
    if rows > 1 and len(as_script) < len(records):
        yield "Runs with equal seed share the random streams of initial weights and batch order."
    if as_script:
        yield (
            f"{_which(as_script, records)} drew initial weights and batch order from one generator for each seed, as a "
            "plain PyTorch script does: those of equal seed share what their networks draw alike."
        )
    if comparison.tuned:
        yield (
            f"For each configuration, {series(comparison.tuned.factors)} was picked by the best mean "
            f"{comparison.tuned.by}; other values are not reported here."
        )
    if comparison.averaged:
        yield (
            f"Values were averaged over {series(comparison.averaged)} within each seed, using only seeds with a value "
            "in every combination."
        )


def _seeds(records: Sequence[RunRecord]) -> str:
    """Return ``5 seeds each (0–4)``, or the seeds in all where configurations have different ones."""
    seeds = sorted({record.spec.seed for record in records})
    is_range = len(seeds) > 1 and seeds == list(range(seeds[0], seeds[-1] + 1))
    text = f"{seeds[0]}–{seeds[-1]}" if is_range else ", ".join(map(str, seeds))
    per_setting = Counter(canonical_json(record.spec.non_default_settings) for record in records)
    each = " each" if set(per_setting.values()) == {len(seeds)} else " in all, not every configuration with each"
    return f"{_count(len(seeds), 'seed')}{each} ({text})"


def _training(records: Sequence[RunRecord]) -> str:
    optimizers = _values(records, _optimizer)
    schedules = _values(records, lambda record: record.spec.training.schedule.label)
    epochs = _values(records, lambda record: record.spec.training.epochs)
    batches = _values(records, lambda record: record.spec.training.batch_size)
    weights = _values(records, lambda record: record.spec.weight_init.label)
    biases = _values(records, lambda record: show(record.spec.bias_init.to_json()))
    precision = _values(records, lambda record: record.spec.training.precision)
    noun = "epoch" if epochs == "1" else "epochs"
    most = "at most " if any(record.spec.training.patience is not None for record in records) else ""
    return (
        f"Each run trained for {most}{epochs} {noun} with {optimizers}, learning-rate schedule {schedules} and batch "
        f"size {batches}, in {precision}; weights were initialised by {weights}, initial hidden biases: {biases}."
    )


def _selection(records: Sequence[RunRecord]) -> Iterator[str]:
    """State how validation ended runs and chose their epoch, and what else steps did or left out."""
    if stopping := [record for record in records if record.spec.training.patience is not None]:
        patience = _values(stopping, lambda record: record.spec.training.patience)
        noun = "epoch" if patience == "1" else "epochs"
        monitors = _monitors(stopping)
        yield f"{_which(stopping, records)} stopped early by {monitors}, with a patience of {patience} {noun}."
    if best := [record for record in records if record.spec.training.select == "best"]:
        yield (
            f"{_which(best, records)} report the weights of the epoch with their best {_monitors(best)}, the first of "
            "equally good ones; the test set was read for that epoch alone."
        )
    if clipped := [record for record in records if record.spec.training.clip_norm is not None]:
        norms = _values(clipped, lambda record: show(record.spec.training.clip_norm))
        yield f"{_which(clipped, records)} had the L2 norm of their whole gradient cut at {norms}."
    if revived := [record for record in records if record.spec.training.revive.name != "none"]:
        ways = _values(revived, lambda record: record.spec.training.revive.label)
        yield f"In {_in_words(revived, records)} dormant hidden units began anew between steps, by {ways}."
    if started := [record for record in records if record.spec.output_bias is not None]:
        starts = _values(started, lambda record: _output_bias(record.spec.output_bias))
        yield f"In {_in_words(started, records)} the biases of the logits started at {starts}."
    if any(record.spec.training.drop_last for record in records):
        yield "An epoch's last batch was left out where it was smaller."


def _output_bias(start: Any) -> str:
    return "the logarithm of each class's share of the training examples" if start == "prior" else show(start)


def _in_words(some: Sequence[RunRecord], records: Sequence[RunRecord]) -> str:
    return "all runs" if len(some) == len(records) else f"{len(some)} of the runs"


def _which(some: Sequence[RunRecord], records: Sequence[RunRecord]) -> str:
    return "Runs" if len(some) == len(records) else f"{len(some)} of the runs"


def _monitors(some: Sequence[RunRecord]) -> str:
    return _values(some, lambda record: monitored_metric(record.final, record.spec.training.monitor))


def _reported(records: Sequence[RunRecord]) -> str:
    return "reported" if any(record.spec.training.select == "best" for record in records) else "last"


def _optimizer(record: RunRecord) -> str:
    """Return the optimizer with every option, the defaults too, since a reader of the paper does not know them."""
    optimizer = record.spec.training.optimizer
    return f"{optimizer.name} ({show_all(optimizer.options)})" if optimizer.options else optimizer.name


def _outcomes(comparison: Comparison, records: Sequence[RunRecord]) -> Iterator[str]:
    for text in outcomes_in_words(comparison.metrics, records):
        yield f"{text}."


def _means(comparison: Comparison) -> Iterator[str]:
    for metric in comparison.metrics:
        yield f"The metric {metric} ({METRICS[metric].unit}) is defined as: {METRICS[metric].text}."
    plain, bounded = _by_kind(comparison)
    if plain:
        interval = f"{comparison.level} {comparison.rules.interval_name}s"
        least = fewest_values("anytime t", comparison.alpha) if comparison.rules.anytime else MIN_VALUES
        yield f"Means over seeds of {series(plain)} have {interval}, from {least} seeds on."
        if has_intervals_beyond_scale(comparison):
            yield "Intervals that would pass the end of a metric's scale are cut there."
    if bounded:
        yield f"Means over seeds of {series(bounded)}, a bounded share, have their range instead of an interval."


def _differences(comparison: Comparison) -> Iterator[str]:
    if comparison.baseline is None or not any(family.size for family in comparison.families.values()):
        return
    equal = f" with equal {series(comparison.matched)}" if comparison.matched else ""
    plain, _ = _by_kind(comparison)
    rules = comparison.rules
    kind = (
        "anytime-valid intervals of paired differences" if rules.anytime else "intervals of the paired t distribution"
    )
    intervals = f", with {comparison.level} {kind}" if plain else ""
    yield f"Differences to the baseline ({show_all(comparison.baseline)}{equal}) are paired by seed{intervals}."
    if rules.anytime:
        yield (
            "Intervals and p-values hold at every look at the growing study: they are those of a likelihood ratio "
            f"against normally distributed effects of variance {EFFECT_VARIANCE:g} (Lai, 1976; Wang and Ramdas, 2025), "
            "and for bounded shares of one against any share of signs (Robbins, 1970)."
        )
    if note := rules.interval_note(comparison.metrics):
        yield f"The number of seeds was chosen by Stein's (1945) two-stage rule, so the {note}."
    for metric, family in comparison.families.items():
        if family.size:
            yield _adjustment(metric, family, comparison.alpha)


def methods_in_words(family: Family) -> str:
    """Return how the p of a family are adjusted: ``max-T``, ``Holm``, or each with its rows.

    For example ``max-T for the 10 with at least 8 pairs, Holm for the other 2, each at its share of the level``.
    """
    first, *rest = family.parts
    if not rest:
        return first.method
    others = sum(len(part.contrasts) for part in rest)
    return (
        f"{first.method} for the {len(first.contrasts)} with at least {first.min_pairs} pairs, {rest[0].method} for "
        f"the other {others}, each at its share of the level"
    )


def _adjustment(metric: str, family: Family, alpha: float) -> str:
    first, *rest = family.parts
    total = f"over a family of {_count(family.size, 'difference')}"
    if not rest:
        return f"The p-values in {metric} are {_how(first, family.test)} {total}, at level {alpha:g}."
    few = rest[0]
    return (
        f"The p-values in {metric} {total} are, for the {len(first.contrasts)} with at least {first.min_pairs} pairs, "
        f"{_how(first, family.test)}, at level {alpha * first.share:.3g}; for the other {len(few.contrasts)} they are "
        f"{_how(few, family.test)}, at level {alpha * few.share:.3g}. Each is reported divided by its part's share of "
        f"the level {alpha:g}."
    )


def _how(part: Part, test: Test) -> str:
    tests = "sign-flip tests" if part.method == "max-T" else TESTS[test]
    return f"from two-sided {tests}, adjusted by {ADJUSTMENTS[part.method]}"


def _interaction(comparison: Comparison) -> Iterator[str]:
    found = comparison.interaction
    if found is not None:
        yield (
            f"The interaction of {series(found.factors)} in {found.metric} was tested by sign flips of the residuals "
            f"of each seed, double-centred (p {p_value(found.p)}, {found.effect.n_pairs} seeds)."
        )


def _additions(comparison: Comparison) -> Iterator[str]:
    if comparison.has_prediction and any(row.predictions for row in comparison.rows):
        yield (
            f"A further run lies in the {comparison.level} prediction interval, mean ± t · sd · √(1 + 1/n) (Hahn and "
            "Meeker, 1991), if runs are roughly normal."
        )
    if comparison.has_chance and any(row.vs_baseline for row in comparison.rows):
        yield (
            "The chance to be better on a new seed is the share of paired seeds, equal ones counted half, with its "
            f"{comparison.level} interval of Clopper and Pearson (1934)."
        )
    if comparison.reach is not None:
        yield (
            f"Speed of convergence is the first epoch with {REACH_METRIC} of at least "
            f"{100 * comparison.reach.level:g} %, averaged over the seeds that reached it; the others are counted."
        )
    if comparison.pairs is not None:
        test = TESTS[comparison.pairs.test]
        yield (
            f"Differences of all pairs in {comparison.pairs.metric} are exploratory; their p-values are from {test}, "
            "adjusted for the false discovery rate (Benjamini and Hochberg, 1995) over "
            f"{_count(comparison.pairs.family, 'pair')}."
        )


def _environment(records: Sequence[RunRecord]) -> str:
    versions = [
        f"{spelled} {found}" for name, spelled in LIBRARIES.items() if (found := _recorded(records, name))
    ]  # fmt: skip
    devices = _recorded(records, "device")
    names = (devices == "cpu" and _recorded(records, "processor")) or _recorded(records, "device_name")
    device = f"{devices}: {names}" if names else devices
    return f"Computed with {series(versions) or 'unrecorded versions'} on {device or 'an unrecorded device'}."


def _recorded(records: Sequence[RunRecord], name: str) -> str:
    found = sorted({show(record.environment[name]) for record in records if record.environment.get(name)})
    return series(found, "or")


def _by_kind(comparison: Comparison) -> tuple[list[str], list[str]]:
    """Return the metrics that have intervals, and those that have ranges."""
    bounded = [metric for metric in comparison.metrics if is_bounded(metric)]
    return [metric for metric in comparison.metrics if metric not in bounded], bounded


def _values(records: Sequence[RunRecord], value: Callable[[RunRecord], Any]) -> str:
    """Return the values that occur, in the order of their first run."""
    return series(list(dict.fromkeys(show(value(record)) for record in records)), "or")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
