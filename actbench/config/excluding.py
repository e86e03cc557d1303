"""``exclude``: cells of the sweep that are left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from actbench.config.design import is_choice
from actbench.config.factors import Factors
from actbench.config.keys import as_mapping, path_of
from actbench.config.nodes import write_inline
from actbench.errors import Problem, nearest, suggestion
from actbench.schema.spec import RunSettings

KEY = "exclude"
Entries = Sequence[Mapping[str, Any]]


def exclude_problems(entries: Entries, factors: Factors) -> list[Problem]:
    """Refuse entries that leave out nothing, each with the nearest that would, and a list that leaves nothing."""
    problems: list[Problem] = []
    for index, entry in enumerate(entries):
        found = list(_unmatched(entry, factors))
        if not found and not any(factors.has(cell, entry) for cell in factors.cells()):
            found = [Problem(f"no cell has {_pairs(entry)}: 'zip' takes these values in other pairs")]
        problems += [problem.below((index,)) for problem in found]
    if not problems and entries and not any(True for _ in kept_cells(entries, factors)):
        problems.append(Problem("'exclude' leaves out every cell: there is nothing to run"))
    return problems


def kept_cells(entries: Entries, factors: Factors) -> Iterator[dict[str, int]]:
    """Yield the cells that no entry leaves out."""
    return (cell for cell in factors.cells() if not any(factors.has(cell, entry) for entry in entries))


def missing_baseline(baseline: Mapping[str, Any], entries: Entries, factors: Factors) -> str | None:
    """Explain why no run could be the baseline, though each of its values is swept; None where one is."""
    settings = {key: value for key, value in baseline.items() if key in factors.choices}
    if not settings or any(factors.has(cell, settings) for cell in kept_cells(entries, factors)):
        return None
    pairs = _pairs(settings)
    if any(factors.has(cell, settings) for cell in factors.cells()):
        return f"'exclude' leaves out the baseline, {pairs}: take another baseline, or keep that cell"
    return f"no cell has {pairs}: 'zip' takes these values in other pairs"


def fitted(content: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a study's content whose entries leave out what they still can, after its factors were changed.

    An override may have taken a value out of the sweep, or a factor altogether: entries about values that are gone go
    too, and a factor that now has the one value of an entry is no longer named by it. An entry that left out nothing
    before either stays, so that it is reported.

    Args:
        content: After the change.
        before: The content for which the entries were written; None where they have been checked.
    """
    entries = content.get(KEY)
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        return dict(content)
    factors, former = Factors.of(content), None if before is None else Factors.of(before)
    found = (
        _fitted_entry(entry, factors, content) if former is None or _leaves_out_any(entry, former) else dict(entry)
        for entry in entries
    )
    kept = [entry for entry in found if entry is not None]
    rest = {key: value for key, value in content.items() if key != KEY}
    return {**rest, KEY: kept} if kept else rest


def _leaves_out_any(entry: Mapping[str, Any], factors: Factors) -> bool:
    return entry.keys() <= factors.choices.keys() and any(factors.has(cell, entry) for cell in factors.cells())


def _fitted_entry(entry: Mapping[str, Any], factors: Factors, content: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what is left of an entry; None where no cell has all of its values."""
    fixed = {key: value for key, value in entry.items() if key not in factors.choices}
    if any(not is_choice(key, value, _at(content, key)) for key, value in fixed.items()):
        return None
    swept = {key: value for key, value in entry.items() if key in factors.choices}
    if not swept:  # all of it was asked for by itself
        return None
    return swept if any(factors.has(cell, swept) for cell in factors.cells()) else None


def _at(content: Any, key: str) -> Any:
    """Return the value of a key that does not vary, the default where the config has none."""
    value: Any = {**RunSettings().model_dump(mode="json"), **content}
    for name in path_of(key):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _unmatched(entry: Mapping[str, Any], factors: Factors) -> Iterable[Problem]:
    """Yield the parts of an entry that no cell has."""
    for key, value in entry.items():
        if key not in factors.choices:
            swept = ", ".join(factors.choices) or "nothing"
            hint = suggestion(key, factors.choices, otherwise=f"swept are: {swept}")
            yield Problem(f"'{key}' is not swept, so no cell is left out by it — {hint}", (key,), at_key=True)
        elif not any(is_choice(key, value, choice) for choice in factors.choices[key]):
            choices = [write_inline(choice) for choice in factors.choices[key]]
            of_name = (write_inline(one) for one in factors.choices[key] if as_mapping(one).get("name") == value)
            near = next(of_name, None) or nearest(write_inline(value), choices)
            hint = f" — did you mean {near}?" if near else ""
            text = f"{write_inline(value)} is none of the swept values of '{key}': {', '.join(choices)}{hint}"
            yield Problem(text, (key,))


def _pairs(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={write_inline(value)}" for key, value in settings.items())
