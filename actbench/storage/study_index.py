"""The index of a study: what its finished runs report, in one file beside them, since to open 100,000 files takes long.

    results/<study>/index.sqlite

It only repeats what the results hold. An entry is used while the result that it was made from is unchanged: same size,
same times, same inode. Every other run is read from its own files. So the index may be deleted, lost, torn or of
another version: whoever reads the study next writes a new one, if the study is large enough and its folder may be
written. It is written beside its place and renamed, so that a reader sees a whole one or none, two
writers don't disturb each other, and nobody waits for a lock, which many network file systems don't keep. SQLite is its
format alone: no connection ever changes the file that stands there.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote
from zlib import crc32

from actbench._version import __version__
from actbench.schema.packed_mapping import PackedMapping
from actbench.schema.record import SCHEMA, Outcome, RunRecord
from actbench.schema.spec import RunSpec
from actbench.system.text import storable

if TYPE_CHECKING:
    import sqlite3

_log = logging.getLogger("actbench.storage.study_index")

INDEX = "index.sqlite"
"""The file's name in the folder of its study."""

MIN_RUNS = 2000
"""Runs from which on a study has an index: fewer are read in a second without."""

NEW_SHARE = 0.05
"""Share of the runs that must be missing in the index before it is written again. To read these from their own files
takes less time than to write all of it, which would be done over and over while a study is under way."""

SETTLED = 2.0
"""Seconds that a file must not have changed for before it gets an entry: within less, a clock of a file system may give
its successor the same times."""

_FORMAT = f"1 {__version__} {SCHEMA}"
"""An index of any other version is none: what is checked in a result may differ."""

_TABLES = """
CREATE TABLE about (format TEXT NOT NULL);
CREATE TABLE ends (sum INTEGER, name TEXT, stamp TEXT, outcome TEXT);
CREATE TABLE reports (sum INTEGER, name TEXT, own TEXT, health BLOB);
CREATE TABLE texts (sum INTEGER, number INTEGER, text TEXT);
"""
"""``ends`` and ``reports`` have a row a run, so that who asks for outcomes alone reads a tenth. What many runs share is
spelled once, in ``texts``. SQLite does not see what a disk has changed: each row has its sum, and none counts by its
place."""

_PAGE = 1 << 16
"""Bytes that SQLite reads at once, the most that it can: of pages of its usual size, each run would fill half."""


def stamp_of(path: str) -> str | None:
    """Return a file's size, times and inode: they differ if it was edited or replaced. None where there is no file.

    Raises:
        OSError: When it can't be looked at.
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


Known = tuple[str, Outcome]
"""The stamp of a result, and the outcome in it."""


def known_outcomes(study: Path) -> dict[str, Known]:
    """Return what the index of a study has of each run's result; nothing without an index."""
    found: dict[str, Known] = {}
    with _opened(study) as index:
        found.update((name, (stamp, outcome)) for name, stamp, outcome in _rows(index, "ends", "name, stamp, outcome"))
    return found


def known_end(run: str, known: Known | None) -> Outcome | None:
    """Return the outcome that the index has of a run, if it was made of the result that is there; else None.

    Args:
        run: The run's folder.
        known: What the index has of it.

    Raises:
        OSError: When the folder can't be looked into.
    """
    if known is None or stamp_of(f"{run}{os.sep}result.json") != known[0]:
        return None
    return known[1]


class _Entry(NamedTuple):
    """A run in the index.

    Args:
        stamp: Of the file that it was made of.
        outcome: As in the result.
        own: A JSON list: the numbers of three shared texts (settings with seed 0, environment, keys), the seed, the
            message, and the values of those keys: final metrics, timing, and what ``PackedMapping`` keeps unpacked.
        health: The packed health.
    """

    stamp: str
    outcome: Outcome
    own: str
    health: bytes


