"""What may follow on a command line: words for the shells' completion.

A key that is pressed has no time for the command line itself, nor for pydantic: commands and their options come from
``commands.json``, which ``cli.command_index`` writes, keys and names from the JSON Schema that is shipped, factors and
run ids from the names of folders and from the config beside the runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def complete(shell: str, arguments: Sequence[str]) -> None:
    """Print the words that may follow those that are typed.

    Args:
        shell: The one that asks, by the script that ``actbench completion`` printed for it.
        arguments: What its script hands over.
    """
    from actbench.completion.candidates import candidates
    from actbench.completion.commands import program
    from actbench.completion.shells import answer, typed
    from actbench.system.stand_ins import displayable

    line = typed(shell, arguments, os.environ)
    if found := candidates(program(), line):
        text = answer(shell, line, found)
        sys.stdout.write(displayable(text, sys.stdout.encoding or "utf-8") + "\n")
