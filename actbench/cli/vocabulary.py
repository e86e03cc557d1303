"""Every word that ``actbench explain`` knows: the tables of ``schema.words``, and what explains itself elsewhere.

Metrics, config keys, the options and names of components, commands and their options have their texts where they are
defined; here they become words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from actbench.schema.words import GROUPS, Word
from actbench.system.stand_ins import displayable

if TYPE_CHECKING:
    from actbench.schema.components import Options

METRICS, KEYS, NAMES, COMMANDS = "Metrics", "Keys of a config", "Names", "Commands and options"

COMPONENTS: Mapping[str, tuple[str, str]] = {
    "dataset": ("datasets", "datasets"),
    "model": ("models", "models"),
    "activation": ("activations", "activations"),
    "weight_init": ("weight_inits", "initializers"),
    "training.optimizer": ("optimizers", "optimizers"),
    "training.schedule": ("schedules", "schedules"),
    "training.revive": ("revivals", "revivals"),
}
"""Key -> the kind of its component in the registry, and the word that ``actbench list`` has for it."""

SHORT_NAMES: Mapping[str, tuple[str, ...]] = {"seconds": ("s",), "val.accuracy": ("val",)}
"""Metric -> how a narrow column or a line of progress calls it."""

_PREFIXES = ("versus ", "reach ", "left ", "right ", "picked ")
"""Begin the name of a column that is about another word, as ``versus_low`` does."""

_STANDS_FOR = (
    (re.compile(r"(hidden|conv|dense)\.\d+(\.\d+)?"), "layer"),
    (re.compile(r"epochs \(to .*\)"), "epochs to"),
    (re.compile(r".+ \(learned\)"), "learned"),
)
"""Names with a number or a name in them -> the word that explains them."""


@cache
def vocabulary() -> Mapping[str, tuple[Word, ...]]:
    """Return title -> words: the groups of the glossary, then metrics, keys and names."""
    return {**GROUPS, METRICS: tuple(_metrics()), KEYS: tuple(_keys()), NAMES: tuple(_names())}


def found(text: str, commands: Sequence[Word] = ()) -> list[tuple[str, Word]]:
    """Return the words that a text may mean, each with its group; nothing for an unknown one.

    Args:
        text: As it is printed or typed: in any case, with ``_`` or spaces, with a unit in brackets behind it.
        commands: Words for the commands and their options; they count where there is no other, and for ``--text``.
    """
    asked = _normal(text)
    if not asked:
        return []
    if word := next((word for pattern, word in _STANDS_FOR if pattern.fullmatch(asked)), None):
        return _exact(_normal(word))
    options = [(COMMANDS, word) for word in commands if asked in map(_normal, word.names)]
    if text.strip().startswith("--") and options:
        return [*options, *_exact(asked)]
    if own := _exact(asked) or options:
        return own
    for prefix in _PREFIXES:
        if asked.startswith(prefix) and (base := found(asked.removeprefix(prefix))):
            return [*_exact(_normal(prefix.strip()) if prefix == "picked " else _normal(f"{prefix.strip()}_")), *base]
    if own := _exact(re.sub(r"\s+\(.*\)$", "", asked)):  # Δ baseline (points)
        return own
    return [one for one in _exact(re.sub(r"\(.*\)$", "", asked)) if one[0] == NAMES]  # elu(alpha=0.2)


def near(text: str, commands: Sequence[Word] = ()) -> list[str]:
    """Return up to three names that look like a text."""
    from difflib import get_close_matches

    spelled = {_normal(name): name for word in [*_all(), *commands] for name in word.names}
    return [spelled[name] for name in get_close_matches(_normal(text), list(spelled), n=3, cutoff=0.6)]


def command_words(program: Any) -> list[Word]:
    """Return a word for each command of the program, and one for each option with the commands that have it."""
    from actbench.cli.help_pages import summary

    words = [Word(name, summary(command), where=f"actbench help {name}") for name, command in program.commands.items()]
    options: dict[str, tuple[str, list[str], tuple[str, ...]]] = {}
    for name, command in program.commands.items():
        for option in command.params:
            if option.param_type_name == "option" and option.name != "help":
                long = max(option.opts, key=len)
                _, users, _ = options.setdefault(long, (option.help or "", [], tuple(option.opts)))
                users.append(name)
    for long, (text, users, spelled) in options.items():
        others = tuple(dict.fromkeys((*spelled, long.lstrip("-"))))
        words.append(Word(long, text, where=", ".join(users), spellings=tuple(one for one in others if one != long)))
    return words


def _all() -> Iterator[Word]:
    for words in vocabulary().values():
        yield from words


def _exact(asked: str) -> list[tuple[str, Word]]:
    return [(title, word) for title, word in _index().get(asked, ())]


@cache
def _index() -> Mapping[str, Sequence[tuple[str, Word]]]:
    """Return normal spelling -> the words that have it."""
    index: dict[str, list[tuple[str, Word]]] = {}
    for title, words in vocabulary().items():
        for word in words:
            # a console that lacks Δ prints a stand-in, and its user types that
            spelled = [*word.names, *(displayable(name, "ascii") for name in word.names)]
            for name in dict.fromkeys(map(_normal, spelled)):
                index.setdefault(name, []).append((title, word))
    return index


def _normal(text: str) -> str:
    """Return a spelling in which case, quotes and the sign between two words make no difference.

    >>> _normal("P_adjusted"), _normal("'Sign-flip'"), _normal("Δ"), _normal("--fail-if"), _normal("f'(z)")
    ('p adjusted', 'sign flip', 'δ', 'fail if', 'f′(z)')
    """
    plain = text.strip().strip('`"“”‘’').strip()
    plain = plain.strip("'").removeprefix("--").casefold().replace("'", "′")
    return re.sub(r"(?<=\w)[\s_\-–]+(?=\w)", " ", plain)


def _metrics() -> Iterator[Word]:
    from actbench.schema.metrics import METRICS as ROWS

    units = {
        "fraction": "in percent",
        "nats": "in nats",
        "seconds": "in seconds",
        "epochs": "in epochs",
        "count": "a count",
        "ratio": "a ratio",
        "squared": "in the square of the targets' unit",
    }
    direction = {True: "Higher is better.", False: "Lower is better.", None: "Neither direction is better."}
    for name, row in ROWS.items():
        last = name.rpartition(".")[2]
        section = {"test": ("val.accuracy",), "health": ("unit", "probe")}.get(name.partition(".")[0], ())
        yield Word(
            name,
            f"{row.text[0].upper()}{row.text[1:]}; {units[row.unit]}. {direction[row.higher_is_better]}",
            where="compare, show, diff, result.json",
            spellings=((last,) if last != name else ()) + SHORT_NAMES.get(name, ()),
            see=section,
            page="results.md",
        )


def _keys() -> Iterator[Word]:
    from actbench.config import Study, bases, cadence, kept_weights

    yield from _keys_of(Study)
    yield Word(
        cadence.DOTTED,
        f"{cadence.MEANING} Default: {cadence.DEFAULT}.",
        where="configs",
        spellings=("checkpoint_every",),
        see=("paused",),
        page="configuration.md",
    )
    yield Word(
        kept_weights.DOTTED,
        kept_weights.MEANING,
        where="configs",
        spellings=("keep_weights", "weights-*.safetensors"),
        see=("val.accuracy",),
        page="results.md",
    )
    yield Word(
        bases.KEY,
        bases.MEANING,
        where="configs",
        spellings=("extends", "inherits"),
        see=("config",),
        page="configuration.md",
    )
    for key, (kind, listed) in COMPONENTS.items():
        yield from _options_of(key, kind, listed)


def _keys_of(options: type[Options], above: str = "") -> Iterator[Word]:
    """Yield the keys of a section of a config, with those of the sections below it."""
    from actbench.config.keys import section_of
    from actbench.schema.attribute_texts import attribute_texts

    texts = attribute_texts(options)
    for name, field in options.model_fields.items():
        key, section = f"{above}{name}", section_of(field)
        if section is not None:
            text = texts.get(name) or f"A section of a config, with the keys {', '.join(section.model_fields)}."
        else:
            default = _default(field)
            text = f"{texts[name]}{default and f' Default: {default}.'}"
        short = (name,) if above else ()
        yield Word(key, text, where="configs", spellings=short, page="configuration.md")
        if section is not None:
            yield from _keys_of(section, f"{key}.")


def _options_of(key: str, kind: str, listed: str) -> Iterator[Word]:
    """Yield the options of all components of a kind, each once, with the components that have it."""
    from actbench.schema import registry
    from actbench.schema.attribute_texts import attribute_texts

    options: dict[str, dict[str, dict[str, list[str]]]] = {}
    for name in registry.names(kind):
        row = registry.load(kind, name)
        schema: type[Options] = row if isinstance(row, type) else row.schema
        texts = attribute_texts(schema)
        for option, field in schema.model_fields.items():
            own = options.setdefault(option, {}).setdefault(texts[option], {})
            own.setdefault(_default(field), []).append(name)
    every = len(registry.names(kind))
    for option, by_text in options.items():
        sentences = [_sentence(text, defaults, every) for text, defaults in by_text.items()]
        yield Word(
            f"{key}.{option}",
            " ".join(sentences),
            where="configs",
            spellings=(option,),
            see=(key,),
            page="configuration.md",
        )


def _sentence(text: str, defaults: Mapping[str, Sequence[str]], every: int) -> str:
    """Return what an option means, for which components, and its default in each.

    Args:
        text: What it means to all of these.
        defaults: Default -> the components that have it.
        every: How many components of the kind there are.
    """
    names = [name for own in defaults.values() for name in own]
    if len(defaults) == 1:
        (default,) = defaults
        whose = "" if len(names) == every else f"{', '.join(names)}: "
        return f"{whose}{text}{default and f' Default: {default}.'}"
    each = "; ".join(f"{default or 'none'} ({', '.join(own)})" for default, own in defaults.items())
    return f"{text} Default: {each}."


def _default(field: Any) -> str:
    """Return a field's default as a config would write it; empty where it is an empty list or mapping."""
    from actbench.schema.bias_init import BiasInit
    from actbench.schema.components import Component, shown

    if field.is_required():
        return "none, it is required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Component):
        return value.label
    if isinstance(value, BiasInit):
        value = value.to_json()
    if value in ({}, ()):
        return ""
    text = shown(list(value) if isinstance(value, tuple) else value)
    return text.strip("'")


def _names() -> Iterator[Word]:
    from actbench.cli.list_ import KINDS, summaries

    for listed, kind in KINDS.items():
        if listed == "metrics":
            continue
        for name, text in summaries(kind).items():
            more = f"actbench show {name}" if listed == "activations" else f"actbench list {listed}"
            yield Word(name, f"{listed.removesuffix('s').capitalize()}: {text}".rstrip(": "), where=more)
