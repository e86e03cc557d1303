"""A packed study that is read as the folder which was packed: ``study.zip/<study>/runs/<run id>/result.json``.

A path that goes on behind a packed study names an entry in it. ``system.files`` opens such a path like any other, and
``listing`` and ``kind`` answer for both. Entries are only read, each as a whole into memory; nothing is unpacked onto
the disk, so no name in an archive can lead anywhere. What an archive claims is checked before anything of it is used:
it may come by mail. The formats are ``packed_zip`` and ``packed_tar``; a file's first bytes say which it is.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path
from typing import Literal

from actbench.system.packed_reader import PackedError, PackedReader

Kind = Literal["file", "folder"]

ENDINGS = (".zip", ".tar.xz")
"""Of the files that ``actbench pack`` writes; what a file is, is read from its content."""

_XZ = b"\xfd7zXZ\x00"
"""The first bytes of every xz file."""


class Packed:
    """The entries of an archive.

    Args:
        path: The file.

    Raises:
        PackedError: When it can't be read as an archive, or no program packed a study into it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = _reader_of(path)
        names = self._reader.names
        self._files = {name for name in names if not name.endswith("/")}
        self._folders: dict[str, dict[str, Kind]] = {"": {}}
        for name in names:
            self._add(name.rstrip("/"), "folder" if name.endswith("/") else "file")
        if not any(_is_of_study(name.split("/")) for name in self._files):
            self._reader.close()
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
        if name not in self._files:
            raise FileNotFoundError(2, "No such file or directory", f"{self._path}/{name}")
        return self._reader.read(name)

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def _add(self, name: str, kind: Kind) -> None:
        """Note an entry in its folder, and the folders on the way, which need no entry of their own."""
        above, _, own = name.rpartition("/")
        if kind == "folder":
            self._folders.setdefault(name, {})
        if above not in self._folders:
            self._add(above, "folder")
        self._folders[above][own] = kind


def _reader_of(path: Path) -> PackedReader:
    """Open an archive by the reader of its format, which few commands need and which is imported here for that."""
    with path.open("rb") as file:
        is_xz = file.read(len(_XZ)) == _XZ
    if is_xz:
        from actbench.system.packed_tar import TarReader

        return TarReader(path)
    from actbench.system.packed_zip import ZipReader

    return ZipReader(path)


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
