"""Sentences that runs can support or contradict: the lines of ``expect``, and the gates of ``compare --fail-if``.

    METRIC: CELL < CELL [where CELL]         one cell against another, paired by seed
    METRIC: CELL = CELL [± NUMBER]           both are the same, but for ``--delta`` or that number
    METRIC > NUMBER [where CELL]             a bound that each cell keeps; or METRIC: CELL > NUMBER
    METRIC = NUMBER [± NUMBER]               each cell's mean is that number, but for ``--delta`` or the second one
    OUTCOME: CELL < CELL [where CELL]        fewer runs of the one cell end so than of the other, paired by seed
    OUTCOME > NUMBER% [where CELL]           a bound on the share of runs that end so; in gates a number of runs, too
    METRIC drop > NUMBER [where CELL]        a change from the baseline (gates only); or ``rise``
    unfinished > NUMBER [where CELL]         how many that were planned or begun have not ended (gates only)

``when tuned`` behind an expectation about a metric judges each cell at its own best value of the factors in ``tune``.

A cell is ``KEY=VALUE,…``. ``<``, ``>``, ``<=`` and ``>=`` may stand in each place where one of them does. How numbers
are written is up to ``amounts``: ``95%`` or ``0.95`` for a level of a fraction, ``0.5pp`` for a difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from actbench.config import amounts
from actbench.config.overrides import parse_settings
from actbench.config.unknown_keys import refusal
from actbench.errors import UnknownNameError, UsageError
from actbench.schema.metrics import METRICS, described
from actbench.schema.record import OUTCOMES, Outcome

Operator = Literal["<", ">", "<=", ">=", "="]
Direction = Literal["drop", "rise"]
Settings = Mapping[str, Any]

UNFINISHED: Literal["unfinished"] = "unfinished"
"""Counted by gates like an outcome: a run that was planned or begun and has none."""

COUNTED: tuple[Outcome | Literal["unfinished"], ...] = (*OUTCOMES, UNFINISHED)

TUNED = "when tuned"
"""Behind an expectation: each cell at its own best value of the tuned factors."""

FORMS = (
    "'test.accuracy > 95% where activation=relu', 'test.accuracy = 88.6% ± 1.5pp' or "
    "'health.dead_fraction: bias_init=0.01 < bias_init=0.0 where activation=relu'"
)
GATE_EXAMPLES = "'expect', 'test.accuracy drop > 0.5pp', 'health.dead_fraction > 5%' or 'diverged > 0'"

_SPELLINGS: Mapping[str, Operator] = {
    "<": "<", ">": ">", "<=": "<=", ">=": ">=", "≤": "<=", "≥": ">=", "=": "=", "==": "=",
}  # fmt: skip
_OPERATOR = r"<=|>=|==|[<>=≤≥]"
_PLUS_MINUS = r"±|\+/?-"
_AMOUNT = rf"{amounts.NUMBER}\s*(?:{amounts.UNIT})?"
_WHERE = re.compile(r"\s+where\s+")
_WHEN = re.compile(r"\swhen\s+(?P<rest>\S*)")
_WHEN_TUNED = re.compile(r"\s+when\s+tuned(?=\s+where\s|\s*$)")
_CLAIM_ABOUT_CELLS = re.compile(r"(?P<metric>[\w.]+)\s*:\s*(?P<claim>.+)", re.DOTALL)
_BOUND = re.compile(
    rf"(?P<metric>[\w.]+)\s*(?P<operator>{_OPERATOR})\s*(?P<number>{_AMOUNT})"
    rf"(?:\s*(?:{_PLUS_MINUS})\s*(?P<tolerance>{_AMOUNT}))?"
)
_CHANGE = re.compile(rf"(?P<metric>[\w.]+)\s+(?P<direction>drop|rise)\s*(?P<operator>>=?|≥)\s*(?P<number>{_AMOUNT})")
_RIGHT_NUMBER = re.compile(rf"(?P<number>{_AMOUNT})(?:\s*(?:{_PLUS_MINUS})\s*(?P<tolerance>{_AMOUNT}))?")
_RIGHT_TOLERANCE = re.compile(rf"(?P<cell>.*\S)\s*(?:{_PLUS_MINUS})\s*(?P<tolerance>{_AMOUNT})", re.DOTALL)
_RESULT = re.compile(rf"(?P<metric>[\w.]+)\s*(?:{_OPERATOR})")
# A formula holds operators too, as in where(x > 0, x, 0), so those within brackets and quotes separate nothing.
_PIECE = re.compile(
    rf"""(?P<quoted>"[^"]*"|'[^']*')|(?P<open>[\[{{(])|(?P<close>[\]}})])|\s(?P<operator>{_OPERATOR})\s|.""", re.DOTALL
)


