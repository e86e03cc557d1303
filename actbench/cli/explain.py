"""``actbench explain``: what a column, an outcome, a statistic, a key or a term means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from actbench.schema.words import Word

SETTINGS = {"ignore_unknown_options": True}
"""An option such as ``--tune`` is a word, too."""

EXAMPLES = {
    "actbench explain dead": "a word of a table",
    "actbench explain '=' '*' adjusted_p": "marks and columns, as they are printed",
    "actbench explain training.optimizer.lr": "a key of a config; lr alone will do",
    "actbench explain": "all words, by group",
}

MAX_WIDTH = 100
"""Letters a line; longer ones are hard to read."""


def explain(
    context: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORD", help="As it is printed. [default: list all words]")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="For programs: one object a meaning.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="The whole glossary as a page.")] = False,
) -> None:
    """Explain a column, an outcome, a statistic, a config key or a term.

    Case makes no difference, nor whether its parts are joined by `_`, `-` or a space.
    """
    from actbench.cli.output import as_json, print_result
    from actbench.cli.vocabulary import command_words, vocabulary

    above: Any = context.parent
    commands = command_words(above.command)
    if markdown:
        print_result(glossary())
        return
    if not words:
        every = [(title, word) for title, own in vocabulary().items() for word in own]
        print_result(as_json([_to_json(*one) for one in every]) if json else "\n".join(_listing(vocabulary())))
        return
    meanings = _meanings(words, commands)
    if json:
        print_result(as_json([_to_json(*one) for one in meanings]))
    else:
        print_result("\n\n".join("\n".join(_lines(*one)) for one in meanings))


def _meanings(words: Sequence[str], commands: Sequence[Word]) -> list[tuple[str, Word]]:
    """Return the meanings of the words: of all of them as one phrase where there is such a phrase.

    Raises:
        UsageError: For an unknown word, with those that look like it.
    """
    from actbench.cli.vocabulary import found, near
    from actbench.errors import UsageError
    from actbench.system.command_line import command_text

    if len(words) > 1 and (phrase := found(" ".join(words), commands)):
        return phrase
    meanings: list[tuple[str, Word]] = []
    for word in words:
        own = found(word, commands)
        if not own:
            like = " or ".join(f"'{name}'" for name in near(word, commands))
            hint = f"did you mean {like}?" if like else "`actbench explain` lists all words"
            if re.search(r"[(*/]", word):
                hint = f"a formula is drawn by {command_text(['show', word])}"
            raise UsageError(f"nothing that actbench prints is called '{word}' — {hint}")
        meanings += [one for one in own if one not in meanings]
    return meanings


def _lines(title: str, word: Word) -> Iterator[str]:
    """Yield a word's explanation as it is printed."""
    yield f"{word.name}  ({title.lower()})" if word.name else title
    yield from _wrapped(word.text, "  ", "  ")
    more = {
        "formula": word.formula,
        "in": word.where,
        "also": ", ".join(word.spellings),
        "see": ", ".join(word.see),
        "read": f"docs/{word.page}" if word.page else "",
    }
    for name, text in more.items():
        if text:
            yield from _wrapped(text, f"  {name + ':':<9}", " " * 11)


def _listing(groups: Mapping[str, Sequence[Word]]) -> Iterator[str]:
    """Yield all words by group."""
    from actbench.cli.vocabulary import NAMES

    for title, words in groups.items():
        yield title
        if title == NAMES:
            yield from _wrapped("activations, models, datasets …: actbench list KIND", "  ", "  ")
        else:
            yield from _wrapped(", ".join(word.name for word in words), "  ", "  ")
        yield ""
    yield "One of them: actbench explain WORD"


def _wrapped(text: str, first: str, others: str) -> list[str]:
    from actbench.cli.output import filled

    return filled(text, first, others, widest=MAX_WIDTH)


def _to_json(title: str, word: Word) -> dict[str, Any]:
    return {
        "word": word.name,
        "group": title,
        "text": word.text,
        "formula": word.formula,
        "in": word.where,
        "spellings": list(word.spellings),
        "see": list(word.see),
        "page": word.page,
    }


def glossary() -> str:
    """Return docs/glossary.md: every word but the names of components, which have pages of their own."""
    from actbench.cli.vocabulary import NAMES, vocabulary

    lines = [
        "# Glossary",
        "",
        "Every word that actbench prints: columns, marks, outcomes, statistics, keys, fields. `actbench explain WORD` "
        "says the",
        "same in the terminal, where a word may be typed as it is printed. Made from the program's own texts by",
        "`actbench explain --markdown`.",
    ]
    for title, words in vocabulary().items():
        if title != NAMES:
            lines += ["", f"## {title}", ""]
            lines += [_entry(word) for word in words]
    return "\n".join(lines)


def _entry(word: Word) -> str:
    also = f" ({', '.join(f'`{name}`' for name in word.spellings)})" if word.spellings else ""
    parts = [f"- **{_escaped(word.name)}**{also}: {_escaped(word.text)}"]
    parts += [f"Formula: `{word.formula}`."] if word.formula else []
    parts += [f"See: {_escaped(', '.join(word.see))}."] if word.see else []
    parts += [f"More: [{word.page}]({word.page})."] if word.page else []
    return " ".join(parts)


def _escaped(text: str) -> str:
    """Return text in which Markdown sees no markup but backticks."""
    return "`".join(
        part if index % 2 else re.sub(r"([*_|<\[\]\\])", r"\\\1", part) for index, part in enumerate(text.split("`"))
    )
