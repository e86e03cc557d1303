"""The helper by which tests send signals refuses whatever a test has not started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import end_group, kill_this_process, signal_group, signal_process

from actbench.system.files import write_atomically


def test_a_group_that_no_test_has_started_gets_no_signal() -> None:
    for leader in (0, 1, -1, os.getpid(), os.getppid(), os.getpgrp()):
        with pytest.raises(AssertionError):
            signal_group(leader, 0)


def test_a_child_in_the_group_of_the_tests_is_not_killed_as_a_group() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        with pytest.raises(AssertionError, match="session of its own"):
            signal_group(child.pid, signal.SIGKILL)
        assert child.poll() is None


def test_a_process_that_was_waited_for_gets_no_signal() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
        with pytest.raises(AssertionError, match="waited for"):
            signal_process(child, signal.SIGTERM)


def test_a_group_ends_with_its_leader() -> None:
    orphaning = (
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()']); print(flush=True)\ninput()"
    )
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", orphaning], start_new_session=True, **streams) as leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        end_group(leader)
        assert leader.returncode == -signal.SIGKILL
        assert leader.stdout.read() == b""  # the other one had it open too


def test_the_process_of_the_tests_does_not_kill_itself() -> None:
    with pytest.raises(AssertionError):
        kill_this_process()


def test_the_tests_have_a_cache_folder_of_their_own(tmp_path: Path) -> None:
    import platformdirs

    folder = platformdirs.user_cache_path("actbench")
    assert folder.parent.name.startswith("actbench-tests-")
    folder.mkdir(exist_ok=True)
    write_atomically(folder / "try", "")
    (folder / "try").unlink()
