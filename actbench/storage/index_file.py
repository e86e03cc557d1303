"""The file of a study's index: what it holds of each run, in blocks, each row with its sum.

A reader sees a whole file or none: it is written beside its place and renamed. SQLite is its format alone, which keeps
texts and bytes by name: no connection ever changes the file that stands there.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import accumulate, chain, count, islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from zlib import crc32

from actbench._version import __version__
from actbench.schema.record import SCHEMA, Outcome

if TYPE_CHECKING:
    import sqlite3

_log = logging.getLogger("actbench.storage.index_file")

INDEX = "index.sqlite"
"""The file's name in the folder of its study."""

_FORMAT = f"2 {__version__} {SCHEMA}"
"""An index of any other version is none: what is checked in a result may differ."""

_TABLES = """
CREATE TABLE about (format TEXT NOT NULL);
CREATE TABLE ends (sum INTEGER, block INTEGER, runs TEXT);
CREATE TABLE reports (sum INTEGER, block INTEGER, runs TEXT, numbers BLOB, health BLOB);
CREATE TABLE texts (sum INTEGER, number INTEGER, text TEXT);
"""
"""``ends`` and ``reports`` have a row for each block of runs, so that who asks for outcomes alone reads a tenth. What
many runs share is spelled once, in ``texts``. SQLite does not see what a disk has changed: each row has its sum, and
none counts by its place."""

BLOCK = 500
"""Runs in a block. A row for each run would take longer to read; where a block is damaged, so many files are opened."""

_PAGE = 1 << 16
"""Bytes that SQLite reads at once, the most that it can: a block takes some hundred thousand."""

Known = tuple[str, Outcome]
"""The stamp of a result, and the outcome in it."""

Own = tuple[int, str, int, int, int]
"""What one run alone has, besides its numbers: the seed and the message; and by the number of a shared text, its
settings with seed 0, its environment, and what its numbers are."""

Entry = tuple[str, Outcome, Own, Sequence[float], bytes]
"""A run in the index: the stamp of the result that it was made of, the outcome in it, what it alone has, its numbers
(final metrics, timing, and what ``PackedMapping`` keeps unpacked), packed health."""


def known_outcomes(study: Path) -> dict[str, Known]:
    """Return what the index of a study has of each run's result; nothing without an index."""
    found: dict[str, Known] = {}
    with _opened(study) as index:
        for _, (names, stamps, outcomes) in _ends(index):
            found.update(zip(names, zip(stamps, outcomes, strict=True), strict=True))
    return found


def read(study: Path) -> tuple[dict[int, str], dict[str, Entry]]:
    """Return the shared texts by their numbers, and the runs by name; without an index, nothing."""
    texts: dict[int, str] = {}
    runs: dict[str, Entry] = {}
    with _opened(study) as index:  # all from one file, though another may take its place meanwhile
        texts.update((number, text) for number, text in _rows(index, "texts", "number, text"))
        for entries in _entries(index):
            runs.update(entries)
    return texts, runs


def write(study: Path, runs: Mapping[str, Entry], texts: Mapping[int, str]) -> None:
    """Put a new index in the place of the one that is there; where that is not possible, log it.

    Args:
        study: The study's folder.
        runs: What the index is to have of each run, by its name.
        texts: The texts that runs share, by the numbers that stand for them.
    """
    import sqlite3

    beside = study / f".{INDEX}.{secrets.token_hex(8)}"
    try:
        _write(beside, runs, texts)
        os.replace(beside, study / INDEX)
    except (OSError, sqlite3.Error) as error:
        _log.debug("%s is not written: %s", study / INDEX, error)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


