"""JSON Schemas of the values of a config: of single ones, of sections, and of components with their options.

What editors make of a schema decides its form in places: conditions for the options of a name, where alternatives would
do, so that an unknown name is answered with all of them; a title that is the dotted key; no more alternatives than
there have to be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from actbench.config.keys import component_kind, dotted_keys, kind_of, section_of
from actbench.schema import registry
from actbench.schema.attribute_texts import attribute_texts
from actbench.schema.bias_init import BiasInit
from actbench.schema.components import Component, Options, schema_of
from actbench.schema.spec import RunSettings
from actbench.schema.summaries import summaries
from actbench.schema.synonyms import SYNONYMS, folded

Schema = dict[str, Any]

FORMULA = r"[()+*/]|\s-|-\s"
"""A part of every formula that is no name."""

LABEL = r"\(.*=.*\)\s*"
"""The options behind a name, as tables print them: elu(alpha=0.2)."""

_OWN_NAME = "Of a built-in one; or yours, for code of your own."
_OWN_PATH = "Code of your own: package.module:attribute."


def described(schema: Mapping[str, Any], key: str, text: str) -> Schema:
    """Return a schema with the dotted key as its title, and the meaning in words without marks of Markdown."""
    return {"title": key, "description": text.replace("`", "'"), **schema}


def names_of(texts: Mapping[str, str]) -> Schema:
    """Return the schema of names to choose from, which editors list with the line on each."""
    return {"enum": list(texts), "enumDescriptions": list(texts.values())}


def reference(name: str) -> Schema:
    """Return a schema that stands for a definition; draft 7 ignores all that stands beside a bare reference."""
    return {"allOf": [{"$ref": f"#/definitions/{name}"}]}


def section_schema(options: type[Options], above: str = "") -> Schema:
    """Return the schema of a mapping with the fields of an options class as its keys.

    Args:
        options: The class.
        above: The dotted key of the section with a full stop behind it.
    """
    texts = attribute_texts(options)
    properties = {
        name: described({**value_schema(field, f"{above}{name}"), **default_of(field)}, f"{above}{name}", texts[name])
        for name, field in options.model_fields.items()
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def value_schema(field: FieldInfo, key: str) -> Schema:
    """Return the schema of the values that a field takes.

    Args:
        field: A field of an options class.
        key: Its dotted key.
    """
    section, kind = section_of(field), kind_of(field)
    if kind is not None:
        return reference(kind)
    if section is not None:
        own = section_schema(section, f"{key}.")
        return own if isinstance(_written_default(field), dict) else {**own, "type": ["object", "null"]}
    if field.annotation is BiasInit:
        return {"anyOf": [{"type": "number"}, {"title": "a word", "enum": ["pytorch", None]}]}
    annotated: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return _simpler(TypeAdapter(annotated).json_schema())


def default_of(field: FieldInfo) -> Schema:
    """Return the default of a key as a config would write it; none for a section, or where one has to be given."""
    value = None if field.is_required() else _written_default(field)
    return {} if field.is_required() or isinstance(value, dict) else {"default": value}


def component_schema(kind: str) -> Schema:
    """Return the schema of a choice by name: the name alone, the name with options, or the user's own."""
    lines = summaries(kind)
    # where an option has to be given, the bare name is right only beside a sweep of it: valid, but not offered
    offered = {name: line for name, line in lines.items() if not _has_required(schema_of(kind, name))}
    return {"anyOf": [*_names(kind, offered), _mapping(kind)]}


@cache
def component_keys() -> Mapping[str, str]:
    """Return kind -> the key of a config at which a component of that kind stands."""
    return {kind: key for key in dotted_keys(RunSettings) if (kind := component_kind(key))}


def options_schemas(kind: str) -> dict[str, Schema]:
    """Return the options of all components of a kind, each once, for a place where the component is not known."""
    found: dict[str, dict[str, list[tuple[str, Schema]]]] = {}
    for name in registry.names(kind):
        options = schema_of(kind, name)
        for option, text in attribute_texts(options).items():
            value = value_schema(options.model_fields[option], option)
            found.setdefault(option, {}).setdefault(text, []).append((name, value))
    key = component_keys()[kind]
    return {option: described(_either(own), f"{key}.{option}", _said(own)) for option, own in found.items()}


