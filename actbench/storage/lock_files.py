"""The files of locks and heartbeats: which process holds a run, and whether that process is alive.

    results/<study>/heartbeat-<token>                    one a process at work, touched every ten seconds
    results/<study>/runs/<run id>/claim.json             the run's lock: the process that computes this run
    results/<study>/runs/<run id>/claim.json.<token>     a removal lock: the process that removes that token's lock

A lock counts for as long as its process lives and has a heartbeat, which is the last file that it removes. On the same
machine the process table decides: a process that was killed frees its runs at once, one that is merely stopped keeps
them. Of another machine only the heartbeat is seen: it must have been touched within a minute. Both times are those of
the file system, so that the machines' own clocks do not matter. A heartbeat from the future does not count either: its
clock was put back, and nobody can wait until it has caught up. A living process touches its own again within seconds.

Here files are read and judged; ``locks`` takes and releases them.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from actbench.system.files import open_file, parse_json, read_file, write_atomically
from actbench.system.processes import Process

LOCK_FILE = "claim.json"
"""The name of a run's lock. Earlier versions called a lock a claim; results folders keep the name."""

LIMIT = 60.0
"""Seconds after which a heartbeat counts as stopped: several lost beats, not one slow write."""

HEARTBEAT = "heartbeat-"
"""How the names of heartbeats begin."""

TORN = "torn"
"""The token of a lock whose file holds none: not written yet, on a file system without hard links, or damaged."""

_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""Why a file can't get a second name on FAT and some network file systems."""

_closed: set[str] = set()
"""Tokens that this process uses no more. A file that it could not remove under one of them, on a full disk, say, would
count as locked for as long as this process lives, which may be a notebook's whole day."""


@dataclass(frozen=True)
class Lock:
    """The process that has locked a run: the content of ``claim.json``.

    Args:
        token: Drawn once for each process and study; names its heartbeat.
        since: When it took the run, by its own clock, ISO 8601.
        process: The process; None when the file holds none.
    """

    token: str
    since: str = ""
    process: Process | None = None

    @property
    def who(self) -> str:
        """Name the process for a message."""
        return "an unknown process" if self.process is None else str(self.process)


@dataclass(frozen=True)
class Holder:
    """A lock, and whether it counts.

    Args:
        lock: The lock.
        is_alive: Whether its process lives.
    """

    lock: Lock
    is_alive: bool


def holder(run: Path) -> Holder | None:
    """Return the holder of a run's lock; None when the run is not locked.

    Args:
        run: The run's folder, ``results/<study>/runs/<run id>``.

    Raises:
        OSError: When the folder can't be read.
    """
    return holder_of_file(run / LOCK_FILE, run.parents[1])


def holder_of_file(path: Path, study: Path, *, except_token: str = "") -> Holder | None:
    """Return the holder of the lock in a file; None when there is no such file.

    The process of a lock without content is unknown: on a file system without hard links it was killed between creating
    and writing the file, or is just about to write. If no heartbeat is fresh, no process can be about to write, because
    each starts one before it locks anything.

    Args:
        path: A run's lock, or a removal lock.
        study: The study's folder.
        except_token: The token of a process that is known not to have made the file.

    Raises:
        OSError: When the file can't be read.
    """
    lock = read_lock(path)
    if lock is None:
        return None
    if lock.process is None:
        return Holder(lock, _is_young(path) and somebody_is_at_work(study, except_token=except_token))
    return Holder(lock, _is_alive(lock, heartbeat_file(study, lock.token)))


def is_dead(path: Path, study: Path) -> bool:
    """Return whether a lock is there and its process has exited.

    Args:
        path: A run's lock, or a removal lock.
        study: The study's folder.

    Raises:
        OSError: When the file can't be read.
    """
    found = holder_of_file(path, study)
    return found is not None and not found.is_alive


def dead_heartbeats(study: Path) -> list[Path]:
    """Return the heartbeats in a study's folder whose processes have exited."""
    return [path for path in study.glob(f"{HEARTBEAT}*") if not _beats(path)]


def is_at_work(study: Path, token: str) -> bool:
    """Return whether the process that drew a token still works on the study."""
    return _beats(heartbeat_file(study, token))