@contextmanager
def _opened(study: Path) -> Iterator[sqlite3.Connection | None]:
    """Open the index of a study; None where there is none of this version. Where it is damaged, the context ends."""
    path = study / INDEX
    if not path.is_file():
        yield None
        return
    import sqlite3

    connection, is_known = None, False
    try:
        # Immutable: whatever stands under this name is never changed, so no lock is asked for.
        connection = sqlite3.connect(f"file:{quote(os.fspath(path.absolute()))}?mode=ro&immutable=1", uri=True)
        is_known = connection.execute("SELECT format FROM about").fetchall() == [(_FORMAT,)]
    except sqlite3.Error as error:
        _log.debug("%s can't be read: %s", path, error)
    try:
        yield connection if is_known else None
    except sqlite3.Error as error:
        _log.debug("%s can't be read on: %s", path, error)
    finally:
        if connection is not None:
            connection.close()


def _rows(index: sqlite3.Connection | None, table: str, columns: str) -> Iterator[Sequence[Any]]:
    """Yield the undamaged rows of a table, in their order.

    Raises:
        sqlite3.Error: Where the file is damaged.
    """
    if index is not None:
        for expected, *row in index.execute(f"SELECT sum, {columns} FROM {table} ORDER BY rowid"):
            if _sum(*row) == expected:
                yield row


def _ends(index: sqlite3.Connection | None) -> Iterator[tuple[int, Sequence[Sequence[Any]]]]:
    """Yield the number of each block with the names, stamps and outcomes of its runs."""
    for block, runs in _rows(index, "ends", "block, runs"):
        yield block, json.loads(runs)


def _entries(index: sqlite3.Connection | None) -> Iterator[Iterator[tuple[str, Entry]]]:
    """Yield the runs of each block of which no row is damaged."""
    ends = dict(_ends(index))
    for block, runs, numbers, health in _rows(index, "reports", "block, runs, numbers, health"):
        if block in ends:
            names, stamps, outcomes = ends[block]
            own, counts, sizes = json.loads(runs)
            columns = (stamps, outcomes, own, _cut(_doubles(numbers), counts), _cut(health, sizes))
            yield zip(names, zip(*columns, strict=True), strict=True)


def _cut(whole: Any, lengths: Iterable[int]) -> list[Any]:
    """Return a sequence in parts of these lengths."""
    return [whole[begin:end] for begin, end in pairwise(accumulate(lengths, initial=0))]


def _doubles(content: bytes) -> array[float]:
    """Return the doubles of little-endian bytes."""
    found = array("d", content)
    if sys.byteorder == "big":
        found.byteswap()
    return found


def _bytes(numbers: Iterable[float]) -> bytes:
    """Return numbers as little-endian doubles."""
    found = array("d", numbers)
    if sys.byteorder == "big":
        found.byteswap()
    return found.tobytes()


def _write(path: Path, entries: Mapping[str, Entry], texts: Mapping[int, str]) -> None:
    import sqlite3

    with closing(sqlite3.connect(f"file:{quote(os.fspath(path.absolute()))}", uri=True)) as connection:
        connection.execute(f"PRAGMA page_size = {_PAGE}")
        # Nobody knows this file's name yet, so what protects a file in use is not needed.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(_TABLES)
        connection.execute("BEGIN")
        left = iter(entries.items())
        for block in count():
            members = list(islice(left, BLOCK))
            if not members:
                break
            names, of_names = zip(*members, strict=True)
            stamps, outcomes, own, numbers, health = zip(*of_names, strict=True)
            runs = json.dumps([own, list(map(len, numbers)), list(map(len, health))])
            _insert(connection, "ends", block, json.dumps([names, stamps, outcomes]))
            _insert(connection, "reports", block, runs, _bytes(chain.from_iterable(numbers)), b"".join(health))
        for number, text in texts.items():
            _insert(connection, "texts", number, text)
        connection.execute("INSERT INTO about VALUES (?)", (_FORMAT,))
        connection.commit()


def _insert(connection: sqlite3.Connection, table: str, *row: Any) -> None:
    values = (_sum(*row), *row)
    connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)


def _sum(*values: object) -> int:
    """Return the sum of a row: whatever changes in it, by a bit or two, changes its sum."""
    found = 0
    for value in values:
        found = crc32(value if isinstance(value, bytes) else str(value).encode(), found)
    return found
