"""Keep decoded datasets on disk: decoded once, then memory-mapped by every process that needs them.

An entry is a folder ``actbench-cache/<name>-<key>/`` of ``.npy`` files with a ``manifest.json``. It is looked for, and
then written, in the data folder, or where that can't be written in the platform's user cache folder; where neither can
be written, each process decodes for itself, and a warning reports it. An entry appears by renaming a finished folder,
so concurrent writers are harmless; there is one as a rule, since the others wait for it. Its content is verified at
each opening; a damaged entry is replaced.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actbench.datasets import _split
from actbench.datasets._checks import checked
from actbench.datasets._source import ARRAYS, Source
from actbench.schema.components import Options
from actbench.schema.spec import canonical_json
from actbench.system.files import open_file, path_text, read_file

FOLDER = "actbench-cache"
MANIFEST = "manifest.json"
FORMAT = 2
"""Part of every key. Increment it when decoding, the fixed order or the layout of an entry changes."""

_log = logging.getLogger("actbench.datasets")


class Manifest(Options):
    """The content of ``manifest.json``.

    Attributes:
        classes: The classes' names.
        fingerprint: sha256 of the arrays beside it.
        notes: As in ``Source``.
    """

    classes: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...]


def cached(name: str, key: Any, decode: Callable[[], Source], folder: Path) -> Source:
    """Return the dataset in its fixed random order, from the cache or else decoded and put there.

    Args:
        name: The dataset's name, for the entry's folder and for messages.
        key: All that the decoded arrays depend on, as JSON can hold it: another key is another entry.
        decode: Reads the dataset from its source; called only when there is no entry.
        folder: The data folder.

    Raises:
        DatasetError: When the decoded arrays are malformed, or from ``decode``.
    """
    digest = hashlib.sha256(canonical_json([FORMAT, key]).encode()).hexdigest()
    entries = [root / f"{name}-{digest[:16]}" for root in _roots(folder)]
    if (found := _any_opened(entries)) is not None:
        return found
    with one_process_at_a_time(entries[0].name):
        if (found := _any_opened(entries)) is not None:  # another process has decoded it meanwhile
            return found
        content = _split.shuffled(checked(name, decode()))
        for entry in entries:
            if _stored(content, entry):
                # None when another process is just replacing the entry; the arrays decoded here are the same.
                return _opened(entry) or content
    _log.warning("%s could not be cached: every process decodes it again and holds it in its own memory", name)
    return content


@contextmanager
def one_process_at_a_time(name: str) -> Iterator[None]:
    """Wait until no other process is within this context of the same name: its work need not be done twice.

    Where no lock file can be kept, nothing waits.
    """
    import platformdirs
    from filelock import FileLock

    with ExitStack() as held:
        try:
            folder = platformdirs.user_cache_path("actbench")
            _refuse_read_only(folder, folder.parent)
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(folder / f"{name}.lock"))
        except (OSError, NotImplementedError) as error:
            _log.info("no lock for %s (%s): other processes may do the same work", name, error)
        yield


def _any_opened(entries: Iterable[Path]) -> Source | None:
    """Return the first intact entry."""
    return next((found for entry in entries if (found := _opened(entry)) is not None), None)


def stamps(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Return path, size and modification time of each file: a key that changes when one of them does."""
    return [(path_text(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def _roots(folder: Path) -> list[Path]:
    import platformdirs

    fallback = platformdirs.user_cache_path("actbench") / "datasets"
    return [root / FOLDER for root in dict.fromkeys((folder, fallback))]


def _opened(entry: Path) -> Source | None:
    """Return an intact entry; None where there is none, and with a warning where it is damaged."""
    if not os.path.isdir(entry):
        return None
    try:
        return _read(entry)
    except (OSError, ValueError) as error:
        _log.warning("the cache entry %s is damaged (%s); decoding the dataset again", entry, error)
        return None


def _read(entry: Path) -> Source:
    manifest = Manifest.model_validate_json(read_file(entry / MANIFEST))
    arrays = {name: _mapped(entry / f"{name}.npy") for name in ARRAYS}
    source = Source(**arrays, classes=manifest.classes, notes=manifest.notes)
    if source.fingerprint != manifest.fingerprint:
        raise ValueError("the arrays do not match the fingerprint")
    return source


def _mapped(file: Path) -> NDArray[Any]:
    # Copy-on-write: shared pages, and yet no "not writable" warning from torch.from_numpy.
    open_file(file).close()  # raises for a pipe, which could be waited for for ever
    array: NDArray[Any] = np.load(file, mmap_mode="c", allow_pickle=False)
    return array.view(np.ndarray)


def _stored(content: Source, entry: Path) -> bool:
    """Write an entry beside its place and rename it; return False where its folder can't be written."""
    partial = _hidden_neighbour(entry)
    try:
        _refuse_read_only(entry.parent, entry.parent.parent)
        partial.mkdir(parents=True)
        _write(content, partial)
        _publish(partial, entry)
    except OSError as error:
        _log.info("can't cache in %s (%s)", entry.parent, error)
        return False
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # absent once published
    return True


def _refuse_read_only(*folders: Path) -> None:
    """Raise for a folder that nobody may write to: root could, and is asked to respect it nevertheless."""
    for folder in folders:
        if folder.exists() and not folder.stat().st_mode & 0o222:
            raise PermissionError(f"{folder} is read-only")


def _write(content: Source, folder: Path) -> None:
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", getattr(content, name), allow_pickle=False)
    manifest = Manifest(classes=content.classes, fingerprint=content.fingerprint, notes=content.notes)
    (folder / MANIFEST).write_text(manifest.model_dump_json())


def _publish(partial: Path, entry: Path) -> None:
    """Rename ``partial`` to ``entry``, unless another process has just put an intact one there."""
    try:
        partial.rename(entry)
    except OSError:
        if _is_intact(entry):
            return
        # A damaged entry is in the way. It is moved aside first: a folder that is not empty can't be renamed over, and
        # a process that has it mapped keeps its files.
        aside = _hidden_neighbour(entry)
        entry.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
        partial.rename(entry)


def _is_intact(entry: Path) -> bool:
    try:
        _read(entry)
    except (OSError, ValueError):
        return False
    return True


def _hidden_neighbour(entry: Path) -> Path:
    return entry.with_name(f".{entry.name}.{secrets.token_hex(8)}")
