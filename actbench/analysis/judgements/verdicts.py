"""Verdicts: a table's differences as sentences that can be quoted, with the command that settles an open one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from actbench.analysis.judgements.formatting import (
    fewest_in_words,
    in_units,
    interval_to_quote,
    number,
    p_value,
    short,
    signed,
    some_of,
)
from actbench.analysis.judgements.lost_runs import lost_among
from actbench.analysis.statistics import (
    BY_HOLM,
    MIN_VALUES,
    Difference,
    is_equivalent,
    mean_interval,
    min_pairs_for_max_t,
    seeds_needed,
    seeds_needed_by_flips,
)
from actbench.analysis.table.factors import row_name, show
from actbench.analysis.table.result import Comparison, Contrast, Interaction
from actbench.analysis.table.rules import Rules
from actbench.errors import UsageError
from actbench.schema.metrics import METRICS
from actbench.schema.record import RunRecord
from actbench.storage.commands import recorded_argv, train_command
from actbench.system.command_line import command_text

MAX_SEEDS_OFFERED = 200
"""No command is offered that would train more seeds than this."""


@dataclass(frozen=True)
class Case:
    """One row against its baseline, in the leading metric.

    Args:
        row: The row's name.
        base: Its baseline's name.
        metric: The leading metric.
        contrast: Their difference.
        delta: The largest difference that does not matter; None where none is given for this metric.
        rules: By which the table is judged.
        family: Number of differences adjusted together.
        lost: Which runs of the two have no value, one text for each side that lost any: the pairs leave them out.
    """

    row: str
    base: str
    metric: str
    contrast: Contrast
    delta: float | None
    rules: Rules
    family: int
    lost: Sequence[str]

    @property
    def alpha(self) -> float:
        """Return the level of the family."""
        return self.rules.alpha

    @property
    def size(self) -> float:
        """Return the difference, row − baseline."""
        return self.contrast.difference.difference or 0.0

    @property
    def is_won(self) -> bool:
        """Return whether the row is the better one, or the higher one where neither direction is better."""
        return (self.size > 0) == (METRICS[self.metric].higher_is_better is not False)

    @property
    def is_within_delta(self) -> bool:
        """Return whether the whole interval of the difference lies within ±delta."""
        return self.delta is not None and is_equivalent(self.contrast.difference, self.delta)

    @property
    def seeds(self) -> str:
        """Return ``10 paired seeds``, and which runs are missing among them."""
        return "; ".join((f"{self.contrast.difference.n_pairs} paired seeds", *self.lost))

    @property
    def is_same(self) -> bool:
        """Return whether the two sides are practically the same."""
        return self.contrast.difference.note == "identical" or self.is_within_delta

    @property
    def is_without_spread(self) -> bool:
        """Return whether the same difference in every pair left the t test without a p."""
        return self.contrast.difference.note == "constant" and self.contrast.difference.p is None


def verdict_sentences(comparison: Comparison, delta: float | None, *, lost: Mapping[str, str]) -> dict[str, int | None]:
    """Return the verdicts of one table: differences found, the interaction, rows that are the same, open differences.

    Args:
        comparison: The table.
        delta: Differences within ±delta do not matter, in the unit of the leading metric; None for no such bound.
        lost: Row -> how many of its runs have no value, as ``lost_in_words`` returns it.

    Returns:
        Sentence -> the number of seeds that would settle it, None where it is settled or takes too many. The most
        useful sentence first, what rests on survivors behind what rests on all runs; with fewer than three paired seeds
        only one that says so.
    """
    metric, baseline = comparison.metrics[0], comparison.baseline or {}
    rows = [row for row in comparison.rows if metric in row.vs_baseline]
    names = [(row_name(row.factors), row_name({**row.factors, **baseline})) for row in rows]
    cases = [
        Case(
            row=name,
            base=base,
            metric=metric,
            contrast=row.vs_baseline[metric],
            delta=delta,
            rules=comparison.rules,
            family=comparison.families[metric].size,
            lost=lost_among((name, base), lost),
        )
        for row, (name, base) in zip(rows, names, strict=True)
    ]
    judged = [case for case in cases if case.contrast.difference.n_pairs >= MIN_VALUES]
    if cases and not judged:
        reasons = lost_among([name for pair in names for name in pair], lost)
        return {f"no verdict: fewer than {MIN_VALUES} paired seeds{some_of(reasons)}": None}
    # A quotable order: what the row wins, what it loses, the interaction, what is settled as equal, what is open.
    # A difference between survivors comes last: the runs that diverged could have reversed it.
    found = [case for case in judged if case.contrast.significant]
    found.sort(key=lambda case: (bool(case.lost), not case.is_won, -abs(case.size)))
    settled = (
        *map(_found, found),
        *([] if comparison.interaction is None else _interaction(comparison.interaction, comparison.alpha)),
        *(_same(case) for case in judged if not case.contrast.significant and case.is_same),
    )
    opened = [case for case in judged if not case.contrast.significant and not case.is_same]
    return (
        dict.fromkeys(settled)
        | dict(_without_spread(case) for case in opened if case.is_without_spread)
        | _open([case for case in opened if not case.is_without_spread])
    )


def commands_for_more_seeds(
    verdicts: Mapping[str, int | None], folder: Path | None, records: Sequence[RunRecord]
) -> dict[str, str]:
    """Return verdict -> the command that trains the seeds that would settle it, from the current folder.

    The commands have the options, such as the device, of the one that trained most of the runs. Where none would work
    there is none: the sentences are true without it.

    Args:
        verdicts: Sentence -> number of seeds, as ``verdict_sentences`` returns it.
        folder: The study's folder; None for records that lie in none.
        records: The runs of the table.
    """
    wanted = {text: seeds for text, seeds in verdicts.items() if seeds}
    if folder is None or not wanted:
        return {}
    commands = Counter(recorded_argv(record.environment) for record in records)
    argv = max(sorted(commands), key=lambda one: commands[one])  # of equally frequent ones the first by name
    needed = [record.spec for record in records]
    most = f"seeds={max(wanted.values())}"
    try:
        words = train_command(folder, argv, overrides=[most], needed=needed)
    except UsageError:
        return {}
    return {
        text: command_text(f"seeds={seeds}" if word == most else word for word in words)
        for text, seeds in wanted.items()
    }


def _found(case: Case) -> str:
    """``gelu beats relu by 0.21 points [0.09, 0.33] (10 paired seeds, adjusted p = .004, better in 9 of 10)``.

    Everything is counted from the side that is named first. Where that is the baseline, the table's difference and its
    interval change sign, and the wins are the row's losses.
    """
    found, metric = case.contrast.difference, case.metric
    verb, better = ("exceeds", "higher") if METRICS[metric].higher_is_better is None else ("beats", "better")
    # Whichever mean is the larger one, the sentence states a positive distance; the ends turn with the difference.
    ends = _ends(found)
    if ends and case.size < 0:
        ends = (-ends[1], -ends[0])
    if case.is_won:
        winner, loser, wins = case.row, case.base, found.wins
    else:
        winner, loser, wins = case.base, case.row, found.losses
    # Ends on either side of 0 need their signs; two of one side are read as the distance is.
    interval = _interval(metric, ends, with_sign=ends is not None and ends[0] < 0)
    text = (
        f"{winner} {verb} {loser} by {in_units(metric, number(metric, abs(case.size)))}{interval}{_of(metric)} "
        f"({found.n_pairs} paired seeds, adjusted p {p_value(case.contrast.p_adjusted or 0.0)}, "
        f"{'; '.join((f'{better} in {wins} of {found.n_pairs}', *case.lost))})"
    )
    if ends is not None and ends[0] <= 0:
        text += ", though its interval includes 0: its p is from sign flips, the interval is Student's"
    return f"{text}, a difference within ±{short(metric, case.delta or 0.0)}" if case.is_within_delta else text


def _same(case: Case) -> str:
    found = case.contrast.difference
    if found.note == "identical":
        text = f"{case.row} and {case.base} are identical in each of {found.n_pairs} paired seeds{_of(case.metric)}"
        return f"{text} ({'; '.join(case.lost)})" if case.lost else text
    return (
        f"{case.row} and {case.base} are practically the same{_of(case.metric)}: the difference"
        f"{_interval(case.metric, _ends(found), with_sign=True)} lies within "
        f"±{short(case.metric, case.delta or 0.0)} ({case.seeds})"
    )


def _without_spread(case: Case) -> tuple[str, int | None]:
    """Return that one difference was seen in every pair, and the fewest seeds with which sign flips test it.

    Where the seeds were not fixed beforehand, no number of them does: sign flips are not valid there.
    """
    metric = case.metric
    text = (
        f"{case.row} and {case.base} differ by {in_units(metric, number(metric, abs(case.size)))}{_of(metric)} in each "
        f"of {case.seeds}, without the spread that a t test needs"
    )
    if case.rules.test(metric) in BY_HOLM:
        return text, None
    seeds = min_pairs_for_max_t(case.alpha)
    return f"{text}; {fewest_in_words(seeds)} show it by sign flips", seeds


def _open(cases: Sequence[Case]) -> dict[str, int | None]:
    """Return a sentence for each open difference, with the seeds that would settle it; the fewest first.

    Those that no values of so many seeds could have settled are counted in one sentence.
    """
    beyond_test = [case for case in cases if case.contrast.smallest_p >= case.alpha]
    texts: list[tuple[float, str, int | None]] = []
    for case in cases:
        if case in beyond_test:
            continue
        text = f"{case.row} and {case.base} are not distinguishable{_of(case.metric)} ({case.seeds})"
        seeds, size = _seeds_to_tell(case)
        if seeds is not None and seeds <= case.contrast.difference.n_pairs:
            text += f", though so many tell {size} apart four times in five"
        elif seeds is not None:
            text += f"; telling {size} apart needs about {seeds:,} seeds"
        pairs = case.contrast.difference.n_pairs
        offered = seeds if seeds is not None and pairs < seeds <= MAX_SEEDS_OFFERED else None
        texts.append((math.inf if seeds is None else seeds, text, offered))
    return _no_verdict(beyond_test) | {text: offered for _, text, offered in sorted(texts, key=lambda one: one[0])}


def _no_verdict(cases: Sequence[Case]) -> dict[str, int | None]:
    """Return that so few pairs can't show these differences, with the fewest seeds that could."""
    if not cases:
        return {}
    first = cases[0]
    which = f"{first.row} and {first.base}" if len(cases) == 1 else f"{len(cases)} differences"
    pairs = f"{max(case.contrast.difference.n_pairs for case in cases)} paired seeds"
    least = min(case.contrast.smallest_p for case in cases)
    enough = first.rules.fewest_seeds(first.metric, first.family)
    text = (
        f"no verdict on {which}{_of(first.metric)}: {pairs} can show none (smallest possible adjusted p "
        f"{p_value(least)}); {fewest_in_words(enough)}"
    )
    return {text: enough}


