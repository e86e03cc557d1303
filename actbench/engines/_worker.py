"""The program of a pool's worker: ``python -m actbench.engines._worker``, which the pool starts.

Reads (work, cohort) pairs from standard input, writes events and then ``DONE`` to standard output, ends with its input.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable
from typing import Any

from actbench.engines.pool import DONE


def main() -> None:
    """Work until there is no more input, or nobody listens any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what it means
    send = _sender()
    import torch._dynamo  # noqa: F401  the slowest imports (the first optimizer asks for it), while the parent plans

    try:
        while True:
            work, cohort = pickle.load(sys.stdin.buffer)
            for event in work(cohort):
                send(event)
            send(DONE)
    except (EOFError, BrokenPipeError):
        os._exit(0)  # the parent is gone or done: nothing to tell, nothing to flush


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
