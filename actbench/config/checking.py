"""Content of a config -> checked specs, or every problem in it at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import ValidationError

from actbench.config import bases, cadence, cases, excluding, kept_weights
from actbench.config.design import MAX_RUNS, Design, baseline_problems, expect_problems, tune_problems
from actbench.config.excluding import exclude_problems, kept_cells, missing_baseline
from actbench.config.factors import Factors
from actbench.config.keys import FACTORS, component_kind, path_of, section_of, takes_list
from actbench.config.nodes import write_inline
from actbench.config.overrides import pieces_of
from actbench.config.unknown_keys import misplaced, refusal
from actbench.errors import ConfigError, KeyPath, Problem
from actbench.schema.components import Component, Options, problems_of, resolve, shown, unknown_key
from actbench.schema.runtime import Cadence, KeepWeights
from actbench.schema.spec import CASE, Case, RunSettings, RunSpec

Checked = TypeVar("Checked", bound=Options)
RUN_KEYS = tuple(RunSettings.model_fields)
DESIGN_KEYS = tuple(Design.model_fields)


@dataclass(frozen=True)
class CheckedStudy:
    """The checked parts of a study.

    Args:
        design: Its name, seeds, sweep and so on.
        base: The run as the config's own fields describe it, seed 0.
        cells: One spec for each combination of the sweep, first key slowest, each once, seed 0.
        checkpoint_every: How often runs in training are saved.
        keep_weights: Which networks of each run are stored.
    """

    design: Design
    base: RunSpec
    cells: tuple[RunSpec, ...]
    checkpoint_every: Cadence
    keep_weights: KeepWeights | None


def check_study(content: Mapping[str, Any], left_out: Collection[KeyPath] = ()) -> CheckedStudy:
    """Check all of a study's content, every combination of its sweep included.

    Args:
        content: What could be read of the config.
        left_out: Paths of the values that could not be read, which is reported elsewhere. Their absence is no problem.

    Raises:
        ConfigError: With every problem, each at its path.
    """
    content, checkpoint_every, problems = cadence.take_out(content)
    content, keep_weights, found = kept_weights.take_out(content)
    problems += found
    run = {key: content[key] for key in RUN_KEYS if key in content}
    factors = Factors.of(content)
    choices = factors.choices
    valid = (*DESIGN_KEYS, *RUN_KEYS)
    problems += [
        _with_full_key(Problem(unknown_key(key, (*valid, bases.KEY)), (key,), at_key=True), content)
        for key in content
        if key not in valid
    ]

    design, found = _validated(Design, {key: content[key] for key in DESIGN_KEYS if key in content})
    problems += found
    # a key of which a part could not be read may only seem not to be swept
    entries: Sequence[Mapping[str, Any]] = ()
    if design and not any(path[0] in FACTORS for path in left_out if path):
        problems += [
            Problem(f"'{key}' stands in 'sweep' too: take it out of one", ("zip", key), at_key=True)
            for key in design.zip
            if key in design.sweep
        ]
        problems += cases.overlapping(factors.cases, {key: path for key, path in factors.paths.items() if key != CASE})
        problems += cases.choice_problems(design.case, factors.cases)
        baseline = _without_idle_case(design.compare.baseline, factors)
        of_baseline = baseline_problems(baseline, choices)
        problems += [problem.below(("compare", "baseline")) for problem in of_baseline]
        problems += [
            problem.below(("expect",))
            for problem in expect_problems(design.expect, choices, tuple(design.zip), tuple(factors.cases), design.tune)
        ]
        of_tune = tune_problems(design.tune, design.compare.baseline, choices, design.zip)
        problems += [problem.below(("tune",)) for problem in of_tune]
        of_exclude = exclude_problems(design.exclude, factors) if factors.count <= MAX_RUNS else []
        problems += [problem.below((excluding.KEY,)) for problem in of_exclude]
        entries = () if of_exclude else design.exclude
        if not of_exclude and not of_baseline and factors.count <= MAX_RUNS:
            text = missing_baseline(baseline, entries, factors)
            problems += [Problem(text, ("compare", "baseline"))] if text else []
    # the config's own fields are checked even where the sweep replaces them: a typo is a typo
    base, found = _spec(run, factors, _left_open(run, choices))
    problems += found

    count = factors.count * (len(design.seeds) if design else 1)
    if count > MAX_RUNS:  # too many even to check one by one
        text = f"{count:,} runs are more than a study may have: {MAX_RUNS:,}"
        raise ConfigError([*problems, Problem(text, ("sweep",))])
    problems += [] if problems else _equal_cases(run, factors)
    cells: dict[str, RunSpec] = {}
    labelled: dict[tuple[KeyPath, str], Component] = {}
    for at in kept_cells(entries, factors):
        cell, found = _spec(run, factors, at)
        problems += found
        if cell:
            problems += _namesakes(cell, at, factors, labelled)
            problems += _unjudged(cell, at, factors)
            cells.setdefault(cell.digest, cell)  # two values may mean the same run: elu, and {name: elu, alpha: 1.0}
    if problems or not design or not base:
        # without those at a value with problems inside: pydantic then also finds a list too short
        inner = [*(problem.path for problem in problems), *left_out]
        around = {path[:length] for path in inner for length in range(len(path))}
        around |= {path for path in left_out if path and isinstance(path[-1], str)}  # the key seems to be missing
        raise ConfigError(problem for problem in problems if problem.at_key or problem.path not in around)
    return CheckedStudy(design, base, tuple(cells.values()), checkpoint_every, keep_weights)


def _without_idle_case(baseline: Mapping[str, Any], factors: Factors) -> dict[str, Any]:
    """Return a baseline without a case that exists and is not run now: there is nothing to hold it against."""
    idle = set(factors.cases) - set(factors.choices.get(CASE, ()))
    return {key: value for key, value in baseline.items() if key != CASE or str(value) not in idle}


def _namesakes(
    cell: RunSpec, picked: Mapping[str, int], factors: Factors, labelled: dict[tuple[KeyPath, str], Component]
) -> list[Problem]:
    """Find the cell's components that tables could not tell from another cell's: equal labels, different content.

    Args:
        cell: A run.
        picked: What the sweep put into it.
        factors: The sweep.
        labelled: The first component with each label at each path, in the cells so far; the cell's own are added.
    """
    problems = []
    for path, component in _components(cell):
        first = labelled.setdefault((path, component.label), component)
        one, other = first.to_minimal(), component.to_minimal()
        differing = [key for key in {**one, **other} if one.get(key) != other.get(key)]
        if differing:
            values = [shown({key: content[key] for key in differing if key in content}) for content in (one, other)]
            text = (
                f"{' and '.join(values)} would both be called '{component.label}' in tables; give them different names"
            )
            problems.append(Problem(text, _written_at((*path, differing[0]), picked, factors)))
    return problems


def _unjudged(cell: RunSpec, picked: Mapping[str, int], factors: Factors) -> list[Problem]:
    """Find what judges epochs on validation in a cell that sets no validation examples aside."""
    if cell.dataset.options.get("val_fraction") != 0:  # a user's own dataset may leave it out
        return []
    asked = {"patience": cell.training.patience is not None, "select": cell.training.select == "best"}
    text = "'{}' judges epochs on validation, and the dataset's 'val_fraction' is 0: give it a part such as 0.1"
    return [
        Problem(text.format(key), _written_at(("training", key), picked, factors))
        for key, is_set in asked.items()
        if is_set
    ]


def _components(options: Options, above: KeyPath = ()) -> Iterator[tuple[KeyPath, Component]]:
    """Return every component in a run, with its path."""
    for name in type(options).model_fields:
        value = getattr(options, name)
        if isinstance(value, Component):
            yield (*above, name), value
        elif isinstance(value, Options):
            yield from _components(value, (*above, name))


def _left_open(run: Mapping[str, Any], choices: Mapping[str, list[Any]]) -> dict[str, int]:
    """Return the position of the first value of each swept key that the config itself leaves open.

    A value that the config holds under a swept key is never run, but is checked all the same; a value that it leaves to
    the sweep (such as the folder of an ``idx`` dataset) must not count as missing.
    """
    return {
        key: 0
        for key in choices
        if key != CASE and not _has(run, path_of(key)) and not any(key.startswith(f"{other}.") for other in choices)
    }


def _has(content: Any, path: KeyPath) -> bool:
    for name in path:
        if not isinstance(content, Mapping) or name not in content:
            return False
        content = content[name]
    return True


def _spec(run: Mapping[str, Any], factors: Factors, picked: Mapping[str, int]) -> tuple[RunSpec | None, list[Problem]]:
    """Check the run with the picked values put in.

    Args:
        run: The run as the config's own fields describe it.
        factors: The sweep.
        picked: Swept key -> position of the value.
    """
    settings = {key: value for key, (value, _) in factors.settings(picked).items()}
    content = cases.put_case(run, settings)
    spec, problems = _validated(RunSpec, content)
    found = []
    for problem in problems:
        path = _written_at(problem.path, picked, factors)
        hinted = _with_full_key(problem, content)
        # a list within a swept value is a slip in that value: a sweep in a sweep does not exist
        hinted = hinted if path[0] in (*FACTORS, cases.KEY) else _with_sweep_hint(hinted, content)
        found.append(replace(hinted, path=path))
    if spec is not None and CASE in picked:
        name = factors.choices[CASE][picked[CASE]]
        spec = spec.with_case(Case(name, cases.keys_of(factors.cases)))
    return spec, found


def _equal_cases(run: Mapping[str, Any], factors: Factors) -> list[Problem]:
    """Refuse a case that is the same run as an earlier one, and would be a row of nothing."""
    first: dict[str, str] = {}
    problems = []
    keys = cases.keys_of(factors.cases)
    for position, name in enumerate(factors.choices.get(CASE, ())):
        spec, found = _spec(run, factors, {**_left_open(run, factors.choices), CASE: position})
        if spec is None or found:
            continue  # which is reported with the cells
        other = first.setdefault(cases.values_at(spec, keys), name)
        if other != name:
            problems.append(Problem(f"'{name}' is the same as '{other}'", (cases.KEY, name), at_key=True))
    return problems


def _with_full_key(problem: Problem, content: Mapping[str, Any]) -> Problem:
    """Say of a key that does not exist at its place at which other one it does."""
    if not problem.at_key:
        return problem
    texts = misplaced(tuple(map(str, problem.path)), content)
    return replace(problem, message=texts[0], typed_message=texts[1]) if texts else problem


def _with_sweep_hint(problem: Problem, content: Mapping[str, Any]) -> Problem:
    """Add, where several values stand in place of one, that they belong under ``sweep``."""
    value: Any = content
    for name in problem.path:
        if isinstance(value, str):  # a component by its bare name, whose problem lies in the name
            break
        value = value[name] if isinstance(value, Mapping) and name in value else None
    key = ".".join(map(str, problem.path)).removesuffix(".name").removesuffix(".formula")
    several = _several(key, value)
    if not several or refusal(key) or takes_list(key):
        return problem
    typed = ",".join(write_inline(one) for one in several)
    return replace(
        problem,
        message=f"several values for one run: to try each, write sweep: {write_inline({key: several})}",
        typed_message=f"several values for one run: to try each, write {key}={typed}",
    )


def _several(key: str, value: Any) -> list[Any]:
    """Return the values that stand in place of one: a list, ``{values: […]}`` of other tools, or ``relu, elu``."""
    if isinstance(value, Mapping) and value.keys() == {"values"}:
        return list(value["values"]) if isinstance(value["values"], (list, tuple)) else []
    if isinstance(value, (list, tuple)):
        return list(value) if len(value) > 1 else []
    kind = component_kind(key)
    if kind is None or not isinstance(value, str):
        return []
    pieces = [piece.strip() for piece in pieces_of(value)]
    pieces = pieces if len(pieces) > 1 else value.split()
    try:
        for piece in pieces:
            resolve(kind, piece)
    except ConfigError:
        return []
    return pieces if len(pieces) > 1 else []


def _written_at(path: KeyPath, picked: Mapping[str, int], factors: Factors) -> KeyPath:
    """Return the path in the config of the value at a run's ``path``: below its factor when it was picked there."""
    places = {key: place for key, (_, place) in factors.settings(picked).items()}
    for key in sorted(places, key=len, reverse=True):  # model.hidden before model, as it was put in after it
        own = path_of(key)
        if path[: len(own)] == own:
            return (*places[key], *path[len(own) :])
    return path


def _validated(model: type[Checked], content: Mapping[str, Any]) -> tuple[Checked | None, list[Problem]]:
    try:
        return model.model_validate(content), []
    except ValidationError as error:
        problems = problems_of(error, lambda path: _keys_at(model, path))
        # these keys were taken out of the config's own section, so they can only be found in a swept one
        in_sweep = {(one.SECTION, one.KEY): one.NOT_SWEPT for one in (cadence, kept_weights)}
        return None, [Problem(in_sweep[one.path], one.path) if one.path in in_sweep else one for one in problems]


def _keys_at(model: type[Options], path: KeyPath) -> tuple[str, ...]:
    section: type[Options] | None = model
    for name in path:
        section = section_of(section.model_fields[str(name)]) if section else None
    also = (cadence.KEY, kept_weights.KEY) if path == (cadence.SECTION,) else ()
    return (*section.model_fields, *also) if section else ()
