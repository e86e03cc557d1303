"""The keys of a study that concern its runs together: name, seeds, sweep, comparison, hypotheses.

Each key has a function that pydantic calls with the written value: it returns the checked value, or raises every
problem in it at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from actbench.config import cadence, kept_weights
from actbench.config.cases import NO_CASE_OF_CASES, NO_CASES, checked_cases, checked_choice
from actbench.config.hypotheses import TUNED, Ordering, parse_expectation
from actbench.config.keys import component_kind
from actbench.config.nodes import write_inline
from actbench.config.unknown_keys import refusal
from actbench.errors import ConfigError, Problem, UsageError, suggestion
from actbench.schema import registry
from actbench.schema.components import Options, resolve, shown
from actbench.schema.metrics import is_bounded
from actbench.schema.spec import CASE

MAX_RUNS = 100_000
"""Most runs of a study. A sweep beyond that is a slip of the pen: at a second a run it would take more than a day."""

_WORDS_FOR_VALUES = ("values", "value", "choices", "grid", "grid_search", "choice", "list")
"""Keys under which other tools write the values of a sweep."""

MIN_PILOT = 3
"""Below three values there is no interval."""

NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}"
"""What may name a study and its folder."""


def _name(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(NAME, value):
        return value
    allowed = "up to 100 letters, digits, '.', '_' or '-', not first a '.'"
    raise ConfigError(f"{shown(value)} can't name a study and its folder: use {allowed}")


def _seeds(value: Any) -> tuple[int, ...]:
    if _is_integer(value):
        if 1 <= value <= MAX_RUNS:
            return tuple(range(value))
        raise ConfigError(f"'seeds' should be a number from 1 to {MAX_RUNS:,}, or a list of seeds, not {value}")
    if not isinstance(value, (list, tuple)) or not value:
        raise ConfigError(f"'seeds' should be how many, or a list of different whole numbers, not {shown(value)}")
    problems = [
        Problem(f"a seed should be a whole number from 0 up, not {shown(seed)}", (index,))
        for index, seed in enumerate(value)
        if not _is_integer(seed) or seed < 0
    ]
    _refuse([*problems, *_repeated(value)])
    return tuple(value)


def _sweep(value: Any) -> dict[str, tuple[Any, ...]]:
    if not isinstance(value, Mapping):
        raise ConfigError("'sweep' should be a mapping from keys to lists of values")
    _refuse(problem for key, values in value.items() for problem in sweep_problems(key, values))
    return {key: tuple(values) for key, values in value.items()}


def _zip(value: Any) -> dict[str, tuple[Any, ...]]:
    if not isinstance(value, Mapping):
        raise ConfigError("'zip' should be a mapping from keys to lists of values that change in step")
    _refuse(zip_problems(value))
    return {key: tuple(values) for key, values in value.items()}


def zip_problems(lists: Mapping[str, Any]) -> list[Problem]:
    """Check the lists that change in step, all but the values themselves."""
    problems = [problem for key, values in lists.items() for problem in sweep_problems(key, values, section="zip")]
    if problems or not lists:
        return problems
    if len({len(values) for values in lists.values()}) > 1:
        lengths = ", ".join(f"{key} has {len(values)}" for key, values in lists.items())
        return [Problem(f"the lists of 'zip' change in step, so they need as many values each: {lengths}")]
    first, together = next(iter(lists)), ", ".join(lists)
    repeated = _repeated([list(row) for row in zip(*lists.values(), strict=True)])
    return [replace(one, message=f"of {together}, {one.message}").below((first,)) for one in repeated]


def _exclude(value: Any) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, (list, tuple)):
        example: Any = dict(value) if isinstance(value, Mapping) else {"activation": "relu", "bias_init": 0.1}
        text = f"'exclude' should be a list of mappings from swept keys to values: write {write_inline([example])}"
        raise ConfigError(text)
    problems = []
    for index, entry in enumerate(value):
        if not isinstance(entry, Mapping) or not entry:
            text = f"an entry of 'exclude' should be a mapping from swept keys to values, not {shown(entry)}"
            problems.append(Problem(text, (index,)))
            continue
        refused = ((key, refusal(key)) for key in entry)
        problems += [Problem(why, (index, key), at_key=True) for key, why in refused if why]
    _refuse(problems)
    _refuse(_repeated([dict(entry) for entry in value]))
    return tuple(dict(entry) for entry in value)


def sweep_problems(key: str, values: Any, *, section: str = "sweep") -> list[Problem]:
    """Check one line of the sweep, all but the values themselves: those are checked in the runs that they make.

    Args:
        key: The swept key.
        values: Its values as they are written.
        section: ``sweep``, or ``zip``, where a value may stand twice.
    """
    for outside in (cadence, kept_weights):
        if key == outside.DOTTED:
            return [Problem(outside.NOT_SWEPT, (key,))]
    if text := NO_CASE_OF_CASES if key == CASE else refusal(key):
        return [Problem(text, (key,), at_key=True)]
    if isinstance(values, Mapping):
        return [Problem(_unmapped(key, values, section), (key,))]
    if not isinstance(values, (list, tuple)):
        text = f"'{section}.{key}' should be a list of values: write {write_inline({key: [values]})[1:-1]}"
        return [Problem(text, (key,))]
    if not values:
        return [Problem(f"'{section}.{key}' has no values: list some, or remove the key", (key,))]
    return [problem.below((key,)) for problem in _repeated(values)] if section == "sweep" else []


def _unmapped(key: str, values: Mapping[str, Any], section: str) -> str:
    """Say how the values are written that stand in a mapping: ``{values: […]}``, or a section in place of its key."""
    inner: Any = values
    path = [key]
    while isinstance(inner, Mapping) and len(inner) == 1:
        name, inner = next(iter(inner.items()))
        path.append(name)
    if not isinstance(inner, (list, tuple)):
        return f"'{section}.{key}' should be a list of values, such as {key}: [1, 2], not a mapping"
    has_word = path[-1] in _WORDS_FOR_VALUES
    full = ".".join(path[:-1] if has_word else path)
    if full != key and refusal(full) is None:
        return f"a swept key is dotted: write {write_inline({full: list(inner)})[1:-1]}"
    written = write_inline({key: list(inner)})[1:-1]
    return f"'{section}.{key}' is the list of values itself, without '{path[-1]}:': write {written}"


def _metrics(value: Any) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)) or not given:
        raise ConfigError("'metric' should be a metric's name or a list of names")
    valid, problems = registry.names("metrics"), []
    for index, name in enumerate(given):
        if name not in valid:
            text = name if isinstance(name, str) else ""
            hint = suggestion(text, valid, otherwise=f"choose from: {', '.join(valid)}")
            problems.append(
                Problem(f"unknown metric {shown(name)} — {hint}", () if isinstance(value, str) else (index,))
            )
    _refuse(problems)
    _refuse(_repeated(given))
    return tuple(given)


def _interval_metric(value: Any) -> str:
    (metric,) = _metrics(value if isinstance(value, str) else [value])
    if is_bounded(metric):
        raise ConfigError(f"'{metric}' is mostly 0, so its differences have no interval: choose another metric")
    return metric


def _pilot(value: Any) -> tuple[int, ...]:
    found = _seeds(value)
    if len(found) < MIN_PILOT:
        raise ConfigError(f"a first stage needs at least {MIN_PILOT} seeds for a spread, not {len(found)}")
    return found


def _baseline(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        example = write_inline({"activation": value if isinstance(value, str) else "relu"})
        raise ConfigError(f"'baseline' should be a mapping from factors to values, such as {example}")
    _refuse(Problem(text, (key,), at_key=True) for key in value if (text := refusal(key)))
    return dict(value)


def _expectations(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError("'expect' should be a list of strings")
    _refuse(
        Problem(_unquoted(item), (i,)) for i, item in enumerate(value) if not isinstance(item, str) or not item.strip()
    )
    problems = []
    for index, item in enumerate(value):
        try:
            parse_expectation(item)
        except UsageError as error:
            problems.append(Problem(str(error), (index,)))
    _refuse(problems)
    return tuple(value)


def _unquoted(item: Any) -> str:
    """Say that an expectation is a text, and how YAML is kept from reading ``METRIC: CLAIM`` as a mapping."""
    text = "an expectation should be a string that is not empty: put it in quotes"
    if isinstance(item, Mapping) and len(item) == 1:
        ((metric, claim),) = item.items()
        return f"{text}, '{metric}: {claim}'"
    return text


def untunable(key: str) -> str | None:
    """Explain why a factor can't be tuned; None when it can."""
    if key == CASE:
        return "the case is what is compared, so it can't be tuned"
    if key.split(".")[0] == "activation":
        return "the activation is what is compared, so it can't be tuned"
    if key.split(".")[0] in ("dataset", "model"):
        return f"runs that differ in '{key}' stand in different tables, so it can't be tuned"
    return None


