"""The parts of a study that are about its runs as a whole: name, seeds, sweep, comparison, hypotheses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from actbench.config import cadence
from actbench.config.hypotheses import expectation
from actbench.config.keys import component_kind, refusal
from actbench.errors import UsageError
from actbench.schema import registry
from actbench.schema.components import Options, resolve, shown

MOST_SPECS = 100_000
"""Runs in one study. Beyond it the sweep is a slip of the pen: a second each would take more than a day."""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}\Z")

Wrong = tuple[tuple[str | int, ...], str]
"""A location, relative to the value under check, and what is wrong there."""


def _name(value: Any) -> str:
    if isinstance(value, str) and _NAME.match(value):
        return value
    allowed = "up to 100 letters, digits, '.', '_' or '-', not first a '.'"
    raise _error(f"{shown(value)} can't name a study and its folder: use {allowed}")


def _seeds(value: Any) -> tuple[int, ...]:
    if _is_integer(value):
        if 1 <= value <= MOST_SPECS:
            return tuple(range(value))
        raise _error(f"'seeds' should be a number from 1 to {MOST_SPECS:,}, or a list of seeds, not {value}")
    if not isinstance(value, (list, tuple)) or not value:
        raise _error(f"'seeds' should be how many, or a list of different whole numbers, not {shown(value)}")
    _refuse_if([*_wrong_seeds(value), *_repeated(value)])
    return tuple(value)


def _wrong_seeds(values: Iterable[Any]) -> list[Wrong]:
    text = "a seed should be a whole number from 0 up"
    return [((i,), f"{text}, not {shown(v)}") for i, v in enumerate(values) if not _is_integer(v) or v < 0]


def _sweep(value: Any) -> dict[str, tuple[Any, ...]]:
    if not isinstance(value, Mapping):
        raise _error("'sweep' should be a mapping from keys to lists of values")
    _refuse_if(wrong for key, values in value.items() for wrong in sweep_faults(key, values))
    return {key: tuple(values) for key, values in value.items()}


def sweep_faults(key: str, values: Any) -> list[Wrong]:
    """What is wrong with one line of the sweep, the values' own correctness aside."""
    text = cadence.NOT_SWEPT if key == cadence.DOTTED else refusal(key)
    if text:
        return [((key,), text)]
    if not isinstance(values, (list, tuple)):
        return [((key,), f"'sweep.{key}' should be a list of values: [{shown(values)}]")]
    if not values:
        return [((key,), f"'sweep.{key}' has no values: list some, or remove the key")]
    return [((key, *location), text) for location, text in _repeated(values)]


def _repeated(values: Iterable[Any]) -> list[Wrong]:
    seen: set[str] = set()
    wrong: list[Wrong] = []
    for index, value in enumerate(values):
        text = json.dumps(value, sort_keys=True)  # unlike ==, it tells 1 from true
        if text in seen:
            wrong.append(((index,), f"{shown(value)} stands here twice"))
        seen.add(text)
    return wrong


def _metrics(value: Any) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)) or not given:
        raise _error("'metric' should be a metric's name or a list of names")
    valid = registry.names("metrics")
    at = {index: () if isinstance(value, str) else (index,) for index in range(len(given))}
    _refuse_if((at[i], _unknown_metric(name, valid)) for i, name in enumerate(given) if name not in valid)
    _refuse_if(_repeated(given))
    return tuple(given)


def _unknown_metric(name: Any, valid: tuple[str, ...]) -> str:
    near = registry.nearest(name, valid) if isinstance(name, str) else None
    hint = f"did you mean '{near}'?" if near else f"choose from: {', '.join(valid)}"
    return f"unknown metric {shown(name)} — {hint}"


def _baseline(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _error("'baseline' should be a mapping from factors to values")
    _refuse_if(((key,), text) for key in value if (text := refusal(key)))
    return dict(value)


def _expectations(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise _error("'expect' should be a list of strings")
    text = "an expectation should be a string that is not empty: put it in quotes"
    _refuse_if(((i,), text) for i, item in enumerate(value) if not isinstance(item, str) or not item.strip())
    _refuse_if(((i,), wrong) for i, item in enumerate(value) if (wrong := _wrong_expectation(item)))
    return tuple(value)


def _wrong_expectation(text: str) -> str | None:
    try:
        expectation(text)
    except UsageError as error:
        return str(error)
    return None


def untunable(key: str) -> str | None:
    """Why a factor can't be tuned; None when it can."""
    if key.split(".")[0] == "activation":
        return "the activation is what is compared, so it can't be tuned"
    if key.split(".")[0] in ("dataset", "model"):
        return f"runs that differ in '{key}' stand in different tables, so it can't be tuned"
    return None


def _tune(value: Any) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)):
        raise _error(f"'tune' should be a swept key or a list of them, not {shown(value)}")
    _refuse_if(((index,), text) for index, key in enumerate(given) if (text := _wrong_factor(key)))
    _refuse_if(_repeated(given))
    return tuple(given)


