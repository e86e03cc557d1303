"""Locks: which process works on which run, so that several may work on one study at once.

All of it rests on one operation: a file gets a name that must not exist yet (``lock_files.create_lock``), which is
atomic on local disks and on NFS alike. ``lock_files`` names the files and judges which processes live.

D is dead and has left a lock; A and B want the run. Removing D's lock and creating one's own is not enough: B, which
read D's lock before A removed it, would remove A's (docs/internals.md draws this race). So a lock is removed only by
the process that holds its *removal lock*, ``claim.json.<token>``: a file that only one process can create, and which is
named after D's token, so that no other lock may be removed under it:

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

A process that releases its own run takes the same steps (create the removal lock, remove the lock, remove the removal
lock), because others may think it dead meanwhile. A kill between two of them leaves one or both files, each with its
dead owner in it: they are removed as any dead process's lock is, by the process that wants the run, or else by the next
command on the study (``storage.leftovers``).
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from actbench.errors import ResultsError, UsageError
from actbench.storage.lock_files import (
    LOCK_FILE,
    TORN,
    Lock,
    close_token,
    create_lock,
    dead_heartbeats,
    heartbeat_file,
    holder_of_file,
    read_lock,
    somebody_is_at_work,
    write_heartbeat,
)
from actbench.system.files import writing
from actbench.system.processes import Process

BEAT = 10.0
"""Seconds between two touches of a heartbeat."""

_log = logging.getLogger("actbench.storage.locks")


@dataclass(frozen=True)
class Attempt:
    """The result of an attempt to create or remove a lock.

    Args:
        held_by: The living process that holds or removes the lock instead; None after a success.
    """

    held_by: Lock | None = None

    @property
    def succeeded(self) -> bool:
        """Return whether no other process was in the way."""
        return self.held_by is None


class Locks:
    """The runs of one study that this process has locked; a context manager that leaves no lock behind.

    Args:
        study: The study's folder; it is made if need be.
    """

    def __init__(self, study: Path) -> None:
        self._study = study
        self._token, self._process = secrets.token_hex(8), Process.this()
        self._heartbeat = heartbeat_file(study, self._token)
        self._held: set[Path] = set()
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        """Start the heartbeat, and remove those that stopped: their processes have exited without doing so.

        Raises:
            ResultsError: When the folder can't be written.
            UsageError: When the system allows no more threads.
        """
        with writing(self._study):
            self._study.mkdir(parents=True, exist_ok=True)
            for other in dead_heartbeats(self._study):
                other.unlink(missing_ok=True)
            write_heartbeat(self._study, self._own_lock())
        try:
            self._beating.start()
        except RuntimeError as error:  # the system allows no more threads
            self._heartbeat.unlink(missing_ok=True)
            raise UsageError(f"{error}: raise the limit of processes and threads (ulimit -u)") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the runs that are still locked, and stop the heartbeat.

        Raises:
            ResultsError: When a file can't be removed, unless another error is on its way already: that one matters
                more, since the next command removes what is left.
        """
        failures: list[ResultsError] = []
        for run in tuple(self._held):
            try:
                self.release(run)
            except ResultsError as failure:  # the others can perhaps be released all the same
                failures.append(failure)
        self._ended.set()
        self._beating.join()
        close_token(self._token)
        try:
            with writing(self._study):
                self._heartbeat.unlink(missing_ok=True)
        except ResultsError as failure:
            failures.append(failure)
        if failures and error is None:
            raise failures[0]

    def take(self, run: Path) -> Attempt:
        """Lock a run, also if a dead process still holds its lock. Only one of several contenders succeeds.

        Args:
            run: The run's folder; it is made if need be.

        Raises:
            ResultsError: When the folder can't be written.
        """
        with writing(run):
            run.mkdir(parents=True, exist_ok=True)
            if not self._heartbeat.exists():  # without it the lock would count for nothing
                write_heartbeat(self._study, self._own_lock())
            attempt = self._acquire(run / LOCK_FILE)
        if attempt.succeeded:
            self._held.add(run)
        return attempt

    def in_company(self) -> bool:
        """Return whether another process works on the study: one that begins later finds this one's heartbeat.

        Raises:
            ResultsError: When the folder can't be read.
        """
        with writing(self._study):
            return somebody_is_at_work(self._study, except_token=self._token)

    def holds(self, run: Path) -> bool:
        """Return whether this process still holds the run.

        The lock is lost if this process stood still for so long that another machine took it for dead. What it would
        write now would get among what the other one writes.
        """
        with writing(run):
            found = read_lock(run / LOCK_FILE)
        return found is not None and found.token == self._token

    def release(self, run: Path) -> None:
        """Release a run, if this process still holds it.

        Raises:
            ResultsError: When the folder can't be written.
        """
        self._held.discard(run)
        with writing(run):
            if run.is_dir():
                self._remove(run / LOCK_FILE, self._token)

    def clear(self, path: Path) -> None:
        """Remove a lock that a dead process has left; one that a living process holds stays.

        Args:
            path: A run's lock, or a removal lock.

        Raises:
            ResultsError: When the folder can't be written.
        """
        with writing(path.parent):
            found = read_lock(path)
            if found is not None and self._is_dead(path):
                self._remove(path, found.token)

    def _own_lock(self) -> Lock:
        return Lock(self._token, datetime.now(UTC).isoformat(timespec="seconds"), self._process)

    def _is_dead(self, path: Path) -> bool:
        found = holder_of_file(path, self._study, except_token=self._token)
        return found is not None and not found.is_alive

    def _acquire(self, path: Path) -> Attempt:
        """Create a lock or a removal lock as this process's own, in the place of a dead process's if there is one."""
        while not create_lock(path, self._own_lock()):
            found = holder_of_file(path, self._study, except_token=self._token)
            if found is None:
                continue  # released in between
            if found.lock.token == self._token:
                break
            if found.is_alive:
                return Attempt(held_by=found.lock)
            # _remove calls _acquire for the removal lock, whose name is longer by a token. That ends: each level needs
            # such a file left on the disk by a process that died there, and there are only so many.
            removal = self._remove(path, found.lock.token)
            if not removal.succeeded:
                return removal
            heartbeat_file(self._study, found.lock.token).unlink(missing_ok=True)
            _log.info("%s: taken over from %s, which has ended", path.parent.name, found.lock.who)
        return Attempt()

    def _remove(self, path: Path, token: str) -> Attempt:
        """Remove the lock with this token, unless that is done already or another process is already removing it.

        See the diagram above. The process that holds the removal lock reads the lock once more before removing it, and
        no other process removes it meanwhile. A removal lock that a dead process left is removed in the same way.
        """
        removal_lock = path.with_name(f"{path.name}.{token}")
        attempt = self._acquire(removal_lock)
        if not attempt.succeeded:
            return attempt
        try:
            found = read_lock(path)
            # No token comes twice; but TORN is the token of every lock without one, so its death is judged again.
            if found is not None and found.token == token and (token != TORN or self._is_dead(path)):
                path.unlink()
        finally:
            removal_lock.unlink(missing_ok=True)
        return Attempt()

    def _beat(self) -> None:
        """Touch the heartbeat until the end; a file system that is away for a moment comes back.

        One warning is enough. None is given when the folder is gone: the command will report that.
        """
        reachable = True
        while not self._ended.wait(BEAT):
            try:
                self._touch_heartbeat()
            except (OSError, ResultsError) as error:
                if reachable and self._study.is_dir():
                    _log.warning("can't touch %s: %s; other machines may take its runs over", self._heartbeat, error)
                reachable = False
            else:
                reachable = True

    def _touch_heartbeat(self) -> None:
        try:
            os.utime(self._heartbeat)  # to the time of the file system, which on a network is not this machine's
        except FileNotFoundError:  # another process took this one for dead, or the folder was cleared
            write_heartbeat(self._study, self._own_lock())
