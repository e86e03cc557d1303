"""``python -m actbench`` and the ``actbench`` command."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Import the command line and run it; Ctrl-C while it is imported leaves a word and no traceback."""
    try:
        from actbench.cli import main as command_line
    except KeyboardInterrupt:
        sys.stderr.write("actbench: interrupted\n")
        sys.exit(130)
    command_line()


if __name__ == "__main__":
    main()
