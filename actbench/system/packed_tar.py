"""Read a tar.xz file of a study: unpacked once into memory, since one compressed stream holds all of its files.

The stream is unpacked step by step, so that one made to fill a memory is refused when it passes the limit, not after.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from actbench.system.packed_reader import MAX_ENTRIES, PackedError, name_problem, size_problem

MAX_RATIO = 300
"""How many times its own size a file may unpack to. Runs pack to a thirteenth, 5,000 failed ones that share a log of
3 kB to a 256th; a file made to fill a memory packs to a 7,000th."""

MAX_DECODER_MEMORY = 200_000_000
"""Bytes that unpacking may need besides its result: ``xz -9`` needs 65 MB, a file may ask for 4 GB."""

_STEP = 1 << 20
_BLOCK = 512
"""Bytes of a header; two blocks of zeros end a tar file."""


class TarReader:
    """The entries of a tar.xz file, with all of its content in memory.

    Args:
        path: The file.

    Raises:
        PackedError: When it is not a tar.xz file, is damaged, or may do harm.
    """

    def __init__(self, path: Path) -> None:
        self._content = io.BytesIO()
        with path.open("rb") as file:
            _unpack(path, file, self._content)
        self._places: dict[str, tuple[int, int]] = {}
        self.names: list[str] = []
        for member in _members(path, self._content):
            name = member.name.removeprefix("./")  # `tar c .` names everything so
            if name == "." and member.isdir():
                continue
            self.names.append(f"{name}/" if member.isdir() else name)
            self._places[name] = member.offset_data, member.offset_data + member.size
        if problem := name_problem(self.names):
            raise PackedError(path, problem)

    def read(self, name: str) -> bytes:
        """Return a file's content; its checksum was compared when it was unpacked."""
        start, end = self._places[name]
        return self._content.getbuffer()[start:end].tobytes()

    def close(self) -> None:
        """Forget the content."""
        self._content.close()


def _unpack(path: Path, packed: BinaryIO, unpacked: BinaryIO) -> None:
    """Write the tar file that a tar.xz file holds.

    Raises:
        PackedError: When it is damaged or cut off, or unpacks to too much.
    """
    try:
        import lzma
    except ImportError as error:  # a Python that was built where the library was absent
        raise PackedError(path, "this Python lacks the module lzma, which reads a tar.xz file") from error
    size, written = path.stat().st_size, 0
    try:
        decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_DECODER_MEMORY)
        while not decoder.eof:
            given = packed.read(_STEP) if decoder.needs_input else b""
            if decoder.needs_input and not given:
                raise PackedError(path, "it is a damaged tar.xz file: it ends too early")
            written += unpacked.write(decoder.decompress(given, _STEP))
            if problem := size_problem(written, size, MAX_RATIO):
                raise PackedError(path, problem)
    except lzma.LZMAError as error:
        raise PackedError(path, f"it is a damaged tar.xz file: {error}") from error
    if (decoder.unused_data + packed.read(_STEP)).strip(b"\0"):
        raise PackedError(path, "it is a damaged tar.xz file: it goes on behind its end")


def _members(path: Path, content: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """Yield the files and folders of a tar file.

    Raises:
        PackedError: When it is damaged or cut off, or holds anything else.
    """
    content.seek(0)
    reached = -1
    try:
        with tarfile.open(fileobj=content, mode="r:") as archive:
            for count, member in enumerate(archive, start=1):
                if count > MAX_ENTRIES:
                    raise PackedError(path, f"it holds more than {MAX_ENTRIES:,} files")
                if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE) or member.issparse():
                    raise PackedError(path, f"a file in it is a link, or no file: {member.name[:100]!r}")
                if member.size < 0 or archive.offset <= reached:  # a size below 0 leads back, round and round
                    raise PackedError(path, "it is a damaged tar.xz file: a size in it is below 0")
                reached = archive.offset
                yield member
            # tarfile takes a damaged header for the end: the true one is two blocks of zeros.
            content.seek(archive.offset)
            if content.read(2 * _BLOCK) != bytes(2 * _BLOCK):
                raise PackedError(path, "it is a damaged tar.xz file: a header in it can't be read")
    except (tarfile.TarError, ValueError, EOFError, OverflowError, RecursionError) as error:
        raise PackedError(path, f"it is a damaged tar.xz file: {error}") from error
