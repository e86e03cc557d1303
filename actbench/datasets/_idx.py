"""Read the IDX files of MNIST: a magic number, the sizes, then the bytes; plain or gzip-compressed.

Layout: two zero bytes, a type byte (0x08: unsigned byte), the number of axes, each axis's size as a big-endian 32-bit
integer, then the values, last axis fastest.

Reference: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from actbench.datasets._labels import NumberedLabels, numbered
from actbench.datasets._source import Source, channels_first
from actbench.errors import DatasetError

if TYPE_CHECKING:
    from actbench.datasets._data import Images

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
UNSIGNED_BYTE = 0x08
COLOUR_CHANNELS = (1, 3)


def missing(root: Path) -> list[str]:
    """Return the standard names for which ``root`` holds no file, under any of their spellings."""
    return [name for name in FILES if not _spellings(root, name)]


def files(root: Path) -> list[Path]:
    """Return the four files in ``root``, in the order of ``FILES``; a plain file is preferred to a compressed one.

    Raises:
        DatasetError: When one is not there.
    """
    if absent := missing(root):
        raise DatasetError(
            f"no {' and no '.join(absent)} in {root} (searched there also as '.idx…' and with '.gz'); "
            f"expected the four files {', '.join(FILES)}"
        )
    return [_spellings(root, name)[0] for name in FILES]


def decode(paths: list[Path], classes: tuple[str, ...] | None = None) -> Source:
    """Read the four files that ``files`` found.

    Args:
        paths: The files.
        classes: The classes' names; None to name them after their labels, which are then numbered from 0.

    Raises:
        DatasetError: Naming the file that is malformed or does not fit its partner.
    """
    train_images, test_images = _read_images(paths[0]), _read_images(paths[2])
    train_labels, test_labels = _read_array(paths[1]), _read_array(paths[3])
    for images, labels, at in ((train_images, train_labels, 0), (test_images, test_labels, 2)):
        if labels.shape != images.shape[:1]:
            raise DatasetError(f"{paths[at + 1]} holds labels of shape {labels.shape} for {len(images)} images")
    if classes is None:
        found = numbered(str(paths[0].parent), train_labels, test_labels)
    else:
        found = NumberedLabels(train_labels.astype(np.int64), test_labels.astype(np.int64), classes)
    return Source(train_images, found.train, test_images, found.test, found.classes, found.notes)


def _spellings(root: Path, name: str) -> list[Path]:
    """Return the files of a standard name that are there, the plain ones first."""
    stems = (name, name.replace("-idx", ".idx"))
    spelled = [root / f"{stem}{suffix}" for suffix in ("", ".gz") for stem in stems]
    return [path for path in spelled if path.is_file()]


def _read_images(path: Path) -> Images:
    """Return (N, C, H, W) from grey (N, H, W), or from colour with the channels first or last."""
    array = _read_array(path)
    images = channels_first(array, COLOUR_CHANNELS)
    if images.ndim == 4 and images.shape[1] in COLOUR_CHANNELS:
        return images
    raise DatasetError(
        f"{path} has the sizes {array.shape}; expected (N, H, W), or (N, H, W, C) or (N, C, H, W) with C = 1 or 3"
    )


def _read_array(path: Path) -> Images:
    """Return the bytes of one file in its shape.

    Raises:
        DatasetError: When the file is of another format, or its header and its length disagree.
    """
    content = _read_bytes(path)
    axes = content[3] if len(content) > 3 else 0
    header = 4 + 4 * axes
    if content[:3] != bytes((0, 0, UNSIGNED_BYTE)) or not axes or len(content) < header:
        raise DatasetError(f"{path} is not an IDX file of unsigned bytes: it starts with {content[:4].hex(' ')}")
    shape = struct.unpack(f">{axes}I", content[4:header])
    expected = header + math.prod(shape)
    if len(content) != expected:
        raise DatasetError(f"{path} is damaged: {len(content)} bytes, but its header {shape} promises {expected}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _read_bytes(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"can't read {path}: {error}") from error
