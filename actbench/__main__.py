"""``python -m actbench`` and the ``actbench`` command."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Import the command line and run it; Ctrl-C while it is imported leaves a word and no traceback.

    A shell that asks which words may follow is answered without that import, which would take most of the time.
    """
    if shell := os.environ.get("_ACTBENCH_COMPLETE"):
        from actbench.completion import complete

        complete(shell, sys.argv[1:])
        sys.exit(0)
    try:
        from actbench.cli import main as command_line
    except KeyboardInterrupt:
        sys.stderr.write("actbench: interrupted\n")
        sys.exit(130)
    command_line()


if __name__ == "__main__":
    main()
