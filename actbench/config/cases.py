"""``cases``: named alternatives, each of which sets keys of its own; together they are one factor, ``case``.

A run is what its settings are, so names are in no digest: the cases of stored runs are found again by the config that
is kept beside them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actbench.config import cadence, kept_weights
from actbench.config.keys import path_of, put
from actbench.config.unknown_keys import refusal
from actbench.errors import ConfigError, KeyPath, Problem, suggestion
from actbench.schema.bias_init import BiasInit
from actbench.schema.components import Component, Options, shown
from actbench.schema.spec import CASE, Case, RunSettings, RunSpec, canonical_json

KEY = "cases"

NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,39}"
"""What may name a case: a word of a table, a command line and a folder's name, without quotes."""

NO_CASE_OF_CASES = f"'{CASE}' is the factor that 'cases' make: it can't be set by itself"
NO_CASES = f"'{CASE}' is the factor that 'cases' make, and the config has none"

_FORM = "'cases' should be a mapping from names to settings, such as {none: {}, high: {bias_init: 0.1}}"

Settings = Mapping[str, Any]
"""Dotted key -> value."""


def checked_cases(value: Any) -> dict[str, dict[str, Any]]:
    """Return the cases as name -> key -> value; the values are checked in the runs that they make.

    Raises:
        ConfigError: With every problem.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(
            "'cases' should be a mapping from names to settings, such as {none: {}, high: {bias_init: 1}}"
        )
    problems = [problem for name, settings in value.items() for problem in _problems(name, settings)]
    if problems:
        raise ConfigError(problems)
    return {name: dict(settings or {}) for name, settings in value.items()}


def _problems(name: str, settings: Any) -> Iterator[Problem]:
    if not re.fullmatch(NAME, name):
        text = f"'{name}' can't name a case: use up to 40 letters, digits, '.', '_' or '-', not first a '.'"
        yield Problem(text, (name,), at_key=True)
    if settings is None:
        return
    if not isinstance(settings, Mapping):
        text = (
            f"the case '{name}' should be a mapping from keys to values, such as {{bias_init: 0.1}}, or {{}} for none"
        )
        yield Problem(f"{text}, not {shown(settings)}", (name,))
        return
    for key in settings:
        outside = next((one for one in (cadence, kept_weights) if key == one.DOTTED), None)
        if outside is not None:
            yield Problem(outside.NOT_SWEPT, (name, key), at_key=True)
        elif why := NO_CASE_OF_CASES if key == CASE else refusal(key):
            yield Problem(why, (name, key), at_key=True)


def readable(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a config's cases; none where they are broken, which is reported with the design."""
    try:
        return checked_cases(content[KEY]) if KEY in content else {}
    except ConfigError:
        return {}


def checked_choice(value: Any) -> tuple[str, ...]:
    """Return the names of the cases that are run; whether there are such cases is checked beside them.

    Raises:
        ConfigError: For what is neither a name nor a list of different names.
    """
    if value == ():  # of a checked study that names none
        return ()
    given = list(value) if isinstance(value, (list, tuple)) else [value]
    names = tuple(map(str, given))
    if not given or any(isinstance(one, (list, tuple, Mapping)) or one is None for one in given):
        raise ConfigError(f"'{CASE}' should be the name of a case or a list of names, not {shown(value)}")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"'{twice}' stands here twice")
    return names


def chosen(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the cases that a config runs, those that exist: all of them unless it says which."""
    known = readable(content)
    try:
        names = checked_choice(content[CASE]) if CASE in content else tuple(known)
    except ConfigError:
        names = tuple(known)
    return tuple(name for name in names if name in known) or tuple(known)


def choice_problems(names: Sequence[str], known: Collection[str]) -> Iterator[Problem]:
    """Yield a problem for each chosen name that no case has."""
    for name in names:
        if not known:
            yield Problem(NO_CASES, (CASE,), at_key=True)
            return
        if name not in known:
            hint = suggestion(name, known, otherwise=f"there are: {', '.join(known)}")
            yield Problem(f"no case '{name}' — {hint}", (CASE,))


def keys_of(cases: Mapping[str, Settings]) -> tuple[str, ...]:
    """Return every key that a case sets, each once."""
    return tuple(dict.fromkeys(key for settings in cases.values() for key in settings))


def overlapping(cases: Mapping[str, Settings], swept: Mapping[str, KeyPath]) -> Iterator[Problem]:
    """Yield a problem for each key of a case that varies by itself, too, as a whole or in part.

    Args:
        cases: The cases.
        swept: Key of ``sweep`` or ``zip`` -> its path.
    """
    for name, settings in cases.items():
        for key in settings:
            other = next((one for one in swept if _is_within(key, one) or _is_within(one, key)), None)
            if other is not None:
                text = f"'{other}' stands in '{swept[other][0]}' too, which would undo it: take it out of one"
                yield Problem(text, (KEY, name, key), at_key=True)


def _is_within(key: str, other: str) -> bool:
    return f"{key}.".startswith(f"{other}.")


def put_case(run: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the content of a run with a case's settings put in, outer keys first: model may not undo model.hidden."""
    content = dict(run)
    for key in sorted(settings, key=lambda key: key.count(".")):
        content = put(content, path_of(key), settings[key])
    return content


@dataclass(frozen=True)
class CaseNames:
    """Find the case of a run by its settings.

    Args:
        keys: Every key that a case sets.
        names: The values of these keys, as one text -> the case that has them.
    """

    keys: tuple[str, ...]
    names: Mapping[str, str]

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> CaseNames | None:
        """Return the names of a study's cases; None where it has none.

        Raises:
            ValueError: When a case makes no run that can be read.
        """
        cases = readable(content)
        if not cases:
            return None
        run = {key: content[key] for key in RunSettings.model_fields if key in content}
        run = {key: _without_extras(key, value) for key, value in run.items()}
        keys, names = keys_of(cases), dict[str, str]()
        for name, settings in cases.items():
            spec = RunSpec.model_validate(put_case(run, settings))
            names.setdefault(values_at(spec, keys), name)
        return cls(keys, names)

    def named(self, spec: RunSpec) -> RunSpec:
        """Return the run with its case, of which the name is None where no case has its settings."""
        return spec.with_case(Case(self.names.get(values_at(spec, self.keys)), self.keys))


def values_at(spec: RunSpec, keys: tuple[str, ...]) -> str:
    """Return a run's values at some keys as one text, equal for equal values."""
    values = []
    for key in keys:
        value: Any = spec
        for name in path_of(key):
            value = value.options.get(name) if isinstance(value, Component) else getattr(value, name, None)
        values.append(_plain(value))
    return canonical_json(values)


def _plain(value: Any) -> Any:
    if isinstance(value, (Component, BiasInit)):
        return value.to_json()
    return value.model_dump(mode="json") if isinstance(value, Options) else value


def _without_extras(section: str, value: Any) -> Any:
    """Return a section of a run without the keys of ``training`` that belong to no run."""
    extras = {one.KEY for one in (cadence, kept_weights) if section == one.SECTION}
    return {key: one for key, one in value.items() if key not in extras} if isinstance(value, Mapping) else value
