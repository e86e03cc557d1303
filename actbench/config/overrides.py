"""``KEY=VALUE`` arguments put into a document, with the arguments as the places of what they say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from actbench.config.document import Document
from actbench.config.keys import component_kind, opened, put, split
from actbench.config.nodes import Unreadable, read
from actbench.config.problems import Argument, Finding, Source

_KEY = re.compile(r"[^.\s]+(?:\.[^.\s]+)*\Z")
_DEEPEST = 10  # the longest key of a run has four parts
_WHOLE = ("study", "description")
"""Keys whose value is text: a comma in it separates nothing."""

_LISTS = ("seeds", "sweep", "compare", "tune", "expect")
"""Keys (and those below them) that hold lists themselves: a comma list is that list, not a sweep."""

_PIECE = re.compile(r"""(?P<quoted>"(?:\\.|[^"\\])*"|'(?:''|[^'])*')|(?P<open>[\[{(])|(?P<close>[\]})])|.""", re.DOTALL)


class Refused(Exception):
    """An argument that is no ``KEY=VALUE``."""


def apply(document: Document, arguments: Sequence[str]) -> Document:
    """The document with each argument put in, the later over the earlier.

    A key with one value replaces what the document says there and no longer varies; with a comma list it becomes a
    factor of the sweep.
    """
    for position, text in enumerate(arguments):
        argument = Argument(text, position)
        try:
            document = _applied(document, argument)
        except Refused as error:
            document = replace(document, findings=(*document.findings, Finding(argument, str(error))))
    return document


def _applied(document: Document, argument: Argument) -> Document:
    key, found, text = argument.text.partition("=")
    if not found or not _KEY.match(key):
        raise Refused("expected KEY=VALUE, such as training.epochs=3")
    path = split(key)
    if len(path) > _DEEPEST:
        raise Refused(f"'{key}' has more parts than any key of a config")
    value, is_list = _value(path[0], text)
    if path[0] in ("sweep", "compare"):
        return _set(document, _section_path(path), value, argument)
    if path[0] in (*_WHOLE, *_LISTS):
        return _set(document, path, value, argument)
    return _swept(document, key, value, argument) if is_list else _fixed(document, key, value, argument)


def _value(section: str, text: str) -> tuple[Any, bool]:
    """The value, and whether it is a comma list."""
    pieces = [text] if section in _WHOLE else list(pieces_of(text))
    values = [_parsed(piece) for piece in pieces]
    return (values, True) if len(values) > 1 else (values[0], False)


def _parsed(piece: str) -> Any:
    if not piece.strip():
        raise Refused("a value is missing (write null for none)")
    try:
        tree = read(Source("", piece))
    except Unreadable as error:
        raise Refused(f"in the value: {error.finding.message}") from error
    if tree.findings:
        raise Refused(f"in the value: {tree.findings[0].message}")
    return tree.content


def pieces_of(text: str) -> Iterator[str]:
    """The parts between commas that stand outside brackets and quotes.

    >>> list(pieces_of("[1, 2],max(x, 0),'a, b'"))
    ['[1, 2]', 'max(x, 0)', "'a, b'"]
    """
    piece, depth = "", 0
    for found in _PIECE.finditer(text):
        depth = max(0, depth + (found["open"] is not None) - (found["close"] is not None))
        if found[0] == "," and not depth:
            yield piece
            piece = ""
        else:
            piece += found[0]
    yield piece


def _section_path(path: tuple[str, ...]) -> tuple[str, ...]:
    """Factors are single keys of their sections, dots included: ``sweep.training.batch_size``."""
    above = 2 if path[:2] == ("compare", "baseline") else 1
    return (*path[:above], ".".join(path[above:])) if len(path) > above else path


def _swept(document: Document, key: str, values: Any, argument: Argument) -> Document:
    kept = {name: choices for name, choices in _sweep(document).items() if not name.startswith(f"{key}.")}
    return _set(_with_sweep(document, kept), ("sweep", key), values, argument)


def _fixed(document: Document, key: str, value: Any, argument: Argument) -> Document:
    kept = {name: choices for name, choices in _sweep(document).items() if not f"{name}.".startswith(f"{key}.")}
    document = _with_sweep(document, kept)
    above = [name for name in kept if key.startswith(f"{name}.") and isinstance(kept[name], list)]
    for name in above:
        document = _fixed_in_choices(document, name, split(key)[len(split(name)) :], value, argument)
    return document if above else _set(document, split(key), value, argument)


def _fixed_in_choices(document: Document, name: str, rest: tuple[str, ...], value: Any, argument: Argument) -> Document:
    """``dataset.train_size=100`` while ``dataset`` is swept: meant for each of the datasets."""
    sweep = _sweep(document)
    choices = [put(opened(choice), rest, value, split(name)) for choice in sweep[name]]
    document = _with_sweep(document, {**sweep, name: choices})
    for index in range(len(choices)):
        document = document.placed(("sweep", name, index, *rest), argument)
    return document


def _set(document: Document, path: tuple[str, ...], value: Any, argument: Argument) -> Document:
    document = document.placed(_opened_at(document.content, path), argument)
    return replace(document, content=put(document.content, path, value)).placed(path, argument)


def _opened_at(content: Any, path: tuple[str, ...]) -> tuple[str, ...]:
    """The first part of ``path`` that is a single value so far, hence replaced by a mapping; else all of it.

    A component's bare name is not replaced but kept in that mapping.
    """
    for length, name in enumerate(path[:-1], start=1):
        if not isinstance(content, Mapping) or name not in content:
            break
        content = content[name]
        kept = isinstance(content, str) and component_kind(".".join(path[:length]))
        if not isinstance(content, Mapping) and not kept:
            return path[:length]
    return path


def _sweep(document: Document) -> Mapping[str, Any]:
    sweep = document.content.get("sweep")
    return sweep if isinstance(sweep, Mapping) else {}


def _with_sweep(document: Document, sweep: Mapping[str, Any]) -> Document:
    """The document with another sweep, where it has one at all (a broken one is kept, to be reported)."""
    if not isinstance(document.content.get("sweep"), Mapping):
        return document
    return replace(document, content={**document.content, "sweep": sweep})
