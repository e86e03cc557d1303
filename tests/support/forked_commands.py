"""Commands in processes of their own, to be killed; forked from one that has imported torch, which takes seconds."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import LIMIT, signal_group

SUPPORT = Path(__file__).parent

PROGRAM = """\
import json, os, sys
import torch._dynamo
from actbench import cli
from actbench.cli import compare, run, status
from actbench.execution import runner
from actbench.training import checkpoint, loop

for line in sys.stdin:
    folder, arguments, settings, prelude = json.loads(line)
    leads, said = os.pipe()
    pid = os.fork()
    if not pid:
        os.setsid()
        os.close(said)
        os.close(leads)
        os.chdir(folder)
        os.environ.update(settings)
        for number, name in ((0, os.devnull), (1, "stdout"), (2, "stderr")):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | (os.O_TRUNC if number else 0)), number)
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
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # not waited for, so that its id stays its own until "code"
    print("ended", flush=True)
    sys.stdin.readline()
    print("code", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Server:
    """Starts one command after the other and tells how each ended.

    Args:
        process: The program above.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._pid: int | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, folder: Path, *arguments: str, prelude: str = "", **settings: str) -> int:
        """Start a command, as the leader of a session of its own; what an earlier test left running is killed.

        Args:
            folder: Where it runs, and writes its ``stdout`` and ``stderr``.
            arguments: The words after ``actbench``.
            prelude: Python that the process executes first.
            settings: Added to its environment.

        Returns:
            Its process id, which stays its own until ``end``.
        """
        self.end_what_is_left()
        self._tell(json.dumps([str(folder), arguments, settings, prelude]))
        self._pid = int(self._word("began"))
        return self._pid

    def end(self) -> int:
        """Wait for the command; returns the exit code, or minus the signal."""
        assert self._pid is not None, "nothing was started"
        self._word("ended")
        self._tell("")
        self._pid = None
        return int(self._word("code"))

    def do(self, folder: Path, *arguments: str, prelude: str = "", **settings: str) -> int:
        """Start a command and wait for it."""
        self.start(folder, *arguments, prelude=prelude, **settings)
        return self.end()

    def signal(self, number: int) -> None:
        """Send a signal to the command and all that it has started."""
        assert self._pid is not None, "nothing was started"
        signal_group(self._pid, number)

    def end_what_is_left(self) -> None:
        """Kill a command that was started and not waited for, as by a test that failed meanwhile."""
        if self._pid is not None:
            self.signal(9)
            self.end()

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
