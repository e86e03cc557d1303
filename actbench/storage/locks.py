"""Claims: which process works on which run, so that several may work on one study at once.

    results/<study>/heartbeat-<token>            one a process at work, touched every ten seconds
    results/<study>/runs/<run id>/claim.json     who computes this run

A claim counts for as long as its process lives. On the same machine the process table tells: a process that was killed
frees its runs at once, one that is merely stopped keeps them. Of another machine only the heartbeat is seen: it must
not be older than a minute, by the clock of the file system, so that the machines' own clocks do not matter.

All of it rests on one operation, the creation of a file that must not exist yet, which is atomic on local disks and on
network file systems alike (NFS since version 3).
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

from actbench.system.files import parsed, writing
from actbench.system.processes import Process

CLAIM = "claim.json"
BEAT = 10.0
"""Seconds between two touches of a heartbeat."""
LIMIT = 60.0
"""Seconds after which a heartbeat counts as stopped: several lost beats, not one slow write."""

_HEARTBEAT = "heartbeat-"
_TORN = "torn"

_log = logging.getLogger("actbench.storage.locks")


@dataclass(frozen=True)
class Claim:
    """A process that works on a run; the content of ``claim.json``.

    Args:
        token: Drawn once for each process and study; names its heartbeat.
        since: When it took the run, by its own clock, ISO 8601.
        process: Who; None while the file is not written yet.
    """

    token: str
    since: str = ""
    process: Process | None = None

    @property
    def who(self) -> str:
        """The process in words."""
        return "an unknown process" if self.process is None else str(self.process)


def holder(run: Path) -> tuple[Claim, bool] | None:
    """Who claims a run, and whether that process lives.

    Args:
        run: The run's folder, ``results/<study>/runs/<run id>``.

    Returns:
        None when nobody does.

    Raises:
        OSError: When the folder can't be read.
    """
    return _look(run / CLAIM, run.parents[1])


class Claims:
    """What this process claims in one study; a context manager that leaves no claim behind.

    Args:
        study: The study's folder, which exists.
    """

    def __init__(self, study: Path) -> None:
        """Nothing is written yet."""
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
            for other in self._study.glob(f"{_HEARTBEAT}*"):
                if not _is_young(other):
                    other.unlink(missing_ok=True)
            self._heartbeat.touch()
        self._beating.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give back what is still claimed and stop the heartbeat."""
        try:
            for run in tuple(self._held):
                self.release(run)
        finally:
            self._ended.set()
            self._beating.join()
            with writing(self._study):
                self._heartbeat.unlink(missing_ok=True)

    def take(self, run: Path) -> Claim | None:
        """Claim a run, from a process that is dead too; of several that try, one succeeds.

        Args:
            run: The run's folder; it is made if need be.

        Returns:
            None when the run is claimed by this process now; else the living process that has it.

        Raises:
            ResultsError: When the folder can't be written.
        """
        with writing(run):
            run.mkdir(parents=True, exist_ok=True)
            other = self._acquire(run / CLAIM)
        if other is None:
            self._held.add(run)
        return other

    def holds(self, run: Path) -> bool:
        """Whether the claim still is this process's own.

        It was lost if this process stood still for so long that another machine took it for dead. What it would write
        now would get among what the other one writes.
        """
        with writing(run):
            found = _read(run / CLAIM)
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
                self._remove(run / CLAIM, self._token)

    def _acquire(self, path: Path) -> Claim | None:
        """Create the file as this process's own; returns the living process that holds it instead."""
        while not _create(path, Claim(self._token, _now(), self._process)):
            found = _look(path, self._study)
            if found is None:
                continue  # given back in between
            claim, living = found
            if claim.token == self._token:
                return None
            if living:
                return claim
            remover = self._remove(path, claim.token)
            if remover is not None:
                return remover
            _heartbeat(self._study, claim.token).unlink(missing_ok=True)
            _log.info("%s: taken over from %s, which has ended", path.parent.name, claim.who)
        return None

    def _remove(self, path: Path, token: str) -> Claim | None:
        """Remove the claim with this token, unless somebody has done so; returns who is about to.

        Between reading a dead process's claim and removing it, another process may have removed it and put its own in
        place. So the right to remove it is a file of its own, named after the token, which never comes again: who has
        it looks once more before removing, and nobody else removes this claim meanwhile. A right that a dead process
        left is removed in the same way.
        """
        right = path.with_name(f"{path.name}.{token}")
        remover = self._acquire(right)
        if remover is not None:
            return remover
        try:
            found = _read(path)
            if found is not None and found.token == token:
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


def _create(path: Path, claim: Claim) -> bool:
    """Write the claim to a new file; False when there is a file already."""
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        return False
    try:
        with file:
            file.write(json.dumps(asdict(claim)))
    except OSError:
        path.unlink()
        raise
    return True


def _look(path: Path, study: Path) -> tuple[Claim, bool] | None:
    """The claim in a file and whether its process lives; None when there is no such file."""
    claim = _read(path)
    if claim is None:
        return None
    if claim.process is None:
        return claim, _is_young(path)
    alive = claim.process.is_alive()
    return claim, _is_young(_heartbeat(study, claim.token)) if alive is None else alive


def _read(path: Path) -> Claim | None:
    """The claim in a file; None when there is no such file.

    A file without a whole claim has been created but not written yet, or its process was killed between the two.
    """
    try:
        content = parsed(path.read_bytes())
        token, since, process = content["token"], content["since"], Process(**content["process"])
        datetime.fromisoformat(since)
        return Claim(token, since, process) if token.isalnum() else Claim(_TORN)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return Claim(_TORN)


def _heartbeat(study: Path, token: str) -> Path:
    return study / f"{_HEARTBEAT}{token}"


def _is_young(file: Path) -> bool:
    """Whether a file was touched within the limit, by the clock of the file system that it lies on.

    It is opened, not only asked for its times: a network file system may answer those from memory for a minute. Where
    nothing can be written, as in a copy that one may only read, this machine's clock has to do.
    """
    try:
        with file.open("rb") as opened:
            touched = os.fstat(opened.fileno()).st_mtime
    except FileNotFoundError:
        return False
    try:
        with tempfile.TemporaryFile(dir=file.parent) as fresh:
            now = os.fstat(fresh.fileno()).st_mtime
    except OSError:
        now = time.time()
    return now - touched <= LIMIT


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
