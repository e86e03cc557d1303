"""Keep what is found out once per machine in the user's cache folder: by one process, under a lock, for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """Return the platform's cache folder of the user."""
    import platformdirs

    return platformdirs.user_cache_path("actbench")


@contextmanager
def locked(path: Path, *, seconds: float) -> Iterator[None]:
    """Hold the lock of this name, whose folder is made if need be, while the context lasts.

    Args:
        path: The lock's file.
        seconds: How long to wait for another process that holds it.

    Raises:
        OSError: When nothing can be written or locked there, or the other process takes longer (a TimeoutError).
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=seconds)
    try:
        lock.acquire()
    except Timeout as error:
        raise TimeoutError(f"another process has held {path} for {seconds:g} s") from error
    except NotImplementedError as error:  # a file system without locks
        raise OSError(str(error)) from error
    try:
        yield
    finally:
        lock.release()
