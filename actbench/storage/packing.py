"""Pack a study into one file, which every reading command takes as it is (``system.packed``).

    <study>/study.yaml
    <study>/runs/<run id>/error.txt, metrics.jsonl, result.json, spec.json

Only these files are packed, and kept weights where they are asked for: no lock, no heartbeat, no checkpoint, nothing
that somebody else has put there. Names are sorted, times, owners and modes fixed, so the same study packs to the same
bytes with the same library.

A zip file compresses each file by itself. A tar.xz file compresses all of them as one stream, in which runs that repeat
each other take a third of the room.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from actbench.errors import ResultsError, UsageError
from actbench.schema.histograms import HISTOGRAMS
from actbench.storage.folders import check_results_folder, subfolders
from actbench.storage.run_folders import SIGNS
from actbench.storage.store import CURVE, WEIGHTS_ENDING, weight_files
from actbench.system.files import json_text, parse_json, read_file, whole_file
from actbench.system.packed import ENDINGS, Packed, is_packed, kind
from actbench.system.packed_reader import PackedError

CONFIG = "study.yaml"
RUN_FILES = ("result.json", "error.txt", CURVE, "spec.json")
"""In the order in which they are read: a run that ends meanwhile has its whole curve beside a result that was read."""

_TIME = (1980, 1, 1, 0, 0, 0)
"""The first that a zip file can hold."""

_SECONDS = 315_532_800
"""The same in seconds since 1970, as tar files note it."""

_MODE = 0o644
"""That of a file which its owner may change and all may read."""

_PRESET = 6
"""Of xz. 1,000 runs, 34 MB in sorted order, pack to 2.64 MB; 9 gives as much in a third more time and 370 MB of memory
in place of 100. Grouped by kind of file they take 2.71 MB: a run's last row and its result, side by side, repeat."""

Add = Callable[[str, bytes], None]
"""Adds a file, by its name and content, to an archive that is being written."""


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


def pack_study(
    study: Path, output: Path | None = None, *, weights: bool = False, histograms: bool = True, curves: bool = True
) -> PackedStudy:
    """Write a study's results into one zip or tar.xz file, as its name ends, whole or not at all.

    Args:
        study: The study's folder.
        output: The file; None for a zip file of the study's name in the current folder.
        weights: Whether kept weights go with it.
        histograms: Whether the layers keep their distributions.
        curves: Whether runs that have a result keep their epochs. Of one that failed or has not finished the curve is
            all there is, and stays.

    Raises:
        UsageError: When the folder is not one study's, or is packed already, or the file has another ending.
        ResultsError: When a file can't be read or written.
    """
    check_results_folder(study)
    if is_packed(study):
        raise UsageError(f"{study} is packed already")
    folder = study.resolve()
    target = output or Path(f"{folder.name}{ENDINGS[0]}")
    written_as = _format_of(target)
    runs = _run_folders(folder, study)
    unfinished = 0
    with whole_file(target) as file:
        with written_as(file) as add:
            if kind(folder / CONFIG) == "file":
                add(f"{folder.name}/{CONFIG}", _content(folder / CONFIG))
            for run in runs:
                above = f"{folder.name}/runs/{run.name}"
                found = {path.name: content for path, content in _files_of(run)}
                unfinished += found.keys().isdisjoint({"result.json", "error.txt"})
                if not curves and "result.json" in found:
                    found.pop(CURVE, None)
                for name in sorted(found):
                    add(f"{above}/{name}", found[name] if histograms else _without_histograms(name, found[name]))
                for path in weight_files(run).values() if weights else ():
                    add(f"{above}/{path.name}", _content(path))
        file.flush()
        try:
            Packed(Path(file.name)).close()
        except PackedError as error:
            raise ResultsError(f"can't pack {study}: the file would be refused, {error.strerror}") from error
    return PackedStudy(target, len(runs), unfinished, target.stat().st_size)


def _format_of(target: Path) -> Callable[[BinaryIO], AbstractContextManager[Add]]:
    """Return the writer of the format that a file's name ends with.

    Raises:
        UsageError: When it is that of no format, or this Python can't write it.
    """
    writers = dict(zip(ENDINGS, (_zip_file, _tar_xz_file), strict=True))
    for ending, writer in writers.items():
        if target.name.lower().endswith(ending):
            return writer
    raise UsageError(f"can't pack into {target}: a packed study's name ends in {' or '.join(ENDINGS)}")


@contextmanager
def _zip_file(file: BinaryIO) -> Iterator[Add]:
    def add(name: str, content: bytes) -> None:
        entry = zipfile.ZipInfo(name, _TIME)
        entry.external_attr, entry.create_system = (stat.S_IFREG | _MODE) << 16, 3
        entry.compress_type = zipfile.ZIP_STORED if name.endswith(WEIGHTS_ENDING) else zipfile.ZIP_DEFLATED
        archive.writestr(entry, content, compresslevel=6)

    with zipfile.ZipFile(file, "w") as archive:
        yield add


@contextmanager
def _tar_xz_file(file: BinaryIO) -> Iterator[Add]:
    try:
        import lzma
    except ImportError as error:  # a Python that was built where the library was absent
        raise UsageError("this Python lacks the module lzma, which writes a tar.xz file: pack into a .zip") from error

    def add(name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = len(content), _MODE, _SECONDS
        archive.addfile(entry, io.BytesIO(content))

    with (
        lzma.LZMAFile(file, "wb", preset=_PRESET) as packed,
        tarfile.open(fileobj=packed, mode="w:", format=tarfile.PAX_FORMAT) as archive,
    ):
        yield add


def _without_histograms(name: str, content: bytes) -> bytes:
    """Return a run's file without the distributions of its layers, all other numbers as they stand there."""
    match name:
        case "result.json":
            return _cut(content, lambda result: result.get("health"), indent=2)
        case _ if name == CURVE:
            return b"".join(_cut(line, lambda row: row) for line in content.splitlines(keepends=True))
        case _:
            return content


def _cut(text: bytes, measured: Callable[[dict[str, Any]], Any], indent: int | None = None) -> bytes:
    """Return JSON without the distributions of its layers; one without any, or a torn line, as it is.

    Args:
        text: The JSON, of one object.
        measured: Gives the part of it that has ``layers``.
        indent: How the store writes it.
    """
    try:
        whole = parse_json(text)
        layers = measured(whole)["layers"]
        cut = [layer.pop(key, None) for layer in layers for key in HISTOGRAMS]
    except (ValueError, TypeError, KeyError, AttributeError):  # readers pass it by, or say what is wrong with it
        return text
    if not any(cut):
        return text
    return json_text(whole, indent).encode() + (b"\n" if text.endswith(b"\n") else b"")


def _run_folders(folder: Path, named: Path) -> list[Path]:
    """Return the folders of a study's runs.

    Raises:
        UsageError: When the folder holds no run, or several studies.
    """
    try:
        runs = [run for run in subfolders(folder / "runs") if _holds_run(run)]
        studies = [] if runs else [one for one in subfolders(folder) if os.path.isdir(one / "runs")]
    except OSError as error:
        raise ResultsError(f"can't read {named}: {error.strerror}") from error
    if runs:
        return runs
    if studies:
        names = ", ".join(str(named / one.name) for one in studies[:5]) + (" …" if len(studies) > 5 else "")
        raise UsageError(f"{named} holds studies; name the one to pack: {names}")
    raise ResultsError(f"no runs in {named}: give the folder of a study that `actbench run` has written")


def _holds_run(folder: Path) -> bool:
    return any(os.path.isfile(folder / name) for name in SIGNS)


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