def _tune(value: Any) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)):
        raise ConfigError(f"'tune' should be a swept key or a list of them, not {shown(value)}")
    problems = []
    for index, key in enumerate(given):
        if not isinstance(key, str):
            problems.append(Problem(f"a factor should be a dotted key of a run, not {shown(key)}", (index,)))
        elif text := refusal(key) or untunable(key):
            problems.append(Problem(text, (index,)))
    _refuse(problems)
    _refuse(_repeated(given))
    return tuple(given)


def _repeated(values: Iterable[Any]) -> list[Problem]:
    seen: set[str] = set()
    problems = []
    for index, value in enumerate(values):
        text = json.dumps(value, sort_keys=True)  # unlike ==, it keeps 1 and true apart
        if text in seen:
            problems.append(Problem(f"{shown(value)} stands here twice", (index,)))
        seen.add(text)
    return problems


def _refuse(problems: Iterable[Problem]) -> None:
    """Raise the problems, if there are any."""
    if found := list(problems):
        raise ConfigError(found)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


class TwoStage(Options):
    """Record how ``run --until … --exact`` chose the number of seeds, so that ``compare`` prints Stein's intervals.

    Attributes:
        metric: The metric whose differences were to be known well enough.
        pilot: The seeds of the first stage, whose spread alone chose the number of all.
        seeds: That number, the first stage included; those that follow it are the numbers after the largest.
    """

    metric: Annotated[str, BeforeValidator(_interval_metric)]
    pilot: Annotated[tuple[int, ...], BeforeValidator(_pilot)]
    seeds: int = Field(le=MAX_RUNS)

    @model_validator(mode="after")
    def _holds_the_pilot(self) -> Self:
        if self.seeds < len(self.pilot):
            raise ConfigError(f"'seeds' is the number of all, {len(self.pilot)} of 'pilot' included, not {self.seeds}")
        return self

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """Return the seeds of both stages."""
        first = max(self.pilot) + 1
        return (*self.pilot, *range(first, first + self.seeds - len(self.pilot)))


