"""What a table's differences amount to, in sentences that can be quoted, with the command that settles an open one."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from actbench.analysis.judgements.formatting import number, p_value, short, signed, unit_of_difference
from actbench.analysis.statistics import MIN_VALUES, is_equivalent, seeds_needed
from actbench.analysis.table.factors import Value, row_name, show
from actbench.analysis.table.result import Comparison, Contrast, Interaction, Row
from actbench.schema.metrics import METRICS
from actbench.schema.record import RunRecord

MAX_SEEDS_OFFERED = 200
"""No command is offered that would train more seeds than this."""

NOT_REPEATED = ("--smoke", "--dry-run", "--force", "--json")
"""Options of ``run`` that a command for more seeds must not inherit."""


@dataclass(frozen=True)
class Case:
    """One row against its baseline, in the leading metric.

    Args:
        row: The row's name.
        base: Its baseline's.
        metric: The leading metric.
        contrast: Their difference.
        delta: The largest difference that does not matter; None where none is given for this metric.
        alpha: Level of the family.
        family: Number of differences adjusted together.
        command: What trains more seeds, less their number.
    """

    row: str
    base: str
    metric: str
    contrast: Contrast
    delta: float | None
    alpha: float
    family: int
    command: str


def verdict_sentences(comparison: Comparison, delta: float | None, command: str) -> tuple[str, ...]:
    """The verdicts of one table: differences found, the interaction, what is the same, what is open.

    Args:
        comparison: The table.
        delta: Differences within ±delta do not matter, in the unit of the leading metric; None for no such bound.
        command: As ``command_for_more_seeds`` returns it.

    Returns:
        The most useful sentence first; with fewer than three paired seeds only one that says so.
    """
    metric = comparison.metrics[0]
    cases = [_case(comparison, row, delta, command) for row in comparison.rows if metric in row.vs_baseline]
    judged = [case for case in cases if case.contrast.difference.n_pairs >= MIN_VALUES]
    if cases and not judged:
        return (f"no verdict: fewer than {MIN_VALUES} paired seeds",)
    found = [case for case in judged if case.contrast.significant]
    same = [case for case in judged if not case.contrast.significant and _is_same(case)]
    left = [case for case in judged if not case.contrast.significant and not _is_same(case)]
    effect = [] if comparison.interaction is None else list(_interaction(comparison.interaction, comparison.alpha))
    won = [case for case in found if _is_won(case)]
    lost = [case for case in found if not _is_won(case)]
    return (
        *map(_found, _largest_first(won)),
        *map(_found, _largest_first(lost)),
        *effect,
        *map(_same, same),
        *_opens(left),
    )


def command_for_more_seeds(records: Sequence[RunRecord]) -> str:
    """The command that trained these runs, without its seeds; ``results/<study>/study.yaml`` where none is known."""
    commands = Counter(command for record in records if (command := _command(record)))
    study = records[0].study
    fallback = ["actbench", "run", f"results/{study}/study.yaml", f"study={study}"]
    return max(sorted(commands), key=lambda one: commands[one]) if commands else shlex.join(fallback)


def _command(record: RunRecord) -> str | None:
    argv = record.environment.get("argv")
    if not isinstance(argv, (list, tuple)) or len(argv) < 3 or argv[1] != "run" or "--smoke" in argv:
        return None
    words = [str(word) for word in argv[2:] if word not in NOT_REPEATED and not str(word).startswith("seeds=")]
    if not any(PurePath(word).suffix in (".yaml", ".yml") for word in words):
        return None
    return shlex.join(["actbench", "run", *words])


def _case(comparison: Comparison, row: Row, delta: float | None, command: str) -> Case:
    metric = comparison.metrics[0]
    base: Mapping[str, Value] = {**row.factors, **(comparison.baseline or {})}
    family = comparison.families[metric].size
    contrast = row.vs_baseline[metric]
    return Case(row_name(row.factors), row_name(base), metric, contrast, delta, comparison.alpha, family, command)


def _largest_first(cases: Sequence[Case]) -> list[Case]:
    return sorted(cases, key=lambda case: -abs(case.contrast.difference.difference or 0.0))


def _is_won(case: Case) -> bool:
    """Whether the row, rather than the baseline, is the better one (the higher one, where neither is better)."""
    return ((case.contrast.difference.difference or 0.0) > 0) == (METRICS[case.metric].higher_is_better is not False)


def _is_same(case: Case) -> bool:
    found = case.contrast.difference
    return found.note == "identical" or (case.delta is not None and is_equivalent(found, case.delta))


def _found(case: Case) -> str:
    found, metric = case.contrast.difference, case.metric
    size = found.difference or 0.0
    higher = METRICS[metric].higher_is_better
    winner, loser = (case.row, case.base) if _is_won(case) else (case.base, case.row)
    verb = "beats" if higher is not None else "exceeds"
    wins = max(found.wins, found.losses)
    interval = _interval(metric, sorted(abs(end) for end in _ends(case))) if _ends(case) else ""
    text = (
        f"{winner} {verb} {loser} by {number(metric, abs(size))} {unit_of_difference(metric)}{interval}{_of(metric)} "
        f"({found.n_pairs} paired seeds, adjusted p {p_value(case.contrast.p_adjusted or 0.0)}, "
        f"{'better' if higher is not None else 'higher'} in {wins} of {found.n_pairs})"
    )
    small = case.delta is not None and is_equivalent(found, case.delta)
    return f"{text}, a difference within ±{short(metric, case.delta or 0.0)}" if small else text


def _same(case: Case) -> str:
    found = case.contrast.difference
    if found.note == "identical":
        return f"{case.row} and {case.base} are identical in each of {found.n_pairs} paired seeds{_of(case.metric)}"
    interval = _interval(case.metric, _ends(case), with_sign=True)
    return (
        f"{case.row} and {case.base} are practically the same{_of(case.metric)}: the difference{interval} lies within "
        f"±{short(case.metric, case.delta or 0.0)} ({found.n_pairs} paired seeds)"
    )


def _opens(cases: Sequence[Case]) -> list[str]:
    """What the fewest seeds would settle first."""
    seeds = {id(case): _seeds(case) for case in cases}
    ordered = sorted(cases, key=lambda case: seeds[id(case)] or math.inf)
    return [_open(case, seeds[id(case)]) for case in ordered]


def _to_tell(case: Case) -> float:
    """The difference to be told apart: delta, or the one that was seen where the metric has no delta."""
    return case.delta if case.delta is not None else abs(case.contrast.difference.difference or 0.0)


def _seeds(case: Case) -> int | None:
    """How many would find it; None when that is beyond reason or can't be known."""
    sd = case.contrast.sd
    return seeds_needed(_to_tell(case), sd, alpha=case.alpha, comparisons=case.family) if sd else None