def _wrong_factor(key: Any) -> str | None:
    if not isinstance(key, str):
        return f"a factor should be a dotted key of a run, not {shown(key)}"
    return refusal(key) or untunable(key)


class Compare(Options):
    """What ``compare`` does unless its command line says otherwise.

    Attributes:
        baseline: Factor (a dotted key of a run) -> the value that the others are compared with; a factor that is
            missing is matched: each row is compared with the baseline that equals it there.
        metric: The metrics that tables show, the leading one first.
    """

    baseline: Annotated[dict[str, Any], BeforeValidator(_baseline)] = Field(default_factory=dict)
    metric: Annotated[tuple[str, ...], BeforeValidator(_metrics)] = ("test.accuracy",)


class Design(Options):
    """The fields of a study that do not describe a single run.

    Attributes:
        study: Its name, and its folder's under ``results/``.
        description: What it is about, for reports.
        seeds: One run each; a number n in a config stands for 0 … n - 1.
        sweep: Dotted key -> values; every combination is run.
        compare: How ``compare`` looks at it.
        tune: Swept keys of which ``compare`` picks each row's own value by the validation metric.
        expect: Hypotheses, verbatim; ``compare`` judges them (grammar: ``config.claims``).
    """

    study: Annotated[str, BeforeValidator(_name)] = "study"
    description: str | None = None
    seeds: Annotated[tuple[int, ...], BeforeValidator(_seeds)] = (0, 1, 2, 3, 4)
    sweep: Annotated[dict[str, tuple[Any, ...]], BeforeValidator(_sweep)] = Field(default_factory=dict)
    compare: Compare = Field(default_factory=Compare)
    tune: Annotated[tuple[str, ...], BeforeValidator(_tune)] = ()
    expect: Annotated[tuple[str, ...], BeforeValidator(_expectations)] = ()


def baseline_faults(baseline: Mapping[str, Any], choices: Mapping[str, Any]) -> list[Wrong]:
    """Baseline values that the sweep does not hold, so that no run could ever be the baseline."""
    return [
        ((key,), f"{shown(value)} is none of the swept values of '{key}': {', '.join(map(shown, choices[key]))}")
        for key, value in baseline.items()
        if key in choices and not any(_same(key, value, choice) for choice in choices[key])
    ]


def tune_faults(tune: Iterable[str], baseline: Mapping[str, Any], sweep: Iterable[str]) -> list[Wrong]:
    """Tuned factors that have no values to choose from, or that the baseline holds at one."""
    swept = tuple(sweep)
    wrong: list[Wrong] = []
    for index, key in enumerate(tune):
        if key not in swept:
            near = registry.nearest(key, swept)
            hint = f"did you mean '{near}'?" if near else f"add it to 'sweep' ({', '.join(swept) or 'empty'})"
            wrong.append(((index,), f"'{key}' is not swept, so there is nothing to tune — {hint}"))
        elif key in baseline:
            wrong.append(((index,), f"'{key}' is held by 'compare.baseline', so it can't be tuned: take it out of one"))
    return wrong


def _same(key: str, value: Any, choice: Any) -> bool:
    kind = component_kind(key)
    if kind is None or value == choice:
        return bool(value == choice)
    try:
        label = resolve(kind, choice).label
        return value == label or resolve(kind, value).label == label
    except PydanticCustomError:
        return False  # a broken choice; it is reported with the sweep


def _refuse_if(wrong: Iterable[Wrong]) -> None:
    problems = list(wrong)
    if problems:
        raise PydanticCustomError("component", "invalid value", {"problems": problems})


def _error(text: str) -> PydanticCustomError:
    return PydanticCustomError("component", "invalid value", {"problems": [((), text)]})


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
