"""``base: other.yaml``: a config that extends another, and says only what is different."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from actbench.config import excluding
from actbench.config.document import Document
from actbench.config.keys import BASE, FACTORS, as_mapping, component_kind, path_of, put
from actbench.config.nodes import read_config, read_text
from actbench.config.places import SourceText
from actbench.config.shipped import config_file, shipped
from actbench.errors import ConfigError, KeyPath
from actbench.system.files import expanded

KEY = BASE
OF_ONE_FILE = ("study", "description")
"""Keys that a config does not take from its base: a study of its own has a name and a folder of its own."""

MEANING = "The path of a config that this one extends: it says only what is different."

_FORM = f"'{KEY}' should be the path of another config, seen from this file's folder, such as common.yaml"


def with_bases(document: Document, source: SourceText, folder: Path) -> tuple[Document, tuple[str, ...]]:
    """Put a config's own content over that of its base, which may have a base itself.

    Args:
        document: The config's own content.
        source: The text that it was read from.
        folder: The folder that its ``base`` is relative to.

    Returns:
        The whole content without ``base``, each part with its place in its own file; and the names of the bases.

    Raises:
        ConfigError: For a base that can't be read, or leads back to itself.
    """
    return _extended(document, source, folder, ((Path(source.name).resolve(), source.name),))


def _extended(
    document: Document, source: SourceText, folder: Path, chain: tuple[tuple[Path, str], ...]
) -> tuple[Document, tuple[str, ...]]:
    if KEY not in document.content:
        return document, ()
    named, place = document.content[KEY], document.values[(KEY,)]
    own = replace(document, content={key: value for key, value in document.content.items() if key != KEY})
    if not isinstance(named, str) or not named.strip():
        raise ConfigError([*document.problems, place.problem(_FORM)])
    path = config_file(expanded(named), folder)
    name = named if path in shipped().values() else os.path.normpath(path)
    if any(path.resolve() == other for other, _ in chain):
        circle = " → ".join([*(shown for _, shown in chain), name])
        raise ConfigError([place.problem(f"the bases lead in a circle: {circle}")])
    try:
        text = read_text(path)
    except ConfigError as error:
        (problem,) = error.problems
        # a byte that is not UTF-8 has a place in the base; a file that is not there has none
        raise ConfigError([problem if problem.excerpt else place.problem(f"{name}: {problem.message}")]) from error
    below = SourceText(name, text, rank=source.rank + 1)
    base, names = _extended(read_config(below), below, path.parent, (*chain, (path.resolve(), name)))
    return _over(base, own), (name, *names)


def _over(base: Document, own: Document) -> Document:
    """Return one document: mappings are merged, every other value of ``own`` replaces that of ``base``."""
    written = base
    base = _without(base, [(key,) for key in OF_ONE_FILE])
    for section in FACTORS:
        base = _without(base, [(section, key) for key in _replaced_factors(base, section, own)])
    base = _named_components(base, own.content)
    replaced = list(_replaced(base.content, own.content))
    kept = _without(base, replaced)
    merged = Document(
        _merged(base.content, own.content, frozenset(replaced)),
        {**kept.keys, **own.keys},
        {**kept.values, **own.values},
        (*base.problems, *own.problems),
        kept.left_out | own.left_out,
    )
    merged = _with_options_put_in(merged, base, own)
    if excluding.KEY in own.content:
        return merged
    return replace(merged, content=excluding.fitted(merged.content, written.content))


def _replaced_factors(base: Document, section: str, own: Document) -> Iterator[str]:
    """Yield the factors of a base that vary no longer, or in another section: the config gives their key itself."""
    factors = base.content.get(section)
    other = next(one for one in FACTORS if one != section)
    for key in factors if isinstance(factors, Mapping) else ():
        if _at(own.content, (section, key)) is not None:
            continue
        if _at(own.content, (other, key)) is not None or _fixes(own.content, base.content, path_of(key)):
            yield key


def _fixes(own: Any, base: Any, path: tuple[str, ...], above: tuple[str, ...] = ()) -> bool:
    """Return whether a config gives the value at a path, or another component above it as a whole."""
    head, rest, at = path[0], path[1:], (*above, path[0])
    if not isinstance(own, Mapping) or head not in own:
        return False
    value, before = own[head], base.get(head) if isinstance(base, Mapping) else None
    is_component = component_kind(".".join(at)) is not None
    if not isinstance(value, Mapping):
        return True
    if is_component and "name" in value and value["name"] != as_mapping(before).get("name"):
        return True
    if not rest:
        return not is_component  # options of a component alone go into each of its values
    return _fixes(value, as_mapping(before), rest, at)


def _with_options_put_in(merged: Document, base: Document, own: Document) -> Document:
    """Put options that the config gives to a component of which its base sweeps several into each of these."""
    for section in FACTORS:
        factors = base.content.get(section)
        for key, choices in factors.items() if isinstance(factors, Mapping) else ():
            options = _at(own.content, path_of(key))
            if not component_kind(key) or not isinstance(options, Mapping) or not isinstance(choices, list):
                continue
            if _at(own.content, (section, key)) is not None:
                continue
            for option, value in options.items():
                choices = [put(as_mapping(choice), (option,), value, path_of(key)) for choice in choices]
                for index in range(len(choices)):
                    merged = merged.placed((section, key, index, option), own.values[*path_of(key), option])
            merged = replace(merged, content=put(merged.content, (section, key), choices))
            if _at(base.content, path_of(key)) is None:  # without a name, options alone are no component
                merged = _without(merged, [path_of(key)])
    return merged


def _named_components(base: Document, own: Mapping[str, Any]) -> Document:
    """Return the base with each component that the config adds options to as a mapping: ``sgd`` as ``{name: sgd}``."""
    for path, value in list(_mappings(own)):
        inner = _at(base.content, path)
        if isinstance(inner, str) and component_kind(".".join(path)) and "name" not in value:
            place = base.values[path]
            base = replace(
                base,
                content=put(base.content, path, {"name": inner}),
                keys={**base.keys, (*path, "name"): place},
                values={**base.values, (*path, "name"): place},
            )
    return base


def _mappings(content: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield (*above, key), value
            yield from _mappings(value, (*above, key))


def _replaced(base: Any, own: Any, path: tuple[str, ...] = ()) -> Iterator[KeyPath]:
    """Yield the paths at which a value of the base gives way to another one."""
    for key in own:
        if key not in base:
            continue
        at = (*path, key)
        if isinstance(base[key], Mapping) and isinstance(own[key], Mapping) and _is_merged(base[key], own[key], at):
            yield from _replaced(base[key], own[key], at)
        else:
            yield at


def _is_merged(base: Mapping[str, Any], own: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    """Return whether two mappings are put together: not where they name two components, which share no options."""
    if path[:2] == ("compare", "baseline") and len(path) > 2:  # a factor's value, as a whole
        return False
    return "name" not in own or not component_kind(".".join(path)) or own["name"] == base.get("name")


def _merged(base: Any, own: Any, replaced: frozenset[KeyPath], path: KeyPath = ()) -> Any:
    """Return two values as one: mappings are put together, in the order of the base, except at the replaced paths."""
    if path in replaced:
        return own
    both = {key: _merged(base[key], own[key], replaced, (*path, key)) for key in own if key in base}
    return {**base, **both, **{key: value for key, value in own.items() if key not in base}}


def _without(document: Document, paths: list[KeyPath]) -> Document:
    """Return the document without some values and their places."""
    content, gone = document.content, set(paths)
    for path in paths:
        content = _removed(content, path)

    def outside(path: KeyPath) -> bool:
        return not any(path[:length] in gone for length in range(1, len(path) + 1))

    return replace(
        document,
        content=content,
        keys={path: place for path, place in document.keys.items() if outside(path)},
        values={path: place for path, place in document.values.items() if outside(path)},
        left_out=frozenset(path for path in document.left_out if outside(path)),
    )


def _removed(content: Any, path: KeyPath) -> Any:
    if not isinstance(content, Mapping) or path[0] not in content:
        return content
    rest = {key: value for key, value in content.items() if key != path[0]}
    if len(path) == 1:
        return rest
    return {key: _removed(value, path[1:]) if key == path[0] else value for key, value in content.items()}


def _at(content: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        content = content.get(name) if isinstance(content, Mapping) else None
    return content
