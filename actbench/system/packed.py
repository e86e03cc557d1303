"""A zip file that is read as the folder which was packed into it: ``study.zip/<study>/runs/<run id>/result.json``.

A path that goes on behind a zip file names an entry in it. ``system.files`` opens such a path like any other, and
``listing`` and ``kind`` answer for both. Entries are only read, each as a whole into memory; nothing is unpacked, so no
name in an archive can lead anywhere. What an archive claims is checked before anything is read: it may come by mail.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import zipfile

Kind = Literal["file", "folder"]

MAX_ENTRIES = 1_000_000
"""Files of an archive: ten for each run of the largest study."""

MAX_RATIO, ALWAYS_ALLOWED = 200, 64_000_000
"""How many times its own size an archive may unpack to, and bytes that are allowed whatever its size. The JSON of runs
packs to a tenth; a file made to fill a memory packs to a thousandth."""

ENDING = ".zip"


class PackedError(OSError):
    """A file can't be read as a packed study; ``strerror`` says why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(0, reason, str(path))


class Packed:
    """The entries of an archive.

    Args:
        path: The file.

    Raises:
        PackedError: When it is no zip file, or one that no program packed a study into.
    """

    def __init__(self, path: Path) -> None:
        import zipfile  # here, as in each function below that needs it: few commands meet an archive

        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
            entries = self._zip.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
            raise PackedError(path, "it is no zip file, or a damaged one") from error
        if problem := _problem(entries, path.stat().st_size):
            self._zip.close()
            raise PackedError(path, problem)
        self._files = {entry.filename: entry for entry in entries if not entry.is_dir()}
        self._folders: dict[str, dict[str, Kind]] = {"": {}}
        for name in (entry.filename for entry in entries):
            self._add(name.rstrip("/"), "folder" if name.endswith("/") else "file")
        if not any(_is_of_study(name.split("/")) for name in self._files):
            self._zip.close()
            raise PackedError(path, "no study was packed into it")

    def kind(self, name: str) -> Kind | None:
        """Return whether an entry is a file or a folder; None where there is none."""
        return "folder" if name in self._folders else "file" if name in self._files else None

    def listing(self, name: str) -> dict[str, Kind]:
        """Return name -> kind of what lies in a folder.

        Raises:
            FileNotFoundError: When there is no such folder.
        """
        if name not in self._folders:
            raise FileNotFoundError(2, "No such file or directory", f"{self._path}/{name}")
        return self._folders[name]

    def read(self, name: str) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundError: When there is no such file.
            PackedError: When it is damaged.
        """
        import zipfile
        import zlib

        entry = self._files.get(name)
        if entry is None:
            raise FileNotFoundError(2, "No such file or directory", f"{self._path}/{name}")
        try:
            return self._zip.read(entry)  # never more than the size that was checked
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise PackedError(self._path, f"{name} in it is damaged: {error}") from error

    def _add(self, name: str, kind: Kind) -> None:
        """Note an entry in its folder, and the folders on the way, which need no entry of their own."""
        above, _, own = name.rpartition("/")
        if kind == "folder":
            self._folders.setdefault(name, {})
        if above not in self._folders:
            self._add(above, "folder")
        self._folders[above][own] = kind


def _problem(entries: list[zipfile.ZipInfo], size: int) -> str | None:
    """Return why an archive is not to be read; None for one that may be."""
    import zipfile

    if len(entries) > MAX_ENTRIES:
        return f"it holds more than {MAX_ENTRIES:,} files"
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        parts = name.rstrip("/").split("/")
        if "\\" in entry.orig_filename or ":" in name or any(part in ("", ".", "..") for part in parts):
            return f"a name in it leads out of it: {name[:100]!r}"
        if name in seen:
            return f"a name stands in it twice: {name[:100]!r}"
        seen.add(name)
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            return f"a file in it is a link, or no file: {name[:100]!r}"
        if entry.flag_bits & 1:
            return "it is encrypted"
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            return "it is packed by another method than deflate"
    if sum(entry.file_size for entry in entries) > max(ALWAYS_ALLOWED, MAX_RATIO * size):
        return f"it would unpack to more than {MAX_RATIO} times its size"
    return None


def _is_of_study(parts: list[str]) -> bool:
    """Return whether an entry is a study's config, or a file of a run."""
    return parts[-1:] == ["study.yaml"] or (len(parts) >= 3 and parts[-3] == "runs" and parts[-1] == "spec.json")


def packed_part(path: Path) -> tuple[Packed, str] | None:
    """Return the archive that a path leads into, and the name of the entry; None for a path that leads into none.

    Raises:
        PackedError: When it leads into a file that can't be read as an archive.
        OSError: When that file can't be looked at.
    """
    inner: list[str] = []
    for place in (path, *path.parents):
        try:
            found = place.stat()
        except (FileNotFoundError, NotADirectoryError):
            inner.append(place.name)
            continue
        if stat.S_ISREG(found.st_mode):
            packed = _opened(os.path.abspath(place), found.st_mtime_ns, found.st_size, os.getpid())
            return packed, "/".join(reversed(inner))
        return None
    return None


@lru_cache(maxsize=8)
def _opened(path: str, changed: int, size: int, process: int) -> Packed:
    """Open an archive once for as long as it stays the same; a child process opens its own, for the file's position."""
    del changed, size, process
    return Packed(Path(path))


def is_packed(path: Path) -> bool:
    """Return whether a path is an archive with a study in it, or leads into one."""
    try:
        return packed_part(path) is not None
    except (OSError, ValueError):
        return False


def kind(path: Path) -> Kind | None:
    """Return whether a path is a file or a folder, on the disk or in an archive; an archive itself is a folder.

    Raises:
        OSError: When that can't be known.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None if os.name != "nt" else _kind_in_archive(path)
    except NotADirectoryError:
        return _kind_in_archive(path)
    if stat.S_ISDIR(mode):
        return "folder"
    return "folder" if is_packed(path) else "file"


def _kind_in_archive(path: Path) -> Kind | None:
    try:
        found = packed_part(path)
    except PackedError:
        return None
    return None if found is None else found[0].kind(found[1])


def listing(path: Path) -> list[str]:
    """Return the names in a folder, on the disk or in an archive.

    Raises:
        OSError: When there is no such folder, or it can't be read.
    """
    try:
        return os.listdir(path)
    except (NotADirectoryError, FileNotFoundError):
        try:
            found = packed_part(path)
        except PackedError:
            found = None
        if found is None:
            raise
        return list(found[0].listing(found[1]))
