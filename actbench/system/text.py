r"""Text that can always be stored, printed and typed again, whatever it holds.

Names, error messages, paths, arguments and host names come from outside. They may hold bytes that are not UTF-8 (which
Python keeps as lone surrogates), line breaks, and characters that steer a terminal: escape sequences, backspaces,
marks that turn the direction of writing. So text is made ``storable`` where it is written to a file, and ``printable``
where it is put into a line that people read. Both show what they replace as Python's escapes: ``\x1b``, ``\u202e``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence

MAX_MESSAGE = 500
"""Characters of a message in one line of the terminal."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def storable(text: str) -> str:
    r"""Return the text in characters that UTF-8 has; ordinary text is returned as it is.

    Two surrogates that stand for one character become that character. A byte that was not UTF-8 becomes an escape such
    as ``\xe9``, any other lone surrogate one such as ``\ud800``.

    >>> storable("caf\udce9 \ud83d\ude00 \ud800") == r"caf\xe9 😀 \ud800"
    True
    """
    if not _SURROGATE.search(text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return _SURROGATE.sub(lambda found: escaped(found[0]), joined)


def printable(text: str) -> str:
    r"""Return the text on one line, with an escape for each character that can't be seen or would steer a terminal.

    >>> print(printable("a\x1b[31m\nb\tc\u202e"))
    a\x1b[31m\nb\tc\u202e
    """
    if text.isprintable():  # which no surrogate is
        return text
    text = storable(text)
    return "".join(letter if letter.isprintable() else escaped(letter) for letter in text)


def printable_lines(text: str) -> str:
    """Return the text with its lines and tabs as they are, and everything else as ``printable`` returns it."""
    if text.replace("\n", "").replace("\t", "").isprintable():  # a tenth of the time for 100,000 lines
        return text
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def shortened(text: str, most: int) -> str:
    """Return a text that is too long without its middle, and with its length in the place of that.

    Args:
        text: Any text.
        most: The number of its characters that are kept; the note about its length comes on top.

    >>> shortened("abcdefghij" * 1000, 8)
    'abcd … [10,000 characters in all] … ghij'
    """
    if len(text) <= most:
        return text
    return f"{text[: most - most // 2]} … [{len(text):,} characters in all] … {text[len(text) - most // 2 :]}"


def one_line(text: str, most: int = MAX_MESSAGE) -> str:
    r"""Return a message as one line: printable, with blanks for its line breaks, and cut when it is too long.

    >>> one_line("sizes differ:\n  3 and \x1b[31m4")
    'sizes differ: 3 and \\x1b[31m4'
    """
    return printable(shortened(" ".join(text.split()), most))


def some_names(names: Sequence[str], most: int) -> str:
    """Return the first names, and the number of the others.

    >>> some_names(["relu", "elu", "selu"], 3), some_names(["relu", "elu", "selu"], 1)
    ('relu, elu, selu', 'relu and 2 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def shell_command(words: Iterable[str], encoding: str = "utf-8") -> str:
    r"""Return a command that a shell reads as exactly these words.

    Args:
        words: The words.
        encoding: That of the place where it is shown. A word with characters that it lacks, or that can't be printed,
            is written as ``$'…'``.

    >>> print(shell_command(["run", "my study.yaml", "caf\udce9"]))
    run 'my study.yaml' $'caf\351'
    >>> print(shell_command(["café"]), shell_command(["café"], "ascii"))
    'café' $'caf\303\251'
    """
    return " ".join(shlex.quote(word) if _is_shown(word, encoding) else _ansi_c_quoted(word) for word in words)


def _is_shown(word: str, encoding: str) -> bool:
    try:
        word.encode(encoding)
    except UnicodeEncodeError:
        return False
    return printable(word) == word


def escaped(letter: str) -> str:
    r"""Return a character as Python's escape for it, a byte that is not UTF-8 as that of the byte.

    >>> print(escaped("研"), escaped("\udce9"))
    \u7814 \xe9
    """
    code = ord(letter)
    # Python reads a byte b that is not UTF-8 as the surrogate 0xDC00 + b (PEP 383).
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else ascii(letter)[1:-1]


def _ansi_c_quoted(word: str) -> str:
    """Quote a word with octal escapes for bytes, which bash, zsh, ksh and POSIX (2024) read."""
    parts = []
    for letter in word:
        if letter in "\\'":
            parts.append(f"\\{letter}")
        elif letter.isascii() and letter.isprintable():
            parts.append(letter)
        else:
            kept = "surrogateescape" if "\udc80" <= letter <= "\udcff" else "surrogatepass"
            parts += [f"\\{byte:03o}" for byte in letter.encode("utf-8", kept)]
    return f"$'{''.join(parts)}'"
