"""The words of the page and what they mean; where one is met first, it leads to its definition."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from actbench.analysis.table.result import Comparison
from actbench.schema.health_measures import HEALTH_MEASURES
from actbench.system.text import printable

if TYPE_CHECKING:
    from markupsafe import Markup

WORDS: Mapping[str, str] = {
    "dead": f"Of a hidden unit: {HEALTH_MEASURES['dead'].rule}; it can't learn.",
    "constant": f"Of a hidden unit: {HEALTH_MEASURES['constant'].rule}.",
    "inert": "Of a hidden unit: dead or constant.",
    "probe": "Training images, the same for all runs of a study, on which the hidden units are observed.",
    "collapsed": "Outcome of a run with more inert hidden units than health.collapse_at allows, or with a layer all of "
    "whose units are inert. It has values, and they are averaged in.",
    "diverged": "Outcome of a run in which a loss or a parameter was not a finite number below 1e300. It has no final "
    "accuracy, so it is counted beside the means and in no mean.",
    "failed": "Outcome of a run that ended with an error. It has no values.",
    "ok": "Outcome of a run that is neither collapsed nor diverged nor failed.",
    "baseline": "The row that the others are compared to.",
    "paired": "Runs of equal seed start from the same numbers and see the same batches, so each row's value is "
    "subtracted from the baseline's of the same seed; what both share cancels.",
    "interval": "Of a mean or a difference over seeds: Student's t interval, which holds the true value in 95 of 100 "
    "studies at alpha 0.05. A mean of fewer than three seeds has none.",
    "Wilson interval": "Of a share of runs, such as those that went wrong: it stays between 0 and 100 %.",
    "adjusted p": "The chance of a difference at least as large anywhere in the column if there were none at all. It "
    "counts how many differences were looked at; below alpha a difference is marked *.",
    "max-T": "Westfall and Young's adjustment: the signs of each seed's differences are flipped for all rows together.",
    "Holm": "Holm's step-down adjustment of p, used where a row has too few pairs for max-T.",
    "sign flips": "A test that assumes only that a seed's difference could as well have had the other sign.",
    "tied": "Of a row, marked =: its paired difference to the best row is not shown. That does not prove them equal.",
    "epoch 0": "The network before the first step.",
}
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
