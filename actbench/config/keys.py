"""Dotted keys such as ``training.optimizer.lr``: the keys of a run, and values put at them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, get_args

from pydantic.fields import FieldInfo

from actbench.schema import registry
from actbench.schema.components import Component, OfKind, Options, schema_of
from actbench.schema.spec import RunSettings

BASE = "base"
"""The key of the config that another one extends."""

FACTORS = ("sweep", "zip")
"""The sections that map keys to the values that they take in turn."""


def path_of(key: str) -> tuple[str, ...]:
    """Return the path that a dotted key such as ``training.optimizer.lr`` stands for."""
    return tuple(key.split("."))


def component_kind(key: str) -> str | None:
    """Return the kind of the component at a valid key (``models`` for ``model``); None when no component is there."""
    model: type[Options] | None = RunSettings
    field = None
    for name in path_of(key):
        if model is None or name not in model.model_fields:
            return None
        field = model.model_fields[name]
        model = section_of(field)
    return kind_of(field) if field else None


def section_of(field: FieldInfo) -> type[Options] | None:
    """Return the options class that a field holds (also when the field may be None); None for a single value."""
    for candidate in (field.annotation, *get_args(field.annotation)):  # the parts of Augment | None
        if isinstance(candidate, type) and issubclass(candidate, Options):
            return candidate
    return None


def kind_of(field: FieldInfo) -> str | None:
    """Return the kind of the component that a field holds; None when it holds no component."""
    return next((item.kind for item in field.metadata if isinstance(item, OfKind)), None)


def takes_list(key: str) -> bool:
    """Return whether a key holds a list itself, as ``model.hidden`` does."""
    above, _, option = key.rpartition(".")
    kind = component_kind(above) if above else None
    schemas = (schema_of(kind, name) for name in registry.names(kind)) if kind else ()
    fields = (schema.model_fields[option] for schema in schemas if option in schema.model_fields)
    return any("tuple[" in str(field.annotation) or "list[" in str(field.annotation) for field in fields)


def put(content: Mapping[str, Any], path: tuple[str, ...], value: Any, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a copy of ``content`` with ``value`` at ``path``; only the mappings on the way are copied.

    A component written as its bare name becomes a mapping on the way, and one that is not written at all starts from
    the default: ``model.hidden`` is an option of the default model where the config names none.

    Args:
        content: Mappings and lists of scalars.
        path: The way to the value; not empty.
        value: The value to put there.
        above: The path of ``content`` itself within a run's content, to find the defaults.
    """
    head, rest = path[0], path[1:]
    if not rest:
        return {**content, head: value}
    inner = content[head] if head in content else default_at((*above, head))
    return {**content, head: put(as_mapping(inner), rest, value, (*above, head))}


def as_mapping(value: Any) -> Mapping[str, Any]:
    """Return a value as a mapping that keys can be added to: a component's bare name becomes ``{name: …}``."""
    if isinstance(value, Mapping):
        return value
    return {"name": value} if isinstance(value, str) else {}


def default_at(path: tuple[str, ...]) -> Any:
    """Return the default at a path of a run, as a config would write it."""
    value: Any = _defaults()
    for name in path:
        known = isinstance(value, Options) and name in type(value).model_fields
        value = getattr(value, name) if known else None
    return value.to_minimal() if isinstance(value, Component) else {}


@lru_cache(maxsize=1)
def _defaults() -> RunSettings:
    return RunSettings()


@lru_cache
def dotted_keys(model: type[Options]) -> tuple[str, ...]:
    """Return every key of an options class, those of its sections dotted; a component is one key."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        section = section_of(field)
        keys += [f"{name}.{key}" for key in dotted_keys(section)] if section else [name]
    return tuple(keys)
