"""What the readers of packed studies share: their interface, their error, and the checks of the names in an archive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

MAX_ENTRIES = 1_000_000
"""Files of an archive: ten for each run of the largest study."""

ALWAYS_ALLOWED = 64_000_000
"""Bytes that an archive may unpack to, however small it is: what any machine has to spare."""


class PackedError(OSError):
    """A file can't be read as a packed study; ``strerror`` says why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(0, reason, str(path))


class PackedReader(Protocol):
    """An open archive that holds files and folders alone, of a bounded size, under names that stay within it."""

    @property
    def names(self) -> Sequence[str]:
        """Return the entries as the archive lists them; folders end in ``/``."""

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Args:
            name: One of ``names``, not a folder.

        Raises:
            PackedError: When it is damaged.
        """

    def close(self) -> None:
        """Close the file."""


def name_problem(names: Iterable[str]) -> str | None:
    """Return why the names of an archive's entries are refused; None for names that may be.

    >>> name_problem(["study/study.yaml", "study/../../.bashrc"])
    "a name in it leads out of it: 'study/../../.bashrc'"
    """
    seen: set[str] = set()
    for count, name in enumerate(names, start=1):
        if count > MAX_ENTRIES:
            return f"it holds more than {MAX_ENTRIES:,} files"
        parts = name.rstrip("/").split("/")
        if "\\" in name or ":" in name or any(part in ("", ".", "..") for part in parts):
            return f"a name in it leads out of it: {name[:100]!r}"
        if name in seen:
            return f"a name stands in it twice: {name[:100]!r}"
        seen.add(name)
    return None


def size_problem(unpacked: int, size: int, ratio: int) -> str | None:
    """Return why an archive that unpacks to so many bytes is refused; None when it may be.

    Args:
        unpacked: Bytes of all its files.
        size: Bytes of the archive.
        ratio: How many times its own size it may unpack to.
    """
    if unpacked > max(ALWAYS_ALLOWED, ratio * size):
        return f"it would unpack to more than {ratio} times its size"
    return None
