"""Folders that a user names or that lie among the results, which may be absent, foreign or unreadable."""

from __future__ import annotations

import os
from pathlib import Path

from actbench.errors import ResultsError, UsageError
from actbench.system.packed import ENDINGS, is_packed, kind, packed_part
from actbench.system.packed_reader import PackedError


def check_results_folder(path: Path) -> None:
    """Refuse a path that is neither a folder nor a packed study.

    Raises:
        ResultsError: When there is no such folder, or it can't be reached.
    """
    try:
        found = kind(path)
    except OSError as error:
        raise ResultsError(f"can't read {path}: {error.strerror}") from error
    except ValueError as error:  # a null character
        raise ResultsError(f"can't read {str(path)!r}: {error}") from error
    if found is None:
        raise ResultsError(f"no results at {path}: it does not exist")
    if found == "file":
        raise ResultsError(f"no results at {path}: {_why_no_folder(path)}")


def refuse_packed(path: Path) -> None:
    """Refuse to train into a packed study.

    Raises:
        UsageError: When the path is an archive, or leads into one.
    """
    if is_packed(path):
        raise UsageError(f"{path} is a packed study, which can only be read: unpack it, or name another results folder")


def _why_no_folder(path: Path) -> str:
    """Return why a file holds no results: one reason for all that is wrong with an archive."""
    try:
        packed_part(path)
    except PackedError as error:
        return f"neither a folder nor a packed study, {error.strerror}"
    return "not a folder"


def subfolders(path: Path) -> list[Path]:
    """Return the folders in a folder or a packed study, links to folders included, in the order of their names.

    Raises:
        OSError: When the folder can't be read; one that does not exist has none.
    """
    return [path / name for name in subfolder_names(path)]


def subfolder_names(path: Path) -> list[str]:
    """Return the names of these folders, in their order.

    Raises:
        OSError: When the folder can't be read; one that does not exist has none.
    """
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if _is_folder(entry))
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        return [found.name for found in _packed_subfolders(path)]


def packed_hint(path: Path) -> str:
    """Say which packed studies lie in a folder, or in a folder of it, and how to read one; empty where there are none.

    They are not read with the folder: each is a whole of its own, as it was handed on.
    """
    try:
        places = [one for one in (path, *subfolders(path)) if one.is_dir()]
        found = sorted(one / name for one in places for name in os.listdir(one) if name.lower().endswith(ENDINGS))
    except OSError:
        return ""
    if not found:
        return ""
    named = ", ".join(map(str, found[:5])) + (f" … ({len(found)} in all)" if len(found) > 5 else "")
    return f"; packed studies are read by the name of the file: {named}"


def _packed_subfolders(path: Path) -> list[Path]:
    try:
        found = packed_part(path)
        entries = found[0].listing(found[1]) if found is not None else {}
    except (PackedError, FileNotFoundError):
        return []
    return [path / name for name in sorted(name for name, kind in entries.items() if kind == "folder")]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a circle
        return False
