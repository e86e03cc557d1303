"""``KEY=VALUE`` arguments put into a document, with the arguments as the places of what they set."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from actbench.config import cadence, cases, kept_weights
from actbench.config.document import Document
from actbench.config.keys import BASE, FACTORS, as_mapping, component_kind, path_of, put
from actbench.config.nodes import read
from actbench.config.places import Argument, SourceText
from actbench.config.unknown_keys import refusal
from actbench.errors import ConfigError
from actbench.system.text import storable

_KEY = re.compile(r"[^.\s]+(?:\.[^.\s]+)*\Z")
_MAX_PARTS = 10  # the longest key of a run has four parts
_TEXTS = ("study", "description")
"""Keys with a text for their value: a comma in it separates nothing."""

_LISTS = ("seeds", "sweep", "zip", "cases", "case", "exclude", "compare", "tune", "expect")
"""Keys (and those below them) that hold lists themselves: a comma list is that list, not a sweep."""

_PIECE = re.compile(r"""(?P<quoted>"(?:\\.|[^"\\])*"|'(?:''|[^'])*')|(?P<open>[\[{(])|(?P<close>[\]})])|.""", re.DOTALL)


def apply_overrides(document: Document, arguments: Sequence[str]) -> Document:
    """Return the document with each argument put in, the later over the earlier.

    A key with one value replaces the document's value and no longer varies; with a comma list it becomes a factor of
    the sweep.
    """
    for position, text in enumerate(arguments):
        argument = Argument(text, position)
        try:
            document = _applied(document, argument)
        except ConfigError as error:
            problems = (argument.problem(problem.message) for problem in error.problems)
            document = replace(
                document,
                problems=(*document.problems, *problems),
                left_out=document.left_out | {path_of(text.partition("=")[0])},
            )
    return document


def pieces_of(text: str) -> Iterator[str]:
    """Split at the commas that stand outside brackets and quotes.

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


def is_setting(text: str) -> bool:
    """Return whether a text is ``KEY=VALUE``, and not a value that holds a ``=`` itself.

    >>> is_setting("activation=elu(alpha=0.2)"), is_setting("elu(alpha=0.2)"), is_setting("relu")
    (True, False, False)
    """
    return re.match(r"[\w.]+\s*=(?!=)", text) is not None


def parse_settings(texts: Iterable[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE,…`` texts, each value as YAML; commas within brackets separate nothing.

    Raises:
        ConfigError: For a part that is not ``KEY=VALUE``, or a key that is given twice.

    >>> parse_settings(["activation=elu(alpha=0.2,x=1),bias_init=1e-2"])
    {'activation': 'elu(alpha=0.2,x=1)', 'bias_init': 0.01}
    """
    settings: dict[str, Any] = {}
    for piece in (piece for text in texts for piece in pieces_of(text)):
        key, _, value = (part.strip() for part in piece.partition("="))
        if not key or not value:
            raise ConfigError(f"expected KEY=VALUE such as activation=relu, not '{piece.strip()}'")
        if key in settings:
            raise ConfigError(f"'{key}' is given twice")
        try:
            settings[key] = read(SourceText("", value)).content
        except ConfigError as error:
            raise ConfigError(f"the value of '{key}': {error.messages}") from error
    return settings


def _applied(document: Document, argument: Argument) -> Document:
    key, found, text = argument.text.partition("=")
    if storable(key) != key:
        raise ConfigError("the key is not UTF-8 text")
    if not found or not _KEY.match(key):
        raise ConfigError("expected KEY=VALUE, such as training.epochs=3")
    path = path_of(key)
    section = path[0]
    if len(path) > _MAX_PARTS:
        raise ConfigError(f"'{key}' has more parts than any key of a config")
    if section == BASE:
        raise ConfigError("'base' is set in the file, whose folder it starts from")
    outside_runs = section in (*_TEXTS, *_LISTS) or key in (cadence.DOTTED, kept_weights.DOTTED)
    if not outside_runs and (text_of := refusal(key)):
        raise ConfigError(text_of)
    values = [_parsed(piece) for piece in ([text] if section in _TEXTS else pieces_of(text))]
    value = values if len(values) > 1 else values[0]
    if section == cases.KEY:  # a case's name may hold full stops
        path = (section, key.partition(".")[2]) if len(path) > 1 else path
    if section in (*FACTORS, "compare"):
        # factors are single keys of their sections, dots included: sweep.training.batch_size
        above = 2 if path[:2] == ("compare", "baseline") else 1
        path = (*path[:above], ".".join(path[above:])) if len(path) > above else path
    if section in (*_TEXTS, *_LISTS):
        return _set(document, path, value, argument)
    if len(values) > 1:  # a factor of the sweep, in place of its own parts there
        document = _without_factors(document, lambda name: name.startswith(f"{key}."))
        if key not in _factors(document, "sweep"):  # there it keeps its place among the factors
            document = _without_factors(document, lambda name: name == key)
        return _set(document, ("sweep", key), value, argument)
    return _fixed(document, key, value, argument)


def _parsed(piece: str) -> Any:
    if not piece.strip():
        raise ConfigError("a value is missing (write null for none)")
    try:
        document = read(SourceText("", piece))
        if document.problems:
            raise ConfigError(document.problems[:1])
    except ConfigError as error:
        raise ConfigError(f"in the value: {error.problems[0].message}") from error
    return document.content


def _fixed(document: Document, key: str, value: Any, argument: Argument) -> Document:
    """Set a key to one value, in each choice of a swept component (``dataset.train_size=100``), else in the document.

    The key and its parts are swept no longer.
    """
    document = _without_factors(document, lambda name: f"{name}.".startswith(f"{key}."))
    is_put_in = False
    for section in FACTORS:
        for name, values in _factors(document, section).items():
            if not key.startswith(f"{name}.") or not isinstance(values, list):
                continue
            is_put_in, rest = True, path_of(key)[len(path_of(name)) :]
            choices = [put(as_mapping(choice), rest, value, path_of(name)) for choice in values]
            factors = {**_factors(document, section), name: choices}
            document = replace(document, content={**document.content, section: factors})
            for index in range(len(choices)):
                document = document.placed((section, name, index, *rest), argument)
    return document if is_put_in else _set(document, path_of(key), value, argument)


def _set(document: Document, path: tuple[str, ...], value: Any, argument: Argument) -> Document:
    # Twice, since more than the value may come from the argument: model.hidden=[8] on `model: 3` replaces the 3 too,
    # and the rest of the new mapping must then point to the argument as well.
    document = document.placed(_replaced(document.content, path), argument)
    return replace(document, content=put(document.content, path, value)).placed(path, argument)


def _replaced(content: Any, path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the first part of ``path`` that is a single value so far, hence replaced by a mapping; else all of it.

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


def _factors(document: Document, section: str) -> Mapping[str, Any]:
    factors = document.content.get(section)
    return factors if isinstance(factors, Mapping) else {}


def _without_factors(document: Document, is_gone: Callable[[str], bool]) -> Document:
    """Return the document without some factors; a broken section is kept, to be reported."""
    for section in FACTORS:
        factors = _factors(document, section)
        kept = {name: values for name, values in factors.items() if not is_gone(name)}
        if len(kept) < len(factors):
            document = replace(document, content={**document.content, section: kept})
    return document
