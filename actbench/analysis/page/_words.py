"""The words of the page and what they mean; where one is met first, it leads to its definition."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from actbench.analysis.table.result import Comparison
from actbench.schema.words import WORDS as ALL_WORDS
from actbench.system.text import printable

if TYPE_CHECKING:
    from markupsafe import Markup

_SHOWN = (
    *("dead", "constant", "inert", "probe", "collapsed", "diverged", "failed", "ok", "baseline", "paired", "interval"),
    *("Wilson interval", "adjusted p", "max-T", "Holm", "sign flips", "tied", "epoch 0"),
)

WORDS: Mapping[str, str] = {name: ALL_WORDS[name].text for name in _SHOWN}
"""Word -> its definition, in the order of the page's list."""

_ALIASES = {
    "Wilson interval": r"Wilson interval",
    "adjusted p": r"adjusted p|-adjusted",
    "sign flips": r"sign[ -]flips?",
    "epoch 0": r"[Ee]poch 0",
    "tied": r"tied|not distinguishable",
    "paired": r"paired",
    "interval": r"[Ii]ntervals?",
    "constant": r"(?<!schedule )constant",
}
"""Word -> how it may be written."""

_PATTERN = re.compile(
    "|".join(
        rf"(?P<w{index}>(?<![\w.=-]){_ALIASES.get(word, re.escape(word))}(?![\w(=]))"
        if word != "adjusted p"
        else rf"(?P<w{index}>(?<!\w)(?:{_ALIASES[word]})(?!\w))"
        for index, word in sorted(enumerate(WORDS), key=lambda one: -len(one[1]))
    )
)


def anchor(word: str) -> str:
    """Return the id under which a word's definition stands.

    >>> anchor("Wilson interval")
    'word-wilson-interval'
    """
    return f"word-{re.sub('[^a-z0-9]+', '-', word.lower())}"


def breakable(text: str) -> Markup:
    """Return a name as HTML that may break behind its dots and underscores: a column is not as wide as its head."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"(?<=[._])", "<wbr>", str(escape(printable(text)))))


def with_words(text: str, seen: set[str]) -> Markup:
    """Return a sentence of ours as HTML in which each word that is not in ``seen`` yet leads to its definition.

    Args:
        text: It is escaped and made printable, since it may hold names that others chose.
        seen: Words that have led there already; those of this text are added.
    """
    from markupsafe import Markup, escape

    text = printable(text)
    parts, end = [], 0
    for found in _PATTERN.finditer(text):
        word = list(WORDS)[int((found.lastgroup or "w0")[1:])]
        if word in seen:
            continue
        seen.add(word)
        parts.append(escape(text[end : found.start()]))
        parts.append(Markup('<a class="word" href="#{}" title="{}">{}</a>').format(anchor(word), WORDS[word], found[0]))
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


def definitions(comparisons: Sequence[Comparison]) -> list[tuple[str, str, str]]:
    """Return id, word and definition of every word; that of a dead unit with the slope and probe of these runs."""
    own = " or ".join(dict.fromkeys(one.dead for one in comparisons if one.dead))
    more = {"dead": f" In these runs: {own}."} if own else {}
    return [(anchor(word), word, printable(text + more.get(word, ""))) for word, text in WORDS.items()]
