"""Studies by their names: ``actbench compare quickstart`` for ``results/quickstart``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path("results")


def result_paths(paths: Sequence[Path] | None) -> list[Path]:
    """Return the paths that a command reads, ``results`` where none is given.

    Raises:
        ResultsError: For a name that is neither a path nor that of a study, with the nearest study.
    """
    return [result_path(path) for path in paths or [RESULTS]]


def result_path(path: Path, root: Path = RESULTS) -> Path:
    """Return a path as it is, or the study of this name below the results folder.

    Raises:
        ResultsError: For a name that is neither, with the nearest study.
    """
    from actbench.errors import ResultsError, nearest
    from actbench.system.command_line import shown_path

    if _is_there(path) or path.name != str(path):
        return path
    if study := study_named(str(path), root):
        return study
    near = nearest(str(path), _studies(root))
    if near is None:
        return path  # reading it says that it is not there
    raise ResultsError(
        f"no results at {path}, and no study of that name in {shown_path(root)} — did you mean '{near}'?"
    )


def study_named(name: str, root: Path = RESULTS) -> Path | None:
    """Return the folder of the study of this name below the results folder; None where there is none."""
    is_name = bool(name.strip()) and Path(name).name == name and "\0" not in name
    folder = root / name
    return folder if is_name and _is_study(folder) else None


def packed_study(text: str) -> Path | None:
    """Return the study in a file that ``actbench pack`` made; None for any other path."""
    from actbench.storage.folders import subfolders
    from actbench.system.packed import is_packed, kind

    path = Path(text)
    if not is_packed(path):
        return None
    found = [one for one in (path, *subfolders(path)) if kind(one / "runs") == "folder"]
    return found[0] if len(found) == 1 else None


def _studies(root: Path) -> list[str]:
    from actbench.storage.folders import subfolders

    try:
        return [folder.name for folder in subfolders(root) if _is_study(folder)]
    except OSError:
        return []


def _is_study(folder: Path) -> bool:
    return os.path.isdir(folder / "runs") or os.path.isfile(folder / "study.yaml")


def _is_there(path: Path) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:  # a null character
        return True
