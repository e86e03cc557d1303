"""The three shells: how each hands over the words that are typed, and how it takes those that may follow."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "_ACTBENCH_COMPLETE"
"""In the environment of a program that is to answer a shell instead of running: the shell's name."""

SHELLS = ("bash", "zsh", "fish")

ENDS_OPEN = ("=", ",", "/", ".", ":")
"""Ends of words to which more belongs: no space follows."""

MAX_TEXT = 72
"""Letters of a text beside a word: a list of both has one line each."""

_BREAKS = " \t\n\"'><=;|&(:"
"""The letters at which bash breaks words for completion, unless COMP_WORDBREAKS says otherwise."""

_NEEDS_ESCAPE = re.compile(r"([^A-Za-z0-9_@%+=:,./~-])")


@dataclass(frozen=True)
class Candidate:
    """A word that may stand where the cursor is.

    Args:
        word: The whole word.
        text: What it means, one line.
    """

    word: str
    text: str = ""

    @property
    def is_open(self) -> bool:
        """Whether more belongs to it, so that no space follows."""
        return self.word.endswith(ENDS_OPEN)


@dataclass(frozen=True)
class TypedLine:
    """The words before the cursor.

    Args:
        before: The words behind the program's name that are complete.
        word: The word at the cursor, up to it, without quotes.
        quote: The quotation mark that is open at the cursor, or nothing.
        kept: The letters of ``word`` that bash leaves as they are; it replaces only those behind them.
    """

    before: tuple[str, ...]
    word: str
    quote: str = ""
    kept: int = 0


def script(shell: str) -> str:
    """Return the text that a shell has to read to complete ``actbench``."""
    return Path(__file__).with_name(f"actbench.{shell}").read_text("utf-8")


def typed(shell: str, arguments: Sequence[str], environment: Mapping[str, str]) -> TypedLine:
    """Return what is typed, as the script of a shell hands it over.

    Args:
        shell: One of ``SHELLS``.
        arguments: bash: the line up to the cursor. zsh, fish: its words behind the program's name, the last one up to
            the cursor.
        environment: For bash, ``COMP_WORDBREAKS``.
    """
    if shell == "bash":
        return split_line(arguments[0], environment.get("COMP_WORDBREAKS", _BREAKS))
    *before, word = arguments
    if shell == "fish":  # the word at the cursor comes as it is typed
        word = split_line(f"_ {word}", "").word
    return TypedLine(tuple(before), word)


def split_line(line: str, breaks: str = _BREAKS) -> TypedLine:
    r"""Split a line as bash does, up to a cursor at its end.

    >>> split_line("actbench run c.yaml activation=re")
    TypedLine(before=('run', 'c.yaml'), word='activation=re', quote='', kept=11)
    >>> split_line("actbench show 'x * ta")
    TypedLine(before=('show',), word='x * ta', quote="'", kept=0)
    """
    words, word, quote, kept, is_begun = list[str](), "", "", 0, False
    letters = iter(line)
    for letter in letters:
        if not quote and letter.isspace():
            if is_begun:
                words.append(word)
            word, kept, is_begun = "", 0, False
            continue
        is_begun = True
        if letter == quote:
            quote = ""
        elif letter == "\\" and quote != "'":
            escaped = next(letters, "")
            # between double quotes the backslash stays before all letters but these
            word += escaped if not quote or escaped in '"\\$`' else letter + escaped
        elif not quote and letter in "'\"":
            quote, kept = letter, len(word)
        else:
            word += letter
            if not quote and letter in breaks:
                kept = len(word)
    return TypedLine(tuple(words[1:]), word, quote, kept)


def answer(shell: str, line: TypedLine, candidates: Sequence[Candidate]) -> str:
    """Return the candidates as the script of a shell takes them, a line each."""
    if shell == "bash":
        return "\n".join(_for_bash(line, one) for one in candidates)
    return "\n".join(f"{one.word}\t{_brief(one.text)}" if one.text else one.word for one in candidates)


def _brief(text: str) -> str:
    """Return the first sentence of a text, and of that what has room in a list."""
    sentence = text.replace("\n", " ").partition(". ")[0].removesuffix(".")
    return sentence if len(sentence) <= MAX_TEXT else f"{sentence[: MAX_TEXT - 1].rstrip()}…"


def _for_bash(line: TypedLine, candidate: Candidate) -> str:
    rest = candidate.word[line.kept :]
    if line.quote:  # bash closes the quotation mark itself
        return rest
    return _NEEDS_ESCAPE.sub(r"\\\1", rest) + ("" if candidate.is_open else " ")
