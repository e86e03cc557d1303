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
import sys
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import accumulate, chain, count, islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
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
"""Runs in a block. A row for each run would take three times as long to read; a damaged block is read from as many
files."""

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
        for _, (names, stamps, outcomes) in _ends(index):
            found.update(zip(names, zip(stamps, outcomes, strict=True), strict=True))
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


_Own = tuple[int, str, int, int, int]
"""What one run alone has, besides its numbers: the seed and the message; and by the number of a shared text, its
settings with seed 0, its environment, and what its numbers are."""

_Entry = tuple[str, Outcome, _Own, Sequence[float], bytes]
"""A run in the index: the stamp of the result that it was made of, the outcome in it, what it alone has, its numbers
(final metrics, timing, and what ``PackedMapping`` keeps unpacked), packed health."""

_LARGEST = 2**53
"""Beyond it, a double does not hold every whole number."""


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
                for entries in _entries(index):
                    self._known.update(entries)
        self._last = max(self._texts, default=0)
        self._made: dict[int, Any] = {}
        self._parts: dict[tuple[int, int, int], tuple[RunSpec, dict[str, Any], _Numbers]] = {}
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
        if entry is None or entry[0] != stamp:
            return None
        _, outcome, (seed, message, *shared), numbers, health = entry
        try:
            spec, environment, names = self._shared_parts(*shared)
            final, timing, beside = names.named(numbers)
            record = RunRecord(
                spec=spec.with_seed(seed),
                outcome=outcome,
                final=final,
                health=PackedMapping.of(health, tuple(beside.items())),
                environment=environment,
                timing=timing,
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
        numbers = [value for part in parts for value in part.values()]
        types = "".join(map(_type_of, numbers))
        if len(types) < len(numbers):
            return
        own = (
            spec.seed,
            record.message,
            self._number_of_shared(spec.digest_parts, lambda: spec.with_seed(0).to_json()),
            self._number_of_shared(record.environment, lambda: record.environment),
            self._number(json.dumps([types, *map(list, parts)])),
        )
        values = [0.0 if value is None else float(value) for value in numbers]
        self._found[run] = (stamp, record.outcome, own, values, record.health.packed)
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

    def _shared_parts(self, cell: int, environment: int, names: int) -> tuple[RunSpec, dict[str, Any], _Numbers]:
        """Return what three shared texts stand for, the same objects for all runs that share them."""
        key = (cell, environment, names)
        if key not in self._parts:
            self._parts[key] = (
                self._part(cell, RunSpec.model_validate),
                self._part(environment, dict),
                self._part(names, _Numbers.of),
            )
        return self._parts[key]

    def _part(self, number: int, make: Callable[[Any], Any]) -> Any:
        if number not in self._made:
            self._made[number] = make(json.loads(self._texts[number]))
        return self._made[number]

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


def _type_of(value: object) -> str:
    """Return a letter for what a number is, whose value a double holds; nothing for what none holds."""
    if value is None:
        return "n"
    if type(value) is float:
        return "f"
    return "i" if type(value) is int and abs(value) <= _LARGEST else ""


class _Numbers:
    """Names the numbers of a run, as many runs do alike.

    Args:
        groups: The names in ``final``, ``timing``, and health kept unpacked.
        types: For each of these names in turn, what ``_type_of`` says of its number.
    """

    def __init__(self, groups: Sequence[Sequence[str]], types: str) -> None:
        self._groups = []
        letters = iter(types)
        for names in groups:
            typed = list(zip(names, letters, strict=False))
            missing = {name: None for name, letter in typed if letter == "n"}
            self._groups.append((names, [name for name, letter in typed if letter == "i"], missing))

    @classmethod
    def of(cls, content: Sequence[Any]) -> _Numbers:
        """Return what a shared text stands for."""
        types, *groups = content
        return cls(groups, types)

    def named(self, numbers: Sequence[float]) -> Iterator[dict[str, Any]]:
        """Yield the numbers of a run by name, a dictionary for each group."""
        rest = iter(numbers)
        for names, whole, missing in self._groups:
            found: dict[str, Any] = dict(zip(names, rest, strict=False))  # as many as there are names
            for name in whole:
                found[name] = int(found[name])
            found.update(missing)
            yield found


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


def _ends(index: sqlite3.Connection | None) -> Iterator[tuple[int, Sequence[Sequence[Any]]]]:
    """Yield the number of each block with the names, stamps and outcomes of its runs."""
    for block, runs in _rows(index, "ends", "block, runs"):
        yield block, json.loads(runs)


def _entries(index: sqlite3.Connection | None) -> Iterator[Iterator[tuple[str, _Entry]]]:
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


def _write(path: Path, entries: Mapping[str, _Entry], texts: Mapping[int, str]) -> None:
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
