"""Leftovers of processes that were killed, or had no room left on the disk: the next command on the study removes them.

    heartbeat-<token>, .study.yaml.<hex>, .index.sqlite.<hex>    in the study's folder
    .<cohort>.pt.<hex>                               among its checkpoints
    claim.json, claim.json.<token>, .<file>.<hex>    in the folder of a run, finished or not, still in the study or not
    .claim.json.<token>                              there too: a lock that has not got its name yet

Nothing is taken from a living process: a lock is removed when its process has exited (``locks``), a file in a run's
folder when no process holds the run, and a file elsewhere when none is at work on the study. Files are listed before
their writers are looked for: since no such name comes again, a process that begins meanwhile has none of them. Writers
are looked for before this process has a heartbeat itself, so that of several that clear at the same moment the first
takes none of the others for a writer, and removes what all of them have listed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from actbench.errors import ResultsError
from actbench.storage.folders import subfolders
from actbench.storage.lock_files import (
    LOCK_FILE,
    dead_heartbeats,
    holder,
    is_at_work,
    is_dead,
    somebody_is_at_work,
)
from actbench.storage.locks import Locks
from actbench.system.files import writing

_HALF_WRITTEN = re.compile(
    r"\.(study\.yaml|index\.sqlite|weights-\d+\.safetensors|spec\.json|metrics\.jsonl|result\.json|error\.txt|claim\.json|.+\.pt|heartbeat-[0-9a-f]{16})"
    r"\.([0-9a-f]{16})"
)
"""Names under which ``write_atomically`` begins the files of a study, and ``create_lock`` a lock."""


def remove_leftovers(study: Path) -> None:
    """Remove from a study's folder what dead processes have left there; write nothing when there is nothing.

    A folder that can't be read, such as another user's, does not keep the others from being cleared.

    Args:
        study: The study's folder, which need not exist.

    Raises:
        ResultsError: When a folder can't be read, or a file can't be removed; after all else has been removed.
    """
    locks: list[Path] = []
    half_written: list[Path] = []
    failures: list[ResultsError] = []
    for folder in (study, study / "checkpoints", *_run_folders(study)):
        try:
            for path in _files(folder):
                if _HALF_WRITTEN.fullmatch(path.name):
                    half_written.append(path)
                elif folder.parent.name == "runs" and path.name.startswith(LOCK_FILE) and is_dead(path, study):
                    locks.append(path)
        except OSError as error:
            failures.append(ResultsError(f"can't read {error.filename or folder}: {error.strerror}"))
    if locks or half_written or dead_heartbeats(study):
        alone = _is_alone(study)
        with Locks(study) as mine:  # which removes the heartbeats
            for lock in locks:
                try:
                    mine.clear(lock)
                except ResultsError as failure:
                    failures.append(failure)
            for path in half_written:
                try:
                    with writing(path):
                        if not _is_being_written(path, study, alone=alone):
                            path.unlink(missing_ok=True)
                except ResultsError as failure:
                    failures.append(failure)
    if failures:
        raise failures[0]


def _is_alone(study: Path) -> bool:
    try:
        return not somebody_is_at_work(study)
    except OSError as error:
        raise ResultsError(f"can't read {study}: {error.strerror}") from error


def _is_being_written(path: Path, study: Path, *, alone: bool) -> bool:
    """Return whether a living process may be writing a file.

    That is the process which a lock's name gives, the holder of the run for any other file of a run, and else any that
    is at work on the study.

    Args:
        path: The file.
        study: The study's folder.
        alone: Whether no other process was at work on the study.
    """
    found = _HALF_WRITTEN.fullmatch(path.name)
    if found and found[1] == LOCK_FILE:
        return is_at_work(study, found[2])
    if path.parent.parent == study / "runs":
        holding = holder(path.parent)
        return holding is not None and holding.is_alive
    return not alone


def _run_folders(study: Path) -> Iterator[Path]:
    """Yield the folders of runs, links to folders included.

    Raises:
        ResultsError: When the study's folder can't be read.
    """
    try:
        yield from subfolders(study / "runs")
    except OSError as error:
        raise ResultsError(f"can't read {study / 'runs'}: {error.strerror}") from error


def _files(folder: Path) -> list[Path]:
    """List the files of a folder that may be leftovers; of thousands of others not even a path is made."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in names if name.startswith((".", LOCK_FILE))]
