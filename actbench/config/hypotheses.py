"""Sentences that runs can support or contradict: the lines of ``expect``, and the gates of ``compare --fail-if``.

    METRIC: KEY=VALUE,… < KEY=VALUE,… [where KEY=VALUE,…]      one cell against another, paired by seed
    METRIC > NUMBER [where KEY=VALUE,…]                        a bound that each cell keeps
    METRIC drop > NUMBER [where KEY=VALUE,…]                   a change from the baseline (gates only); or ``rise``

``<`` and ``>`` go both ways; a number may end in ``%`` or ``pp`` (percentage points) where the metric is a fraction.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from actbench.config.keys import refusal
from actbench.config.overrides import parse_settings
from actbench.errors import UsageError
from actbench.schema import registry
from actbench.schema.metrics import METRICS

Operator = Literal["<", ">"]
Direction = Literal["drop", "rise"]
Settings = Mapping[str, Any]

FORMS = (
    "'test.accuracy > 0.95 where activation=relu' or "
    "'health.dead_fraction: bias_init=0.01 < bias_init=0.0 where activation=relu'"
)
GATE_EXAMPLES = "'expect', 'test.accuracy drop > 0.5pp' or 'health.dead_fraction > 0.05'"

_WHERE = re.compile(r"\s+where\s+")
_ORDERING = re.compile(r"(?P<metric>[\w.]+)\s*:\s*(?P<sides>.+)", re.DOTALL)
_OPERATOR = re.compile(r"\s+([<>])\s+")
_NUMBER = r"(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(?P<unit>pp|%)?"
_BOUND = re.compile(rf"(?P<metric>[\w.]+)\s*(?P<operator>[<>])\s*{_NUMBER}\Z")
_CHANGE = re.compile(rf"(?P<metric>[\w.]+)\s+(?P<direction>drop|rise)\s*>\s*{_NUMBER}\Z")


@dataclass(frozen=True)
class Ordering:
    """One cell has less (``<``) or more (``>``) of a metric than another.

    Args:
        text: The line as it was written.
        metric: A name of METRICS.
        left: Factor -> value of the one cell.
        operator: ``<`` or ``>``.
        right: Factor -> value of the other.
        where: Factor -> value that both have in common.
    """

    text: str
    metric: str
    left: Settings
    operator: Operator
    right: Settings
    where: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Bound:
    """Each cell's mean lies on one side of a number, in the metric's own unit (a fraction is 0 … 1)."""

    text: str
    metric: str
    operator: Operator
    number: float
    where: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """A cell lies more than a number below (``drop``) or above (``rise``) the baseline."""

    text: str
    metric: str
    direction: Direction
    number: float
    where: Settings = field(default_factory=dict)


def parse_expectation(text: str) -> Ordering | Bound:
    """Read a line of ``expect``.

    Raises:
        UsageError: When it has another form, or a metric or a factor does not exist; with the nearest that does.

    >>> parse_expectation("test.accuracy > 95% where activation=relu").number
    0.95
    """
    claim, where = _split_where(text)
    if found := _ORDERING.match(claim):
        sides = _OPERATOR.split(found["sides"])
        if len(sides) != 3:
            raise UsageError(f"'{text}' should have one ' < ' or ' > ' between its two sides, as in {FORMS}")
        metric, (left, operator, right) = _metric(found["metric"]), sides
        return Ordering(text, metric, _settings(left), _operator(operator), _settings(right), where)
    if found := _BOUND.match(claim):
        return _bound(text, found, where)
    raise UsageError(f"'{text}' is not an expectation; write {FORMS}")


def parse_gate(text: str) -> Bound | Change:
    """Read an expression of ``--fail-if`` other than ``expect``.

    Raises:
        UsageError: As for ``parse_expectation``.

    >>> parse_gate("test.accuracy drop > 0.5pp").number
    0.005
    """
    claim, where = _split_where(text)
    if found := _CHANGE.match(claim):
        metric = _metric(found["metric"])
        direction: Direction = "drop" if found["direction"] == "drop" else "rise"
        return Change(text, metric, direction, _number(metric, found), where)
    if found := _BOUND.match(claim):
        return _bound(text, found, where)
    raise UsageError(f"--fail-if: '{text}' is not a gate; write {GATE_EXAMPLES}")


def _split_where(text: str) -> tuple[str, Settings]:
    """Return the claim, and the settings behind ``where``."""
    claim, *rest = _WHERE.split(text.strip())
    if len(rest) > 1:
        raise UsageError(f"'{text}' has more than one 'where': separate settings by commas")
    return claim.strip(), _settings(rest[0]) if rest else {}


def _bound(text: str, found: re.Match[str], where: Settings) -> Bound:
    metric = _metric(found["metric"])
    return Bound(text, metric, _operator(found["operator"]), _number(metric, found), where)


def _operator(text: str) -> Operator:
    return "<" if text == "<" else ">"


def _metric(name: str) -> str:
    registry.load("metrics", name)  # raises when there is none
    return name


def _number(metric: str, found: re.Match[str]) -> float:
    """Return the number in the metric's own unit: ``0.5pp`` of a fraction is 0.005."""
    number, unit = float(found["number"]), found["unit"]
    if not math.isfinite(number):
        raise UsageError(f"{found['number']} is too large a number for {metric}")
    if unit and METRICS[metric].unit != "fraction":
        raise UsageError(f"{metric} is in {METRICS[metric].unit}, not a fraction: leave out '{unit}'")
    return number / 100 if unit else number


def _settings(text: str) -> Settings:
    settings = parse_settings([text])
    for key in settings:
        if wrong := refusal(key):
            raise UsageError(wrong)
    return settings
