"""Read a zip file of a study: its directory at once, each file when it is asked for."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path

from actbench.system.packed_reader import MAX_ENTRIES, PackedError, name_problem, size_problem

MAX_RATIO = 200
"""How many times its own size a file may unpack to: the JSON of runs packs to a tenth, a file made to fill a memory to
a thousandth."""


class ZipReader:
    """The entries of a zip file.

    Args:
        path: The file.

    Raises:
        PackedError: When it is not a zip file, or may do harm.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
            entries = self._zip.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
            raise PackedError(path, "it is neither a zip nor a tar.xz file, or a damaged one") from error
        if problem := _problem(entries, path.stat().st_size):
            self._zip.close()
            raise PackedError(path, problem)
        self.names = [entry.filename for entry in entries]

    def read(self, name: str) -> bytes:
        """Return a file's content, never more than the size that was checked."""
        try:
            return self._zip.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise PackedError(self._path, f"{name} in it is damaged: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._zip.close()


def _problem(entries: list[zipfile.ZipInfo], size: int) -> str | None:
    """Return why an archive is not to be read; None for one that may be."""
    if len(entries) > MAX_ENTRIES:
        return f"it holds more than {MAX_ENTRIES:,} files"
    for entry in entries:
        # zipfile replaces a backslash on Windows: the name as it stands in the file is the one to judge.
        if problem := name_problem([entry.filename if "\\" not in entry.orig_filename else entry.orig_filename]):
            return problem
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            return f"a file in it is a link, or no file: {entry.filename[:100]!r}"
        if entry.flag_bits & 1:
            return "it is encrypted"
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            return "it is packed by another method than deflate"
    return name_problem(entry.filename for entry in entries) or size_problem(
        sum(entry.file_size for entry in entries), size, MAX_RATIO
    )
