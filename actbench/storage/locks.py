"""Locks: which process works on which run, so that several may work on one study at once.

    results/<study>/heartbeat-<token>                    one a process at work, touched every ten seconds
    results/<study>/runs/<run id>/claim.json             the process that computes this run
    results/<study>/runs/<run id>/claim.json.<token>     the process that removes the lock with this token

A lock counts for as long as its process lives. On the same machine the process table decides: a process that was
killed frees its runs at once, one that is merely stopped keeps them. Of another machine only the heartbeat is seen: it
must not be older than a minute, by the clock of the file system, so that the machines' own clocks do not matter.

All of it rests on one operation, the creation of a file that must not exist yet, which is atomic on local disks and on
network file systems alike (NFS since version 3).

Taking over the lock of a dead process needs the third file. D is dead and has left a lock; A and B want the run:

    claim.json    A                                 B
    D's           reads it: D is dead               reads it: D is dead
    -             removes it
    A's           creates its own
    -                                               removes it, but that was A's!
    B's                                             creates its own: both compute the run

The right to remove D's lock is a file of its own, which only one of them can create, and which is named after D's
token, so that it is a right to nothing else:

    claim.json    A                                 B
    D's           reads it: D is dead               reads it: D is dead
    D's           creates claim.json.<D's token>
    D's           reads it again: D's still         can't create that: A, which lives, has the run. Or comes later …
    -             removes it
    -             removes claim.json.<D's token>
    A's           creates its own: has the run      … creates claim.json.<D's token>
    A's                                             reads it again: A's, so it stays
    A's                                             removes claim.json.<D's token>
    A's                                             can't create its own: A, which lives, has the run

A process that gives its own run back takes the same four steps (create the right, write it, remove the lock, remove
the right), because others may think it dead meanwhile. A kill between two of them leaves one or both files, each with
its dead owner in it: they are removed as any dead process's lock is, by whoever wants the run, or else by the next
command on the study (``storage.leftovers``).
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from actbench.errors import ResultsError
from actbench.system.files import parse_json, writing
from actbench.system.processes import Process

LOCK_FILE = "claim.json"
BEAT = 10.0
"""Seconds between two touches of a heartbeat."""
LIMIT = 60.0
"""Seconds after which a heartbeat counts as stopped: several lost beats, not one slow write."""

HEARTBEAT = "heartbeat-"
"""How the names of heartbeats begin."""

_TORN = "torn"
_closed: set[str] = set()
"""Tokens of this process's own that it uses no more. What it could not remove under one of them, on a full disk, say,
would count as locked for as long as this process lives, which may be a notebook's whole day."""

_log = logging.getLogger("actbench.storage.locks")


@dataclass(frozen=True)
class Lock:
    """The process that has locked a run: the content of ``claim.json``.

    Args:
        token: Drawn once for each process and study; names its heartbeat.
        since: When it took the run, by its own clock, ISO 8601.
        process: The process; None while the file is not written yet.
    """

    token: str
    since: str = ""
    process: Process | None = None

    @property
    def who(self) -> str:
        """Name the process for a message."""
        return "an unknown process" if self.process is None else str(self.process)


def holder(run: Path) -> tuple[Lock, bool] | None:
    """Return a run's lock, and whether its process lives.

    Args:
        run: The run's folder, ``results/<study>/runs/<run id>``.

    Returns:
        None when the run is not locked.

    Raises:
        OSError: When the folder can't be read.
    """
    return _look(run / LOCK_FILE, run.parents[1])


def is_dead(lock: Path) -> bool:
    """Whether a run's lock, or a right to remove one, is there and its process has ended.

    Args:
        lock: A file in a run's folder.

    Raises:
        OSError: When it can't be read.
    """
    found = _look(lock, lock.parents[2])
    return found is not None and not found[1]


def dead_heartbeats(study: Path) -> list[Path]:
    """Find the heartbeats in a study's folder whose processes have ended.

    Raises:
        OSError: When the folder can't be read.
    """
    return [path for path in study.glob(f"{HEARTBEAT}*") if not _beats(path)]


