"""Connect to a Ray cluster: one that runs already, or one of this machine that ends with the connection.

Ray's errors end here as sentences that say what to do.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from actbench.errors import UsageError
from actbench.execution.engines._ray_import import import_ray
from actbench.system.streams import STDERR
from actbench.system.worker_environment import worker_environment

KEEPER = "actbench.execution.engines._ray_keeper"

MODE, TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"
"""Environment variables by which Ray authenticates."""

ANSWER = 10.0
"""Seconds in which the head of a cluster takes a connection."""

_OF_C = re.compile(rb"\[[^]]*\] (\(\w+\) )?\w+\.(cc|h):\d+")

LONGEST_FOLDER = 40
"""Characters of a folder below which Ray's sockets fit into the 107 that a path of one may have."""


class Connection:
    """This process's connection to a Ray cluster; a context manager.

    Args:
        address: Where the cluster's head is, ``auto`` for the one that this machine belongs to; None to start one.
        cpus: Processors that a started one offers.
        gpus: GPUs that a started one offers.
        working_dir: A folder that Ray copies to every machine; None for none.

    Attributes:
        ray: The module.
    """

    def __init__(self, address: str | None, *, cpus: int = 0, gpus: int = 0, working_dir: str | None = None) -> None:
        self._address, self._cpus, self._gpus, self._working_dir = address, cpus, gpus, working_dir
        self._keeper: subprocess.Popen[bytes] | None = None
        self._folder: str | None = None
        self._is_own = False
        self._authentication = contextlib.ExitStack()

    def __enter__(self) -> Connection:
        """Connect.

        Raises:
            UsageError: When Ray is not installed, or no cluster can be reached or started.
        """
        self.ray = import_ray()
        if self.ray.is_initialized():
            if self._address not in (None, "auto"):
                raise UsageError(
                    f"this program is connected to a Ray cluster already: leave the address {self._address} out, or "
                    "call ray.shutdown() first"
                )
            return self
        try:
            if self._address is None:
                with _translated("of this machine"):
                    self._authentication.enter_context(_authenticated(self.ray))
                    _init(self.ray, self._start_local())
            else:
                _refuse_silent(self._address)
                with _translated(self._address):
                    env = {} if self._working_dir is None else {"runtime_env": {"working_dir": self._working_dir}}
                    _init(self.ray, self._address, **env)
            self._is_own = True
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """Disconnect, and end the cluster if it was started."""
        if self._is_own:
            with _handlers_kept():
                self.ray.shutdown()
            self._is_own = False
        self._authentication.close()
        if self._keeper is not None:
            assert self._keeper.stdin is not None
            assert self._keeper.stdout is not None
            self._keeper.stdin.close()  # the keeper ends the cluster then
            self._keeper.wait()
            self._keeper.stdout.close()
            self._keeper = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    @property
    def head(self) -> str:
        """The address of the cluster's head, also where it was asked for as ``auto``."""
        address: str = self.ray.get_runtime_context().gcs_address
        return address

    @property
    def raylet(self) -> str:
        """The address of Ray's process on this machine."""
        here = self.ray.get_runtime_context().get_node_id()
        (own,) = [node for node in self.nodes() if node["NodeID"] == here]
        return f"{own['NodeManagerAddress']}:{own['NodeManagerPort']}"

    def nodes(self) -> list[dict[str, Any]]:
        """Return Ray's description of every machine of the cluster that is alive."""
        with _translated(self._address or "of this machine"):
            return [node for node in self.ray.nodes() if node["Alive"]]

    def _start_local(self) -> str:
        """Start a cluster on this machine and return its address."""
        parent = tempfile.gettempdir()
        self._folder = tempfile.mkdtemp(prefix="actbench-ray-", dir=parent if len(parent) < LONGEST_FOLDER else "/tmp")
        self._keeper = subprocess.Popen(
            [sys.executable, "-m", KEEPER, str(self._cpus), str(self._gpus), self._folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": worker_environment()["PYTHONPATH"]},
            start_new_session=True,
        )
        assert self._keeper.stdout is not None
        line = self._keeper.stdout.readline()
        answer = json.loads(line) if line else {"error": f"it ended with {self._keeper.wait()}"}
        if "address" not in answer:
            raise UsageError(f"can't start a Ray cluster on this machine: {one_line(answer['error'])}")
        address: str = answer["address"]
        return address


def _refuse_silent(address: str) -> None:
    """Refuse an address at which nothing listens: Ray would try it again for minutes.

    Raises:
        UsageError: When nothing answers there.
    """
    if ":" not in address:
        return  # auto
    try:
        knock(address, ANSWER)
    except OSError as error:
        raise UsageError(
            f"nothing answers at {address} ({error.strerror or error}): give the address of the head of a Ray cluster, "
            "port 6379 unless it was chosen otherwise"
        ) from error


def knock(address: str, seconds: float) -> None:
    """Connect to ``HOST:PORT`` and hang up, to see whether anything listens there.

    Args:
        address: Where; a host that is an IPv6 address stands in brackets.
        seconds: How long to wait for the connection.

    Raises:
        OSError: When nothing takes it.
    """
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()


@contextlib.contextmanager
def _authenticated(ray: Any) -> Iterator[None]:
    """While the context lasts, have a token without which nobody may use the cluster that this process starts.

    Ray listens to the whole network, and whoever reaches a cluster can run code on it. Its own token would be a file in
    the user's home folder; a user who has set a mode of authentication keeps it.
    """
    if MODE in os.environ:
        yield
        return
    os.environ.update({MODE: "token", TOKEN: _token()})
    _read_settings_again(ray)
    try:
        yield
    finally:
        for name in (MODE, TOKEN):
            os.environ.pop(name, None)
        _read_settings_again(ray)


@cache
def _token() -> str:
    return secrets.token_hex(32)


def _read_settings_again(ray: Any) -> None:
    """Let Ray look at its environment variables, which it reads when it is imported and not again."""
    ray._raylet.Config.initialize("")
    ray._raylet.AuthenticationTokenLoader.instance().reset_cache()


def _init(ray: Any, address: str, **options: Any) -> None:
    """Connect without a word of Ray's, and with this program's signal handlers and log as they were."""
    _read_settings_again(ray)  # a notebook may have set the token after it imported Ray
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    with _handlers_kept(), _lines_of_c_dropped():
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **options)


