"""Folders that a user names or that lie among the results, which may be absent, foreign or unreadable."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from actbench.errors import ResultsError


def check_results_folder(path: Path) -> None:
    """Refuse a path that is no folder.

    Raises:
        ResultsError: When there is no such folder, or it can't be reached.
    """
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        raise ResultsError(f"no results at {path}: it does not exist") from None
    except OSError as error:
        raise ResultsError(f"can't read {path}: {error.strerror}") from error
    except ValueError as error:  # a null character
        raise ResultsError(f"can't read {str(path)!r}: {error}") from error
    if not stat.S_ISDIR(kind):
        raise ResultsError(f"no results at {path}: not a folder")


def subfolders(path: Path) -> list[Path]:
    """Return the folders in a folder, links to folders included, in the order of their names.

    Raises:
        OSError: When the folder can't be read; one that does not exist has none.
    """
    try:
        with os.scandir(path) as entries:
            return sorted(path / entry.name for entry in entries if _is_folder(entry))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a circle
        return False
