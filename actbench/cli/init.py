"""``actbench init``: write a config to start from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = {
    "actbench init mine.yaml": "every key explained",
    "actbench init --from quickstart": "a copy of a shipped study",
}

File = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="What to write. [default: study.yaml; with --from: NAME.yaml, in this folder]"),
]
From = Annotated[str | None, typer.Option("--from", metavar="NAME", help="Copy this one: `actbench list configs`.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]


def init(file: File = None, source: From = None, force: Force = False) -> None:
    """Write a config to start from.

    Every key stands in it, with its meaning, its default and what else it may be.
    """
    from actbench.cli.output import print_note, print_result
    from actbench.config.shipped import ENDING, shipped_text, starter, with_modeline
    from actbench.errors import UsageError
    from actbench.system.command_line import command_text
    from actbench.system.files import write_output

    path = file or Path(f"{(source or 'study').rpartition('/')[2]}{ENDING}")
    content = starter(path) if source is None else shipped_text(source)
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder: name a file in it")
    if os.path.lexists(path) and not force and (os.path.isfile(path) or os.path.islink(path)):
        raise UsageError(f"{path} is there already, and was left as it is: name another file, or replace it by --force")
    write_output(path, with_modeline(content, path))
    print_result(f"{path}: {'a config with every key explained' if source is None else f'a copy of {source}'}")
    for verb, meaning in (("plan", "what it would do"), ("run", "to train it")):
        print_note(f"{meaning}: {command_text([verb, path])}")
