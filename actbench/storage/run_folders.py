"""Which folders hold runs, and which one a user's text names."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from actbench.errors import ResultsError, UsageError, suggestion
from actbench.storage.folders import check_results_folder, subfolder_names, subfolders
from actbench.system.command_line import command_text
from actbench.system.packed import kind

_log = logging.getLogger("actbench.storage.run_folders")

SIGNS = ("result.json", "spec.json")
"""Files of which one at least makes a folder that of a run."""

_ID = re.compile(r".*-([0-9a-f]{8})/*", re.DOTALL)
"""A run id, or a path that ends with one."""


def folders_of_runs(paths: Iterable[Path | str], warnings: list[str]) -> dict[Path, list[str]]:
    """Return each folder of runs below some paths -> the names of the folders in it, each once."""
    found: dict[Path, dict[str, None]] = {}
    for path in paths:
        for above, names in _folders_below(Path(path), warnings):
            found.setdefault(above, {}).update(dict.fromkeys(names))
    return {above: list(names) for above, names in found.items()}


def _folders_below(path: Path, warnings: list[str]) -> Iterator[tuple[Path, Sequence[str]]]:
    """Yield the folders of runs at or below a path, each with the names of the folders in it, which may hold runs.

    Args:
        path: Where to look.
        warnings: A warning is added for each study whose folder can't be read.

    Raises:
        ResultsError: When the path does not exist, or can't be read.
    """
    check_results_folder(path)
    path = path.resolve()
    try:
        if is_run(str(path)):
            yield path.parent, [path.name]
            return
        studies = [path, *subfolders(path)]
    except OSError as error:
        raise ResultsError(f"can't read {path}: {error.strerror}") from error
    for study in studies:
        above = study / "runs"
        try:
            yield above, subfolder_names(above)
        except OSError as error:
            warnings.append(f"{study.name}: skipped, its runs can't be listed: {error.strerror}")


def study_of(run: Path) -> str:
    """Return the name of the study that a run's folder belongs to."""
    return run.parent.parent.resolve().name


def is_run(folder: str) -> bool:
    """Return whether a folder holds a run: its result, which has all that it needs, or its settings.

    Raises:
        PermissionError: When that can't be known.
    """
    files = [f"{folder}{os.sep}{name}" for name in SIGNS]
    try:
        # A link to nowhere is a run that can't be read.
        return any(os.path.lexists(file) or kind(Path(file)) is not None for file in files)
    except PermissionError:
        raise
    except (OSError, ValueError):  # no such folder; no folder; a text that can't be the name of one
        return False


def _may_be_run(folder: str) -> bool:
    """Return whether a folder holds a run, or can't be looked into, which is reported when the run is read."""
    try:
        return is_run(folder)
    except PermissionError:
        return True


def find_folder(root: Path, text: str) -> Path:
    """Return the folder of the run that a user's text names, as ``find_run`` reads it.

    Raises:
        UsageError: When no run or more than one fits.
    """
    if not text.strip():
        raise UsageError("an empty name is that of no run: give a run's id, its first letters, its digits or its path")
    with suppress(PermissionError):  # then it is the name of a run below the root
        if is_run(text):
            return Path(text).resolve()
    warnings = list[str]()
    folders = (above / name for above, names in _folders_below(root, warnings) for name in names)
    runs = [folder for folder in folders if _may_be_run(str(folder))]
    for warning in warnings:
        _log.warning("%s", warning)
    # The strictest reading first; the first that fits any run counts. The digits that end an id decide which run it is:
    # the rest says what varied in its study when it was begun, and other versions said it otherwise.
    digits = _ID.fullmatch(text)
    for fits in (
        text.__eq__,
        lambda name: name.endswith(f"-{text}"),
        lambda name: name.startswith(text),
        lambda name: digits is not None and name.endswith(f"-{digits[1]}"),
    ):
        found = [run for run in runs if fits(run.name)]
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(f"{study_of(run)}/runs/{run.name}" for run in found[:5])
            raise UsageError(f"'{text}' fits {len(found)} runs: {several}{' …' if len(found) > 5 else ''}")
    otherwise = f"`{command_text(['compare', root])}` and the folder's runs/ show what there is"
    hint = suggestion(text, [run.name for run in runs], otherwise=otherwise)
    raise UsageError(f"no run '{text}' in {root} — {hint}")
