"""The program of a pool's worker: ``python -m actbench.execution.engines._worker FD``, which the pool starts.

Computes the cohorts that come by standard input and writes events to standard output (see ``_process``), and ends when
its input does, also in the middle of a step. FD is the descriptor of the file for its traceback; without POSIX there is
none.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from actbench.execution.engines import Work
from actbench.execution.engines._process import BEAT, DONE, DUMP_TRACEBACK, STOP
from actbench.schema.runtime import Cohort
from actbench.system import cancellation
from actbench.system.devices import GPU_SHARE
from actbench.system.log import printable_log
from actbench.system.signals import ENDING, HAS_POSIX
from actbench.system.streams import unfailing_streams
from actbench.system.text import printable_lines

Tasks = queue.SimpleQueue[tuple[Work, Cohort]]


def main() -> None:
    """Be a worker that is started anew."""
    for number in ENDING:  # the pool's process alone acts on them
        signal.signal(number, signal.SIG_IGN)
    if HAS_POSIX:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)  # blocked since birth, see _process.start
    work(int(sys.argv[1]) if HAS_POSIX else None)


def work(trace_file: int | None) -> NoReturn:
    """Compute cohorts until there is no more input, or no process reads the output any more.

    Args:
        trace_file: The descriptor of the file for its traceback; None without POSIX.
    """
    if trace_file is not None:
        faulthandler.enable(trace_file)
        for number in DUMP_TRACEBACK:
            faulthandler.register(number, trace_file)
    with unfailing_streams(), printable_log():  # a user's code prints, whether anybody reads it or not
        _compute()


def _compute() -> NoReturn:
    """Compute what comes, until the input ends."""
    send, tasks = _sender(), Tasks()
    # A thread of its own reads, so that STOP and the end of the input are noticed in a long step too.
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    import torch  # the slowest import, while the parent plans

    if (share := os.environ.get(GPU_SHARE)) is not None:
        torch.cuda.set_per_process_memory_fraction(float(share))

    try:
        while True:
            work, cohort = tasks.get()
            cancellation.send_heartbeats(partial(send, BEAT))
            for event in work(cohort):
                send(event)
            send(DONE)
    except BrokenPipeError:
        os._exit(0)  # the parent is gone: no process reads reports, and there is nothing to flush
    except BaseException:
        _report_defect()
        os._exit(1)  # an ordinary exit would wait for the lock on the input, which the other thread holds


def _listen(tasks: Tasks) -> None:
    """Queue what the parent sends."""
    try:
        while True:
            message = pickle.load(sys.stdin.buffer)
            if message == STOP:
                cancellation.request_stop()
            else:
                tasks.put(message)
    except (EOFError, pickle.UnpicklingError):
        os._exit(0)  # the parent is gone or done
    except BaseException:
        _report_defect()
        os._exit(1)


def _report_defect() -> None:
    print(printable_lines(traceback.format_exc()), file=sys.stderr, flush=True)


def _sender() -> Callable[[Any], None]:
    """Keep standard output for events; from now on whatever a user's code prints goes to standard error."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(message: Any) -> None:
        try:
            pickle.dump(message, channel)
            channel.flush()
        except OSError as error:  # Windows has several errors for a pipe whose other end is gone
            raise BrokenPipeError(str(error)) from error

    return send


if __name__ == "__main__":
    main()