class StudyIndex:
    """Reads the index of a study; collects the runs that it lacks, and writes a new one when there are enough.

    Args:
        folder: The study's folder.
        study: Its name.
        runs: How many runs it has.
    """

    def __init__(self, folder: Path, study: str, runs: int) -> None:
        self._folder, self.study, self._runs = folder, study, runs
        self._texts: dict[int, str] = {}
        self._known: dict[str, _Entry] = {}
        if runs >= MIN_RUNS:
            with _opened(folder) as index:  # all from one file, though another may take its place meanwhile
                self._texts.update((number, text) for number, text in _rows(index, "texts", "number, text"))
                self._known.update(_entries(index))
        self._last = max(self._texts, default=0)
        self._parts: dict[int, Any] = {}
        self._found: dict[str, _Entry] = {}
        self._new = 0
        self._numbers: dict[str, int] = {}
        self._shared: dict[int, tuple[object, int]] = {}

    def record(self, run: str, stamp: str | None) -> RunRecord | None:
        """Return the record of a run, without its curve; None where the index does not have it as it is now.

        Args:
            run: The name of its folder.
            stamp: Of its result.
        """
        entry = self._known.get(run)
        if entry is None or entry.stamp != stamp:
            return None
        try:
            cell, environment, keys, seed, message, *values = json.loads(entry.own)
            final, timing, beside = map(zip, self._part(keys, list), values)
            record = RunRecord(
                spec=self._part(cell, RunSpec.model_validate).with_seed(seed),
                outcome=entry.outcome,
                final=dict(final),
                health=PackedMapping.of(entry.health, beside),
                environment=self._part(environment, dict),
                timing=dict(timing),
                message=message,
                study=self.study,
                folder=run,
            )
        except (ValueError, TypeError, KeyError):  # one of its texts is damaged
            return None
        self._found[run] = entry
        return record

    def note(self, run: str, stamp: str | None, record: RunRecord) -> None:
        """Note a run that was read from its own files.

        Args:
            run: The name of its folder.
            stamp: Of its result, taken before it was read.
            record: What was read.
        """
        if self._runs < MIN_RUNS or stamp is None or not isinstance(record.health, PackedMapping):
            return
        changed = int(stamp.split(" ")[2]) / 1e9
        if time.time() - changed < SETTLED or storable(run) != run:  # SQLite takes only names in UTF-8
            return
        spec, parts = record.spec, (record.final, record.timing, dict(record.health.beside))
        own = [
            self._number_of_shared(spec.digest_parts, lambda: spec.with_seed(0).to_json()),
            self._number_of_shared(record.environment, lambda: record.environment),
            self._number(json.dumps([list(part) for part in parts])),
            spec.seed,
            record.message,
            *(list(part.values()) for part in parts),
        ]
        self._found[run] = _Entry(stamp, record.outcome, json.dumps(own), record.health.packed)
        self._new += 1

    def save(self) -> None:
        """Write the index anew if much was missing in it; where that is not possible, the study has none."""
        if self._new < max(1, NEW_SHARE * self._runs):
            return
        import sqlite3

        beside = self._folder / f".{INDEX}.{secrets.token_hex(8)}"
        try:
            _write(beside, self._found, self._texts)
            os.replace(beside, self._folder / INDEX)
        except (OSError, sqlite3.Error) as error:
            _log.debug("%s is not written: %s", self._folder / INDEX, error)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)

    def _part(self, number: int, make: Callable[[Any], Any]) -> Any:
        """Return what a shared text stands for, the same object for all runs that share it."""
        if number not in self._parts:
            self._parts[number] = make(json.loads(self._texts[number]))
        return self._parts[number]

    def _number(self, text: str) -> int:
        """Return the number of a text that other runs may share."""
        if text not in self._numbers:
            self._last += 1
            self._numbers[text] = self._last
            self._texts[self._last] = text
        return self._numbers[text]

    def _number_of_shared(self, shared: object, content: Callable[[], Any]) -> int:
        """Return the number of an object's text. Runs that share the object have it turned into text only once."""
        if id(shared) not in self._shared:
            self._shared[id(shared)] = (shared, self._number(json.dumps(content())))
        return self._shared[id(shared)][1]


def _sum(*values: object) -> int:
    """Return the sum of a row: whatever changes in it, by a bit or two, changes its sum."""
    found = 0
    for value in values:
        found = crc32(value if isinstance(value, bytes) else str(value).encode(), found)
    return found


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


def _entries(index: sqlite3.Connection | None) -> Iterator[tuple[str, _Entry]]:
    ends = {name: (stamp, outcome) for name, stamp, outcome in _rows(index, "ends", "name, stamp, outcome")}
    for name, own, health in _rows(index, "reports", "name, own, health"):
        if name in ends:
            yield name, _Entry(*ends[name], own, health)


def _write(path: Path, entries: Mapping[str, _Entry], texts: Mapping[int, str]) -> None:
    import sqlite3

    ends = ((name, one.stamp, one.outcome) for name, one in entries.items())
    reports = ((name, one.own, one.health) for name, one in entries.items())
    with closing(sqlite3.connect(f"file:{quote(os.fspath(path.absolute()))}", uri=True)) as connection:
        connection.execute(f"PRAGMA page_size = {_PAGE}")
        # Nobody knows this file's name yet, so what protects a file in use is not needed.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(_TABLES)
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO ends VALUES (?, ?, ?, ?)", ((_sum(*row), *row) for row in ends))
        connection.executemany("INSERT INTO reports VALUES (?, ?, ?, ?)", ((_sum(*row), *row) for row in reports))
        connection.executemany("INSERT INTO texts VALUES (?, ?, ?)", ((_sum(*row), *row) for row in texts.items()))
        connection.execute("INSERT INTO about VALUES (?)", (_FORMAT,))
        connection.commit()