def somebody_is_at_work(study: Path, *, but: str = "") -> bool:
    """Whether a living process has a heartbeat in a study's folder: only such a process writes there.

    Args:
        study: The study's folder.
        but: A token whose heartbeat does not count.

    Raises:
        OSError: When the folder can't be read.
    """
    _clock(study)  # a network file system may list from memory, but not once a file was created there
    return any(path.name != f"{HEARTBEAT}{but}" and _beats(path) for path in study.glob(f"{HEARTBEAT}*"))


class Locks:
    """The runs of one study that this process has locked; a context manager that leaves no lock behind.

    Args:
        study: The study's folder; it is made if need be.
    """

    def __init__(self, study: Path) -> None:
        self._study = study
        self._token, self._process = secrets.token_hex(8), Process.this()
        self._heartbeat = _heartbeat(study, self._token)
        self._held: set[Path] = set()
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        """Start the heartbeat, and remove those that stopped: their processes have ended without doing so.

        Raises:
            ResultsError: When the folder can't be written.
        """
        with writing(self._study):
            self._study.mkdir(parents=True, exist_ok=True)
            for other in dead_heartbeats(self._study):
                other.unlink(missing_ok=True)
            _create(self._heartbeat, self._own_lock())
        self._beating.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give back what is still locked and stop the heartbeat.

        Raises:
            ResultsError: When a file can't be removed, unless another error is on its way already: that one matters
                more, since the next command removes what is left.
        """
        failures: list[ResultsError] = []
        for run in tuple(self._held):
            try:
                self.release(run)
            except ResultsError as failure:  # the others can perhaps be given back all the same
                failures.append(failure)
        self._ended.set()
        self._beating.join()
        _closed.add(self._token)
        try:
            with writing(self._study):
                self._heartbeat.unlink(missing_ok=True)
        except ResultsError as failure:
            failures.append(failure)
        if failures and error is None:
            raise failures[0]

    def take(self, run: Path) -> Lock | None:
        """Lock a run, from a process that is dead too; of several that try, one succeeds.

        Args:
            run: The run's folder; it is made if need be.

        Returns:
            None when the run is locked by this process now; else the living process that has it.

        Raises:
            ResultsError: When the folder can't be written.
        """
        with writing(run):
            run.mkdir(parents=True, exist_ok=True)
            other = self._acquire(run / LOCK_FILE)
        if other is None:
            self._held.add(run)
        return other

    def holds(self, run: Path) -> bool:
        """Whether the lock still is this process's own.

        It was lost if this process stood still for so long that another machine took it for dead. What it would write
        now would get among what the other one writes.
        """
        with writing(run):
            found = _read(run / LOCK_FILE)
        return found is not None and found.token == self._token

    @contextmanager
    def ending(self, run: Path) -> Iterator[bool]:
        """While the end of a run is written: whether that is to be done. The run is given back afterwards."""
        held = self.holds(run)
        if not held:
            _log.warning("%s was taken over by another process: what this one found is not kept", run.name)
        yield held
        self.release(run)

    def release(self, run: Path) -> None:
        """Give a run back, if it still is this process's own.

        Raises:
            ResultsError: When the folder can't be written.
        """
        self._held.discard(run)
        with writing(run):
            if run.is_dir():
                self._remove(run / LOCK_FILE, self._token)

    def clear(self, lock: Path) -> None:
        """Remove a lock that a dead process has left; one that a living process has stays.

        Args:
            lock: A run's lock, or a right to remove one.

        Raises:
            ResultsError: When the folder can't be written.
        """
        with writing(lock.parent):
            found = _read(lock)
            if found is not None and self._is_dead(lock):
                self._remove(lock, found.token)

    def is_alone(self) -> bool:
        """Whether no other living process works on the study."""
        return not somebody_is_at_work(self._study, but=self._token)

    def _own_lock(self) -> Lock:
        return Lock(self._token, _now(), self._process)

    def _is_dead(self, path: Path) -> bool:
        found = _look(path, self._study, but=self._token)
        return found is not None and not found[1]

    def _acquire(self, path: Path) -> Lock | None:
        """Create the file as this process's own; returns the living process that holds it instead."""
        while not _create(path, self._own_lock()):
            found = _look(path, self._study, but=self._token)
            if found is None:
                continue  # given back in between
            lock, living = found
            if lock.token == self._token:
                return None
            if living:
                return lock
            remover = self._remove(path, lock.token)
            if remover is not None:
                return remover
            _heartbeat(self._study, lock.token).unlink(missing_ok=True)
            _log.info("%s: taken over from %s, which has ended", path.parent.name, lock.who)
        return None

    def _remove(self, path: Path, token: str) -> Lock | None:
        """Remove the lock with this token, unless somebody has done so; returns the process that is about to.

        Drawn above. Whoever has the right looks once more before removing, and nobody else removes this lock
        meanwhile. A right that a dead process left is removed in the same way.
        """
        right = path.with_name(f"{path.name}.{token}")
        remover = self._acquire(right)
        if remover is not None:
            return remover
        try:
            found = _read(path)
            # A token never comes again; but a lock that is not written yet has none, so its death is looked at again.
            if found is not None and found.token == token and (token != _TORN or self._is_dead(path)):
                path.unlink()
        finally:
            right.unlink(missing_ok=True)
        return None

    def _beat(self) -> None:
        """Touch the heartbeat until the end; a file system that is away for a moment comes back."""
        while not self._ended.wait(BEAT):
            try:
                self._heartbeat.touch()
            except OSError as error:
                _log.warning("can't touch %s: %s; other machines may take its runs over", self._heartbeat, error)


