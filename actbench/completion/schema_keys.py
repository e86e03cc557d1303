"""Config keys, their values and all names, read from the JSON Schema that is shipped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from actbench.completion.shells import Candidate
from actbench.system.shipped_files import shipped_folder

BASELINE = "compare.baseline."
"""Before the factors of the baseline."""

_OF_FILES = ("base", "sweep", "zip", "cases", "case", "exclude", "expect", "compare.two_stage")
"""Keys that are not set from a command line: a comma list sweeps, a path belongs to the file that names it, and what
``run --exact`` has chosen is written by it."""


@cache
def _schema() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((shipped_folder() / "schema.json").read_bytes())
    return found


def factors() -> list[Candidate]:
    """Return the dotted keys of a run, those of all components' options included."""
    properties = _schema()["definitions"]["factors"]["properties"]
    return [Candidate(key, one["description"]) for key, one in properties.items() if not _is_section(one["items"])]


def settable_keys() -> list[Candidate]:
    """Return every dotted key that a command line may set, with ``=`` behind it; a key of the baseline goes on."""
    properties = _schema()["properties"]
    own = {
        key: text for key, text in _keys(properties) if not any(f"{key}.".startswith(f"{one}.") for one in _OF_FILES)
    }
    own |= {one.word: one.text for one in factors()}
    return [Candidate(BASELINE if f"{key}." == BASELINE else f"{key}=", text) for key, text in own.items()]


def values(key: str) -> list[Candidate]:
    """Return the values of a key, as far as they are names; none for a number or a key that is not known."""
    factor = _schema()["definitions"]["factors"]["properties"].get(key)
    if factor is not None:
        return list(dict.fromkeys(_values(factor["items"])))
    place: Any = _schema()
    for name in key.split("."):
        place = place.get("properties", {}).get(name, {})
    return list(dict.fromkeys(_values(place)))


def names(kind: str) -> list[Candidate]:
    """Return the names of a kind of component, or the metrics."""
    place = (
        _schema()["properties"]["compare"]["properties"]["metric"]
        if kind == "metrics"
        else _schema()["definitions"][kind]
    )
    return list(dict.fromkeys(_values(place)))


def _keys(properties: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, one in properties.items():
        if _is_section(one):
            yield from _keys(one["properties"], f"{above}{name}.")
        else:
            yield f"{above}{name}", one["description"]


def _is_section(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "object" and "properties" in schema


def _values(schema: Mapping[str, Any]) -> Iterator[Candidate]:
    """Yield the names that a schema offers, those of its alternatives included; not those of mappings or lists."""
    texts = schema.get("enumDescriptions", ())
    for index, value in enumerate(schema.get("enum", ())):
        yield Candidate(_written(value), texts[index] if index < len(texts) else "")
    kinds = schema.get("type", ())
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "boolean" in kinds:
        yield from (Candidate("true"), Candidate("false"))
    if "null" in kinds:
        yield Candidate("null")
    for one in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
        name = one.get("$ref", "").rpartition("/")[2]
        yield from _values(_schema()["definitions"][name] if name else one)


def _written(value: Any) -> str:
    return "null" if value is None else str(value)
