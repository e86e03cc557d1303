"""Commands in processes of their own, to be killed; forked from one that has imported torch, scipy and all of actbench,
which takes seconds."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import LIMIT, is_any_left, kill_orphans, signal_group, signal_leader

SUPPORT = Path(__file__).parent

PROGRAM = """\
import faulthandler, gc, importlib, json, os, pkgutil, signal, sys
import rich.live, rich.table, scipy.special, torch._dynamo, typer._adapters
import actbench
from actbench import cli

for module in pkgutil.walk_packages(actbench.__path__, "actbench."):
    if not module.name.rpartition(".")[2].startswith("_"):
        importlib.import_module(module.name)
gc.collect()
gc.freeze()  # a collection in a child would write to, and so copy, the memory that both share


def start(folder, arguments, settings, prelude, streams):
    leads, said = os.pipe()
    pid = os.fork()
    if not pid:
        os.setsid()
        os.close(leads)
        os.chdir(folder)
        os.environ.update(settings)
        for number, name in ((0, os.devnull), (1, f"stdout{streams}"), (2, f"stderr{streams}")):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | (os.O_TRUNC if number else 0)), number)
        os.close(said)  # it leads its session and its streams are there: from now on a test may signal and read
        stacks = open(f"stacks{streams}", "w")
        faulthandler.register(signal.SIGUSR1, file=stacks)  # asked for by ``Server.end`` of a command that hangs
        sys.argv = ["actbench", *arguments]
        exec(prelude, {})
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
            sys.stdout.flush()
            os._exit(code)
        os._exit(77)
    os.close(said)
    os.read(leads, 1)
    os.close(leads)
    print("began", pid, flush=True)


def end(pid):
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # not waited for, so that its id stays its own until "code"
    print("ended", flush=True)
    sys.stdin.readline()
    print("code", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


for line in sys.stdin:
    name, *values = json.loads(line)
    {"start": start, "end": end}[name](*values)
"""


class Server:
    """Starts commands and returns how each ended.

    Args:
        process: The program above.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._running: dict[int, Path] = {}
        self._waited_for: int | None = None
        self._ended: list[int] = []
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, folder: Path, *arguments: str, prelude: str = "", streams: str = "", **settings: str) -> int:
        """Start a command, as the leader of a session of its own.

        Args:
            folder: Where it runs, and writes its ``stdout`` and ``stderr``.
            arguments: The words after ``actbench``.
            prelude: Python that the process executes first.
            streams: Added to the names of the files that it writes its streams to.
            settings: Added to its environment.

        Returns:
            Its process id, which stays its own until ``end``.
        """
        self._tell(json.dumps(["start", str(folder), arguments, settings, prelude, streams]))
        pid = int(self._word("began"))
        assert (folder / f"stderr{streams}").exists(), "a test may read it from now on"
        self._running[pid] = folder / f"stacks{streams}"
        return pid

    def end(self, pid: int) -> int:
        """Wait for a command; returns the exit code, or minus the signal.

        Raises:
            AssertionError: When it does not end, with the stacks of its threads.
        """
        assert pid in self._running, f"{pid} was not started, or has ended"
        if self._waited_for != pid:
            self._waited_for = pid
            self._tell(json.dumps(["end", pid]))
        try:
            self._word("ended")
        except AssertionError as error:
            raise AssertionError(f"{error}; {pid} was here:\n{self._stacks(pid)}") from None
        self._waited_for = None
        del self._running[pid]  # from now on its id may become another's
        self._ended.append(pid)
        self._tell("")
        return int(self._word("code"))

    def _stacks(self, pid: int) -> str:
        signal_leader(pid, signal.SIGUSR1)
        time.sleep(2)
        return self._running[pid].read_text()

    def do(self, folder: Path, *arguments: str, prelude: str = "", **settings: str) -> int:
        """Start a command and wait for it."""
        return self.end(self.start(folder, *arguments, prelude=prelude, **settings))

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to a command and all that it has started."""
        assert pid in self._running, f"{pid} was not started, or has ended"
        signal_group(pid, number)

    def signal_alone(self, pid: int, number: int) -> None:
        """Send a signal to a command and nothing that it has started."""
        assert pid in self._running, f"{pid} was not started, or has ended"
        signal_leader(pid, number)

    def is_group_there(self, pid: int) -> bool:
        """Whether any process is left of the group that a command led that has ended."""
        assert pid in self._ended, f"{pid} has not ended"
        return is_any_left(pid)

    def end_what_is_left(self) -> None:
        """Kill what a test that failed has left running."""
        for pid in [*self._running]:
            self.signal(pid, signal.SIGKILL)
            self.end(pid)
        for pid in self._ended:
            kill_orphans(pid)
        self._ended.clear()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _word(self, kind: str) -> str:
        """The rest of the next line, which must be of this kind: an exit code must never pass for a process id."""
        try:
            found, _, rest = self._lines.get(timeout=LIMIT).strip().partition(" ")
        except queue.Empty:
            raise AssertionError(f"no line '{kind}' came") from None
        assert found == kind, f"a line '{kind}' was to come, not '{found} {rest}'"
        return rest


@contextmanager
def forked_commands(data: Path) -> Iterator[Server]:
    """Start the server.

    Args:
        data: The folder in which datasets lie.
    """
    settings = {"ACTBENCH_DATA": str(data), "ACTBENCH_RUN_PRODUCTS": "default", "OMP_NUM_THREADS": "1"}
    settings |= {"PYTHONPATH": os.pathsep.join([str(SUPPORT), *filter(None, sys.path)])}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | settings,
        start_new_session=True,
    ) as process:
        server = Server(process)
        try:
            yield server
            server.end_what_is_left()
        finally:
            process.kill()
