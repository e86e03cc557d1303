"""Call functions that need torch in a process of its own, which imports torch while this one does other work.

    caller                                     the other process
     │  start                                   │  imports torch, for about 2 s
     │  stdin:  (function, arguments)  ──────▶  │  calls it
     │  ◀─────────────────────  stdout: Answer  │  waits for the next
     │  end of stdin  ───────────────────────▶  │  ends
     │  ◀─────────────────────  end of stdout   │  lost: killed or crashed

Both ends are this program, so the messages are pickled. The functions are of actbench, never a user's.
"""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from actbench.errors import ActbenchError, UsageError, WorkerLostError

T = TypeVar("T")

PROGRAM = "from actbench.cli.torch_process import main; main()"
"""Not ``python -m`` of this file, which would be a second module with an ``Answer`` of its own."""


@dataclass(frozen=True)
class Answer:
    """What came of a call.

    Args:
        value: The function's result.
        error: The message of an ``ActbenchError`` that it raised; None without one.
        defect: The traceback of any other exception; None without one.
    """

    value: Any = None
    error: str | None = None
    defect: str | None = None


class TorchProcess:
    """Calls functions: in the other process from ``start`` on, in this one without it. Either way gives the same."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process, also in the middle of a call or while it imports torch."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()  # waits for its end, and closes the pipes
            self._process = None

    def start(self) -> None:
        """Start the process; where the system allows none, calls are made in this one, which only takes longer."""
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
                start_new_session=True,  # Ctrl-C is for the caller alone, which then ends this process
            )
        except OSError:
            self._process = None

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return ``function(*arguments)``.

        Args:
            function: Of a module of actbench, by whose name the other process finds it.
            arguments: Of actbench's own types or plain data.

        Raises:
            ActbenchError: As the function does; or a ``WorkerLostError`` when the process was lost.
            RuntimeError: With the traceback of any other exception that the function raised.
        """
        if self._process is None:
            return function(*arguments)
        answer = self._ask(function, arguments)
        if answer.error is not None:
            raise UsageError(answer.error)
        if answer.defect is not None:
            raise RuntimeError(f"in the process that computes with torch:\n{answer.defect}")
        value: T = answer.value
        return value

    def _ask(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Answer:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump((function, arguments), self._process.stdin)
            self._process.stdin.flush()
            answer: Answer = pickle.load(self._process.stdout)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError) as error:
            self._process.kill()
            code = self._process.wait()
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise WorkerLostError(
                f"the process that computes theory and functions with torch {how}; nothing is written. If memory was "
                "short, end other programs and repeat the command"
            ) from error
        return answer


def main() -> None:
    """Answer the calls that come by standard input, until it ends."""
    # What is printed meanwhile must not stand among the answers.
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with suppress(ImportError):  # one that a call meets, too, and is answered with
        importlib.import_module("torch")
    while True:
        try:
            function, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = Answer(function(*arguments))
        except ActbenchError as error:
            answer = Answer(error=str(error))
        except Exception:
            answer = Answer(defect=traceback.format_exc())
        try:
            pickle.dump(answer, channel)
            channel.flush()
        except BrokenPipeError:  # the caller has ended
            return