def _seeds_to_tell(case: Case) -> tuple[int | None, str]:
    """Return the seeds that tell delta apart, or the difference that was seen where the metric has no delta; and it."""
    values, wanted = case.contrast.values, case.delta if case.delta is not None else abs(case.size)
    test = case.rules.test(case.metric)
    if test in ("two-stage t", "anytime signs"):
        # More seeds than the first stage chose would undo its promise, and signs know no size of a difference.
        return None, short(case.metric, wanted)
    if test == "sign-flip":
        seeds = seeds_needed_by_flips(values, alpha=case.alpha, comparisons=case.family)
    else:
        sd = mean_interval(values).sd
        anytime = test == "anytime t"
        seeds = seeds_needed(wanted, sd, alpha=case.alpha, comparisons=case.family, anytime=anytime) if sd else None
    if seeds is not None and case.delta is None:
        # The difference that was seen was not shown by these seeds, so it takes more.
        seeds = max(seeds, case.contrast.difference.n_pairs + 1)
    return seeds, short(case.metric, wanted)


def _interaction(found: Interaction, alpha: float) -> list[str]:
    if found.p >= alpha:
        return []
    (first, second), effect, metric = found.factors, found.effect, found.metric
    interval = _interval(metric, _ends(effect), with_sign=True, differences=2)
    return [
        f"the effect of {first} depends on {second} (p {p_value(found.p)}, {effect.n_pairs} seeds): between "
        f"{second}={show(found.origin[second])} and {show(found.at[second])}, {show(found.at[first])} − "
        f"{show(found.origin[first])} changes by "
        f"{in_units(metric, signed(metric, effect.difference or 0.0))}{interval}{_of(metric)}"
    ]


def _ends(found: Difference) -> tuple[float, float] | None:
    return None if found.low is None or found.high is None else (found.low, found.high)


def _interval(metric: str, ends: tuple[float, float] | None, *, with_sign: bool, differences: int = 1) -> str:
    """Return `` [0.09, 0.33]`` with a space before it; empty without ends."""
    if ends is None:
        return ""
    return f" {interval_to_quote(metric, ends, differences=differences, with_sign=with_sign)}"


def _of(metric: str) -> str:
    """Return which metric a sentence is about, unless it is test accuracy, which everybody means."""
    return "" if metric == "test.accuracy" else f" in {metric}"
