"""Amounts of a metric as users write them: ``95%``, ``0.95``, ``0.5pp``, ``0.02``, each with one meaning only.

A fraction is stored as 0 … 1 and printed in percent, so a bare number is read in two ways: 0.5 is half of everything to
one reader and half a percentage point to the next. A *level* of a fraction is therefore written in percent (``95%``) or
as a fraction below 1 (``0.95``); a *difference* of two fractions only with its unit (``0.5pp``, or ``0.5%``). Other
metrics take bare numbers in their own unit. ``compare --fail-if``, ``--delta`` and ``--reach``, ``run --until`` and the
lines of ``expect`` read their numbers here.
"""

from __future__ import annotations

import re

from actbench.errors import UsageError
from actbench.schema.metrics import described
from actbench.schema.record import MAX_MAGNITUDE

NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
UNIT = r"pp|%"

_AMOUNT = re.compile(rf"\s*(?P<number>{NUMBER})\s*(?P<unit>{UNIT})?\s*")


def level(metric: str, text: str) -> float:
    """Return a value of a metric, in the unit in which it is stored.

    Args:
        metric: A name of METRICS.
        text: For a fraction ``95%`` or ``0.95``; for others a bare number.

    Raises:
        UsageError: For a number that could be read in two ways, or that the metric can't have.

    >>> level("test.accuracy", "95%"), level("test.accuracy", "0.95"), level("test.loss", "0.3")
    (0.95, 0.95, 0.3)
    """
    number, unit = _read(metric, text, "95% or 0.95")
    if described(metric).unit != "fraction":
        return _at_least_zero(metric, text, number)
    if unit == "pp":
        raise UsageError(
            f"pp, percentage points, is the unit of a difference: for a value of {metric} write {number:g}%, "
            f"for a difference '{metric} drop > {number:g}pp'"
        )
    if not unit and number == 1:
        raise UsageError(f"{metric} is a fraction, of which a bare 1 may be all or a percent: write 100% or 1%")
    if not unit and 1 < number <= 100:
        raise UsageError(f"{metric} is a fraction, from 0 to 1: write {number:g}%, or {number / 100:g}")
    value = number / 100 if unit else number
    if not 0 <= value <= 1:
        raise UsageError(f"{metric} lies between 0% and 100%, not at {text.strip()}")
    return value


def difference(metric: str, text: str) -> float:
    """Return a difference of two values of a metric, in the unit in which the metric is stored.

    Args:
        metric: A name of METRICS.
        text: For a fraction ``0.5pp`` (percentage points; ``0.5%`` means the same), for others a bare number. 0 needs
            no unit.

    Raises:
        UsageError: For a bare number in a fraction, or a difference that can't be.

    >>> difference("test.accuracy", "0.5pp"), difference("test.loss", "0.02")
    (0.005, 0.02)
    """
    number, unit = _read(metric, text, "0.5pp")
    if described(metric).unit != "fraction":
        return number
    if not unit and number:
        meant = f"{number:g}pp" if abs(number) >= 1 else f"{number:g}pp (or {100 * number:g}pp)"
        raise UsageError(
            f"{metric} is a fraction, so a difference in it needs its unit, pp for percentage points: "
            f"write {meant}, not {text.strip()}"
        )
    if abs(number) >= 100:
        raise UsageError(f"two values of {metric} are less than 100pp apart, not {text.strip()}")
    return number / 100


def _read(metric: str, text: str, example: str) -> tuple[float, str]:
    """Return the number and its unit, which is empty where there is none; ``example`` is for fractions."""
    found = _AMOUNT.fullmatch(text)
    if found is None:
        write = example if described(metric).unit == "fraction" else "a number such as 0.3"
        raise UsageError(f"'{text.strip()}' is not an amount of {metric}: write {write}")
    number, unit = float(found["number"]), found["unit"] or ""
    if not abs(number) < MAX_MAGNITUDE:
        raise UsageError(f"{found['number']} is too large a number for {metric}")
    if unit and described(metric).unit != "fraction":
        raise UsageError(f"{metric} is in {described(metric).unit}, not a fraction: leave out '{unit}'")
    return number, unit


def _at_least_zero(metric: str, text: str, number: float) -> float:
    if number < 0:
        raise UsageError(f"{metric} is never below 0, as {text.strip()} is")
    return number
