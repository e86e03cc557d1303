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
from dataclasses import dataclass, field
from itertools import accumulate, chain, count, islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote
from zlib import crc32

from actbench._version import __version__
from actbench.schema.record import SCHEMA, Outcome

if TYPE_CHECKING:
    import sqlite3

_log = logging.getLogger("actbench.storage.index_file")

INDEX = "index.sqlite"
"""The file's name in the folder of its study."""

_FORMAT = f"3 {__version__} {SCHEMA}"
"""An index of any other version is none: what is checked in a result may differ."""

_TABLES = """
CREATE TABLE about (format TEXT NOT NULL, name TEXT NOT NULL);
CREATE TABLE ends (sum INTEGER, block INTEGER, runs TEXT);
CREATE TABLE reports (sum INTEGER, block INTEGER, runs TEXT, numbers BLOB);
CREATE TABLE health (sum INTEGER, block INTEGER, sizes TEXT, health BLOB);
CREATE TABLE texts (sum INTEGER, number INTEGER, text TEXT);
"""
"""``ends``, ``reports`` and ``health`` have a row for each block of runs, so that a reader of outcomes reads little of
it, and a list no health. What many runs share is spelled once, in ``texts``. SQLite does not see what a disk has
changed: each row has its sum, and none counts by its place. ``name`` is another one in each file that is written."""

BLOCK = 500
"""Runs in a block. A row for each run would take longer to read; where a block is damaged, so many files are opened."""

_PAGE = 1 << 16
"""Bytes that SQLite reads at once, the most that it can: a block takes some hundred thousand."""

Known = tuple[str, Outcome]
"""The stamp of a result, and the outcome in it."""


class Entry(NamedTuple):
    """A run in the index, without its health.

    Args:
        stamp: Of the result that it was made of.
        outcome: The outcome in that.
        seed: The run's seed.
        message: Why the outcome is not ``ok``.
        shared: The number of the text that says what it shares with others.
        numbers: Numbers of this and other runs: final metrics, timing, what ``PackedMapping`` keeps unpacked.
        begin: The place of its first one.
        end: The place behind its last one.
    """

    stamp: str
    outcome: Outcome
    seed: int
    message: str
    shared: int
    numbers: Sequence[float]
    begin: int
    end: int


@dataclass(frozen=True)
class Content:
    """What an index has.

    Args:
        name: That of this file, which no other index has; empty without an index.
        texts: The texts that runs share, by the numbers that stand for them.
        runs: Each run by its name.
        health: The packed health of each run, if it was asked for.
    """

    name: str = ""
    texts: dict[int, str] = field(default_factory=dict)
    runs: dict[str, Entry] = field(default_factory=dict)
    health: dict[str, bytes] = field(default_factory=dict)


def known_outcomes(study: Path) -> dict[str, Known]:
    """Return what the index of a study has of each run's result; nothing without an index."""
    found: dict[str, Known] = {}
    with _opened(study) as index:
        for _, (names, stamps, outcomes) in _ends(index):
            found.update(zip(names, zip(stamps, outcomes, strict=True), strict=True))
    return found


def read(study: Path, *, health: bool) -> Content:
    """Return what the index of a study has; nothing without an index.

    Args:
        study: The study's folder.
        health: Whether to read the health too, which is most of the file.
    """
    found = Content()
    with _opened(study) as index:  # all from one file, though another may take its place meanwhile
        if index is None:
            return found
        (name,) = index.execute("SELECT name FROM about").fetchone()
        found = Content(name)
        found.texts.update((number, text) for number, text in _rows(index, "texts", "number, text"))
        ends = dict(_ends(index))
        for entries in _entries(index, ends):
            found.runs.update(entries)
        if health:
            for block, sizes, packed in _rows(index, "health", "block, sizes, health"):
                if block in ends:
                    found.health.update(zip(ends[block][0], _cut(packed, json.loads(sizes)), strict=True))
    return found


def write(study: Path, runs: Mapping[str, Entry], health: Mapping[str, bytes], texts: Mapping[int, str]) -> None:
    """Put a new index in the place of the one that is there; where that is not possible, log it.

    Args:
        study: The study's folder.
        runs: What the index is to have of each run, by its name.
        health: The packed health of each of them.
        texts: The texts that they share, by the numbers that stand for them.
    """
    import sqlite3

    beside = study / f".{INDEX}.{secrets.token_hex(8)}"
    try:
        _write(beside, runs, health, texts)
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


def _entries(
    index: sqlite3.Connection, ends: Mapping[int, Sequence[Sequence[Any]]]
) -> Iterator[Iterator[tuple[str, Entry]]]:
    """Yield the runs of each block of which no row is damaged, but for its health."""
    for block, runs, content in _rows(index, "reports", "block, runs, numbers"):
        if block in ends:
            names, *columns = ends[block]
            *own, counts = json.loads(runs)
            places = list(accumulate(counts, initial=0))
            columns += (*own, [_doubles(content)] * len(names), places[:-1], places[1:])
            yield zip(names, map(Entry._make, zip(*columns, strict=True)), strict=True)


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


def _write(path: Path, entries: Mapping[str, Entry], health: Mapping[str, bytes], texts: Mapping[int, str]) -> None:
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
            stamps, outcomes, *own = zip(*(one[:5] for one in of_names), strict=True)
            numbers = [one.numbers[one.begin : one.end] for one in of_names]
            packed = [health[name] for name in names]
            runs = json.dumps([*own, list(map(len, numbers))])
            _insert(connection, "ends", block, json.dumps([names, stamps, outcomes]))
            _insert(connection, "reports", block, runs, _bytes(chain.from_iterable(numbers)))
            _insert(connection, "health", block, json.dumps(list(map(len, packed))), b"".join(packed))
        for number, text in texts.items():
            _insert(connection, "texts", number, text)
        connection.execute("INSERT INTO about VALUES (?, ?)", (_FORMAT, secrets.token_hex(16)))
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