class Compare(Options):
    """Set the baseline and the metrics of ``compare``, which its command line may change.

    Attributes:
        baseline: Factor (a dotted key of a run) -> the value that the others are compared with; a factor that is
            missing is matched: each row is compared with the baseline that equals it there.
        metric: The metrics that tables show, the leading one first.
        two_stage: How Stein's rule chose the number of seeds; written by ``run --until … --exact``, not by hand.
    """

    baseline: Annotated[dict[str, Any], BeforeValidator(_baseline)] = Field(default_factory=dict)
    metric: Annotated[tuple[str, ...], BeforeValidator(_metrics)] = ("test.accuracy",)
    two_stage: TwoStage | None = None


class Design(Options):
    """The fields of a study that do not describe a single run.

    Attributes:
        study: The study's name, and that of its folder under ``results/``.
        description: A sentence or two for reports.
        seeds: One run each; a number n in a config stands for 0 … n - 1.
        sweep: Dotted key -> values; every combination is run.
        zip: Dotted key -> values; all lists are as long, and their values are taken in step.
        cases: Name -> the keys that this alternative sets, with their values; together they are the factor ``case``.
        case: The cases that are run; none named: all of them.
        exclude: Factor -> value, an entry each; combinations that have all values of one are left out.
        compare: The baseline and the metrics of ``compare``.
        tune: Swept keys of which ``compare`` picks each row's own value by the validation metric.
        expect: Hypotheses such as ``test.accuracy > 95% where activation=relu``, which ``compare`` judges.
    """

    study: Annotated[str, BeforeValidator(_name)] = "study"
    description: str | None = None
    seeds: Annotated[tuple[int, ...], BeforeValidator(_seeds)] = (0, 1, 2, 3, 4)
    sweep: Annotated[dict[str, tuple[Any, ...]], BeforeValidator(_sweep)] = Field(default_factory=dict)
    zip: Annotated[dict[str, tuple[Any, ...]], BeforeValidator(_zip)] = Field(default_factory=dict)
    cases: Annotated[dict[str, dict[str, Any]], BeforeValidator(checked_cases)] = Field(default_factory=dict)
    case: Annotated[tuple[str, ...], BeforeValidator(checked_choice)] = ()
    exclude: Annotated[tuple[dict[str, Any], ...], BeforeValidator(_exclude)] = ()
    compare: Compare = Field(default_factory=Compare)
    tune: Annotated[tuple[str, ...], BeforeValidator(_tune)] = ()
    expect: Annotated[tuple[str, ...], BeforeValidator(_expectations)] = ()


def baseline_problems(baseline: Mapping[str, Any], choices: Mapping[str, Any]) -> list[Problem]:
    """Refuse baseline values that the sweep does not hold, so that no run could ever be the baseline."""
    unnamed = [Problem(NO_CASES, (CASE,), at_key=True)] if CASE in baseline and CASE not in choices else []
    return unnamed + [
        Problem(f"{shown(value)} is none of {_values_of(key)}: {', '.join(map(shown, choices[key]))}", (key,))
        for key, value in baseline.items()
        if key in choices and not any(is_choice(key, value, choice) for choice in choices[key])
    ]