def spelling(kind: str, names: Iterable[str]) -> str:
    """Return a pattern of all spellings of names, those of their synonyms included, that a config may use.

    >>> pattern = spelling("activations", ["leaky_relu"])
    >>> [bool(re.match(pattern, text)) for text in ("leaky_relu", "Leaky ReLU", "LReLU(x=1)", "leaky_relux")]
    [True, True, True, False]
    """
    names = tuple(names)
    known = [*names, *(one for one, name in SYNONYMS.get(kind, {}).items() if name in names)]
    every = "|".join(dict.fromkeys(_any_spelling(folded(name)) for name in known))
    return rf"^\s*({every})\s*({LABEL})?$"


def _any_spelling(text: str) -> str:
    letters = (f"[{one.upper()}{one}]" if one.isalpha() else re.escape(one) for one in text)
    return r"[\s_-]*".join(letters)


def _simpler(schema: Schema) -> Schema:
    """Return pydantic's schema in draft 7, a value or null as one type of two."""
    if "prefixItems" in schema:  # as later drafts call the items of a tuple
        return {**{key: value for key, value in schema.items() if key != "prefixItems"}, "items": schema["prefixItems"]}
    match schema:
        case {"anyOf": [{"type": str() as kind} as value, {"type": "null"}], **rest}:
            return {**rest, **value, "type": [kind, "null"]}
    return schema


def _written_default(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Component):
        return value.label
    if isinstance(value, BiasInit):
        return value.to_json()
    return value.model_dump(mode="json") if isinstance(value, Options) else _listed(value)


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, tuple) else value


def _has_required(options: type[Options]) -> bool:
    return any(field.is_required() for field in options.model_fields.values())


def _names(kind: str, offered: Mapping[str, str]) -> list[Schema]:
    known = summaries(kind)
    # without the names as they are: an editor that finds all alternatives fulfilled shows the titles of all
    other = {"type": "string", "pattern": spelling(kind, known), "not": {"enum": list(offered)}}
    found = [names_of(offered), {"title": "another spelling", **other}]
    if kind == "activations":
        found.append({"title": "a formula in x", "type": "string", "pattern": FORMULA})
    return found


def _mapping(kind: str) -> Schema:
    key, lines = component_keys()[kind], summaries(kind)
    classes: dict[type[Options], list[str]] = {}
    for name in lines:
        classes.setdefault(schema_of(kind, name), []).append(name)
    conditions = [
        {
            "if": {"properties": {"name": {"pattern": spelling(kind, names)}}, "required": ["name"]},
            "then": _with_name(section_schema(options, f"{key}.")),
        }
        for options, names in classes.items()
    ]
    # only in a config with a base, whose component they go to; as patterns, since an editor would offer properties
    alone = {f"^{option}$": value for option, value in options_schemas(kind).items()}
    nameless = {"patternProperties": alone, "additionalProperties": False}
    return {
        "type": "object",
        "properties": {
            "name": described({"type": "string"}, f"{key}.name", _OWN_NAME),
            "path": described({"type": "string"}, f"{key}.path", _OWN_PATH),
        },
        "if": {"required": ["path"]},
        "then": {"properties": {"path": {"pattern": ":"}}, "required": ["name"]},
        "else": {
            "properties": {"name": {"anyOf": _names(kind, lines)}},
            "allOf": [*conditions, {"if": {"not": {"required": ["name"]}}, "then": nameless}],
        },
    }


def _with_name(section: Schema) -> Schema:
    return {**section, "properties": {"name": {}, **section["properties"]}}


def _either(by_text: Mapping[str, Sequence[tuple[str, Schema]]]) -> Schema:
    values = [value for own in by_text.values() for _, value in own]
    different = [value for index, value in enumerate(values) if value not in values[:index]]
    return different[0] if len(different) == 1 else {"anyOf": different}


def _said(by_text: Mapping[str, Sequence[tuple[str, Schema]]]) -> str:
    if len(by_text) == 1:
        return next(iter(by_text))
    return " ".join(f"{', '.join(name for name, _ in own)}: {text}" for text, own in by_text.items())
