"""Gates: ``compare --fail-if`` turns conditions on a comparison into a check with an exit code.

A gate trips only on evidence: an interval or a test that lies beyond the bound as a whole. A row that may lie beyond
it, but has too few seeds to show so, leaves the gate open, with a warning.

From text to exit code: ``parse_gates`` reads each condition (``config.hypotheses.parse_gate`` has the grammar), and
``judge_gates`` holds the rows of every table to it by ``evidence.evidence_of``. The outcome is a ``Gate`` with a
``tripped_reason``, with which ``actbench compare`` exits with 1, or an ``undecided_reason``, of which it only warns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from actbench.analysis.judgements.evidence import Evidence, evidence_of, interval_in_words
from actbench.analysis.judgements.expectations import CONTRADICTED, UNDECIDED
from actbench.analysis.judgements.formatting import number, signed
from actbench.analysis.table.baselines import counterpart
from actbench.analysis.table.contrasts import seed_differences
from actbench.analysis.table.factors import matching_value, row_name
from actbench.analysis.table.grouping import Group, Table
from actbench.analysis.table.result import Comparison, Gate, is_bounded
from actbench.config.hypotheses import Bound, Change, parse_gate
from actbench.errors import UsageError

EXPECT = "expect"
Condition = Bound | Change


@dataclass(frozen=True)
class RowJudgement:
    """One row held to a condition.

    Args:
        row: Its name.
        evidence: On which side of the condition's number it lies; for a change, how far it lies from the baseline.
        trips: Whether the evidence shows that the condition holds.
        is_open: Whether the condition may hold without the evidence to show it.
    """

    row: str
    evidence: Evidence
    trips: bool
    is_open: bool


def parse_gates(texts: Sequence[str]) -> dict[str, Condition | None]:
    """Return text -> condition; None for ``expect``.

    Raises:
        UsageError: For a text that is not a gate, or that names an unknown metric or factor.
    """
    return {text: None if text.strip() == EXPECT else parse_gate(text) for text in texts}


def judge_gates(
    conditions: Mapping[str, Condition | None], found: Sequence[tuple[Table, Comparison]], alpha: float
) -> tuple[Gate, ...]:
    """Judge each condition over the shown rows of all tables.

    Raises:
        UsageError: When a condition's ``where`` fits no row, or none of the studies expects anything.
    """
    return tuple(
        _expect_gate(text, [comparison for _, comparison in found])
        if condition is None
        else _row_gate(text, condition, [one for pair in found for one in _judge_rows(condition, *pair, alpha)])
        for text, condition in conditions.items()
    )


def _expect_gate(text: str, comparisons: Iterable[Comparison]) -> Gate:
    found = [one for comparison in comparisons for one in comparison.expectations]
    if not found:
        raise UsageError("--fail-if expect: the study's config has no 'expect' entries")
    contradicted = [one.text for one in found if one.verdict == CONTRADICTED]
    undecided = [one.text for one in found if one.verdict == UNDECIDED]
    return Gate(
        text,
        tripped_reason=f"contradicted: {'; '.join(contradicted)}" if contradicted else "",
        undecided_reason=f"undecided: {'; '.join(undecided)}" if undecided else "",
    )


def _row_gate(text: str, condition: Condition, found: Sequence[RowJudgement]) -> Gate:
    if not found:
        raise UsageError(f"--fail-if '{text}': no row to hold to it")
    tripped = [one for one in found if one.trips]
    left_open = [one for one in found if one.is_open]
    return Gate(
        text,
        tripped_reason=_worst(condition, tripped) if tripped else "",
        undecided_reason=f"underpowered: {_worst(condition, left_open)}" if left_open else "",
    )


def _judge_rows(condition: Condition, table: Table, comparison: Comparison, alpha: float) -> list[RowJudgement]:
    groups = [group for group in table.shown if _fits(group, condition)]
    if isinstance(condition, Bound):
        return [_judge_bound(condition, group, alpha) for group in groups]
    if comparison.baseline is None:
        nothing = Evidence(None, None, None, 0, "no baseline")
        return [RowJudgement(row_name(group.factors), nothing, trips=False, is_open=True) for group in groups]
    by_factors = {tuple(group.factors.values()): group for group in table.groups}
    pairs = ((group, counterpart(group, comparison.baseline, by_factors)) for group in groups)
    return [_judge_change(condition, group, base, alpha) for group, base in pairs if base is not None]


def _judge_bound(condition: Bound, group: Group, alpha: float) -> RowJudgement:
    values = list(group.values(condition.metric).values())
    evidence = evidence_of(values, condition.number, condition.metric, alpha)
    wanted = "above" if condition.operator == ">" else "below"
    beyond = [value for value in values if (value > condition.number) == (wanted == "above")]
    # With few seeds no test of a bounded share can decide. If no seed is beyond the limit, the gate is not called open.
    suspect = bool(beyond) or not (is_bounded(condition.metric) and values)
    name, is_open = row_name(group.factors), evidence.side is None and suspect
    return RowJudgement(name, evidence, trips=evidence.side == wanted, is_open=is_open)


def _judge_change(condition: Change, group: Group, base: Group, alpha: float) -> RowJudgement:
    """Judge by how much the row lies below (``drop``) or above (``rise``) the baseline, paired by seed."""
    sides = (base, group) if condition.direction == "drop" else (group, base)
    left, right = (side.values(condition.metric) for side in sides)
    found = seed_differences(left, right, condition.metric, alpha)
    evidence = evidence_of(list(found.by_seed.values()), condition.number, condition.metric, alpha)
    name = row_name(group.factors)
    return RowJudgement(name, evidence, trips=evidence.side == "above", is_open=evidence.side is None)


def _fits(group: Group, condition: Condition) -> bool:
    """Return whether a row has the values of the condition's ``where``."""
    for key, given in condition.where.items():
        values = {one.get(key) for _, one in group.runs}
        try:
            matching_value(key, given, values)
        except UsageError:
            return False
        if len(values) > 1:
            raise UsageError(f"--fail-if '{condition.text}': '{key}' is averaged over: add it to --by")
    return True


def _worst(condition: Condition, found: Sequence[RowJudgement]) -> str:
    """Return the row with the largest excess in full, and the number of the others.

    For example ``elu: test.accuracy drop +0.81 [+0.62, +1.00] points (10 seeds), and 2 more``.
    """
    sign = -1 if isinstance(condition, Bound) and condition.operator == "<" else 1
    worst = max(found, key=lambda one: sign * (one.evidence.mean or 0.0))
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    metric, evidence = condition.metric, worst.evidence
    if evidence.mean is None:
        return f"{worst.row}: {metric} has no value ({evidence.note}){more}"
    is_change = isinstance(condition, Change)
    name = f"{metric} {condition.direction}" if isinstance(condition, Change) else metric
    text = signed(metric, evidence.mean) if is_change else number(metric, evidence.mean)
    if evidence.interval:
        text += f" {interval_in_words(metric, evidence.interval, of_difference=is_change)}"
    note = f", {evidence.note}" if evidence.note else ""
    return f"{worst.row}: {name} {text} ({evidence.n} seeds{note}){more}"
