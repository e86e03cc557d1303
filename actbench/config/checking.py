"""Plain content -> checked specs, or every fault in it at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from actbench.config import cadence
from actbench.config.design import MOST_SPECS, Design, baseline_faults, sweep_faults, tune_faults
from actbench.config.keys import put, section_of, split
from actbench.config.problems import Fault, Path
from actbench.schema.components import Component, Options, message, shown
from actbench.schema.runtime import Cadence
from actbench.schema.spec import RunSettings, RunSpec

Checked = TypeVar("Checked", bound=Options)
Choices = Mapping[str, list[Any]]
"""Swept key -> its values."""

RUN_KEYS = tuple(RunSettings.model_fields)
DESIGN_KEYS = tuple(Design.model_fields)


class Rejected(Exception):
    """The content has faults."""

    def __init__(self, faults: list[Fault]) -> None:
        """Collect them, in no particular order."""
        super().__init__()
        self.faults = faults


@dataclass(frozen=True)
class Outline:
    """A study's checked parts.

    Args:
        design: Its name, seeds, sweep and so on.
        base: The run as the config's own fields describe it, seed 0.
        cells: One spec a combination of the sweep, first key slowest, each once, seed 0.
        checkpoint_every: How often runs in training are saved.
    """

    design: Design
    base: RunSpec
    cells: tuple[RunSpec, ...]
    checkpoint_every: Cadence


def check(content: Mapping[str, Any]) -> Outline:
    """Check all of a study's content, every combination of its sweep included.

    Raises:
        Rejected: With every fault that was found.
    """
    content, every, every_faults = cadence.taken_out(content)
    run = {key: content[key] for key in RUN_KEYS if key in content}
    choices = _usable_choices(content.get("sweep"))
    design, faults = _validated(Design, {key: content[key] for key in DESIGN_KEYS if key in content})
    base, base_faults = _spec(run, choices, _filling(run, choices))
    faults += [
        *_unknown_keys(content),
        *every_faults,
        *base_faults,
        *_baseline_faults(design, choices),
        *_tune_faults(design),
    ]
    count = math.prod(map(len, choices.values())) * (len(design.seeds) if design else 1)
    if count > MOST_SPECS:
        raise Rejected([*faults, Fault(("sweep",), f"{count:,} runs are more than a study may have: {MOST_SPECS:,}")])
    cells: dict[str, RunSpec] = {}
    called: dict[tuple[Path, str], Component] = {}
    for picked in _combinations(choices):
        cell, cell_faults = _spec(run, choices, picked)
        faults += cell_faults
        if cell:
            faults += _namesakes(cell, picked, called)
            cells.setdefault(cell.digest, cell)
    if faults or not design or not base:
        raise Rejected(_innermost(faults))
    return Outline(design, base, tuple(cells.values()), every)


def _namesakes(cell: RunSpec, picked: Mapping[str, int], called: dict[tuple[Path, str], Component]) -> list[Fault]:
    """The cell's components that tables could not tell from another cell's: equal labels, different content.

    Args:
        cell: A run.
        picked: What the sweep put into it.
        called: The first component with each label at each place, in the cells so far; the cell's own are added.
    """
    faults = []
    for path, component in _components(cell):
        one, other = called.setdefault((path, component.label), component).to_minimal(), component.to_minimal()
        differing = [key for key in {**one, **other} if one.get(key) != other.get(key)]
        if differing:
            values = [shown({key: content[key] for key in differing if key in content}) for content in (one, other)]
            text = (
                f"{' and '.join(values)} would both be called '{component.label}' in tables; give them different names"
            )
            faults.append(Fault(_written_at((*path, differing[0]), picked), text))
    return faults


def _components(options: Options, above: Path = ()) -> Iterator[tuple[Path, Component]]:
    """Every component in a run, with its path."""
    for name in type(options).model_fields:
        value = getattr(options, name)
        if isinstance(value, Component):
            yield (*above, name), value
        elif isinstance(value, Options):
            yield from _components(value, (*above, name))


def _innermost(faults: list[Fault]) -> list[Fault]:
    """Each fault once, without those at a value whose inside is at fault too (pydantic then finds a list too short)."""
    around = {fault.path[:length] for fault in faults for length in range(len(fault.path))}
    return [fault for fault in dict.fromkeys(faults) if fault.path not in around]


def _unknown_keys(content: Mapping[str, Any]) -> list[Fault]:
    valid = (*DESIGN_KEYS, *RUN_KEYS)
    unknown = [key for key in content if key not in valid]
    return [Fault((key,), message({"type": "extra_forbidden", "loc": (key,)}, valid)) for key in unknown]


def _usable_choices(sweep: Any) -> Choices:
    """The sweep without its broken lines (they are reported with the design), so that the rest can be checked."""
    if not isinstance(sweep, Mapping):
        return {}
    return {key: values for key, values in sweep.items() if not sweep_faults(key, values)}


def _filling(run: Mapping[str, Any], choices: Choices) -> dict[str, int]:
    """The first value of each swept key that the config itself leaves open.

    What the config says under a swept key is never run, but is checked all the same; what it leaves to the sweep
    (such as the folder of an ``idx`` dataset) must not count as missing.
    """
    return {key: 0 for key in choices if not _has(run, split(key)) and not _has_ancestor(key, choices)}


def _has(content: Any, path: Path) -> bool:
    for name in path:
        if not isinstance(content, Mapping) or name not in content:
            return False
        content = content[name]
    return True


def _has_ancestor(key: str, choices: Choices) -> bool:
    return any(key.startswith(f"{other}.") for other in choices)


def _combinations(choices: Choices) -> Iterator[dict[str, int]]:
    for picked in itertools.product(*(range(len(values)) for values in choices.values())):
        yield dict(zip(choices, picked, strict=True))


def _spec(run: Mapping[str, Any], choices: Choices, picked: Mapping[str, int]) -> tuple[RunSpec | None, list[Fault]]:
    """The run with the picked values put in, outer keys first: ``model`` may not undo ``model.hidden``."""
    content = dict(run)
    for key in sorted(picked, key=lambda key: key.count(".")):
        content = put(content, split(key), choices[key][picked[key]])
    spec, faults = _validated(RunSpec, content)
    return spec, [Fault(_written_at(fault.path, picked), fault.message) for fault in faults]


def _written_at(path: Path, picked: Mapping[str, int]) -> Path:
    """Where in the config the value at a run's ``path`` is written: in the sweep, when it was picked there."""
    for key in sorted(picked, key=len, reverse=True):
        own = split(key)
        if path[: len(own)] == own:
            return ("sweep", key, picked[key], *path[len(own) :])
    return path


