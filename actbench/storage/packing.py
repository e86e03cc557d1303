"""Pack a study into one file, which every reading command takes as it is (``system.packed``).

    <study>/study.yaml
    <study>/runs/<run id>/error.txt, metrics.jsonl, result.json, spec.json

Only these files are packed, and kept weights where they are asked for: no lock, no heartbeat, no checkpoint, nothing
that somebody else has put there. Names are sorted and times fixed, so the same study packs to the same bytes with the
same zlib.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from actbench.errors import ResultsError, UsageError
from actbench.storage.folders import check_results_folder, subfolders
from actbench.storage.store import weight_files
from actbench.system.files import read_file, whole_file
from actbench.system.packed import ENDING, is_packed, kind

CONFIG = "study.yaml"
RUN_FILES = ("result.json", "error.txt", "metrics.jsonl", "spec.json")
"""In the order in which they are read: a run that ends meanwhile has its whole curve beside a result that was read."""

_TIME = (1980, 1, 1, 0, 0, 0)
"""The first that a zip file can hold."""

_READABLE = 0o100644 << 16
"""A regular file that its owner may change and all may read, as zip files note it."""


@dataclass(frozen=True)
class PackedStudy:
    """The end of a packing.

    Args:
        file: The file.
        runs: Runs in it.
        unfinished: Those of them without an end.
        size: Bytes of the file.
    """

    file: Path
    runs: int
    unfinished: int
    size: int


def pack_study(study: Path, output: Path | None = None, *, weights: bool = False) -> PackedStudy:
    """Write a study's results into one zip file, whole or not at all.

    Args:
        study: The study's folder.
        output: The file; None for the study's name in the current folder.
        weights: Whether kept weights go with it.

    Raises:
        UsageError: When the folder is not one study's, or is packed already.
        ResultsError: When a file can't be read or written.
    """
    check_results_folder(study)
    if is_packed(study):
        raise UsageError(f"{study} is packed already")
    folder = study.resolve()
    runs = _run_folders(folder, study)
    target = output or Path(f"{folder.name}{ENDING}")
    unfinished = 0
    with whole_file(target) as file, zipfile.ZipFile(file, "w") as archive:
        if kind(folder / CONFIG) == "file":
            _add(archive, f"{folder.name}/{CONFIG}", _content(folder / CONFIG))
        for run in runs:
            above = f"{folder.name}/runs/{run.name}"
            found = {path.name: content for path, content in _files_of(run)}
            unfinished += found.keys().isdisjoint({"result.json", "error.txt"})
            for name in sorted(found):
                _add(archive, f"{above}/{name}", found[name])
            for path in weight_files(run).values() if weights else ():
                _add(archive, f"{above}/{path.name}", _content(path), method=zipfile.ZIP_STORED)
    return PackedStudy(target, len(runs), unfinished, target.stat().st_size)


def _run_folders(folder: Path, named: Path) -> list[Path]:
    """Return the folders of a study's runs.

    Raises:
        UsageError: When the folder holds no run, or several studies.
    """
    try:
        runs = [run for run in subfolders(folder / "runs") if os.path.isfile(run / "spec.json")]
        studies = [] if runs else [one for one in subfolders(folder) if os.path.isdir(one / "runs")]
    except OSError as error:
        raise ResultsError(f"can't read {named}: {error.strerror}") from error
    if runs:
        return runs
    if studies:
        names = ", ".join(str(named / one.name) for one in studies[:5]) + (" …" if len(studies) > 5 else "")
        raise UsageError(f"{named} holds studies; name the one to pack: {names}")
    raise ResultsError(f"no runs in {named}: give the folder of a study that `actbench run` has written")


def _files_of(run: Path) -> Iterator[tuple[Path, bytes]]:
    for name in RUN_FILES:
        try:
            yield run / name, read_file(run / name)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ResultsError(f"can't read {run / name}: {error.strerror}") from error


def _content(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        raise ResultsError(f"can't read {path}: {error.strerror}") from error


def _add(archive: zipfile.ZipFile, name: str, content: bytes, *, method: int = zipfile.ZIP_DEFLATED) -> None:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.external_attr, entry.create_system, entry.compress_type = _READABLE, 3, method
    archive.writestr(entry, content, compresslevel=6)