@dataclass(frozen=True)
class Ordering:
    """One cell has less (``<``), more (``>``) or the same (``=``) of a metric as another.

    Args:
        text: The line as it was written.
        metric: A name of METRICS, or an outcome, whose metric is the share of runs that end so.
        left: Factor -> value of the one cell.
        operator: As in the line.
        right: Factor -> value of the other.
        where: Factor -> value that both have in common.
        tolerance: For ``=`` the largest difference that counts as the same, in the metric's stored unit; None for
            the comparison's own delta.
        is_tuned: Whether each cell is at its own best value of the tuned factors.
    """

    text: str
    metric: str
    left: Settings
    operator: Operator
    right: Settings
    where: Settings = field(default_factory=dict)
    tolerance: float | None = None
    is_tuned: bool = False


@dataclass(frozen=True)
class Bound:
    """Each cell's mean lies on one side of a number, in the metric's own unit (a fraction is 0 … 1), or ``=`` at it."""

    text: str
    metric: str
    operator: Operator
    number: float
    where: Settings = field(default_factory=dict)
    tolerance: float | None = None
    is_tuned: bool = False


@dataclass(frozen=True)
class Change:
    """A cell lies more than a number (``>=``: at least so much) below (``drop``) or above (``rise``) the baseline."""

    text: str
    metric: str
    direction: Direction
    number: float
    where: Settings = field(default_factory=dict)
    operator: Operator = ">"


@dataclass(frozen=True)
class OutcomeCount:
    """More or fewer than so many runs of a row ended with an outcome.

    Args:
        text: The gate as it was written.
        outcome: One of COUNTED.
        operator: ``<``, ``>``, ``<=`` or ``>=``.
        number: A number of runs, or a share of them, 0 … 1.
        is_share: Whether the number is a share.
        where: Factor -> value of the rows that the gate is about.
    """

    text: str
    outcome: Outcome | Literal["unfinished"]
    operator: Operator
    number: float
    is_share: bool
    where: Settings = field(default_factory=dict)


Gate = Bound | Change | OutcomeCount


def parse_expectation(text: str) -> Ordering | Bound:
    """Read a line of ``expect``.

    Raises:
        UsageError: When it has another form, or a metric or a factor does not exist; with the nearest that does.

    >>> parse_expectation("test.accuracy > 95% where activation=relu").number
    0.95
    >>> parse_expectation("test.accuracy: activation=elu = activation=relu ± 0.2pp").tolerance
    0.002
    >>> parse_expectation("test.accuracy: activation=silu > activation=relu when tuned").is_tuned
    True
    """
    shorter, count = _WHEN_TUNED.subn("", text)
    if found := _WHEN.search(shorter):
        raise UsageError(f"'{text}': behind 'when' stands 'tuned' alone, once, not '{found['rest']}'")
    claim, where = _split_where(shorter, text)
    if found := _CLAIM_ABOUT_CELLS.fullmatch(claim):
        read = _about_cells(text, _expected(found["metric"]), found["claim"], where)
    elif found := _BOUND.fullmatch(claim):
        read = _bound(text, _expected(found["metric"]), _SPELLINGS[found["operator"]], found, where)
    else:
        raise UsageError(f"'{text}' is not an expectation; write {FORMS}")
    if count and read.metric in OUTCOMES:
        raise UsageError(f"'{text}': values are tuned for runs that end well, so tuned runs show no outcome")
    return replace(read, is_tuned=bool(count))


def parse_gate(text: str) -> Gate:
    """Read an expression of ``--fail-if`` other than ``expect``.

    Raises:
        UsageError: As for ``parse_expectation``, and for a condition that no result can fulfil, or every one does.

    >>> parse_gate("test.accuracy drop > 0.5pp").number
    0.005
    """
    claim, where = _split_where(text, text)
    if found := _CHANGE.fullmatch(claim):
        metric = _judged(found["metric"])
        if metric in COUNTED:
            raise UsageError(f"runs are counted by outcome, not compared: write '{metric} > 0'")
        direction: Direction = "drop" if found["direction"] == "drop" else "rise"
        number = amounts.difference(metric, found["number"])
        return Change(text, metric, direction, number, where, _SPELLINGS[found["operator"]])
    if (found := _BOUND.fullmatch(claim)) and found["tolerance"] is None and found["operator"] not in ("=", "=="):
        metric, operator = _judged(found["metric"]), _SPELLINGS[found["operator"]]
        outcome = next((one for one in COUNTED if one == metric), None)
        if outcome is not None:
            return _count(text, outcome, operator, found["number"], where)
        return _bound(text, metric, operator, found, where)
    raise UsageError(f"not a gate; write {GATE_EXAMPLES}")


