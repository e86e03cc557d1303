"""Commands to copy from a message: they work in the folder in which the message was printed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from actbench.system.text import shell_command

PROGRAM = "actbench"


def command_text(words: Iterable[str | Path]) -> str:
    """Return the words behind the program's name as one command for a POSIX shell, each quoted where it has to be."""
    # A letter that the console lacks would be a stand-in there, and the copied command about another file.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    shown = (shown_path(word) if isinstance(word, Path) else word for word in words)
    return shell_command([*program(), *shown], encoding)


def program() -> list[str]:
    """Return the words by which this program was called, as short as possible; its name where it was called otherwise.

    A script or a notebook that imports actbench is another program, from which the command can't be repeated.
    """
    called = Path(sys.argv[0])
    if called.name == "__main__.py" and called.parent.name == PROGRAM:
        return [_shortest(Path(sys.executable)), "-m", PROGRAM]
    return [_shortest(called)] if called.stem == PROGRAM else [PROGRAM]


def shown_path(path: Path) -> str:
    """Return a path as a word of a command: relative to the current folder if it lies in there, else absolute.

    A relative path that begins with a dash would be read as an option, so ``./`` stands before it.
    """
    there, here = path.absolute(), Path.cwd()
    if not there.is_relative_to(here):
        return str(there)
    word = str(there.relative_to(here))
    return f"./{word}" if word.startswith("-") else word


def error_logs(study: Path) -> str:
    """Return the pattern of a study's error logs, as a shell takes it: what has to be quoted in it is."""
    return f"{shell_command([shown_path(study)])}/runs/*/error.txt"


def _shortest(called: Path) -> str:
    """Return the bare name of a program if the shell finds it by that, else its path."""
    found = shutil.which(called.name)
    same = found is not None and called.exists() and Path(found).samefile(called)
    return called.name if same and Path(found or "").parent == called.parent else str(called)