def _open(case: Case, seeds: int | None) -> str:
    pairs = case.contrast.difference.n_pairs
    text = f"{case.row} and {case.base} are not distinguishable{_of(case.metric)} ({pairs} paired seeds)"
    if seeds is None:
        return text
    told = short(case.metric, _to_tell(case))
    if seeds <= pairs:
        return f"{text}, though so many tell {told} apart four times in five"
    settled = f": {case.command} seeds={seeds}" if seeds <= MAX_SEEDS_OFFERED else ""
    return f"{text}; telling {told} apart needs about {seeds:,} seeds{settled}"


def _interaction(found: Interaction, alpha: float) -> Iterator[str]:
    if found.p >= alpha:
        return
    (first, second), effect = found.factors, found.effect
    ends = [end for end in (effect.low, effect.high) if end is not None]
    yield (
        f"the effect of {first} depends on {second} (p {p_value(found.p)}, {effect.n_pairs} seeds): between "
        f"{second}={show(found.origin[second])} and {show(found.at[second])}, {show(found.at[first])} − "
        f"{show(found.origin[first])} changes by {signed(found.metric, effect.difference or 0.0)} "
        f"{unit_of_difference(found.metric)}{_interval(found.metric, ends, with_sign=True)}{_of(found.metric)}"
    )


def _ends(case: Case) -> list[float]:
    found = case.contrast.difference
    return [] if found.low is None or found.high is None else [found.low, found.high]


def _interval(metric: str, ends: Sequence[float], *, with_sign: bool = False) -> str:
    """`` [0.09, 0.33]``; empty without ends."""
    write = signed if with_sign else number
    return f" [{', '.join(write(metric, end) for end in ends)}]" if ends else ""


def _of(metric: str) -> str:
    """Which metric, unless it is the one that everybody means."""
    return "" if metric == "test.accuracy" else f" in {metric}"
