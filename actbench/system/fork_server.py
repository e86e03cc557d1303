"""A process that imports once what takes seconds to import, and forks at each request: seen from its user.

    this process                              fork server                      forked process
     │  starts it  ────────────────────────────▶  │  imports torch …
     │  [n, "fork", number], 3 descriptors  ───▶  │  forks  ───────────────────▶  │  stdin, stdout, trace file
     │  ◀───────────────────────────  [n, pid]    │                               │
     │  ◀─────────────────────── events, directly, not by way of the server ────  │
     │  [n, "status", pid]  ───────────────────▶  │  waits for it
     │  ◀────────────────────  [n, exit code]     │
     │  end of the socket  ────────────────────▶  │  ends; a forked process ends with its own input

The server is a program that has been started anew, has one thread and has never asked a GPU for anything, so a fork of
it is whole. Only Linux has all that is needed, and where a GPU may be nothing is forked: ``can_fork``.

A process that has ended keeps its id until the server is asked for its exit code, so a signal never reaches another.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import IO, Any

from actbench.system import devices
from actbench.system.signals import ending_blocked
from actbench.system.worker_environment import worker_environment

MAX_MESSAGE = 1_000
"""Bytes of a message between the server and its user."""


def can_fork() -> bool:
    """Return whether this system has what a fork server needs, and no GPU, whose libraries do not survive a fork."""
    return sys.platform == "linux" and hasattr(os, "fork") and hasattr(os, "pidfd_open") and not devices.may_have_gpu()


class ForkServer:
    """Start a fork server, which imports meanwhile.

    Args:
        program: The module to run as the server's program.

    Attributes:
        process: The server.

    Raises:
        OSError: When the system allows no more processes or open files.
    """

    def __init__(self, program: str) -> None:
        self.program, self.environment, self.folder = program, worker_environment(), _folder()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs, ending_blocked():
                self.process = subprocess.Popen(
                    [sys.executable, "-m", program, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=self.environment,
                    pass_fds=[theirs.fileno()],
                )
        except BaseException:
            self._socket.close()
            raise
        self._asked, self._is_killed = 0, False
        self._replies: dict[int, int | None] = {}
        self._asking, self._receiving = threading.Lock(), threading.Lock()

    def fork(self, number: int, trace_file: int) -> Forked:
        """Ask for a process, without waiting for it.

        Args:
            number: The process's number among the pool's workers.
            trace_file: A descriptor that it is to have.

        Raises:
            OSError: When the server has ended, or no more files can be opened.
        """
        pipes: list[int] = []
        try:
            pipes += os.pipe()  # its input
            pipes += os.pipe()  # its output
            request = self._ask("fork", number, descriptors=[pipes[0], pipes[3], trace_file])
        except BaseException:
            for descriptor in pipes:
                os.close(descriptor)
            raise
        os.close(pipes[0])
        os.close(pipes[3])
        return Forked(self, request, os.fdopen(pipes[1], "wb"), os.fdopen(pipes[2], "rb"))

    def status(self, pid: int) -> int | None:
        """Return the exit code of a forked process that has ended, minus the signal that killed it; None if unknown."""
        try:
            return self.reply(self._ask("status", pid))
        except OSError:
            return None

    def reply(self, request: int) -> int | None:
        """Wait for the reply to a request; None when the server has ended before."""
        # Several threads wait, each for its own: the one that has the lock receives for all.
        with self._receiving:
            while request not in self._replies:
                try:
                    message = self._socket.recv(MAX_MESSAGE)
                except OSError:
                    message = b""
                if not message:
                    return None
                asked, value = json.loads(message)
                self._replies[asked] = value
            return self._replies.pop(request)

    def serves(self, program: str) -> bool:
        """Return whether a process forked now is the same as one that this process would start itself."""
        same = (program, worker_environment(), _folder()) == (self.program, self.environment, self.folder)
        return same and not self._is_killed and self.process.poll() is None

    def kill(self) -> None:
        """Kill the server, without waiting for its end."""
        self._is_killed = True
        self.process.kill()

    def close(self) -> None:
        """Kill the server and wait for its end; forked processes end with their input."""
        self.kill()
        self.process.wait()
        with contextlib.suppress(OSError):  # another thread may be receiving
            self._socket.shutdown(socket.SHUT_RDWR)
        with self._receiving:
            self._socket.close()

    def _ask(self, what: str, value: int, descriptors: list[int] | None = None) -> int:
        with self._asking:
            self._asked += 1
            socket.send_fds(self._socket, [json.dumps([self._asked, what, value]).encode()], descriptors or [])
            return self._asked


class Forked:
    """A process that the server forks, with the part of ``subprocess.Popen`` that a pool needs.

    Args:
        server: The server.
        request: The number of the request for the process.
        stdin: The process's input.
        stdout: The process's output.
    """

    def __init__(self, server: ForkServer, request: int, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.stdin, self.stdout = stdin, stdout
        self._server, self._request = server, request
        self._starting, self._waiting = threading.Lock(), threading.Lock()
        self._pid: int | None = None
        self._handle: int | None = None
        self._has_ended = False
        self.returncode: int | None = None

    def await_start(self) -> bool:
        """Wait until the server has forked; return False if it can't, or has ended."""
        with self._starting:
            if self._pid is None:
                pid = self._server.reply(self._request) or 0
                if pid:
                    with contextlib.suppress(OSError):  # no more files: then it can't be waited for, but killed
                        self._handle = os.pidfd_open(pid)
                self._pid = pid
            return self._pid > 0

    @property
    def pid(self) -> int | None:
        """The process id; None before ``await_start``."""
        return self._pid or None

    def send_signal(self, number: int) -> None:
        """Send a signal, if the process has been started and has not ended."""
        if self._pid and not self._has_ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def kill(self) -> None:
        """Kill the process; one that has not been started yet ends by itself as soon as its input is closed."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end of the process and return its exit code, minus the signal that killed it; None if unknown.

        Raises:
            subprocess.TimeoutExpired: When it has not ended after so many seconds.
        """
        # The thread that reads its output may wait while the pool ends it. Neither may close what the other waits on,
        # and the server can be asked for an exit code only once.
        with self._waiting:
            if self._pid and not self._has_ended:
                if self._handle is not None and not select.select([self._handle], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired("a forked process", timeout or 0)
                self._has_ended, self.returncode = True, self._server.status(self._pid)
            return self.returncode

    def close(self) -> None:
        """Close what is open of a process that has ended."""
        with self._waiting:
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None


_early: ForkServer | None = None
"""The server of this process that no pool has at the moment."""
_is_kept = False
"""Whether a server is kept between two pools: in a command, which ends it, and not in a notebook."""


@contextlib.contextmanager
def started_early(program: str) -> Iterator[None]:
    """Start a server that a pool will ask for, before it is known what is to be trained; end it with the context."""
    global _early, _is_kept
    with contextlib.suppress(OSError):  # no pool can start a worker then, and the error of that says why
        _early = ForkServer(program)
    _is_kept = True
    try:
        yield
    finally:
        _is_kept = False
        if _early is not None:
            _early.close()
            _early = None


def take(program: str) -> ForkServer:
    """Return the server that was started early, or else a new one.

    Raises:
        OSError: When the system allows no more processes or open files.
    """
    global _early
    server, _early = _early, None
    if server is not None:
        if server.serves(program):
            return server
        server.close()
    return ForkServer(program)


def dismiss() -> None:
    """Kill the server that was started early: there is nothing to train. It ends while the command goes on."""
    if _early is not None:
        _early.kill()


def give_back(server: ForkServer, *, is_idle: bool) -> None:
    """Keep a server for the next pool of this command, or end it.

    Args:
        server: The server, whose processes have ended.
        is_idle: Whether it has done all that it was asked for.
    """
    global _early
    if is_idle and _is_kept and _early is None:
        _early = server
    else:
        server.close()


def _folder() -> Any:
    try:
        return os.getcwd()
    except OSError:  # removed
        return None
