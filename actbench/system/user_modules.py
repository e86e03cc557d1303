"""Modules of the user's own, by their files: machines that compute with one must have the same."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path


def modules_of(paths: Iterable[str | None]) -> set[str]:
    """Return the outermost module of each ``package.module:attribute``, without this package's own.

    >>> sorted(modules_of(["mine:act", "lab.acts:gelu", "actbench.system.session:f_0", None]))
    ['lab', 'mine']
    """
    found = {path.partition(":")[0].partition(".")[0] for path in paths if path is not None}
    return found - {__name__.partition(".")[0]}


def module_digest(name: str) -> str | None:
    """Return the sha256 over a module's source, all files of a package included; None where there is no such module.

    Nothing of it is imported. What it imports itself is not looked at.
    """
    if name in sys.builtin_module_names:
        return "built in"
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    if found is None:
        return None
    folders = [Path(folder) for folder in found.submodule_search_locations or ()]
    files = [(path.relative_to(folder).as_posix(), path) for folder in folders for path in folder.rglob("*.py")]
    if not folders and found.origin is not None and Path(found.origin).is_file():
        files = [(Path(found.origin).name, Path(found.origin))]
    digest = hashlib.sha256()
    for shown, path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{shown}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
