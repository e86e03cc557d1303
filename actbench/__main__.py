"""``python -m actbench`` and the ``actbench`` command."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import NoReturn

_WITHOUT_TRAINING = ("-h", "--help", "--dry-run", "--engine")
"""Options of ``run`` with which it may train nothing, or without worker processes."""


def main() -> NoReturn:
    """Import the command line and run it; Ctrl-C while it is imported leaves a word and no traceback.

    A shell that asks which words may follow is answered without that import, which would take most of the time.
    """
    if shell := os.environ.get("_ACTBENCH_COMPLETE"):
        from actbench.completion import complete

        complete(shell, sys.argv[1:])
        sys.exit(0)
    try:
        with _workers_started_early():
            from actbench.cli import main as command_line

            command_line()
    except KeyboardInterrupt:
        sys.stderr.write("actbench: interrupted\n")
        sys.exit(130)


def _workers_started_early() -> AbstractContextManager[None]:
    """Let the process that forks the workers import torch, in two seconds, while this one reads the study."""
    words = sys.argv[1:]
    options = {word.partition("=")[0] for word in words[1:]}
    variables = {f"ACTBENCH_RUN_{option.strip('-').replace('-', '_').upper()}" for option in _WITHOUT_TRAINING}
    if words[:1] != ["run"] or options & set(_WITHOUT_TRAINING) or variables & set(os.environ):
        return nullcontext()
    from actbench.system import fork_server
    from actbench.system.streams import are_open

    # In the place of a closed stream the server's socket would be taken for it.
    if not fork_server.can_fork() or not are_open():
        return nullcontext()
    if "" not in sys.path:
        sys.path.insert(0, "")  # as the command line does: the workers' module path is that of the command
    return fork_server.started_early("actbench.execution.engines._fork_server")


if __name__ == "__main__":
    main()