def _split_where(claim: str, text: str) -> tuple[str, Settings]:
    """Return the claim without its settings behind ``where``, and these; ``text`` is the line as it was written."""
    claim, *rest = _WHERE.split(claim.strip())
    if len(rest) > 1:
        raise UsageError(f"'{text}' has more than one 'where': separate settings by commas")
    if rest and (found := _RESULT.match(rest[0])) and found["metric"] in (*METRICS, *COUNTED):
        # Runs that are chosen by what came out of them would prove whatever they were chosen for.
        raise UsageError(
            f"'{text}': 'where' takes settings (KEY=VALUE), not results such as {found['metric']}: make it an "
            "expectation or a gate of its own"
        )
    return claim.strip(), _settings(rest[0]) if rest else {}


def _about_cells(text: str, metric: str, claim: str, where: Settings) -> Ordering | Bound:
    """Read what stands behind ``METRIC:``, a cell against another one or against a number."""
    left, operator, right = _sides(text, claim)
    if found := _RIGHT_NUMBER.fullmatch(right):
        cell = _settings(left)
        if twice := cell.keys() & where.keys():
            raise UsageError(f"'{min(twice)}' is given twice in '{text}'")
        return _bound(text, metric, operator, found, {**where, **cell})
    if metric in OUTCOMES and operator not in ("<", ">"):
        raise UsageError(
            f"'{text}': seeds that end alike don't show that two cells always do: write '<' or '>', or a bound for "
            f"each cell, as in '{metric} < 20%'"
        )
    tolerance = None
    if found := _RIGHT_TOLERANCE.fullmatch(right):
        if operator != "=":
            raise UsageError(f"'{text}': ± goes with '=' alone")
        right, tolerance = found["cell"], _tolerance(metric, found["tolerance"])
    if operator == "=" and tolerance is None:
        _refuse_without_delta(text, metric)
    sides = _settings(left), _settings(right)
    if sides[0] == sides[1]:
        raise UsageError(f"'{text}' compares a cell with itself")
    return Ordering(text, metric, sides[0], operator, sides[1], where, tolerance)


def _sides(text: str, claim: str) -> tuple[str, Operator, str]:
    """Split a claim at its operator: the only one between spaces that is not ``=``, else the only ``=`` there."""
    found = list(_operators(claim))
    # "activation = elu > activation = relu" may have its settings spaced out, too.
    orders = [one for one in found if one[1] != "="] or found
    if len(orders) != 1:
        raise UsageError(f"'{text}' should have one operator such as ' < ' between its two sides, as in {FORMS}")
    ((start, operator, end),) = orders
    return claim[:start].strip(), _SPELLINGS[operator], claim[end:].strip()


def _operators(claim: str) -> Iterator[tuple[int, str, int]]:
    """Yield the operators that stand between spaces and outside brackets, each between its start and its end."""
    depth = 0
    for found in _PIECE.finditer(claim):
        depth = max(0, depth + (found["open"] is not None) - (found["close"] is not None))
        if found["operator"] and not depth:
            yield found.start(), found["operator"], found.end()


def _bound(text: str, metric: str, operator: Operator, found: re.Match[str], where: Settings) -> Bound:
    if metric in OUTCOMES:
        _refuse_count(text, metric, found["number"])
    number = amounts.level(metric, found["number"])
    if operator != "=":
        if found["tolerance"] is not None:
            raise UsageError(f"'{text}': ± goes with '=' alone")
        name = f"the share of {metric} runs" if metric in OUTCOMES else metric
        _refuse_idle(text, name, operator, number, highest=1.0 if described(metric).unit == "fraction" else None)
        if metric in OUTCOMES and (number, operator) in {(0.0, "<="), (1.0, ">=")}:
            raise UsageError(f"'{text}': no number of runs can show {_exactly(metric, number, operator)}")
        return Bound(text, metric, operator, number, where)
    if found["tolerance"] is None:
        if metric in OUTCOMES:
            raise UsageError(f"'{text}': no number of runs can show {_exactly(metric, number, operator)}")
        _refuse_without_delta(text, metric)
        return Bound(text, metric, operator, number, where)
    # 0.886 ± 0.015: where the number is a bare fraction, so is what stands behind it.
    is_bare = not found["number"].endswith(("%", "pp"))
    return Bound(text, metric, operator, number, where, _tolerance(metric, found["tolerance"], is_bare=is_bare))


