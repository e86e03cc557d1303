"""Python's search for objects that refer to each other, paused while much is made that is kept."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Look for no cycles of objects meanwhile: 100,000 records would be gone through again and again.

    Also a decorator, of a function that reads or compares so many.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def out_of_collection() -> Iterator[None]:
    """Leave out of that search, meanwhile, whatever has been made before.

    For a command that has read 10,000 curves and draws them: pictures leave cycles behind, which are to be found.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
