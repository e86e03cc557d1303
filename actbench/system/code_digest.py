"""A digest of the program's own code: machines that work on one study must run the same."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
"""The folder ``actbench/``."""

_COMPILED = ("__pycache__", ".pyc")


@cache
def code_digest() -> str:
    """Return the sha256, in hexadecimal, of the package's files: their paths below it and their contents.

    Equal on two machines if and only if they hold the same files, wherever the package lies, however it was installed
    and whatever was compiled from it.
    """
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*")):
        name = path.relative_to(PACKAGE).as_posix()
        if path.is_file() and not any(part in name for part in _COMPILED):
            content = path.read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()
