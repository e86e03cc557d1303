"""The JSON Schema of a config, generated from the classes that check one: for editors and for shells.

A schema sees one value at a time. It refuses unknown keys and names, values of a wrong type and numbers out of bounds;
the rest (a baseline that no run has, an option that has to be given) is left to the check of the whole study. It is
never the stricter of the two: no line of a valid config is underlined.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from pydantic.fields import FieldInfo

from actbench.config import bases, cadence, cases, kept_weights
from actbench.config.component_schema import (
    Schema,
    component_keys,
    component_schema,
    default_of,
    described,
    names_of,
    options_schemas,
    reference,
    section_schema,
    value_schema,
)
from actbench.config.design import MAX_RUNS, MIN_PILOT, NAME, Compare, Design, TwoStage, untunable
from actbench.config.keys import kind_of, path_of, section_of
from actbench.schema.attribute_texts import attribute_texts
from actbench.schema.components import Options
from actbench.schema.spec import CASE, RunSettings
from actbench.schema.summaries import summaries

DRAFT = "http://json-schema.org/draft-07/schema#"
FACTORS, CELL, SETTINGS = "factors", "cell", "settings"
"""Definitions: dotted key -> list of values; dotted key -> value, of a row and of a case."""

_ABOUT = "A study: one network, one training, and what varies. Every key may be left out."
CASE_MEANING = "The name of one of the study's cases."
_SEED = {"type": "integer", "minimum": 0}


def config_schema() -> Schema:
    """Return the schema of a config, draft 7, with the meaning of each key, names to choose from and defaults."""
    run, texts = section_schema(RunSettings)["properties"], attribute_texts(Design)
    training, kept = run[cadence.SECTION]["properties"], {"enum": [*kept_weights.CHOICES, None], "default": None}
    training[cadence.KEY] = described(_cadence(), cadence.DOTTED, cadence.MEANING)
    training[kept_weights.KEY] = described(kept, kept_weights.DOTTED, kept_weights.MEANING)
    design = {name: described(_of_study(name, field), name, texts[name]) for name, field in Design.model_fields.items()}
    base = described({"type": "string", "minLength": 1}, bases.KEY, bases.MEANING)
    return {
        "$schema": DRAFT,
        "title": "Config of actbench",
        "description": _ABOUT,
        "type": "object",
        "properties": {**design, **run, bases.KEY: base},
        "additionalProperties": False,
        "if": {"not": {"required": [bases.KEY]}},  # options without a name go to the component of the base
        "then": _with_names(),
        "definitions": {
            **{kind: component_schema(kind) for kind in component_keys()},
            FACTORS: _factors(),
            CELL: _cell(),
            SETTINGS: _settings(),
        },
    }


def config_schema_text() -> str:
    """Return the schema as the text of a file."""
    return json.dumps(config_schema(), indent=1, ensure_ascii=False) + "\n"


def _cadence() -> Schema:
    time = rf"^[0-9]+(\.[0-9]+)? ?({'|'.join(cadence.SECONDS)})$"
    return {"type": ["integer", "string", "null"], "minimum": 1, "pattern": time, "default": cadence.DEFAULT}


def _of_study(name: str, field: FieldInfo) -> Schema:
    """Return the schema of a key of the study, which a function of its own checks: that has to be said once more."""
    match name:
        case "study":
            return {"type": "string", "pattern": f"^{NAME}$"}
        case "seeds":
            number = {"type": "integer", "minimum": 1, "maximum": MAX_RUNS}
            listed = {"type": "array", "items": _SEED, "minItems": 1, "uniqueItems": True}
            return {"anyOf": [number, {"title": "a list", **listed}], "default": 5}
        case "sweep" | "zip":
            return {**reference(FACTORS), "type": "object"}
        case "cases":
            settings = {"anyOf": [{**reference(SETTINGS), "type": "object"}, {"type": "null"}]}
            return {"type": "object", "patternProperties": {f"^{cases.NAME}$": settings}, "additionalProperties": False}
        case "case":
            named = {"type": ["string", "number", "boolean"]}
            return {"anyOf": [named, {"title": "several", "type": "array", "items": named, "minItems": 1}]}
        case "exclude":
            return {"type": "array", "items": {**reference(CELL), "type": "object", "minProperties": 1}}
        case "tune":
            keys = {key: value["description"] for key, value, _ in _run_keys() if untunable(key) is None}
            users = {"title": "an option of your own code", "type": "string", "pattern": _option_pattern()}
            return _one_or_more([names_of(keys), {**users, "not": {"enum": list(keys)}}], least=0)
        case "expect":
            return {"type": "array", "items": {"type": "string", "pattern": r"\S"}}
        case "compare":
            texts = attribute_texts(Compare)
            metric = {**_one_or_more([names_of(summaries("metrics"))], least=1), "default": "test.accuracy"}
            properties = {
                "baseline": {**reference(CELL), "type": "object"},
                "metric": metric,
                "two_stage": _two_stage(),
            }
            return {
                "type": "object",
                "properties": {key: described(one, f"compare.{key}", texts[key]) for key, one in properties.items()},
                "additionalProperties": False,
            }
    return {**value_schema(field, name), **default_of(field)}


def _two_stage() -> Schema:
    texts = attribute_texts(TwoStage)
    properties = {
        "metric": names_of(summaries("metrics")),
        "pilot": {"type": "array", "items": _SEED, "minItems": MIN_PILOT, "uniqueItems": True},
        "seeds": {"type": "integer", "minimum": MIN_PILOT, "maximum": MAX_RUNS},
    }
    return {
        "type": "object",
        "properties": {key: described(one, f"compare.two_stage.{key}", texts[key]) for key, one in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }


def _one_or_more(items: list[Schema], *, least: int) -> Schema:
    item = items[0] if len(items) == 1 else {"anyOf": items}
    return {"anyOf": [*items, {"title": "several", "type": "array", "items": item, "minItems": least}]}


def _with_names() -> Schema:
    """Return the schema by which components that are mappings have a name.

    Patterns, since an editor would offer the properties once more.
    """
    found: Schema = {}
    for key in component_keys().values():
        *above, last = path_of(key)
        place = found
        for name in above:
            place = place.setdefault("patternProperties", {}).setdefault(f"^{name}$", {})
        place.setdefault("patternProperties", {})[f"^{last}$"] = {"required": ["name"]}
    return found


def _run_keys(options: type[Options] = RunSettings, above: str = "") -> Iterator[tuple[str, Schema, str | None]]:
    """Yield every dotted key that may vary, with the schema of one of its values and, of a component, its kind."""
    texts = attribute_texts(options)
    for name, field in options.model_fields.items():
        key, section, kind = f"{above}{name}", section_of(field), kind_of(field)
        yield key, described(value_schema(field, key), key, texts[name]), kind
        if section is not None:
            yield from _run_keys(section, f"{key}.")
        if kind is not None:
            yield from ((f"{key}.{option}", value, None) for option, value in options_schemas(kind).items())


def _settings() -> Schema:
    """Return the schema of what a case sets."""
    named = ({**value, "required": ["name"]} if kind else value for _, value, kind in _run_keys())
    return _by_key(dict(zip((key for key, *_ in _run_keys()), named, strict=True)), {})


def _factors() -> Schema:
    properties = {}
    for key, value, kind in _run_keys():
        item = {name: part for name, part in value.items() if name not in ("title", "description")}
        if kind is not None:
            item["required"] = ["name"]
        properties[key] = {
            "title": key,
            "description": value["description"],
            "type": "array",
            "minItems": 1,
            "items": item,
        }
    return _by_key(properties, {"type": "array", "minItems": 1})


def _cell() -> Schema:
    """Return the schema of a row of a table: a component may also stand there by its label, or that of the user's."""
    properties: dict[str, Schema] = {CASE: described({"type": ["string", "number", "boolean"]}, CASE, CASE_MEANING)}
    for key, value, kind in _run_keys():
        if kind is not None:
            label = {"title": "a label", "type": ["string", "object"], "not": {"enum": list(summaries(kind))}}
            value = described({"anyOf": [names_of(summaries(kind)), label]}, key, value["description"])
        properties[key] = value
    return _by_key(properties, {})


def _by_key(properties: Mapping[str, Schema], other: Schema) -> Schema:
    """Return the schema of a mapping from dotted keys, those of options of the user's own code included."""
    return {
        "type": "object",
        "properties": properties,
        "patternProperties": {_option_pattern(): other},
        "additionalProperties": False,
    }


def _option_pattern() -> str:
    return rf"^({'|'.join(map(re.escape, component_keys().values()))})\.[^.]+$"