def _tolerance(metric: str, text: str, *, is_bare: bool = False) -> float:
    """Return the number behind ±; ``is_bare`` where a fraction without unit stands before it."""
    is_level = is_bare and not text.endswith(("%", "pp"))
    tolerance = amounts.level(metric, text) if is_level else amounts.difference(metric, text)
    if tolerance <= 0:
        raise UsageError(f"± {text} leaves no room around {metric}: write a number above 0")
    return tolerance


def _refuse_count(text: str, outcome: str, number: str) -> None:
    """Refuse a number of runs: other seeds make another one, and an expectation is about them, too."""
    if not number.endswith(("%", "pp")) and float(number) != 0:
        raise UsageError(
            f"'{text}': an expectation is about the share of runs that end so, with other seeds, too: write a "
            f"percentage such as '{outcome} > 10%'; --fail-if counts runs"
        )


def _exactly(outcome: str, number: float, operator: Operator) -> str:
    """Return that a share is exactly this one, and what to write instead."""
    share = f"{100 * number:g}%"
    instead = {"<=": "< 10%", ">=": "> 90%"}.get(operator, f"= {share} ± 10pp")
    return f"that the share is exactly {share}: write how near, as in '{outcome} {instead}'"


def _refuse_without_delta(text: str, metric: str) -> None:
    """Refuse a ``=`` without ± for a metric that has no delta: ``--delta`` is in percentage points."""
    if described(metric).unit != "fraction":
        raise UsageError(f"'{text}': two means of {metric} are never quite the same: write how near, as in '± 0.01'")


def _refuse_idle(text: str, name: str, operator: Operator, number: float, *, highest: float | None) -> None:
    """Refuse a condition that nothing fulfils, or everything: no value lies below 0, nor beyond ``highest``."""
    impossible = {(0.0, "<"): "below", (highest, ">"): "above"}.get((number, operator))
    if impossible:
        raise UsageError(f"'{text}' never holds: {name} is never {impossible} that")
    if (number, operator) in {(0.0, ">="), (highest, "<=")}:
        raise UsageError(f"'{text}' always holds: {name} is never beyond that")


def _count(
    text: str, outcome: Outcome | Literal["unfinished"], operator: Operator, number: str, where: Settings
) -> OutcomeCount:
    """Read the number of runs, or the percentage of them, in a gate on an outcome."""
    if number.endswith("pp"):
        raise UsageError(f"write a number of runs such as {outcome} > 0, or a share such as 10%")
    is_share = number.endswith("%")
    value = float(number.rstrip("% "))
    if not is_share and not value.is_integer():
        raise UsageError(f"runs are counted in whole numbers; for a share write {100 * value:g}%")
    if value < 0 or (is_share and value > 100):
        raise UsageError(f"{number} is neither a number of runs nor a share of them")
    value = value / 100 if is_share else value
    _refuse_idle(text, f"the number of {outcome} runs", operator, value, highest=1.0 if is_share else None)
    return OutcomeCount(text, outcome, operator, value, is_share, where)


def _judged(name: str) -> str:
    """Return the name if a gate can be on it: a metric, or what counts runs."""
    if name not in METRICS and name not in COUNTED:
        raise UnknownNameError("metric or outcome", name, (*METRICS, *COUNTED))
    return name


def _expected(name: str) -> str:
    """Return the name if an expectation can be about it: a metric, or an outcome."""
    if name == UNFINISHED:
        raise UsageError(f"runs that have not ended show nothing yet: --fail-if counts them ('{name} > 0')")
    if name not in METRICS and name not in OUTCOMES:
        raise UnknownNameError("metric or outcome", name, (*METRICS, *OUTCOMES))
    return name


def _settings(text: str) -> Settings:
    settings = parse_settings([text])
    for key in settings:
        if wrong := refusal(key):
            raise UsageError(wrong)
    return settings
