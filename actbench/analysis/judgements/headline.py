"""A table in one or two sentences: which row wins, by how much and how sure that is, or that no winner is shown."""

from __future__ import annotations

from actbench.analysis.judgements.formatting import in_units, interval_to_quote, number, quantity, some_of
from actbench.analysis.table.factors import row_name
from actbench.analysis.table.result import Comparison, Row
from actbench.schema.metrics import METRICS, is_bounded


def headline(comparison: Comparison, *, with_open_verdict: bool = True) -> tuple[str, ...]:
    """Return the sentences that stand above a table.

    A row wins where every other row was told from it *and* every difference between it and the baseline has its star.
    Both are adjusted p of the same runs but of different families, so one may hold without the other; then no winner is
    shown, and nothing here contradicts a mark of the table. Rows that are hidden have no mark to be read, so with
    hidden rows the sentence is about the rows that are shown.

    Args:
        comparison: The finished table, its rows sorted and its verdicts written.
        with_open_verdict: Whether the first verdict follows where no winner is shown, which may be about other rows.
    """
    metric, rows = comparison.metrics[0], comparison.rows
    if METRICS[metric].higher_is_better is None:
        return (f"No row can win: in {metric} neither direction is better.",)
    if comparison.best is None:
        return (f"No winner is shown in {metric}: no row has a value from each of its runs.",)
    name = row_name(comparison.best)
    best = next((row for row in rows if row.factors == comparison.best), None)
    if best is None:
        return (f"The best row in {metric}, {name}, is not among the rows shown.",)
    others = [row for row in rows if row is not best]
    mean = _mean(metric, best)
    if not others:
        return (f"{name} has {metric} {mean}; there is no other row to compare it to.",)
    tied = [row for row in others if row.tied]
    unknown = [row for row in others if row.tied is None]
    if not tied and not unknown and _has_every_star(comparison, best):
        shown = " among the rows shown" if _has_hidden(comparison) else ""
        worse = "the other row is" if len(others) == 1 else f"each of the {len(others)} other rows is"
        first = f"{name} wins in {metric}{shown} with {mean}: {worse} worse, adjusted p < {comparison.alpha:g}."
        return (first, *_lead(comparison, best, others[0]))
    reasons = [f"{_count(len(tied), 'row')} can't be told from it{some_of([*map(_name, tied)])}"] if tied else []
    if unknown:
        reasons.append(f"of {_count(len(unknown), 'row')} nothing can be said{some_of([*map(_name, unknown)])}")
    if not reasons:
        reasons.append("its difference to the baseline is not shown")
    return (
        f"No winner is shown in {metric}: {name} has the best mean, {mean}, but {' and '.join(reasons)}.",
        *([_sentence(comparison.verdicts[0])] if with_open_verdict and comparison.verdicts else []),
    )


def _has_every_star(comparison: Comparison, best: Row) -> bool:
    """Return whether each difference between the best row and the baseline is significant, where there are any."""
    metric = comparison.metrics[0]
    if metric in best.vs_baseline:
        return best.vs_baseline[metric].significant
    if not comparison.is_baseline(best.factors):
        return True
    # Other rows may be compared to another row of the same baseline, with their own value of a matched factor.
    base = {**best.factors}
    against = [row for row in comparison.rows if {**row.factors, **(comparison.baseline or {})} == base]
    return all(row.vs_baseline[metric].significant for row in against if metric in row.vs_baseline)


def _has_hidden(comparison: Comparison) -> bool:
    """Return whether differences of rows that are not shown are adjusted together with those that are."""
    metric = comparison.metrics[0]
    shown = sum(metric in row.vs_baseline for row in comparison.rows)
    return metric in comparison.families and comparison.families[metric].size > shown


def _lead(comparison: Comparison, best: Row, second: Row) -> list[str]:
    """Return by how much the winner leads: the verdict on it, else the distance of the two best means."""
    name, metric = row_name(best.factors), comparison.metrics[0]
    loser = f"{name} beats {row_name(second.factors)} by "
    for start in (loser, f"{name} beats "):
        for verdict in comparison.verdicts:
            if verdict.startswith(start):
                return [_sentence(verdict)]
    means = best.metrics[metric].mean, second.metrics[metric].mean
    if None in means:
        return []
    gap = in_units(metric, number(metric, abs((means[0] or 0.0) - (means[1] or 0.0))))
    return [f"The next row, {row_name(second.factors)}, lies {gap} behind."]


def _mean(metric: str, row: Row) -> str:
    found = row.metrics[metric]
    text = quantity(metric, found.mean)
    if not is_bounded(metric) and found.low is not None and found.high is not None and found.low != found.high:
        own = interval_to_quote(metric, (found.low, found.high))
        text += f" {own}" if own.endswith("]") else f" {own},"
    return f"{text} over {_count(found.n, 'seed')}"


def _name(row: Row) -> str:
    return row_name(row.factors)


def _sentence(verdict: str) -> str:
    """Return a verdict as a sentence; only what begins with a word of ours, and no row's name, gets a capital."""
    return f"{verdict.replace('no verdict', 'No verdict', 1) if verdict.startswith('no verdict') else verdict}."


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
