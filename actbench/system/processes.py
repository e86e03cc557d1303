"""A process and its machine, so described that another process, even on another machine, can judge if it lives."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

HOST_VARIABLE = "ACTBENCH_HOST"
"""Environment variable that names this machine instead of its own name, where several machines bear the same."""


@dataclass(frozen=True)
class Process:
    """Identify a process for as long as its machine runs, even after its id is given to another.

    Args:
        host: Name of its machine.
        pid: Its process id.
        started: Start of the process in the kernel's ticks since the machine's start, which differs from that of a
            later process with the same id. None where the kernel keeps no such record.
        system: The running kernel and the name space of its process ids; None where the kernel reports neither. Two
            machines, or two containers, may have the same host name, but then these differ.
    """

    host: str
    pid: int
    started: str | None
    system: str | None

    def __post_init__(self) -> None:
        """Refuse a number that can't be a process id, since a file may hold anything.

        Raises:
            ValueError: For such a number.
        """
        if not isinstance(self.pid, int) or not 0 < self.pid < 2**31:
            raise ValueError(f"{self.pid!r} is not a process id")

    @classmethod
    def this(cls) -> Process:
        """Return the calling process."""
        return cls(_host(), os.getpid(), _started(os.getpid()), _system())

    def is_alive(self) -> bool | None:
        """Return whether the process lives; None when that can't be known, as of a process on another machine."""
        if self.host != _host() or self.system != _system() or os.name != "posix":
            return None
        try:
            os.kill(self.pid, 0)  # signal 0 is not delivered; sending it fails when there is no such process
        except ProcessLookupError:
            return False
        except PermissionError:  # another user's: it is there
            pass
        # The id lives, but the process may have ended and the id been given to another: then the starts differ.
        started = _started(self.pid)
        return None if self.started is None or started is None else started == self.started

    def __str__(self) -> str:
        """Return the text that a reader looks for: ``pid 4711 on ada``."""
        return f"pid {self.pid} on {self.host}"


def _host() -> str:
    return os.environ.get(HOST_VARIABLE) or platform.node()


def _started(pid: int) -> str | None:
    """Return the start of a process in ticks; None where the kernel does not report it.

    A process that has ended but was not waited for is still listed, with Z for its state: it started ``never``.
    """
    try:
        listed = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    words = listed.rpartition(")")[2].split()  # the name before it, in parentheses, may hold anything
    return "never" if words[0] in "ZX" else words[19]


def _system() -> str | None:
    """Return the running kernel and the name space of process ids; None where the kernel reports neither."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None
