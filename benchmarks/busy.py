"""Processes that keep processors busy: what else runs on a shared machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.launch import bound_to

PROGRAM = "import sys; print(flush=True)\nwhile True: pass"


@contextmanager
def spinning(cores: Sequence[int]) -> Iterator[list[int]]:
    """A process on each core that computes without end while the context lasts; yields their ids once all compute."""
    found = [
        subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, preexec_fn=bound_to([core]))
        for core in cores
    ]
    try:
        for process in found:
            assert process.stdout is not None
            process.stdout.readline()
        yield [process.pid for process in found]
    finally:
        for process in found:
            process.kill()
        for process in found:
            process.communicate()