@contextlib.contextmanager
def _lines_of_c_dropped() -> Iterator[None]:
    """Drop the lines that Ray's C++ code writes to standard error while it connects; all others come after it."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as caught:
        before = os.dup(STDERR)
        os.dup2(caught.fileno(), STDERR)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, STDERR)
            os.close(before)
            caught.seek(0)
            for line in caught.read().splitlines(keepends=True):
                if _OF_C.match(line) is None:
                    with contextlib.suppress(OSError):  # nobody reads it
                        os.write(STDERR, line)


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Put back the handler of SIGTERM, which Ray sets when it connects."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _translated(address: str) -> Iterator[None]:
    """Raise Ray's errors as usage errors.

    Raises:
        UsageError: With what to do.
    """
    try:
        yield
    except UsageError:
        raise
    except Exception as error:  # ConnectionError, RuntimeError, ValueError, RaySystemError: Ray has no common base
        raise UsageError(explained(_with_causes(error), address)) from error


def _with_causes(error: BaseException | None) -> str:
    """Return what an error says and what its causes say: of a missing token, Ray's last error does not speak."""
    said = []
    while error is not None:
        said.append(str(error))
        error = error.__cause__
    return "\n".join(said)


def explained(text: str, address: str) -> str:
    """Return one sentence for an error of Ray's at connecting, with what to do.

    >>> versions = "The cluster was started with: Ray: 2.60.0 Python: 3.11.7 This process was started with: Ray: 2.60.0"
    >>> explained(f"Version mismatch: {versions} Python: 3.11.9", "head:6379").partition(":6379 ")[2][:64]
    'has Ray 2.60.0 and Python 3.11.7, here are Ray 2.60.0 and Python'
    """
    versions = re.findall(r"Ray: (\S+)\s+Python: (\S+)", text)
    if "ersion mismatch" in text and len(versions) == 2:
        (ray, python), (own_ray, own_python) = versions
        return (
            f"the Ray cluster {address} has Ray {ray} and Python {python}, here are Ray {own_ray} and Python "
            f"{own_python}: Ray connects only where both are the same to the last digit; install Ray {ray} for Python "
            f"{python} here, in an environment of its own"
        )
    if "AuthToken" in text or "uthentication" in text:
        return (
            f"the Ray cluster {address} wants its token: set {MODE}=token, and {TOKEN} unless it lies in "
            "~/.ray/auth_token"
        )
    if "Failed to connect to Ray cluster" in text:
        return (
            f"no Ray cluster answers at {address}: give the address of its head, port 6379 unless it was chosen "
            "otherwise"
        )
    if "could not find any running" in text.lower():
        return (
            f"no Ray cluster runs on this machine ({address}): start one with `ray start --head`, or leave --address "
            "out, and one is started for the command alone"
        )
    if "local raylet" in text or "node_ip_address" in text or "is not part of" in text:
        return (
            f"this machine does not belong to the Ray cluster {address}: give the command on one that does, or join it "
            f"with `ray start --address={address}` (--num-cpus=0: it then computes nothing)"
        )
    return f"no connection to a Ray cluster at {address}: {one_line(text)}"


def one_line(text: str) -> str:
    """Return the first sentences of an error, on one line."""
    return " ".join(text.split())[:400]


def environment_of_driver() -> Mapping[str, str]:
    """Return the variables by which this machine's datasets are found."""
    return {name: text for name, text in os.environ.items() if name.startswith("ACTBENCH_") or name == "XDG_CACHE_HOME"}
