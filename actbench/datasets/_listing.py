"""List the files of an image folder by class, as people have them: with hidden files, links and folders in folders.

``<part>/<class>/**``: a part's folders are its classes, named and sorted by name, and a class's files lie at any depth.
What is left out is kept by its reason, to be counted and named.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from actbench.system.files import path_text

HIDDEN = ("__MACOSX", "@eaDir")
"""Folders that are hidden without a dot: macOS puts the first into zip files, Synology the second beside photos."""

HIDDEN_ONES = "hidden files and folders"
DEAD_LINKS = "links that lead nowhere"
LOOPS = "links back to a folder above"
STRANGE = "entries that are not files"
OUTSIDE = "files outside of every class folder"
OTHER_TYPES = "files that don't end as images do"

SHOWN = 3
"""Entries that a message names of each reason."""

NOWHERE = (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)


@dataclass(frozen=True)
class Entry:
    """A file in a class's folder.

    Args:
        path: The path.
        label: The class's name on the disk.
        size: Bytes.
        mtime_ns: The time of its last change.
    """

    path: str
    label: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Part:
    """A part of a dataset, such as ``train``.

    Args:
        folder: Its folder.
        classes: The names of its folders on the disk, sorted; also those without files.
        entries: Every file in them that is not left out, sorted by class, then folder, then name.
        skipped: Reason -> paths of what is left out, relative to ``folder``.
    """

    folder: Path
    classes: tuple[str, ...]
    entries: tuple[Entry, ...]
    skipped: Mapping[str, Sequence[str]]

    def only(self, suffixes: frozenset[str]) -> Part:
        """Return the part without the files that have another ending."""
        fits = [os.path.splitext(entry.path)[1].lower() in suffixes for entry in self.entries]
        others = [os.path.relpath(e.path, self.folder) for e, fit in zip(self.entries, fits, strict=True) if not fit]
        images = tuple(entry for entry, fit in zip(self.entries, fits, strict=True) if fit)
        return Part(self.folder, self.classes, images, {**self.skipped, OTHER_TYPES: others})


def listed(folder: Path) -> Part:
    """List the classes and files of a part.

    Raises:
        OSError: When a folder can't be read.
    """
    skipped: dict[str, list[str]] = defaultdict(list)
    above = frozenset(_identity(os.stat(path)) for path in (folder.resolve(), *folder.resolve().parents))
    classes, entries = [], []
    for path, status in _visible(str(folder), folder, above, skipped):
        if not stat.S_ISDIR(status.st_mode):
            skipped[OUTSIDE].append(os.path.relpath(path, folder))
            continue
        label = os.path.basename(path)
        classes.append(label)
        # Folders still to be read, each with those above it: one that stands above itself is a loop of links.
        waiting = [(path, above | {_identity(status)})]
        while waiting:
            place, path_down = waiting.pop()
            for inner, found in _visible(place, folder, path_down, skipped):
                if stat.S_ISDIR(found.st_mode):
                    waiting.append((inner, path_down | {_identity(found)}))
                else:
                    entries.append(Entry(inner, label, found.st_size, found.st_mtime_ns))
    # The order of torchvision's ImageFolder, which an image's place in the fixed random order depends on.
    entries.sort(key=lambda entry: (entry.label, os.path.split(entry.path)))
    return Part(folder, tuple(sorted(classes)), tuple(entries), {why: sorted(paths) for why, paths in skipped.items()})


def skipped_note(parts: Sequence[Part], root: Path) -> str | None:
    """Count and name what was left out; None when nothing was."""
    found: dict[str, list[str]] = defaultdict(list)
    for part in parts:
        for why, paths in part.skipped.items():
            found[why] += [os.path.relpath(os.path.join(part.folder, path), root) for path in paths]
    reasons = [f"{why}: {len(paths)} ({some(paths)})" for why, paths in sorted(found.items()) if paths]
    return f"skipped in {path_text(root)}, {'; '.join(reasons)}" if reasons else None


def some(paths: Sequence[str]) -> str:
    """Name the first of many paths."""
    return ", ".join(map(path_text, paths[:SHOWN])) + (", …" if len(paths) > SHOWN else "")


def _visible(
    folder: str, part: Path, above: frozenset[tuple[int, int]], skipped: dict[str, list[str]]
) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the files and folders in a folder, links followed; note in ``skipped`` what is left out."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if why := (HIDDEN_ONES if name.startswith(".") or name in HIDDEN else None):
            skipped[why].append(os.path.relpath(path, part))
            continue
        try:
            status = os.stat(path)
        except OSError as error:
            if error.errno not in NOWHERE:
                raise
            skipped[DEAD_LINKS].append(os.path.relpath(path, part))
            continue
        is_folder = stat.S_ISDIR(status.st_mode)
        if is_folder and _identity(status) in above:
            skipped[LOOPS].append(os.path.relpath(path, part))
        elif is_folder or stat.S_ISREG(status.st_mode):
            yield path, status
        else:  # a named pipe, whose opening would wait for ever, a socket, a device
            skipped[STRANGE].append(os.path.relpath(path, part))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
