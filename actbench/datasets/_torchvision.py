"""Read datasets in torchvision's folder layout, where they are found, else downloaded by torchvision.

Reading the files of the MNIST family is left to ``_idx``, which names the file that is damaged; torchvision does not.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import logging
import socket
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from actbench.datasets import _idx
from actbench.datasets._cache import cached, one_process_at_a_time, stamps
from actbench.datasets._source import Source, channels_first
from actbench.errors import DatasetError

TIMEOUT = 20.0
"""Seconds without an answer after which a server counts as unreachable; the system's own limit is minutes."""

RGB = (3,)

_log = logging.getLogger("actbench.datasets")


def mnist_family(name: str, class_name: str, folder: Path) -> Source:
    """Return a dataset of four IDX files in ``folder/<class_name>/raw``.

    Args:
        name: The dataset's name in configs.
        class_name: The class in ``torchvision.datasets``; also the name of its folder.
        folder: The data folder.

    Raises:
        DatasetError: When it is neither there nor downloadable, or a file is damaged.
    """
    raw = folder / class_name / "raw"
    _download(name, class_name, folder, raw, lambda: _idx.missing(raw))
    paths = _idx.files(raw)
    return cached(name, stamps(paths), lambda: _idx.decode(paths, _classes(class_name)), folder)


def cifar_family(name: str, class_name: str, files: Iterable[str], folder: Path) -> Source:
    """Return a dataset of pickled batches in ``folder``.

    Args:
        name: The dataset's name in configs.
        class_name: The class in ``torchvision.datasets``.
        files: The batches and the class names, as paths below ``folder``.
        folder: The data folder.

    Raises:
        DatasetError: When it is neither there nor downloadable, or a file is damaged.
    """
    paths = [folder / file for file in files]
    _download(name, class_name, folder, paths[0].parent, lambda: [path.name for path in paths if not path.is_file()])
    return cached(name, stamps(paths), lambda: _cifar(class_name, folder), folder)


def _cifar(class_name: str, folder: Path) -> Source:
    import torchvision.datasets

    kind = getattr(torchvision.datasets, class_name)
    _refuse_damaged(kind, folder)
    train, test = kind(folder, train=True), kind(folder, train=False)
    return Source(
        channels_first(train.data, RGB),
        np.array(train.targets, dtype=np.int64),
        channels_first(test.data, RGB),
        np.array(test.targets, dtype=np.int64),
        tuple(train.classes),
    )


def _refuse_damaged(kind: Any, folder: Path) -> None:
    """Raise for a file without its published checksum: unpickling a strange file is unsafe.

    torchvision compares them too, but does not name the file.
    """
    from torchvision.datasets.utils import check_integrity

    for file, checksum in (*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])):
        path = folder / kind.base_folder / file
        if not check_integrity(path, checksum):
            raise DatasetError(
                f"{path} is damaged: its md5 is not the published {checksum}; delete it to download again"
            )


def _classes(class_name: str) -> tuple[str, ...]:
    import torchvision.datasets

    return tuple(getattr(torchvision.datasets, class_name).classes)


def _download(name: str, class_name: str, folder: Path, expected: Path, missing: Callable[[], Sequence[str]]) -> None:
    """Download what is missing, unless another process does so or has just done so."""
    if not missing():
        return
    with one_process_at_a_time(f"{class_name}-download"):
        if absent := missing():
            _fetch(name, class_name, folder, expected, absent)


def _fetch(name: str, class_name: str, folder: Path, expected: Path, absent: Sequence[str]) -> None:
    import torchvision.datasets

    _log.info("downloading %s into %s", name, folder)
    try:
        with _timeout(), _progress():
            getattr(torchvision.datasets, class_name)(folder, download=True)
    except (OSError, RuntimeError, EOFError, http.client.HTTPException, tarfile.TarError) as error:
        raise DatasetError(
            f"dataset '{name}' is not in {folder} and could not be downloaded. Searched {expected} for "
            f"{', '.join(absent)}. The download failed: {_one_line(error)}. Without a network, put the files there or "
            "name their folder with --data-dir or ACTBENCH_DATA; or use 'mnist-5k' or 'digits', which are installed "
            "already, or 'idx' or 'image_folder' with the 'root' of your own copy"
        ) from error


@contextlib.contextmanager
def _timeout() -> Iterator[None]:
    # torchvision passes no timeout to its sockets; the default is the process's, so it is put back.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _progress() -> contextlib.AbstractContextManager[Any]:
    """Let torchvision's progress bar, made of cursor codes, reach a terminal but no log file."""
    return contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
