"""The program of the fork server: ``python -m actbench.execution.engines._fork_server FD``, for the workers of a pool.

FD is the socket by which ``system.fork_server`` asks for forks; drawn there. All that a first training step needs is
imported before the first fork, and shared by the workers. This process must stay fit to be forked: one thread, no
matrix products, no question to a GPU.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import sys
from types import FrameType
from typing import NoReturn

from actbench.system.devices import WORKER
from actbench.system.fork_server import MAX_MESSAGE
from actbench.system.signals import ENDING

MODULES = (
    "torch",  # first, since it takes longest
    "actbench.execution.engines._worker",
    "actbench.training.loop",
    # Imported by functions of the above when they are first called:
    "actbench.datasets._cache",
    "actbench.datasets._source",
    "actbench.datasets._split",
    "actbench.datasets._oddities",
    "actbench.datasets._checks",
    "actbench.nn.functions",
    "actbench.nn.gaussian_moment",
    "actbench.nn.models.cnn",
    "actbench.nn.models.mlp",
    "actbench.nn.slopes",
    "filelock",
    "platformdirs.unix",
)
"""Imported before the first fork."""

LOOK = 0.1
"""Seconds between two looks, while importing, whether the process that asks for forks is still there."""

DESCRIPTORS = 3
"""A worker's input, its output and the file for its traceback."""

_STDIN, _STDOUT = 0, 1


def main() -> None:
    """Import, then fork at every request until the process that asks is gone."""
    for number in ENDING:  # the pool's process alone acts on them
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)  # blocked since birth, see ForkServer
    channel = socket.socket(fileno=int(sys.argv[1]))
    _import(channel)
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, MAX_MESSAGE, DESCRIPTORS)
        if not message:
            os._exit(0)
        request, what, value = json.loads(message)
        answer = _fork(channel, value, descriptors) if what == "fork" else _exit_code(value)
        channel.send(json.dumps([request, answer]).encode())


def _import(channel: socket.socket) -> None:
    """Import what workers need; end when nobody is there any more to ask for them."""

    def look(number: int, frame: FrameType | None) -> None:
        try:
            if not channel.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                os._exit(0)
        except BlockingIOError:
            pass

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOK, LOOK)
    gc.disable()  # nothing of this is ever freed; looking for what is takes a tenth of the time
    try:
        for module in MODULES:
            importlib.import_module(module)
    except Exception:  # a worker that is started by itself meets the same, and says so
        os._exit(1)
    gc.freeze()  # a collection in a worker would write to, and so copy, the memory that all share
    gc.enable()
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _fork(channel: socket.socket, number: int, descriptors: list[int]) -> int:
    """Fork a worker; return its process id, or 0 where this process is not fit for it, or the system allows no more."""
    try:
        # Too few descriptors arrive where no more can be open. With a second thread a fork would be half a process.
        is_fit = len(descriptors) == DESCRIPTORS and len(os.listdir("/proc/self/task")) == 1
        pid = os.fork() if is_fit else -1
    except OSError:
        pid = -1
    if pid == 0:
        channel.close()
        _work(number, *descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    return max(pid, 0)


def _work(number: int, stdin: int, stdout: int, trace_file: int) -> NoReturn:
    """Be a worker, as a program that was started anew would be."""
    from actbench.execution.engines import _worker

    os.environ[WORKER] = str(number)
    for descriptor, standard in ((stdin, _STDIN), (stdout, _STDOUT)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    sys.stdin = open(_STDIN, closefd=False)  # noqa: SIM115 - for as long as the process lives
    if "numpy.random" in sys.modules:  # a user's code that draws from it must not draw the same in every worker
        sys.modules["numpy.random"].seed()
    _worker.work(trace_file)


def _exit_code(pid: int) -> int | None:
    """Return the exit code of a worker that has ended, minus the signal that killed it."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return None


if __name__ == "__main__":
    main()
