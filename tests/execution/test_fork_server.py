"""Workers that are forked: what a started one would be, whatever becomes of the process that forks them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import end_group, is_group_there, signal_process, wait_until

from actbench.execution.engines import Work
from actbench.execution.engines._process import SERVER
from actbench.execution.engines.pool import Pool
from actbench.schema.cluster import ClusterOptions
from actbench.schema.events import EpochDone, Event, Failed
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec
from actbench.system import fork_server
from actbench.system.fork_server import Forked, ForkServer

pytestmark = pytest.mark.skipif(not fork_server.can_fork(), reason="nothing is forked on this machine")

RUNTIME = Runtime(device="cpu")
ECHO = Work("engine_work:echo", RUNTIME)


def cohorts(count: int) -> list[Cohort]:
    return [Cohort((RunSpec(seed=seed),)) for seed in range(count)]


def processes(events: list[Event]) -> set[int]:
    return {event.rows[0]["process"] for event in events if isinstance(event, EpochDone)}


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def server_of(pool: Pool) -> subprocess.Popen[bytes]:
    assert pool._server is not None
    return pool._server.process


@pytest.mark.slow
def test_workers_are_forked_by_one_process_and_none_of_them_is_left() -> None:
    with Pool(2, ClusterOptions()) as pool:
        events = pool.execute(ECHO, cohorts(4))
        found = [next(events), next(events)]
        assert {parent(process) for process in processes(found)} == {server_of(pool).pid}
        found += events
        server = server_of(pool).pid
    assert len([event for event in found if isinstance(event, EpochDone)]) == 4
    for process in [server, *processes(found)]:
        assert not Path(f"/proc/{process}").exists()


@pytest.mark.slow
@pytest.mark.parametrize("imported", [False, True])
def test_where_the_process_that_forks_is_killed_workers_are_started_instead(imported: bool) -> None:
    with Pool(2, ClusterOptions()) as pool:
        server = server_of(pool)
        before = list(pool.execute(ECHO, cohorts(2))) if imported else []
        signal_process(server, signal.SIGKILL)
        server.wait()
        after = list(pool.execute(Work("engine_work:dies_on_seed_one_unreadable_on_two", RUNTIME), cohorts(4)))
        assert {event.cohort.shared.seed for event in after if isinstance(event, Failed)} == {1, 2}
        last = list(pool.execute(ECHO, cohorts(2)))
    assert len(processes(before)) == imported * len(processes(before))
    assert len([event for event in last if isinstance(event, EpochDone)]) == 2
    for process in [*processes(before), *processes(last)]:
        assert not is_running(process)


def is_running(process: int) -> bool:
    """Whether a process is there and no zombie, which nobody may be left to wait for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def threaded() -> Iterator[fork_server.ForkServer]:
    server = fork_server.ForkServer("threaded_fork_server")
    yield server
    server.close()


def test_a_process_with_threads_is_not_forked(threaded: fork_server.ForkServer) -> None:
    with tempfile.TemporaryFile() as file:
        forked = threaded.fork(0, file.fileno())
        assert not forked.await_start()
        assert forked.wait() is None
        forked.kill()
        forked.stdin.close()
        forked.stdout.close()
        forked.close()


def command(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "actbench", "run", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("words", "code"), [(["absent.yaml"], 2), (["quickstart", "seeds=none"], 2), (["quickstart", "--dry-run"], 0)]
)
def test_a_command_that_trains_nothing_leaves_no_process(words: list[str], code: int, tmp_path: Path) -> None:
    process = command(tmp_path, *words)
    try:
        process.communicate()
        assert process.returncode == code
        assert not is_group_there(process)
    finally:
        end_group(process)


def test_a_command_that_is_killed_while_it_starts_leaves_no_process(tmp_path: Path) -> None:
    process = command(tmp_path, "quickstart")
    try:
        wait_until(lambda: SERVER in servers_of(process.pid), process)
        signal_process(process, signal.SIGKILL)
        process.communicate()
        wait_until(lambda: not is_group_there(process))
    finally:
        end_group(process)


def servers_of(process: int) -> str:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return "".join(Path(f"/proc/{child}/cmdline").read_text() for child in children)


def test_a_server_that_was_started_early_is_taken_once_and_ended_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with fork_server.started_early("threaded_fork_server"):
        early = fork_server.take("threaded_fork_server")
        fork_server.give_back(early, is_idle=True)
        assert fork_server.take("threaded_fork_server") is early
        other = fork_server.take("threaded_fork_server")
        assert other is not early
        other.close()
        fork_server.give_back(early, is_idle=True)
        monkeypatch.setenv("SOMETHING", "else")
        later = fork_server.take("threaded_fork_server")
        assert later is not early, "its environment was another"
        assert early.process.poll() is not None
        fork_server.give_back(later, is_idle=True)
        fork_server.dismiss()
        last = fork_server.take("threaded_fork_server")
        assert last is not later, "it was dismissed"
        fork_server.give_back(last, is_idle=True)
    assert last.process.poll() is not None
    assert later.process.poll() is not None
    alone = fork_server.take("threaded_fork_server")
    fork_server.give_back(alone, is_idle=True)
    assert alone.process.poll() is not None, "outside a command none is kept"
    assert os.getpid() not in (early.process.pid, later.process.pid, alone.process.pid)


class OneChild(ForkServer):
    """A server of one process. Like the system, it knows the exit code only the first time."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self.child, self.asked = child, 0

    def reply(self, request: int) -> int | None:
        return self.child.pid

    def status(self, pid: int) -> int | None:
        self.asked += 1
        return self.child.wait() if self.asked == 1 else None


def test_a_process_is_not_closed_while_another_thread_waits_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a pool is left whose listeners have just seen the output of a killed worker end."""
    looks, may_go_on, wait_for = threading.Event(), threading.Event(), select.select

    def select_slowly(*given: object) -> object:
        looks.set()
        may_go_on.wait(60)
        return wait_for(*given)  # type: ignore[arg-type]

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        server = OneChild(child)
        assert child.stdin is not None
        assert child.stdout is not None
        forked = Forked(server, 1, child.stdin, child.stdout)
        assert forked.await_start()
        monkeypatch.setattr(select, "select", select_slowly)
        found: list[int | None] = []
        listener = threading.Thread(target=lambda: found.append(forked.wait(60)))
        listener.start()
        assert looks.wait(60)
        forked.kill()
        closer = threading.Thread(target=lambda: (found.append(forked.wait()), forked.close()))
        closer.start()
        closer.join(0.2)
        may_go_on.set()
        for thread in (listener, closer):
            thread.join(60)
    assert found == [-signal.SIGKILL, -signal.SIGKILL]
    assert server.asked == 1
