"""``--engine ray`` on a Ray cluster of two machines that compute and a head that does not, all of them this one."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import ray_nodes
from processes import wait_until

from actbench.system.processes import Process
from conformance_engines import EngineUnderTest, Promises


class Ray(EngineUnderTest):
    name = engine = "ray"
    promises = Promises(has_workers=True, lone_run_of_lost_worker="fails", has_nodes=True)

    def __init__(self) -> None:
        self._address = ""
        self._token: dict[str, str] = {}
        self._nodes: subprocess.Popen[str] | None = None

    def missing(self) -> str:
        return "" if importlib.util.find_spec("ray") else "pip install 'activation-bench[ray]'"

    @contextmanager
    def running(self, folder: Path) -> Iterator[None]:
        self._token = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_health_check_period_ms": "500",  # a lost machine is noticed in seconds
            "RAY_health_check_failure_threshold": "4",
        }
        before = dict(os.environ)
        os.environ.update(self._token)
        short = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # sockets below pytest's folder have too long a path
        try:
            with subprocess.Popen(
                [sys.executable, ray_nodes.__file__, short],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            ) as self._nodes:
                assert self._nodes.stdout is not None
                self._address = self._nodes.stdout.readline().strip()
                assert self._address, "no cluster"
                yield
        finally:
            shutil.rmtree(short, ignore_errors=True)
            for name in self._token:
                os.environ.pop(name)
            os.environ.update(before)

    def cluster(self) -> Mapping[str, str]:
        return {"address": self._address}

    def settings(self) -> Mapping[str, str]:
        return self._token

    def kill_node(self, worker: Process) -> None:
        raylet = _raylet_of(worker.pid)
        for pid in (raylet, *_below(raylet)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not worker.is_alive())
        assert self._nodes is not None
        assert self._nodes.stdin is not None
        assert self._nodes.stdout is not None
        self._nodes.stdin.write("\n")  # for the tests to come, and for this one only if it is quick
        self._nodes.stdin.flush()
        assert self._nodes.stdout.readline() == "added\n"

    def kill_head(self, *, with_its_machine: bool) -> None:
        """End the process that keeps the cluster together; as a power cut does, with all others of its machine."""
        assert self._nodes is not None
        children = _children(self._nodes.pid)
        (server,) = [pid for pid in children if _words(pid)[0].endswith("gcs_server")]
        (raylet,) = [pid for pid in children if _words(pid)[0].endswith("raylet") and "--head" in _words(pid)]
        for pid in (server, *((raylet, *_below(raylet)) if with_its_machine else ())):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _parent(pid: int) -> int:
    status = Path(f"/proc/{pid}/stat").read_text()
    return int(status.rpartition(")")[2].split()[1])


def _raylet_of(pid: int) -> int:
    """Return the process of Ray's that started a worker, at some remove."""
    while Path(f"/proc/{pid}/comm").read_text().strip() != "raylet":
        pid = _parent(pid)
        assert pid > 1, "no worker of a Ray cluster"
    return pid


def _below(pid: int) -> list[int]:
    """Return the processes below one."""
    children = _children(pid)
    return [*children, *(further for child in children for further in _below(child))]


def _children(pid: int) -> list[int]:
    return [
        int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _is_child(int(path.name), pid)
    ]


def _words(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def _is_child(pid: int, parent: int) -> bool:
    try:
        return _parent(pid) == parent
    except (FileNotFoundError, ProcessLookupError):
        return False


described = Ray()
