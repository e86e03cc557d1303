"""The part of a record's environment that is the same for all runs of a command."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from actbench._version import __version__
from actbench.system.devices import processor_name


@cache
def describe_command() -> dict[str, Any]:
    """Return versions, host system, command line, and the commit of the folder that the command was started in."""
    return {**describe_machine(), "argv": _argv(), "git_commit": _git_commit()}


@cache
def describe_machine() -> dict[str, Any]:
    """Return the versions and the host system of this machine, on which a worker computes."""
    return {
        "actbench": __version__,
        "python": platform.python_version(),
        "numpy": metadata.version("numpy"),
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor_name(),
        "processors": os.cpu_count(),
    }


def _argv() -> list[str]:
    """Return the command's words, the program by its name alone: who is sent the record needs no path of it."""
    called = Path(sys.argv[0])
    return ["actbench" if called.name == "__main__.py" else called.name, *sys.argv[1:]]


def _git_commit() -> str | None:
    """Return HEAD of the current folder's repository, with ``-dirty`` if it was changed; None outside of one."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None
