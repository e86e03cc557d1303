"""Files that appear at once or not at all, errors that name the file, and JSON without NaN."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any, BinaryIO

from actbench.errors import ResultsError
from actbench.system.packed import packed_part
from actbench.system.packed_reader import PackedError
from actbench.system.text import storable

_KEPT = "give the same command again: what is finished is kept"
_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), f"; make room, then {_KEPT}"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), f"; raise the limit of open files (ulimit -n), then {_KEPT}"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), f"; allow writing there, then {_KEPT}"),
}
"""Cause of a failure to write -> what to do about it."""


def write_output(path: Path, content: str | bytes) -> None:
    """Write a text or bytes where a user wants it: into a device or a named pipe, or else as a whole file or nothing.

    Raises:
        ResultsError: When it can't be written, naming the file.
    """
    with writing(path):
        is_stream = path.exists() and not path.is_file()
        if is_stream:
            path.write_bytes(storable(content).encode() if isinstance(content, str) else content)
    if not is_stream:
        write_atomically(path, content)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file or nothing: readers never see half of it; text in UTF-8, with its line ends as they are.

    Characters that UTF-8 lacks are written as ``storable`` shows them.

    Raises:
        ResultsError: When it can't be written, naming the file.
    """
    written = storable(content).encode() if isinstance(content, str) else content
    with whole_file(path) as file:
        file.write(written)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under its name, whole, when the context ends without an error.

    Raises:
        ResultsError: When it can't be written, naming the file.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")  # process ids repeat on other machines
    with writing(path):
        try:
            # Written beside it and renamed: a reader sees the old file or the new one, after a power cut too, as the
            # content is on the disk (fsync) before the name is.
            with beside.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)


def path_text(path: Path | str) -> str:
    r"""Return a path as text that UTF-8 can hold: bytes of a name that are no UTF-8 become ``\xe4``.

    >>> path_text("K\udce4fer")
    'K\\xe4fer'
    """
    return storable(os.fspath(path))


def clear_unfinished(path: Path) -> None:
    """Remove the files that a process left beside a path when it was killed within ``write_atomically``.

    Args:
        path: The file that was to appear; no other process may be writing it now.
    """
    for beside in path.parent.glob(f".{escape(path.name)}.*"):
        beside.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write into a ResultsError that names the path and, where the cause is known, the remedy."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "")
        raise ResultsError(f"can't write {path}: {error.strerror or error}{remedy}") from error


def json_text(content: Any, indent: int | None = None) -> str:
    """Return JSON text that UTF-8 can hold, with null in place of NaN and infinity.

    >>> json_text({"loss": float("nan")})
    '{"loss": null}'
    """
    return json.dumps(_plain(content), indent=indent, allow_nan=False, ensure_ascii=False)


def expanded(path: str | Path) -> Path:
    """Return a path with the home folder in place of its ``~``; one of an unknown user (``~nobody``) as it is."""
    return Path(os.path.expanduser(path))


def open_file(path: Path) -> BinaryIO:
    """Open a regular file for reading, also one in a packed study. A pipe or a device could be waited for for ever.

    Raises:
        OSError: When it can't be opened, or is no regular file.
    """
    try:
        file: BinaryIO = open(path, "rb", opener=_open_at_once)  # noqa: SIM115 - the caller closes it
    except (NotADirectoryError, FileNotFoundError) as error:
        content = _read_packed(path, error)
        if content is None:
            raise
        return io.BytesIO(content)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, f"{path.name} is not a regular file", str(path))
    return file


def read_file(path: Path | str) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: When it can't be read, or is no regular file.
    """
    try:
        # Without a file object, which takes as long again: a store may hold 100,000 results.
        descriptor = _open_at_once(os.fspath(path), os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except (NotADirectoryError, FileNotFoundError) as error:
        content = _read_packed(Path(path), error)
        if content is None:
            raise
        return content
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, f"{os.path.basename(path)} is not a regular file", str(path))
        content = os.read(descriptor, found.st_size + 1)
        if len(content) == found.st_size > 0:  # one byte more was asked for, so this is the end
            return content
        parts = [content]
        while more := os.read(descriptor, 1 << 20):
            parts.append(more)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def read_input(path: Path, limit: int) -> bytes:
    """Return the beginning of a file that a user names, which may be a pipe that a program writes to, as ``<(…)`` is.

    Args:
        path: The file.
        limit: Bytes that are read at most.

    Raises:
        OSError: When it can't be read, or is a pipe without a writer, which could be waited for for ever, or a device.
    """
    try:
        opened = open(path, "rb", buffering=0, opener=_open_at_once)  # noqa: SIM115 - closed below
    except (NotADirectoryError, FileNotFoundError) as error:
        content = _read_packed(path, error)
        if content is None:
            raise
        return content[:limit]
    with opened as file:
        kind, begun = os.fstat(file.fileno()).st_mode, b""
        if stat.S_ISFIFO(kind):
            found: bytes | None = file.read(limit)  # None: nothing yet, but there is a writer
            if found == b"":
                raise OSError(errno.EINVAL, "no program writes to this named pipe", str(path))
            begun = found or b""
            os.set_blocking(file.fileno(), True)
        elif not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "it is no file and no pipe", str(path))
        parts, left = [begun], limit - len(begun)
        while left > 0 and (more := file.read(left)):
            parts.append(more)
            left -= len(more)
        return b"".join(parts)


def _read_packed(path: Path, error: OSError) -> bytes | None:
    """Return the content of a file in a packed study; None where the path leads into none.

    A path behind a file is refused as "not a directory", on Windows as "not found": only there is it worth a look.
    """
    if isinstance(error, FileNotFoundError) and os.name != "nt":
        return None
    try:
        found = packed_part(path)
    except PackedError:  # a file of another kind stands in the way
        return None
    return None if found is None else found[0].read(found[1])


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for the other end of a pipe; for a regular file that makes no difference.

    Windows has no such pipes among its files.
    """
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_json(path: Path) -> dict[str, Any]:
    """Return the mapping that a JSON file holds.

    Raises:
        FileNotFoundError: When there is no such file.
        OSError: When it can't be read, or is no regular file.
        ValueError: When it holds something else, or only a part of a mapping.
    """
    content = parse_json(read_file(path))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no mapping")
    return content


def parse_json(text: str | bytes) -> Any:
    """Return the content of JSON text.

    Raises:
        ValueError: When it is not JSON (NaN and Infinity are not), or nested so deeply that the parser gives up.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text), "surrogatepass")
        if text.startswith("\ufeff"):
            raise json.JSONDecodeError("Unexpected UTF-8 BOM (decode using utf-8-sig)", text, 0)
        return _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError as error:
        if "digits" in str(error):
            raise ValueError("a number in it has thousands of digits") from error
        raise


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
"""What ``json.loads`` makes anew at each call with an option, which takes as long as a short text."""


def _plain(content: Any) -> Any:
    """Return the same content with None for every number that JSON can't hold, and all text ``storable``."""
    if isinstance(content, str):
        return storable(content)
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {_plain(key): _plain(value) for key, value in content.items()}
    return [_plain(value) for value in content] if isinstance(content, (list, tuple)) else content
