"""Compare rows across datasets (or another factor's values): mean ranks, differences, groups without a shown one.

Each dataset is a block with one mean for each row, over the seeds that all rows have there. The datasets are the
sample: a finding is about further datasets of the kind, however many seeds each of them had.

Reference: Demšar (2006), Statistical comparisons of classifiers over multiple data sets, JMLR 7, for ranks across
datasets and their picture. Its post-hoc test depends on which other rows are in the table (Benavoli, Corani, Mangili
2016, JMLR 17); the p here are those of sign-flip max-T on the differences themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from actbench.analysis.further.run_rows import Row, is_better, leading_metric, named, rows_without, runs_of, value_of
from actbench.analysis.further.table import FurtherTable, quantity_with_interval
from actbench.analysis.judgements.formatting import (
    NOTHING,
    in_units,
    p_value,
    quantity,
    signed,
    unit_of_difference,
)
from actbench.analysis.pairs_needed import MIN_VALUES, fewest_pairs, smallest_p
from actbench.analysis.statistics import Difference, max_t, paired_difference
from actbench.analysis.statistics.blocks import all_pairs_p, indistinct_groups, ranks
from actbench.analysis.statistics.samples import Floats
from actbench.analysis.table.factors import Value, check_keys, matching_value, show
from actbench.analysis.table.grouping import Run
from actbench.errors import UsageError
from actbench.schema.record import RunRecord


@dataclass(frozen=True)
class Across:
    """Rows across the values of a factor.

    Args:
        factor: The factor.
        blocks: Its values, in the order of the runs.
        metric: What is compared.
        rows: Names, best mean rank first.
        means: (blocks, rows).
        seeds: How many seeds each block's means have.
        mean_ranks: Of each row, 1 the best.
        baseline: Place of the row that the others are compared to.
        differences: Of each row to the baseline over the blocks; None for the baseline.
        p_adjusted: By max-T over all differences to the baseline; None for the baseline and where there is no test.
        groups: Places of neighbouring rows between which no difference is shown.
        pairs_p: Adjusted p of each pair of places, over all pairs.
        left_out: Why rows or blocks are not in the table, a sentence each.
        alpha: The level.
    """

    factor: str
    blocks: tuple[Value, ...]
    metric: str
    rows: tuple[str, ...]
    means: Floats
    seeds: tuple[int, ...]
    mean_ranks: tuple[float, ...]
    baseline: int
    differences: tuple[Difference | None, ...]
    p_adjusted: tuple[float | None, ...]
    groups: tuple[tuple[int, ...], ...]
    pairs_p: Mapping[tuple[int, int], float | None]
    left_out: tuple[str, ...]
    alpha: float


def across(
    records: Sequence[RunRecord],
    factor: str,
    *,
    metric: Sequence[str] = (),
    baseline: Mapping[str, Value] | None = None,
    alpha: float = 0.05,
) -> Across:
    """Compare the rows of runs across a factor's values.

    Args:
        records: The runs, of any number of studies.
        factor: The key whose values are the blocks, such as ``dataset``.
        metric: One metric; empty for the one by which such runs are judged.
        baseline: Factor -> value of the baseline's row; None for relu, or the first row.
        alpha: One minus the coverage of intervals, and the level of p.

    Raises:
        UsageError: For a factor that is not there or has fewer than three values, a baseline that fits no row or
            several, or fewer than two rows that have a value in each block.
        ResultsError: When there are no runs.
    """
    runs = runs_of(records)
    check_keys("factor", [factor], (one for _, one in runs))
    name = leading_metric(runs, metric)
    rows = rows_without(runs, [factor])
    blocks = tuple(dict.fromkeys(one.get(factor) for _, one in runs))
    if len(blocks) < MIN_VALUES:
        raise UsageError(
            f"--across {factor}: these runs have {len(blocks)} value{'s' if len(blocks) > 1 else ''} of it "
            f"({', '.join(map(show, blocks))}); a comparison across them needs at least {MIN_VALUES}"
        )
    values = _values(runs, rows, factor, name)
    kept, left_out = _complete(values, blocks)
    if len(kept) < 2:
        raise UsageError(
            f"--across {factor}: a comparison needs two rows with a value of {name} for each {factor}; "
            f"{'; '.join(left_out) or 'there is one row'}"
        )
    table, seeds = _means(values, kept, blocks)
    place = _baseline(kept, baseline)
    order = np.argsort(ranks(table, higher_is_better=is_better(name)).mean(axis=0), kind="stable")
    table, kept = table[:, order], [kept[index] for index in order]
    place = int(np.flatnonzero(order == place)[0])
    others = [index for index in range(len(kept)) if index != place]
    differences = [
        None if index == place else _difference(table, index, place, name, alpha) for index in range(len(kept))
    ]
    adjusted: list[float | None] = [None] * len(kept)
    for index, p in zip(others, max_t(table[:, others] - table[:, [place]]), strict=True):
        adjusted[index] = p
    pairs_p = all_pairs_p(table)
    differ = {frozenset(pair) for pair, p in pairs_p.items() if p is not None and p < alpha}
    return Across(
        factor=factor,
        blocks=blocks,
        metric=name,
        rows=tuple(map(named, kept)),
        means=table,
        seeds=seeds,
        mean_ranks=tuple(ranks(table, higher_is_better=is_better(name)).mean(axis=0).tolist()),
        baseline=place,
        differences=tuple(differences),
        p_adjusted=tuple(adjusted),
        groups=tuple(indistinct_groups(range(len(kept)), differ)),
        pairs_p=pairs_p,
        left_out=tuple(left_out),
        alpha=alpha,
    )


def across_table(found: Across) -> FurtherTable:
    """Lay out rows across blocks as a table with its sentences."""
    metric, blocks = found.metric, len(found.blocks)
    level = f"{100 * (1 - found.alpha):g} %"
    letters = _letters(found)
    rows, lines = [], []
    for index, name in enumerate(found.rows):
        difference, p = found.differences[index], found.p_adjusted[index]
        mean = float(found.means[:, index].mean())
        star = "*" if p is not None and p < found.alpha else ""
        delta = "baseline" if difference is None else f"{_delta(metric, difference)}{star}"
        wins = "" if difference is None else f"{difference.wins}/{blocks}"
        shown_p = "" if difference is None else NOTHING if p is None else p_value(p).removeprefix("= ")
        rank = f"{found.mean_ranks[index]:.2f}"
        rows.append([name, rank, quantity(metric, mean), delta, wins, shown_p, letters[index]])
        versus = {} if difference is None else asdict(difference)
        line = {"row": name, "mean_rank": found.mean_ranks[index], "mean": mean, "groups": letters[index]}
        lines.append({**line, **{f"versus_{key}": versus.get(key) for key in _VERSUS}, "versus_p_adjusted": p})
    return FurtherTable(
        title=f"{metric} across {blocks} values of {found.factor}",
        headings=("row", "mean rank", "mean", "Δ", "better", "adjusted p", "group"),
        rows=rows,
        lines=lines,
        sentences=[*_sentences(found), *found.left_out],
        caption=(
            f"mean rank over {found.factor} ({', '.join(map(show, found.blocks))}), 1 is best, best first",
            f"mean over them, each the mean of {_range(found.seeds)} seeds",
            f"Δ = row − baseline ({found.rows[found.baseline]}) [{level} Student-t interval over {found.factor}], in "
            f"{unit_of_difference(metric) or 'the unit of the metric'}",
            f"* p < {found.alpha:g}, max-T-adjusted over all {len(found.rows) - 1} differences by sign flips of whole "
            "blocks",
            f"group: rows that share a letter are not told apart (max-T over all {len(found.pairs_p)} pairs)",
        ),
        limits=_limits(found),
        data={
            "factor": found.factor,
            "blocks": [show(block) for block in found.blocks],
            "seeds": list(found.seeds),
            "metric": metric,
            "alpha": found.alpha,
            "baseline": found.rows[found.baseline],
            "rows": [{**line, "by_block": found.means[:, index].tolist()} for index, line in enumerate(lines)],
            "pairs": [
                {"row": found.rows[one], "against": found.rows[other], "p_adjusted": p}
                for (one, other), p in found.pairs_p.items()
            ],
            "left_out": list(found.left_out),
        },
    )


_VERSUS = ("difference", "low", "high", "p", "n_pairs", "wins", "losses")


def _values(
    runs: Sequence[Run], rows: Sequence[Row], factor: str, metric: str
) -> dict[Row, dict[Value, dict[int, float]]]:
    """Return row -> block -> seed -> value; the first of runs that repeat each other."""
    found: dict[Row, dict[Value, dict[int, float]]] = {}
    for (record, one), row in zip(runs, rows, strict=True):
        seeds = found.setdefault(row, {}).setdefault(one.get(factor), {})
        value = value_of(record, metric)
        if value is not None:
            seeds.setdefault(record.spec.seed, value)
    return found


def _complete(
    values: Mapping[Row, Mapping[Value, Mapping[int, float]]], blocks: Sequence[Value]
) -> tuple[list[Row], list[str]]:
    """Return the rows that have a value in each block, and why the others are left out."""
    kept, left_out = [], []
    for row, by_block in values.items():
        missing = [show(block) for block in blocks if not by_block.get(block)]
        if missing:
            left_out.append(f"{named(row)} is left out: no value for {', '.join(missing)}")
        else:
            kept.append(row)
    return kept, left_out


def _means(
    values: Mapping[Row, Mapping[Value, Mapping[int, float]]], rows: Sequence[Row], blocks: Sequence[Value]
) -> tuple[Floats, tuple[int, ...]]:
    """Return the rows' means in each block over the seeds that all of them have there, and how many these are.

    Raises:
        UsageError: For a block in which the rows have no seed in common.
    """
    means, counts = np.empty((len(blocks), len(rows))), []
    for index, block in enumerate(blocks):
        own = [values[row][block] for row in rows]
        seeds = sorted(set.intersection(*map(set, own)))
        if not seeds:
            raise UsageError(f"the rows have no seed in common for {show(block)}; run them with the same seeds")
        means[index] = [np.mean([one[seed] for seed in seeds]) for one in own]
        counts.append(len(seeds))
    return means, tuple(counts)


def _baseline(rows: Sequence[Row], wanted: Mapping[str, Value] | None) -> int:
    """Return the place of the baseline's row.

    Raises:
        UsageError: When the settings fit no row, or several.
    """
    if not wanted:
        plain = [index for index, row in enumerate(rows) if dict(row).get("activation") == "relu"]
        return plain[0] if plain else 0
    chosen = list(range(len(rows)))
    check_keys("factor", wanted, (dict(row) for row in rows))
    for key, given in wanted.items():
        value = matching_value(key, given, [dict(rows[index]).get(key) for index in chosen])
        chosen = [index for index in chosen if dict(rows[index]).get(key) == value]
    if len(chosen) > 1:
        fitting = "; ".join(named(rows[index]) for index in chosen)
        raise UsageError(f"--baseline fits {len(chosen)} rows ({fitting}); name a value of each factor")
    return chosen[0]


def _difference(table: Floats, index: int, base: int, metric: str, alpha: float) -> Difference:
    row, baseline = (dict(enumerate(table[:, place].tolist())) for place in (index, base))
    return paired_difference(row, baseline, alpha=alpha, higher_is_better=is_better(metric))


def _letters(found: Across) -> list[str]:
    """Return each row's letters; rows that share one are not told apart. A row in no group has its own."""
    groups = [set(group) for group in found.groups]
    groups += [{index} for index in range(len(found.rows)) if not any(index in group for group in groups)]
    groups.sort(key=min)
    return ["".join(chr(ord("a") + place % 26) for place, group in enumerate(groups) if index in group)
            for index in range(len(found.rows))]  # fmt: skip