def _values_of(key: str) -> str:
    return "the cases" if key == CASE else f"the swept values of '{key}'"


def expect_problems(
    expect: Iterable[str],
    choices: Mapping[str, Any],
    zipped: Sequence[str] = (),
    known: Collection[str] = (),
    tune: Sequence[str] = (),
) -> list[Problem]:
    """Refuse names in hypotheses that are neither swept nor known: no run could ever have them.

    So are two sides that differ in one key of ``zip`` alone: its values go with others of the other keys.

    A known one that is not swept may belong to runs of other overrides, which lie in the same folder; ``known`` are the
    names of all cases. An entry ``when tuned`` needs a ``tune``, and names none of its keys.
    """
    problems = []
    for index, text in enumerate(expect):
        claim = parse_expectation(text)
        cells = (claim.left, claim.right, claim.where) if isinstance(claim, Ordering) else (claim.where,)
        if claim.is_tuned and (wrong := _untuned(cells, tune)):
            problems.append(Problem(wrong, (index,)))
        if isinstance(claim, Ordering) and (half := _half_named(claim, zipped)):
            problems.append(Problem(half, (index,)))
        if CASE not in choices and any(CASE in cell for cell in cells):
            problems.append(Problem(NO_CASES, (index,)))
        named = (
            (key, value)
            for cell in cells
            for key, value in cell.items()
            if key in choices and (component_kind(key) or key == CASE)
        )
        for key, value in named:
            if any(is_choice(key, value, choice) for choice in choices[key]):
                continue
            if key == CASE:
                names = ", ".join(known)
                if str(value) in known:  # which these runs have not, but others in their folder may
                    continue
                problems.append(Problem(f"{shown(value)} is none of the cases: {names}", (index,)))
                continue
            try:
                resolve(str(component_kind(key)), value)
            except ConfigError:
                swept = ", ".join(map(shown, choices[key]))
                problems.append(Problem(f"{shown(value)} is none of the swept values of '{key}': {swept}", (index,)))
    return problems


def _untuned(cells: Iterable[Mapping[str, Any]], tune: Sequence[str]) -> str | None:
    """Say why a hypothesis about tuned rows can't be judged; None where it can."""
    if not tune:
        return f"'{TUNED}' needs factors to tune: add them to the config, such as 'tune: [training.optimizer.lr]'"
    named = {key for cell in cells for key in cell}
    held = next((key for key in sorted(named) for own in tune if f"{own}.".startswith(f"{key}.")), None)
    return held and f"'{held}' is tuned, so an entry '{TUNED}' can't name one value of it"


def _half_named(claim: Ordering, zipped: Sequence[str]) -> str | None:
    """Say which keys of ``zip`` the sides of a hypothesis have to name as well; None where there are none."""
    named = [key for key in zipped if key in claim.left or key in claim.right]
    for side in (claim.left, claim.right):
        missing = [key for key in zipped if key not in side and key not in claim.where]
        if named and missing:
            return f"'{named[0]}' changes in step with {', '.join(missing)}: name all of 'zip' on both sides"
    return None


def is_choice(key: str, value: Any, choice: Any) -> bool:
    """Return whether a value stands for a swept one; a component may also be named by its label."""
    kind = component_kind(key)
    if key == CASE:
        return bool(str(value) == choice)  # a case may be called 0.01, which a command line reads as a number
    if kind is None or value == choice:
        return bool(value == choice)
    try:
        label = resolve(kind, choice).label
        return value == label or resolve(kind, value).label == label
    except ConfigError:
        return False  # a broken choice; it is reported with the sweep


def tune_problems(
    tune: Iterable[str], baseline: Mapping[str, Any], factors: Iterable[str], zipped: Iterable[str] = ()
) -> list[Problem]:
    """Refuse tuned factors that have no values to choose from, or that the baseline holds at one."""
    tuned, swept, in_step = tuple(tune), tuple(factors), tuple(zipped)
    problems = []
    for index, key in enumerate(tuned):
        if key not in swept:
            hint = suggestion(key, swept, otherwise=f"add it to 'sweep' ({', '.join(swept) or 'empty'})")
            problems.append(Problem(f"'{key}' is not swept, so there is nothing to tune — {hint}", (index,)))
        elif key in baseline:
            text = f"'{key}' is held by 'compare.baseline', so it can't be tuned: take it out of one"
            problems.append(Problem(text, (index,)))
        elif key in in_step and (others := [other for other in in_step if other not in tuned]):
            text = f"'{key}' changes in step with {', '.join(others)}: tune all of 'zip', or none"
            problems.append(Problem(text, (index,)))
    return problems
