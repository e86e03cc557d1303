"""Sentences on what comes next: the value of one further run, and the chance to win on a new seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from actbench.analysis.judgements.formatting import interval_to_quote, percents, short
from actbench.analysis.judgements.lost_runs import lost_among
from actbench.analysis.statistics import Chance
from actbench.analysis.table.factors import row_name
from actbench.analysis.table.new_seed import NewSeed
from actbench.analysis.table.result import Comparison, Row
from actbench.schema.metrics import METRICS, is_bounded


def further_runs(comparison: Comparison, *, lost: Mapping[str, str]) -> Iterator[str]:
    """Yield where one further run of each row will lie in the leading metric, where that was asked for.

    Args:
        comparison: The table.
        lost: Row -> how many of its runs have no value, as ``lost_in_words`` returns it; a sentence is about runs that
            have one.
    """
    metric = comparison.metrics[0]
    if comparison.has_prediction and is_bounded(metric):
        yield (
            f"no prediction in {metric}: a share that is mostly 0 has no such interval; its range shows what a further "
            "run may have"
        )
    elif comparison.has_prediction:
        yield from (_further_run(row, metric, comparison, lost) for row in comparison.rows if metric in row.predictions)


def chances_on_a_new_seed(comparison: Comparison, *, lost: Mapping[str, str]) -> Iterator[str]:
    """Yield the chance of each row to beat its baseline in the leading metric, where that was asked for.

    Args:
        comparison: The table.
        lost: As for ``further_runs``.
    """
    metric = comparison.metrics[0]
    for row in comparison.rows if comparison.has_chance else ():
        contrast = row.vs_baseline.get(metric)
        if contrast is not None and contrast.new_seed is not None:
            base = row_name({**row.factors, **(comparison.baseline or {})})
            found = contrast.difference
            ties = found.n_pairs - found.wins - found.losses
            yield _new_seed(contrast.new_seed, row_name(row.factors), base, metric, lost, ties)


def _further_run(row: Row, metric: str, comparison: Comparison, lost: Mapping[str, str]) -> str:
    """``a further run of relu will have its test.accuracy in [92.10, 94.20] %, with 95 % certainty (5 seeds)``."""
    name, found = row_name(row.factors), row.metrics[metric]
    seeds = "; ".join((f"{found.n} seeds", *lost_among((name,), lost)))
    ends = row.predictions[metric]
    if ends[0] == ends[1]:
        return f"no prediction of {metric} for {name}: it is the same in each of {seeds}"
    unit = "%" if METRICS[metric].unit == "fraction" else ""
    return (
        f"a further run of {name} will have its {metric} in {interval_to_quote(metric, ends, unit=unit)}, with "
        f"{comparison.level} certainty ({seeds})"
    )


def _new_seed(found: NewSeed, name: str, base: str, metric: str, lost: Mapping[str, str], ties: int) -> str:
    """``gelu beats relu on a new seed with a chance of 80 % [28, 99] (5 paired seeds)``, and by how much it matters."""
    is_directed = METRICS[metric].higher_is_better is not None
    verb = "beats" if is_directed else "exceeds"
    pairs = f"{found.better.n} paired seeds{f', {ties} of them equal' if ties else ''}"
    seeds = "; ".join((pairs, *lost_among((name, base), lost)))
    where = "" if metric == "test.accuracy" else f" in {metric}"
    text = f"{name} {verb} {base} on a new seed{where} with a chance of {_percents(found.better)} ({seeds})"
    if found.within is None:
        return text
    worse, same, better = found.within
    return (
        f"{text}; beyond ±{short(metric, found.delta or 0.0)}: better {_percents(better)}, worse {_percents(worse)}, "
        f"the same within it {_percents(same)}"
    )


def _percents(chance: Chance) -> str:
    return percents(chance.share, (chance.low, chance.high))