def _sentences(found: Across) -> list[str]:
    sentences = []
    base = found.rows[found.baseline]
    for index, (name, difference, p) in enumerate(zip(found.rows, found.differences, found.p_adjusted, strict=True)):
        if difference is None or index == found.baseline:
            continue
        known = f"({difference.n_pairs} values of {found.factor}, "
        known += f"adjusted p {p_value(p)}, " if p is not None else ""
        known += f"better in {difference.wins})"
        by = f"{in_units(found.metric, _delta(found.metric, difference))} {known}"
        if p is not None and p < found.alpha and difference.difference:
            is_ahead = (difference.difference > 0) == is_better(found.metric)
            sentences.append(f"{name} is {'better' if is_ahead else 'worse'} than {base} by {by}")
        else:
            sentences.append(f"{name} and {base} are not told apart: {by}")
    return sentences


def _delta(metric: str, difference: Difference) -> str:
    ends = None
    if difference.low is not None and difference.high is not None:
        ends = (signed(metric, difference.low), signed(metric, difference.high))
    return quantity_with_interval(signed(metric, difference.difference or 0.0), ends)


def _limits(found: Across) -> list[str]:
    """Return why nothing can be shown, where no p can be small enough."""
    blocks = len(found.blocks)
    least = smallest_p(blocks)
    if least < found.alpha:
        return []
    enough = fewest_pairs(found.alpha)
    return [
        f"Nothing can be shown across {blocks} values of {found.factor}: no adjusted p is below {least:.3g} "
        f"(2^(1 − {blocks})), and {enough} are the fewest that reach {found.alpha:g}."
    ]


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"
