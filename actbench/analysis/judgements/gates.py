"""``compare --fail-if``: conditions that turn a comparison into a check with an exit code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from actbench.analysis.judgements.evidence import Evidence, interval_in_words, weigh
from actbench.analysis.judgements.expectations import CONTRADICTED, UNDECIDED
from actbench.analysis.judgements.formatting import number, signed
from actbench.analysis.table.baselines import counterpart
from actbench.analysis.table.contrasts import seed_differences
from actbench.analysis.table.factors import matching_value, row_name
from actbench.analysis.table.grouping import Group, Table
from actbench.analysis.table.result import Comparison, Gate, is_bounded
from actbench.config.hypotheses import Bound, Change, gate
from actbench.errors import UsageError

EXPECT = "expect"
Condition = Bound | Change


@dataclass(frozen=True)
class RowJudgement:
    """One row held to a condition.

    Args:
        row: Its name.
        evidence: On which side of the condition's number it lies; for a change, how far it lies from the baseline.
        trips: Whether the evidence says so.
        is_open: Whether it leaves room for it.
    """

    row: str
    evidence: Evidence
    trips: bool
    is_open: bool


def parse_gates(texts: Sequence[str]) -> dict[str, Condition | None]:
    """Text -> condition; None for ``expect``.

    Raises:
        UsageError: For one that is no gate, or that names an unknown metric or factor.
    """
    return {text: None if text.strip() == EXPECT else gate(text) for text in texts}


def judge_gates(
    conditions: Mapping[str, Condition | None], found: Sequence[tuple[Table, Comparison]], alpha: float
) -> tuple[Gate, ...]:
    """Each condition over the shown rows of all tables.

    Raises:
        UsageError: When a condition's ``where`` fits no row, or none of the studies expects anything.
    """
    return tuple(
        _expected(text, [comparison for _, comparison in found])
        if condition is None
        else _told(text, condition, [one for pair in found for one in _findings(condition, *pair, alpha)])
        for text, condition in conditions.items()
    )


def _expected(text: str, comparisons: Iterable[Comparison]) -> Gate:
    found = [one for comparison in comparisons for one in comparison.expectations]
    if not found:
        raise UsageError("--fail-if expect: the study's config has no 'expect' entries")
    tripped = [one.text for one in found if one.verdict == CONTRADICTED]
    left = [one.text for one in found if one.verdict == UNDECIDED]
    return Gate(
        text,
        f"contradicted: {'; '.join(tripped)}" if tripped else "",
        f"undecided: {'; '.join(left)}" if left else "",
    )


def _findings(condition: Condition, table: Table, comparison: Comparison, alpha: float) -> list[RowJudgement]:
    groups = [group for group in table.shown if _fits(group, condition)]
    if isinstance(condition, Bound):
        return [_bound(condition, group, alpha) for group in groups]
    if comparison.baseline is None:
        return [
            RowJudgement(
                row_name(group.factors), Evidence(None, None, None, 0, "no baseline"), trips=False, is_open=True
            )
            for group in groups
        ]
    by_factors = {tuple(group.factors.values()): group for group in table.groups}
    pairs = ((group, counterpart(group, comparison.baseline, by_factors)) for group in groups)
    return [_change(condition, group, base, alpha) for group, base in pairs if base is not None]


def _bound(condition: Bound, group: Group, alpha: float) -> RowJudgement:
    values = list(group.values(condition.metric).values())
    evidence = weigh(values, condition.number, condition.metric, alpha)
    wanted = "above" if condition.operator == ">" else "below"
    beyond = [value for value in values if (value > condition.number) == (wanted == "above")]
    # Few seeds of a bounded share decide nothing by a test; where none of them is beyond, that is no cause for alarm.
    suspect = bool(beyond) or not (is_bounded(condition.metric) and values)
    return RowJudgement(row_name(group.factors), evidence, evidence.side == wanted, evidence.side is None and suspect)


def _change(condition: Change, group: Group, base: Group, alpha: float) -> RowJudgement:
    """By how much the row lies below (``drop``) or above (``rise``) the baseline, paired by seed."""
    sides = (base, group) if condition.direction == "drop" else (group, base)
    left, right = (side.values(condition.metric) for side in sides)
    pair = seed_differences(left, right, condition.metric, alpha)
    evidence = weigh(list(pair.by_seed.values()), condition.number, condition.metric, alpha)
    return RowJudgement(row_name(group.factors), evidence, evidence.side == "above", evidence.side is None)


def _fits(group: Group, condition: Condition) -> bool:
    for key, given in condition.where.items():
        values = {one.get(key) for _, one in group.runs}
        try:
            matching_value(key, given, values)
        except UsageError:
            return False
        if len(values) > 1:
            raise UsageError(f"--fail-if '{condition.text}': '{key}' is averaged over: add it to --by")
    return True


def _told(text: str, condition: Condition, found: Sequence[RowJudgement]) -> Gate:
    if not found:
        raise UsageError(f"--fail-if '{text}': no row to hold to it")
    tripped = [one for one in found if one.trips]
    left = [one for one in found if one.is_open]
    return Gate(
        text,
        _first(condition, tripped) if tripped else "",
        f"underpowered: {_first(condition, left)}" if left else "",
    )


def _first(condition: Condition, found: Sequence[RowJudgement]) -> str:
    """The row with the largest excess in full, and how many others there are."""
    sign = -1 if isinstance(condition, Bound) and condition.operator == "<" else 1
    worst = max(found, key=lambda one: sign * (one.evidence.mean or 0.0))
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{worst.row}: {_amount(condition, worst.evidence)}{more}"


def _amount(condition: Condition, evidence: Evidence) -> str:
    """``test.accuracy drop +0.81 [+0.62, +1.00] points (10 seeds)``."""
    metric, is_change = condition.metric, isinstance(condition, Change)
    if evidence.mean is None:
        return f"{metric} has no value ({evidence.note})"
    name = f"{metric} {condition.direction}" if isinstance(condition, Change) else metric
    text = signed(metric, evidence.mean) if is_change else number(metric, evidence.mean)
    if evidence.interval:
        text += f" {interval_in_words(metric, evidence.interval, of_difference=is_change)}"
    note = f", {evidence.note}" if evidence.note else ""
    return f"{name} {text} ({evidence.n} seeds{note})"