def _baseline_faults(design: Design | None, choices: Choices) -> list[Fault]:
    wrong = baseline_faults(design.compare.baseline, choices) if design else []
    return [Fault(("compare", "baseline", *location), text) for location, text in wrong]


def _tune_faults(design: Design | None) -> list[Fault]:
    wrong = tune_faults(design.tune, design.compare.baseline, design.sweep) if design else []
    return [Fault(("tune", *location), text) for location, text in wrong]


def _validated(model: type[Checked], content: Mapping[str, Any]) -> tuple[Checked | None, list[Fault]]:
    try:
        return model.model_validate(content), []
    except ValidationError as error:
        return None, [fault for item in error.errors() for fault in _translated(model, item)]


def _translated(model: type[Options], error: Mapping[str, Any]) -> list[Fault]:
    location: Path = error["loc"]
    nested = error.get("ctx", {}).get("problems")
    if error["type"] == "extra_forbidden" and location == (cadence.SECTION, cadence.KEY):
        return [Fault(location, cadence.NOT_SWEPT)]
    if nested is None:
        return [Fault(location, message(error, _fields_at(model, location[:-1])))]
    return [Fault((*location, *inner), text) for inner, text in nested]


def _fields_at(model: type[Options], path: Path) -> tuple[str, ...]:
    section: type[Options] | None = model
    for name in path:
        section = section_of(section.model_fields[str(name)]) if section else None
    also = (cadence.KEY,) if path == (cadence.SECTION,) else ()
    return (*section.model_fields, *also) if section else ()