def somebody_is_at_work(study: Path, *, except_token: str = "") -> bool:
    """Return whether a living process has a heartbeat in a study's folder: only such a process writes there.

    Args:
        study: The study's folder.
        except_token: A token whose heartbeat does not count.

    Raises:
        OSError: When the folder can't be read.
    """
    _clock(study)  # a network file system may list from memory, but not once a file was created there
    return any(path.name != f"{HEARTBEAT}{except_token}" and _beats(path) for path in study.glob(f"{HEARTBEAT}*"))


def heartbeat_file(study: Path, token: str) -> Path:
    """Return the path of a process's heartbeat."""
    return study / f"{HEARTBEAT}{token}"


def write_heartbeat(study: Path, lock: Lock) -> Path:
    """Start a process's heartbeat; whole or not at all, since an empty one counts as living until it is a minute old.

    Raises:
        ResultsError: When the file can't be written.
    """
    path = heartbeat_file(study, lock.token)
    write_atomically(path, json.dumps(asdict(lock)))
    return path


def create_lock(path: Path, lock: Lock) -> bool:
    """Let a lock appear together with its content; return False when there is a file already.

    The content is written to a file beside it, which then gets the lock's name as a second one (a hard link). That is
    atomic, and fails when the name is taken, on local disks and on NFS alike. So no reader, and no kill, ever finds a
    lock whose process is unknown, which would have to count as locked for a minute. Where there are no hard links, the
    file is created first and written then.

    Args:
        path: A run's lock, or a removal lock.
        lock: Its content.

    Raises:
        OSError: When the file can't be written.
    """
    aside = path.with_name(f".{LOCK_FILE}.{lock.token}")
    content = json.dumps(asdict(lock))
    try:
        aside.write_text(content, encoding="utf-8")
        os.link(aside, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        return _create_and_write(path, content)
    finally:
        aside.unlink(missing_ok=True)
    return True


def _create_and_write(path: Path, content: str) -> bool:
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        return False
    try:
        with file:
            file.write(content)
    except OSError:
        path.unlink()
        raise
    return True


def read_lock(path: Path) -> Lock | None:
    """Return the lock in a file; None when there is no such file.

    The lock of a file that does not hold a whole one has the token ``TORN``.

    Raises:
        OSError: When the file can't be read.
    """
    try:
        content = parse_json(read_file(path))
        token, since, process = content["token"], content["since"], Process(**content["process"])
        datetime.fromisoformat(since)
        return Lock(token, since, process) if token.isalnum() else Lock(TORN)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return Lock(TORN)


def close_token(token: str) -> None:
    """Let a token of this process's own count as dead from now on."""
    _closed.add(token)


def _beats(heartbeat: Path) -> bool:
    """Return whether the process of a heartbeat lives.

    An empty heartbeat, as earlier versions made, is judged by its age alone. One that can't be read, such as another
    user's, may be that of a living process.
    """
    try:
        lock = read_lock(heartbeat)
    except OSError:
        return True
    return lock is not None and _is_alive(lock, heartbeat)


def _is_alive(lock: Lock, heartbeat: Path) -> bool:
    """Return whether a process lives and works on the study: by the process table of this machine, and its heartbeat.

    A process outlives its work, as a notebook does, and may have failed to remove a lock: on a full disk, say. It has
    removed its heartbeat then.
    """
    if lock.token in _closed:
        return False
    alive = None if lock.process is None else lock.process.is_alive()
    return _is_young(heartbeat) if alive is None else alive and os.path.exists(heartbeat)


def _is_young(file: Path) -> bool:
    """Return whether a file was touched within the limit, by the clock of the file system that it lies on.

    Neither long ago nor in the future: when a clock was put back by a year, a file of a dead process would count for a
    year. A file system's clock that jumps makes the heartbeats of the living look dead until they touch them again.
    It is opened, not only asked for its times: a network file system may answer those from memory for a minute.
    """
    try:
        with open_file(file) as opened:
            touched = os.fstat(opened.fileno()).st_mtime
    except FileNotFoundError:
        return False
    return abs(_clock(file.parent) - touched) <= LIMIT


def _clock(folder: Path) -> float:
    """Read the clock of a file system: the time of a file that is created there and gone at once.

    Where nothing can be written, as in a copy that one may only read, this machine's clock has to do.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as fresh:
            return os.fstat(fresh.fileno()).st_mtime
    except OSError:
        return time.time()
