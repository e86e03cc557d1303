"""A word that an output prints, and what it means."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """Explain one word.

    Args:
        name: The word as it is printed most often; a phrase of several is one word, too.
        text: Its meaning in one to three plain sentences.
        formula: Where there is one.
        where: The commands, files or pages that print it; empty where that is nearly all of them.
        spellings: How else it is printed or written, such as ``=`` for ``tied``.
        see: Words to read next.
        page: The page of ``docs/`` that says more.
    """

    name: str
    text: str
    formula: str = ""
    where: str = ""
    spellings: tuple[str, ...] = ()
    see: tuple[str, ...] = ()
    page: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the word and its other spellings."""
        return (self.name, *self.spellings)