def _create(path: Path, lock: Lock) -> bool:
    """Write the lock to a new file; False when there is a file already."""
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        return False
    try:
        with file:
            file.write(json.dumps(asdict(lock)))
    except OSError:
        path.unlink()
        raise
    return True


def _look(path: Path, study: Path, *, but: str = "") -> tuple[Lock, bool] | None:
    """Read the lock in a file and judge whether its process lives; None when there is no such file.

    Of a lock without content nobody knows the process: it was killed between creating and writing, or is about to
    write. About to write is nobody when no heartbeat beats, because whoever locks anything has started one before.

    Args:
        path: The file.
        study: The study's folder.
        but: The token of a process that is known not to have made it.
    """
    lock = _read(path)
    if lock is None:
        return None
    if lock.process is None:
        return lock, _is_young(path) and somebody_is_at_work(study, but=but)
    return lock, _lives(lock, _heartbeat(study, lock.token))


def _beats(heartbeat: Path) -> bool:
    """Whether the process of a heartbeat lives; an empty one, as earlier versions made, is judged by its age alone."""
    lock = _read(heartbeat)
    return lock is not None and _lives(lock, heartbeat)


def _lives(lock: Lock, heartbeat: Path) -> bool:
    """Whether a process lives: by the process table of this machine, or by its heartbeat."""
    if lock.token in _closed:
        return False
    alive = None if lock.process is None else lock.process.is_alive()
    return _is_young(heartbeat) if alive is None else alive


def _read(path: Path) -> Lock | None:
    """The lock in a file; None when there is no such file.

    A file without a whole lock has been created but not written yet, or its process was killed between the two.
    """
    try:
        content = parse_json(path.read_bytes())
        token, since, process = content["token"], content["since"], Process(**content["process"])
        datetime.fromisoformat(since)
        return Lock(token, since, process) if token.isalnum() else Lock(_TORN)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return Lock(_TORN)


def _heartbeat(study: Path, token: str) -> Path:
    return study / f"{HEARTBEAT}{token}"


def _is_young(file: Path) -> bool:
    """Whether a file was touched within the limit, by the clock of the file system that it lies on.

    It is opened, not only asked for its times: a network file system may answer those from memory for a minute.
    """
    try:
        with file.open("rb") as opened:
            touched = os.fstat(opened.fileno()).st_mtime
    except FileNotFoundError:
        return False
    return _clock(file.parent) - touched <= LIMIT


def _clock(folder: Path) -> float:
    """Read the clock of a file system: the time of a file that is created there and gone at once.

    Where nothing can be written, as in a copy that one may only read, this machine's clock has to do.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as fresh:
            return os.fstat(fresh.fileno()).st_mtime
    except OSError:
        return time.time()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
