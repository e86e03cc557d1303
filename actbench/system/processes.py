"""Which process on which machine, in a form that another process, perhaps on another machine, can judge later."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

HOST_VARIABLE = "ACTBENCH_HOST"
"""Environment variable that names this machine instead of its own name, where several machines bear the same."""


@dataclass(frozen=True)
class Process:
    """A process, then and there.

    Args:
        host: Name of its machine.
        pid: Its process id.
        started: When it started, in the kernel's ticks since the machine did: tells it from a later process that was
            given the same id. None where the kernel keeps no such record.
        system: The running kernel and the name space of its process ids; None where there is none. Two machines, or
            two containers, may bear one name, but then these differ.
    """

    host: str
    pid: int
    started: str | None
    system: str | None

    def __post_init__(self) -> None:
        """Refuse what no process has, since a file may say anything.

        Raises:
            ValueError: For a process id that is none.
        """
        if not isinstance(self.pid, int) or not 0 < self.pid < 2**31:
            raise ValueError(f"{self.pid!r} is no process id")

    @classmethod
    def this(cls) -> Process:
        """The calling process."""
        return cls(_host(), os.getpid(), _started(os.getpid()), _system())

    def is_alive(self) -> bool | None:
        """Whether it lives; None when that can't be told, as of a process on another machine."""
        if self.host != _host() or self.system != _system() or os.name != "posix":
            return None
        try:
            os.kill(self.pid, 0)  # sends nothing, and fails when there is nobody to send it to
        except ProcessLookupError:
            return False
        except PermissionError:  # another user's: it is there
            pass
        started = _started(self.pid)
        return None if self.started is None or started is None else started == self.started

    def __str__(self) -> str:
        """As a reader looks for it: ``pid 4711 on ada``."""
        return f"pid {self.pid} on {self.host}"


def _host() -> str:
    return os.environ.get(HOST_VARIABLE) or platform.node()


def _started(pid: int) -> str | None:
    """When a process started, in ticks; None where the kernel does not say.

    A process that has ended but was not waited for is still listed, with Z for its state: it started ``never``.
    """
    try:
        listed = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    words = listed.rpartition(")")[2].split()  # the name before it, in parentheses, may hold anything
    return "never" if words[0] in "ZX" else words[19]


def _system() -> str | None:
    """The kernel since its start, and the name space of process ids; None where the kernel does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None
