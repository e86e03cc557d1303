"""One run, one process: the one that locks it first has it, for as long as that process lives."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from left_locks import DEAD, leave
from processes import signal_process, wait_until

from actbench.errors import ResultsError
from actbench.storage import locks
from actbench.storage.leftovers import remove_leftovers
from actbench.storage.lock_files import Lock, create_lock, holder, somebody_is_at_work
from actbench.storage.locks import Locks
from actbench.system.processes import Process

HOLDING = """\
import sys, time
from pathlib import Path
from actbench.storage.locks import Locks
with Locks(Path(sys.argv[1])) as mine:
    print(mine.take(Path(sys.argv[2])).succeeded, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path


@pytest.fixture
def run(study: Path) -> Path:
    return study / "runs" / "relu-0"


@pytest.fixture
def other(study: Path, run: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which has locked the run."""
    command = [sys.executable, "-c", HOLDING, str(study), str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


def files(study: Path) -> list[str]:
    return sorted(str(path.relative_to(study)) for path in study.rglob("*") if path.is_file())


def age(study: Path, seconds: float = 61) -> None:
    """Let all heartbeats be as old as this."""
    for heartbeat in study.glob("heartbeat-*"):
        os.utime(heartbeat, (time.time() - seconds,) * 2)


def test_a_run_that_one_has_another_does_not_get(study: Path, run: Path) -> None:
    with Locks(study) as mine, Locks(study) as others:
        assert mine.take(run).succeeded
        found = others.take(run).held_by
        assert found is not None
        assert found.who == f"pid {os.getpid()} on {Process.this().host}"
        assert (mine.holds(run), others.holds(run)) == (True, False)
        others.release(run)
        assert mine.holds(run), "only who has it can give it back"
        mine.release(run)
        assert others.take(run).succeeded


def test_taking_a_run_twice_is_taking_it_once(study: Path, run: Path) -> None:
    with Locks(study) as mine:
        assert mine.take(run).succeeded
        assert mine.take(run).succeeded
        mine.release(run)
        assert holder(run) is None


def test_nothing_is_left_behind(study: Path, run: Path) -> None:
    def is_interrupted() -> None:
        with Locks(study) as mine:
            mine.take(run)
            assert len(files(study)) == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        is_interrupted()
    assert files(study) == []


def test_a_living_process_keeps_its_run_and_a_stopped_one_too(
    study: Path, run: Path, other: subprocess.Popen[str]
) -> None:
    with Locks(study) as mine:
        signal_process(other, signal.SIGSTOP)
        age(study)
        found = mine.take(run).held_by
        assert found is not None
        assert found.process is not None
        assert found.process.pid == other.pid


def test_the_run_of_a_killed_process_is_free_at_once(study: Path, run: Path, other: subprocess.Popen[str]) -> None:
    other.kill()
    with Locks(study) as mine:  # not waited for: it is listed still
        wait_until(lambda: mine.take(run).succeeded)
        assert mine.holds(run)
        other.wait()
    assert files(study) == []


@pytest.mark.parametrize("elsewhere", ["another host", "the same name, another system"])
def test_of_another_machine_only_the_heartbeat_is_seen(study: Path, run: Path, elsewhere: str) -> None:
    this = Process.this()
    there = replace(this, host="elsewhere") if elsewhere == "another host" else replace(this, system="another")
    leave(run, replace(there, pid=2**31 - 1), token="a" * 16)
    heartbeat = study / f"heartbeat-{'a' * 16}"
    with Locks(study) as mine:
        heartbeat.touch()
        assert not mine.take(run).succeeded
        os.utime(heartbeat, (time.time() - 50,) * 2)
        assert not mine.take(run).succeeded
        os.utime(heartbeat, (time.time() - 61,) * 2)
        assert mine.take(run).succeeded


def test_a_lock_without_a_heartbeat_is_dead(study: Path, run: Path) -> None:
    leave(run, replace(Process.this(), host="elsewhere"))
    with Locks(study) as mine:
        assert mine.take(run).succeeded


def test_the_name_of_the_machine_can_be_given(study: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Locks(study) as mine:
        mine.take(run)
        monkeypatch.setenv("ACTBENCH_HOST", "ada")
        with Locks(study) as others:
            assert not others.take(run).succeeded
            age(study)
            assert others.take(run).succeeded, "this process lives, but ada can't know"
        assert not mine.holds(run)


def test_a_process_with_an_id_that_was_used_before_is_not_taken_for_the_one_before(study: Path, run: Path) -> None:
    leave(run, DEAD)
    (study / f"heartbeat-{'0' * 16}").touch()
    with Locks(study) as mine:
        assert mine.take(run).succeeded


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"token": "ab',
        "[]",
        "{}",
        '{"token": 3, "since": "", "process": {}}',
        '{"token": "../x", "since": "2026-01-01", "process": {"host": "a", "pid": 1, "started": null, "system": null}}',
        '{"token": "x", "since": "noon", "process": {"host": "a", "pid": 1, "started": null, "system": null}}',
        '{"token": "x", "since": "2026-01-01", "process": {"host": "a", "pid": 0, "started": null, "system": null}}',
        '{"token": "x", "since": "2026-01-01", "process": {"host": "a", "pid": 1e9, "started": null, "system": null}}',
    ],
)
def test_a_lock_without_content_counts_for_a_minute_if_anybody_else_is_at_work(
    study: Path, run: Path, content: str
) -> None:
    run.mkdir()
    path = run / "claim.json"
    path.write_text(content)
    with Locks(study) as mine:
        with Locks(study):
            found = mine.take(run).held_by
            assert found is not None
            assert found.who == "an unknown process"
            os.utime(path, (time.time() - 61,) * 2)
            assert mine.take(run).succeeded
            assert mine.holds(run)
        path.write_text(content)
        assert mine.take(run).succeeded, "nobody is about to write it"
        assert mine.holds(run)
    assert files(study) == []


def test_a_machine_with_a_wrong_clock_judges_the_same(study: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(run, replace(Process.this(), host="elsewhere"), token="a" * 16)
    (study / f"heartbeat-{'a' * 16}").touch()
    for wrong in (time.time() - 1e6, time.time() + 1e6):
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda wrong=wrong: wrong)
            found = holder(run)
            assert found is not None
            assert found.is_alive


@pytest.mark.parametrize("seconds", [3600, 365 * 24 * 3600])
def test_a_heartbeat_from_the_future_holds_no_run_until_the_clock_has_caught_up(
    study: Path, run: Path, seconds: float
) -> None:
    """As after a clock was put back: the restarted machine, or the network's server, had been ahead."""
    leave(run, replace(Process.this(), host="elsewhere"), token="a" * 16)
    heartbeat = leave(study, replace(Process.this(), host="elsewhere"), "a" * 16, f"heartbeat-{'a' * 16}")
    os.utime(heartbeat, (time.time() + 30,) * 2)
    with Locks(study) as mine:
        assert not mine.take(run).succeeded
        os.utime(heartbeat, (time.time() + seconds,) * 2)
        assert mine.take(run).succeeded
    assert files(study) == []


WITHOUT_SPACE = """\
import resource, signal, sys
from pathlib import Path
from actbench.errors import ResultsError
from actbench.storage.locks import Locks
study, run, how = sys.argv[1:]
try:
    with Locks(Path(study)) as mine:
        if how == "killed":
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        else:
            mine.take(Path(run))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 1000))
        mine.take(Path(run))
        mine.release(Path(run))
except ResultsError as error:
    print(error, flush=True)
sys.stdin.read()
"""
"""A process that can't write a byte any more: ``killed`` when it tries to write a lock, or it can't give a run back and
lives on."""


def test_a_kill_while_a_lock_is_written_leaves_no_run_locked(study: Path, run: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_SPACE, str(study), str(run), "killed"]
    with Locks(study), Locks(study) as mine:  # the other could be about to write a lock
        assert subprocess.run(command, check=False).returncode == -signal.SIGXFSZ
        assert mine.take(run).succeeded
        mine.release(run)
    remove_leftovers(study)
    assert files(study) == []


def test_a_process_that_outlives_its_work_holds_no_run_that_it_could_not_give_back(study: Path, run: Path) -> None:
    """A notebook, say, whose disk was full."""
    command = [sys.executable, "-c", WITHOUT_SPACE, str(study), str(run), "lives"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as notebook:
        assert notebook.stdout is not None
        assert "can't write" in notebook.stdout.readline()
        assert files(study) == ["runs/relu-0/claim.json"]
        with Locks(study) as mine:
            assert mine.take(run).succeeded
        notebook.communicate()
    assert files(study) == []


WITHOUT_HARD_LINKS = """\
import errno, os, sys


def refuse(event, arguments):
    if event == "os.link":
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), *arguments[:1])


sys.addaudithook(refuse)
"""
"""As FAT answers."""


def test_a_file_system_without_hard_links_has_locks_too(study: Path, run: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_HARD_LINKS + HOLDING, str(study), str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, Locks(study) as mine:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        found = mine.take(run).held_by
        assert found is not None
        assert found.who == f"pid {process.pid} on {Process.this().host}"
        assert [name for name in files(study) if "claim" in name] == ["runs/relu-0/claim.json"]
        process.kill()
        process.wait()
        assert mine.take(run).succeeded


@pytest.mark.parametrize("how", ["removed", "with its folder"])
def test_a_heartbeat_that_somebody_removed_comes_back(
    study: Path, run: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "BEAT", 0.01 if how == "removed" else 3600)
    with Locks(study) as mine:
        (heartbeat,) = study.glob("heartbeat-*")
        content = heartbeat.read_text()
        heartbeat.unlink()
        if how == "removed":
            wait_until(heartbeat.exists)
        else:
            shutil.rmtree(study)
            assert mine.take(run).succeeded
        assert json.loads(heartbeat.read_text())["token"] == json.loads(content)["token"]
        with Locks(study) as others:
            assert others.take(run).succeeded == (how == "removed")
    assert files(study) == []


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads that change places all the time, so that they meet at every step."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("restless")
def test_of_many_that_take_a_dead_processes_run_one_has_it_at_a_time(study: Path) -> None:
    runs = [study / "runs" / str(number) for number in range(100)]
    for run in runs:
        leave(run, DEAD)
    together, had, trouble = threading.Barrier(8), [], []

    def take_all() -> None:
        with Locks(study) as mine:
            together.wait()
            for run in runs:
                if not mine.take(run).succeeded:
                    continue
                try:
                    (run / "inside").open("x").close()  # fails when another is inside
                    had.append(run)
                    (run / "inside").unlink()
                except OSError as error:
                    trouble.append(error)
                mine.release(run)

    threads = [threading.Thread(target=take_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trouble == []
    assert set(had) == set(runs)
    assert files(study) == []


def test_who_dies_while_taking_over_stops_nobody(study: Path, run: Path) -> None:
    leave(run, DEAD, token="a" * 16)
    leave(run, DEAD, token="b" * 16, name=f"claim.json.{'a' * 16}")
    with Locks(study) as mine:
        assert mine.take(run).succeeded
        assert files(study)[-1:] == ["runs/relu-0/claim.json"]
        assert mine.holds(run)


def test_who_is_taking_over_counts_as_who_has_it(study: Path, run: Path) -> None:
    leave(run, DEAD, token="a" * 16)
    leave(run, Process.this(), token="b" * 16, name=f"claim.json.{'a' * 16}")
    leave(study, Process.this(), token="b" * 16, name=f"heartbeat-{'b' * 16}")
    with Locks(study) as mine:
        found = mine.take(run).held_by
        assert found is not None
        assert found.token == "b" * 16


@pytest.mark.parametrize("token", ["0" * 16, "f" * 16])
def test_who_lost_a_run_knows_and_does_not_give_it_back(study: Path, run: Path, token: str) -> None:
    with Locks(study) as mine:
        mine.take(run)
        kept = leave(run, replace(Process.this(), host="elsewhere"), token)
        assert not mine.holds(run)
        mine.release(run)
    assert json.loads(kept.read_text())["token"] == token


def test_a_run_that_nobody_has_taken_is_held_by_nobody(study: Path, run: Path) -> None:
    with Locks(study) as mine:
        assert not mine.holds(run)


def test_only_the_lock_of_a_dead_process_is_cleared(study: Path, run: Path) -> None:
    with Locks(study) as mine, Locks(study) as others:
        others.take(run)
        mine.clear(run / "claim.json")
        assert others.holds(run)
        others.release(run)
        mine.clear(leave(run, DEAD))
        assert holder(run) is None
        mine.clear(run / "claim.json")  # somebody else was quicker


@pytest.mark.parametrize("token", ["a" * 16, "f" * 16])
def test_a_process_that_asks_for_others_at_work_does_not_count_itself(study: Path, token: str) -> None:
    mine = "c" * 16
    leave(study, Process.this(), mine, f"heartbeat-{mine}")
    assert somebody_is_at_work(study)
    assert not somebody_is_at_work(study, except_token=mine)
    leave(study, Process.this(), token, f"heartbeat-{token}")
    assert somebody_is_at_work(study, except_token=mine)


@pytest.mark.parametrize("has_hard_links", [True, False])
def test_a_lock_is_created_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_hard_links: bool) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    if not has_hard_links:
        monkeypatch.setattr(os, "link", refuse)
    mine, others = (Lock(letter * 16, "2026-01-01T00:00:00+00:00", Process.this()) for letter in "ab")
    assert create_lock(tmp_path / "claim.json", mine)
    assert not create_lock(tmp_path / "claim.json", others)
    assert json.loads((tmp_path / "claim.json").read_text())["token"] == mine.token
    assert files(tmp_path) == ["claim.json"]


def test_a_lock_without_content_that_another_process_has_just_begun_is_not_removed(
    study: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one was judged dead; before it is removed, another process removes it and creates its own."""
    run.mkdir()
    path = run / "claim.json"
    path.write_text("")
    os.utime(path, (time.time() - 61,) * 2)

    def link(source: Path, name: Path, real: Callable[[Path, Path], None] = os.link) -> None:
        if name.name == "claim.json.torn":
            os.utime(path)
        real(source, name)

    monkeypatch.setattr(os, "link", link)
    with Locks(study) as mine, Locks(study):
        found = mine.take(run).held_by
        assert found is not None
        assert found.who == "an unknown process"
        assert files(study)[-1:] == ["runs/relu-0/claim.json"]


def test_of_what_fails_at_the_end_the_run_that_stays_locked_is_reported(study: Path, run: Path) -> None:
    def ends_badly() -> None:
        with Locks(study) as mine:
            (heartbeat,) = study.glob("heartbeat-*")
            mine.take(run)
            (run / "claim.json").unlink()
            (run / "claim.json").mkdir()
            heartbeat.unlink()
            heartbeat.mkdir()

    with pytest.raises(ResultsError, match="relu-0"):
        ends_badly()


def test_a_heartbeat_that_can_t_be_touched_is_told_once_each_time_that_the_disk_is_away(
    study: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    touches: list[bool] = []
    is_away = threading.Event()

    def touch(path: Path, real: Callable[[Path], None] = os.utime) -> None:
        touches.append(is_away.is_set())
        if touches[-1]:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        real(path)

    monkeypatch.setattr(locks, "BEAT", 0.001)
    monkeypatch.setattr(os, "utime", touch)
    is_away.set()
    with Locks(study):
        wait_until(lambda: touches.count(True) > 3)
        is_away.clear()
        wait_until(lambda: touches.count(False) > 1)
        is_away.set()
        before = len(touches)
        wait_until(lambda: len(touches) > before + 3)
        is_away.clear()
        assert len(caplog.messages) == 2
    assert all("can't touch" in message and "Input/output error" in message for message in caplog.messages)


def test_a_heart_beats_and_one_that_stopped_is_removed(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BEAT", 0.01)
    (study / "heartbeat-old").touch()
    age(study)
    with Locks(study):
        (mine,) = study.glob("heartbeat-*")
        before = time.time() - 30
        os.utime(mine, (before, before))
        wait_until(lambda: mine.stat().st_mtime > before + 1)
    assert files(study) == []
