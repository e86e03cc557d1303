"""Text that others choose and that a program must be able to store and to print: for names, messages, hosts."""

from __future__ import annotations

from hypothesis import strategies as st

CONTROL = [
    "\x1b[31m", "\x1b]0;title\x07", "\x1b[2J", "\x9b31m", "\x85", "\r", "\b\b\b", "\n", "\r\n", "\t", "\x00", "\x7f",
    "\u202e", "\u2066", "\u200b", "\u200d", "\ufeff", "\u2028", "\u2029", "\xa0", "\ue000", "\U000e0041",
]  # fmt: skip
"""Control sequences of terminals, line breaks, turns of direction, characters without a width."""

MARKUP = [
    "[red]", "[/red]", "[link=http://a.b]", "[/]", ":smile:", "|", "`", "``", "*", "_x_", "**", "~~", "![x](http://a.b)",
    "[x](y)", "[x]: y", "<b>", "</b>", "<script>", "<!--", "&lt;", "&#9;", "# ", "> ", "1. ", "- ", "+ ", "---", "$x$",
    "\\", "\\n", "{", "}", "%", "%s", "{0}", "^", "&", "~", "\"", "'", ",", ";", "=1+1", "@SUM(A1)", "+1", "-1", "-x",
    "'=1", "\uff1d1",
]  # fmt: skip
"""What markup, spreadsheets, LaTeX and format strings take for theirs."""

ORDINARY = ["gate", "x", " ", "λ", "猫", "😀", "é", "0.5", "a=b", "(", ")", "/", "..", "~"]

HALVES = ["\ud83d", "\ude00", "\udcff", "\udc80", "\ud800"]
"""Halves of characters: bytes that were not UTF-8 are among them."""

PIECES = st.sampled_from([*CONTROL, *MARKUP, *ORDINARY]) | st.text(max_size=4)

NAMES = (
    st.lists(PIECES, min_size=1, max_size=5).map("".join).filter(lambda name: not name.isascii() or not name.isalnum())
)
"""Text that a name may be; plain words, some of which are built-in names, are left out."""

ANY = st.lists(st.sampled_from([*CONTROL, *MARKUP, *ORDINARY, *HALVES]) | st.text(max_size=4), max_size=6).map("".join)
"""Any text that Python can hold."""


def steers(text: str) -> set[str]:
    """The characters of an output, besides the ends of lines, that can't be seen."""
    return {letter for letter in text if letter != "\n" and not letter.isprintable()}
