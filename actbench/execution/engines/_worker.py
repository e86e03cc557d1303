"""The program of a pool's worker: ``python -m actbench.execution.engines._worker FD``, which the pool starts.

Reads (work, cohort) pairs and ``STOP`` from standard input, writes events, ``BEAT`` while it makes steps and then
``DONE`` to standard output, and ends when its input does, whatever it is at. Where it hangs or crashes it writes to the
file with the descriptor FD.
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
from typing import Any

from actbench.execution.engines import Work
from actbench.execution.engines.pool import BEAT, DONE, STOP, TELL_WHERE, TO_THE_PARENT
from actbench.schema.runtime import Cohort
from actbench.system import cancellation

Tasks = queue.SimpleQueue[tuple[Work, Cohort]]


def main() -> None:
    """Work until there is no more input, or nobody listens any more."""
    _leave_signals_to_the_parent()
    place = int(sys.argv[1])
    faulthandler.enable(place)
    faulthandler.register(TELL_WHERE, place)
    send, tasks = _sender(), Tasks()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    import torch._dynamo  # noqa: F401  the slowest imports (the first optimizer asks for it), while the parent plans

    try:
        while True:
            work, cohort = tasks.get()
            cancellation.send_heartbeats(partial(send, BEAT))
            for event in work(cohort):
                send(event)
            send(DONE)
    except BrokenPipeError:
        os._exit(0)  # the parent is gone: nothing to tell, nothing to flush
    except BaseException:
        traceback.print_exc()
        os._exit(1)  # an ordinary end would wait for the lock on the input, which the other thread holds


def _leave_signals_to_the_parent() -> None:
    """Ctrl-C and SIGTERM may reach the whole group; the parent decides what they mean. Blocked since birth till now."""
    for number in TO_THE_PARENT:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TO_THE_PARENT)


def _listen(tasks: Tasks) -> None:
    """Take what the parent says as it comes; in a thread of its own, so that its end is noticed in a long step too."""
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
        traceback.print_exc()
        os._exit(1)


def _sender() -> Callable[[Any], None]:
    """Keep standard output for events: whatever a user's code prints goes to standard error."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(message: Any) -> None:
        pickle.dump(message, channel)
        channel.flush()

    return send


if __name__ == "__main__":
    main()
