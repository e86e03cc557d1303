"""Gates: ``compare --fail-if`` turns conditions on a comparison into a check with an exit code.

A gate trips only on evidence: an interval or a test that lies beyond the bound as a whole, or values that are missing.
A run without a value is never a pass: where it diverged or failed, a row has lost what the gate is about.

    a run of the row has no value, and the baseline's has one (for a bound: whatever the baseline has)   trips
    a run of the row collapsed where the baseline's did not, and the gate is on an accuracy or a loss    trips
    the baseline's run has no value (whether or not the row's has one)                                   open
    every value is there, and the interval lies beyond the number                                        trips
    every value is there, and the interval holds the number, or there are too few seeds                  open
    a row of the base (``--against``) has no runs among the new results                                  open
    no row is decided by so many seeds as it has, so that the gate could not have tripped                trips

An open row is warned of; more seeds decide it.

From text to exit code: ``parse_gates`` reads each condition (``config.hypotheses.parse_gate`` has the grammar), and
``judge_gates`` holds the rows of every table to it by ``evidence.evidence_of``. The outcome is a ``Gate`` with a
``tripped_reason``, with which ``actbench compare`` exits with 1, or an ``undecided_reason``, of which it only warns.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from actbench.analysis.judgements.evidence import Evidence, evidence_of
from actbench.analysis.judgements.expectations import CONTRADICTED, UNDECIDED
from actbench.analysis.judgements.formatting import interval_in_words, number, signed
from actbench.analysis.judgements.lost_runs import collapsed_alone, lost_of
from actbench.analysis.table.against import SIDE, absent_rows, is_new
from actbench.analysis.table.baselines import counterpart
from actbench.analysis.table.contrasts import seed_differences
from actbench.analysis.table.factors import Value, context, flat_specs, matching_value, row_name
from actbench.analysis.table.grouping import Filter, Group, Table, fits
from actbench.analysis.table.result import Comparison, Gate
from actbench.analysis.table.rules import Rules
from actbench.config.hypotheses import UNFINISHED, Bound, Change, OutcomeCount, parse_gate
from actbench.config.hypotheses import Gate as Condition
from actbench.errors import UsageError
from actbench.schema.metrics import is_bounded
from actbench.schema.spec import RunSpec

EXPECT = "expect"

HOLDS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
WANTED = {"<": ("below",), ">": ("above",), "<=": ("below", "at"), ">=": ("above", "at")}
"""Operator -> the sides of the number on which a row fulfils the condition."""


@dataclass(frozen=True)
class RowJudgement:
    """One row held to a condition.

    Args:
        row: Its name.
        finding: Whether the condition is shown to hold (``trips``), may hold (``open``) or is shown not to.
        text: What was seen of the row, for a sentence.
        excess: How far it lies beyond the condition's number; infinite where a value is missing.
        is_judged: Whether any values of its seeds could have made it trip.
    """

    row: str
    finding: Literal["trips", "open", "passes"]
    text: str
    excess: float = float("inf")
    is_judged: bool = True


def parse_gates(texts: Sequence[str]) -> dict[str, Condition | None]:
    """Return text -> condition; None for ``expect``.

    Raises:
        UsageError: For a text that is not a gate, or that names an unknown metric or factor.
    """
    return {text: None if text.strip() == EXPECT else _parsed(text) for text in texts}


def _parsed(text: str) -> Condition:
    try:
        return parse_gate(text)
    except UsageError as error:
        raise UsageError(f"--fail-if '{text}': {error}") from error


def judge_gates(
    conditions: Mapping[str, Condition | None],
    found: Sequence[tuple[Table, Comparison]],
    *,
    where: Filter,
    unfinished: Mapping[str, Sequence[RunSpec]],
) -> tuple[Gate, ...]:
    """Judge each condition over the shown rows of all tables.

    Args:
        conditions: Text -> condition, as ``parse_gates`` returns them.
        found: The tables.
        where: Factor -> value that the shown rows have.
        unfinished: Study -> its runs that have not ended; only needed by a gate on them.

    Raises:
        UsageError: When a condition's ``where`` fits no row, or none of the studies expects anything.
    """
    return tuple(
        _expect_gate(text, [comparison for _, comparison in found])
        if condition is None
        else _row_gate(text, _judge_unfinished(condition, found, unfinished, where))
        if isinstance(condition, OutcomeCount) and condition.outcome == UNFINISHED
        else _row_gate(
            text,
            [one for pair in found for one in (*_judge_rows(condition, *pair), *_absent_rows(condition, *pair, where))],
        )
        for text, condition in conditions.items()
    )


def _expect_gate(text: str, comparisons: Iterable[Comparison]) -> Gate:
    found = [one for comparison in comparisons for one in comparison.expectations]
    if not found:
        raise UsageError("--fail-if expect: the study's config has no 'expect' entries")
    contradicted = [one.text for one in found if one.verdict == CONTRADICTED]
    survivors = [f"{one.text} ({one.left_out})" for one in found if one.verdict != CONTRADICTED and one.is_of_survivors]
    undecided = [one.text for one in found if one.verdict == UNDECIDED]
    reasons = [f"contradicted: {'; '.join(contradicted)}"] if contradicted else []
    if survivors:
        reasons.append(f"judged without the runs that would speak against it: {'; '.join(survivors)}")
    if not reasons and not any(one.is_judged for one in found):
        reasons.append(f"nothing can be judged: {'; '.join(undecided)}")
    return Gate(
        text,
        tripped_reason="; ".join(reasons),
        undecided_reason=f"undecided: {'; '.join(undecided)}" if undecided else "",
    )


def _row_gate(text: str, found: Sequence[RowJudgement]) -> Gate:
    if not found:
        raise UsageError(f"--fail-if '{text}': no row to hold to it")
    tripped = [one for one in found if one.finding == "trips"]
    left_open = [one for one in found if one.finding == "open"]
    if not tripped and not any(one.is_judged for one in found):
        return Gate(text, tripped_reason=f"no row can be judged: {_worst(left_open)}")
    return Gate(
        text,
        tripped_reason=_worst(tripped) if tripped else "",
        undecided_reason=f"not decided: {_worst(left_open)}" if left_open else "",
    )


def _judge_rows(condition: Condition, table: Table, comparison: Comparison) -> list[RowJudgement]:
    by_factors = {tuple(group.factors.values()): group for group in table.groups}
    found: list[RowJudgement] = []
    for group in table.shown:
        if not _fits(group, condition):
            continue
        base = None if comparison.baseline is None else counterpart(group, comparison.baseline, by_factors)
        if isinstance(condition, OutcomeCount):
            found.append(_judge_count(condition, group))
        elif isinstance(condition, Bound):
            found.append(_judge_bound(condition, group, base, comparison.rules))
        elif base is not None:
            found.append(_judge_change(condition, group, base, comparison.rules))
        elif comparison.baseline is None or not comparison.is_baseline(group.factors):
            why = "no baseline" if comparison.baseline is None else "no baseline run with the same other settings"
            found.append(RowJudgement(row_name(group.factors), "open", why, is_judged=False))
    return found


def _absent_rows(condition: Condition, table: Table, comparison: Comparison, where: Filter) -> list[RowJudgement]:
    """Return the rows of the base (``--against``) that the new results lack, where a gate is on the change to them."""
    if not isinstance(condition, Change) or comparison.baseline is None or SIDE not in comparison.baseline:
        return []
    return [
        RowJudgement(row_name(group.factors), "open", "has no runs among the new results", is_judged=False)
        for group in absent_rows(table.groups, where)
        if _fits(group, condition)
    ]


def _judge_unfinished(
    condition: OutcomeCount,
    found: Sequence[tuple[Table, Comparison]],
    unfinished: Mapping[str, Sequence[RunSpec]],
    where: Filter,
) -> list[RowJudgement]:
    """Count for each shown row the runs that have not ended; runs of rows that no table has yet are rows, too."""
    common = [(table, comparison) for table, comparison in found if comparison.tuned is None]
    ended = [record.spec for table, _ in common for record, _ in table.all_runs]
    specs = [(study, spec) for study, own in unfinished.items() for spec in own]
    flats = flat_specs([*ended, *(spec for _, spec in specs)])[len(ended) :]
    left = [(study, spec, flat) for (study, spec), flat in zip(specs, flats, strict=True)]
    judged: list[RowJudgement] = []
    for table, comparison in common:
        shown = {id(group) for group in table.shown}
        for group in table.groups:
            if not is_new(group.factors):
                continue
            factors = {key: value for key, value in group.factors.items() if key != SIDE}
            own = [
                one
                for one in left
                if one[0] == comparison.study
                and context(one[1], one[2], table.factors) == comparison.context
                and fits(one[2], factors)
            ]
            left = [one for one in left if one not in own]
            if id(group) in shown and _fits(group, condition):
                judged.append(_counted(condition, row_name(group.factors), len(own), len(group.runs) + len(own)))
    rows: dict[str, int] = {}
    for study, spec, flat in left:
        if fits(flat, where) and all(_may_mean(key, given, flat.get(key)) for key, given in condition.where.items()):
            keys: tuple[str, ...] = next((table.factors for table, one in common if one.study == study), ())
            values = {key: flat.get(key) for key in keys if key != SIDE}
            name = row_name(values) if values else spec.with_seed(0).run_id
            rows[name] = rows.get(name, 0) + 1
    return [*judged, *(_counted(condition, name, count, count) for name, count in rows.items())]


def _may_mean(key: str, given: Any, value: Value) -> bool:
    try:
        matching_value(key, given, [value])
    except UsageError:
        return False
    return True


def _judge_count(condition: OutcomeCount, group: Group) -> RowJudgement:
    count = sum(record.outcome == condition.outcome for record, _ in group.runs)
    return _counted(condition, row_name(group.factors), count, len(group.runs))


def _counted(condition: OutcomeCount, row: str, count: int, runs: int) -> RowJudgement:
    """Hold a row to a condition on how many of its runs ended in one way."""
    size = count / runs if condition.is_share else count
    trips = HOLDS[condition.operator](size, condition.number)
    text = f"{count} of {runs} runs {'are ok' if condition.outcome == 'ok' else condition.outcome}"
    sign = -1 if condition.operator.startswith("<") else 1
    return RowJudgement(row, "trips" if trips else "passes", text, sign * size)


def _judge_bound(condition: Bound, group: Group, base: Group | None, rules: Rules) -> RowJudgement:
    metric, name = condition.metric, row_name(group.factors)
    values = list(group.values(metric).values())
    evidence = evidence_of(values, condition.number, metric, rules)
    text = _seen(metric, metric, evidence, of_difference=False)
    if lost := group.lost(metric):
        return RowJudgement(name, "trips", f"{lost_of(lost, len(group.runs))}{_and_rest(text, evidence)}")
    if base is not None and (text_of_collapse := collapsed_alone(group, base, metric)):
        return RowJudgement(name, "trips", f"{text_of_collapse}; {text}")
    sign = -1 if condition.operator.startswith("<") else 1
    excess = sign * ((evidence.mean or 0.0) - condition.number)
    if evidence.side in WANTED[condition.operator]:
        return RowJudgement(name, "trips", text, excess)
    # With few seeds no test of a bounded share can decide. If no seed is beyond the limit, the row is not called open.
    beyond = any(HOLDS[condition.operator](value, condition.number) for value in values)
    if evidence.side is not None or (is_bounded(metric) and len(values) and not beyond):
        return RowJudgement(name, "passes", text, excess)
    return RowJudgement(name, "open", text, excess, evidence.can_decide)


def _judge_change(condition: Change, group: Group, base: Group, rules: Rules) -> RowJudgement:
    """Judge by how much the row lies below (``drop``) or above (``rise``) the baseline, paired by seed."""
    metric, name = condition.metric, row_name(group.factors)
    sides = (base, group) if condition.direction == "drop" else (group, base)
    left, right = (side.values(metric) for side in sides)
    found = seed_differences(left, right, metric, rules)
    seeds, values = list(found.by_seed), list(found.by_seed.values())
    evidence = evidence_of(values, condition.number, metric, rules, seeds=seeds)
    text = _seen(metric, f"{metric} {condition.direction}", evidence, of_difference=True)
    there = base.values(metric)
    lost, lost_by_base = [one for one in group.lost(metric) if one.spec.seed in there], base.lost(metric)
    if lost:
        missing = f"{lost_of(lost, len(group.runs))} where the baseline's did not"
        return RowJudgement(name, "trips", f"{missing}{_and_rest(text, evidence)}")
    if text_of_collapse := collapsed_alone(group, base, metric):
        return RowJudgement(name, "trips", f"{text_of_collapse}; {text}")
    excess = (evidence.mean or 0.0) - condition.number
    if evidence.side in WANTED[condition.operator]:
        return RowJudgement(name, "trips", text, excess)
    if lost_by_base:
        missing = f"of the baseline's, {lost_of(lost_by_base, len(base.runs))}{_and_rest(text, evidence)}"
        return RowJudgement(name, "open", missing, excess, evidence.can_decide)
    return RowJudgement(name, "passes" if evidence.side else "open", text, excess, evidence.can_decide)


def _seen(metric: str, name: str, evidence: Evidence, *, of_difference: bool) -> str:
    """Return what a row shows: ``test.accuracy drop +0.81 [+0.62, +1.00] points (10 seeds)``."""
    if evidence.mean is None:
        return f"{name} has no value"
    text = signed(metric, evidence.mean) if of_difference else number(metric, evidence.mean)
    if evidence.interval:
        text += f" {interval_in_words(metric, evidence.interval, of_difference=of_difference)}"
    note = f", {evidence.note}" if evidence.note else ""
    return f"{name} {text} ({evidence.n} seed{'' if evidence.n == 1 else 's'}{note})"


def _and_rest(text: str, evidence: Evidence) -> str:
    """Return what the runs that have a value show, to stand behind those that have none; empty without any."""
    return "" if evidence.mean is None else f"; the others: {text}"


def _fits(group: Group, condition: Condition) -> bool:
    """Return whether a row has the values of the condition's ``where``."""
    for key, given in condition.where.items():
        values: set[Value] = {one.get(key) for _, one in group.runs}
        try:
            matching_value(key, given, values)
        except UsageError:
            return False
        if len(values) > 1:
            raise UsageError(f"--fail-if '{condition.text}': '{key}' is averaged over: add it to --by")
    return True


def _worst(found: Sequence[RowJudgement]) -> str:
    """Return the row with the largest excess in full, and the number of the others.

    For example ``elu: test.accuracy drop +0.81 [+0.62, +1.00] points (10 seeds), and 2 more``.
    """
    worst = max(found, key=lambda one: one.excess)
    return f"{worst.row}: {worst.text}" + (f", and {len(found) - 1} more" if len(found) > 1 else "")
