"""Signals to processes that a test has started, and to no others: a wrong id would end pytest itself, or a stranger.

``os.killpg(0, SIGKILL)`` ends the caller's own group, ``os.killpg(1, SIGKILL)`` that of the machine's first process,
and an id is given to another process once its own was waited for. So no test calls ``os.kill`` or ``os.killpg`` on
another process but through here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

LIMIT = 120.0
"""Seconds after which something that should have happened counts as not happening: far beyond what a busy machine
takes, so a limit for defects and not a measure of speed."""

_PYTEST = "ACTBENCH_TEST_PROCESS"
"""Environment variable with the id of the process that runs the tests; its children inherit it."""


def remember_this_process() -> None:
    """Note which process runs the tests, so that parts which kill their own process spare this one."""
    os.environ[_PYTEST] = str(os.getpid())


def kill_this_process() -> None:
    """End the calling process as a lack of memory does, unless it is the one that runs the tests.

    Raises:
        AssertionError: When it is.
    """
    assert os.environ.get(_PYTEST) != str(os.getpid()), "the tests' own process was to be killed"
    os.kill(os.getpid(), signal.SIGKILL)


def signal_group(leader: int, number: int) -> None:
    """Send a signal to a process group, all of whose members a test has started.

    Args:
        leader: The id of its leader, which leads a session of its own (``start_new_session=True``, ``os.setsid``) and
            was not waited for yet: until then nobody else is given the id.
        number: The signal.

    Raises:
        AssertionError: When it is not such a process.
        ProcessLookupError: When there is none.
    """
    _check_leader(leader)
    os.killpg(leader, number)


def signal_leader(leader: int, number: int) -> None:
    """Send a signal to such a leader and to no other process of its group."""
    _check_leader(leader)
    os.kill(leader, number)


def _check_leader(leader: int) -> None:
    assert leader > 1, f"{leader} is no process of a test"
    assert leader not in (os.getpid(), os.getppid(), os.getpgrp()), "the tests' own group was to get a signal"
    assert os.getsid(leader) == os.getpgid(leader) == leader, f"{leader} does not lead a session of its own"


def signal_process(process: subprocess.Popen[Any], number: int) -> None:
    """Send a signal to a child that was not waited for yet; ``Popen.send_signal`` passes over one that was."""
    assert process.returncode is None, "it has ended and was waited for: its id may be another's by now"
    process.send_signal(number)


def is_group_there(process: subprocess.Popen[Any]) -> bool:
    """Whether any process is left of the group that a child leads, or led; it is waited for if it has ended."""
    process.poll()
    return is_any_left(process.pid)


def is_any_left(leader: int) -> bool:
    """Whether any process is left of a group that a test has started."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def end_group(process: subprocess.Popen[Any]) -> None:
    """Kill what is left of the group that a child leads, or led, and wait for the child."""
    if process.returncode is None:
        signal_group(process.pid, signal.SIGKILL)
        process.wait()
        return
    kill_orphans(process.pid)


def kill_orphans(leader: int) -> None:
    """Kill what is left of a group whose leader has ended and was waited for.

    While any process of a group is left, its id is given to nobody. So an id that the leader no longer has is that of
    its orphans, unless a process bears it: then it is a stranger's.
    """
    try:
        os.getpgid(leader)
    except ProcessLookupError:
        pass
    else:
        return
    assert leader not in (os.getpid(), os.getppid(), os.getpgrp())
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def wait_until(happened: Callable[[], Any], process: subprocess.Popen[Any] | None = None) -> Any:
    """Look again and again until something is there; returns it.

    Args:
        happened: Finds it.
        process: The process that brings it about, so that its end ends the waiting.

    Raises:
        AssertionError: When it does not come, or the process has ended without it.
    """
    deadline = time.monotonic() + LIMIT
    while not (found := happened()):
        assert process is None or process.poll() is None, f"the process ended with {process.returncode} before"
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)
    return found
