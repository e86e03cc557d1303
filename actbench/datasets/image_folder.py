"""A folder of image files, one subfolder a class."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from actbench.datasets._cache import cached
from actbench.datasets._data import Data, DatasetOptions
from actbench.datasets._source import Source
from actbench.datasets._split import split
from actbench.errors import DatasetError

if TYPE_CHECKING:
    from actbench.datasets._data import Images, Labels

BLOCK = 256
"""Files that one task of the thread pool decodes: enough to make a task's overhead small."""


class ImageFolder(DatasetOptions):
    """Your folder of images, ``train/<class>/*`` and ``test/<class>/*``, in any format that Pillow reads.

    Attributes:
        root: The folder that holds ``train`` and ``test``; ``~`` is the home folder, a relative path starts at the
            current folder.
        size: Resize every image to size × size pixels (bilinear; the aspect ratio is not kept); None when all images
            have one size already.
        grey: Decode to one channel instead of three.
    """

    root: str = Field(min_length=1)
    size: int | None = Field(default=None, ge=1)
    grey: bool = False

    def load(self, folder: Path) -> Data:
        """Read the images below ``root``; ``folder`` only holds the cache."""
        root = Path(self.root).expanduser().absolute()
        for part in ("train", "test"):
            if not (root / part).is_dir():
                raise DatasetError(f"dataset 'image_folder': no folder {root / part}; expected {part}/<class>/<images>")
        key = [str(root.resolve()), self.size, self.grey, *sorted(_stamps(root))]
        return split("image_folder", cached("image_folder", key, partial(self._decode, root), folder), self)

    def _decode(self, root: Path) -> Source:
        train_files, train_labels, train_classes = _listed(root / "train")
        test_files, test_labels, test_classes = _listed(root / "test")
        if train_classes != test_classes:
            differing = ", ".join(sorted(set(train_classes) ^ set(test_classes)))
            raise DatasetError(f"dataset 'image_folder': {root} has classes in only one of train and test: {differing}")
        expected = self._pixels(train_files[0]).shape
        train_images = self._decode_all(train_files, expected)
        return Source(train_images, train_labels, self._decode_all(test_files, expected), test_labels, train_classes)

    def _decode_all(self, files: list[str], expected: tuple[int, ...]) -> Images:
        """Return (N, C, H, W), decoded by threads: Pillow releases the interpreter's lock while it decodes."""
        images = np.empty((len(files), *expected), dtype=np.uint8)

        def decode_block(start: int) -> None:
            for at, file in enumerate(files[start : start + BLOCK], start):
                images[at] = self._pixels(file, expected)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(decode_block, range(0, len(files), BLOCK)))
        return images

    def _pixels(self, file: str, expected: tuple[int, ...] | None = None) -> Images:
        """Return one image, (C, H, W)."""
        pixels = _decoded(file, "L" if self.grey else "RGB", self.size)
        if expected is not None and pixels.shape != expected:
            raise DatasetError(
                f"dataset 'image_folder': {file} is {pixels.shape[2]}×{pixels.shape[1]} pixels, the first image is "
                f"{expected[2]}×{expected[1]}; set 'size' to resize them all"
            )
        return pixels


def _decoded(file: str, mode: str, size: int | None) -> Images:
    from PIL import Image

    try:
        with Image.open(file) as image:
            converted = image.convert(mode)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f"dataset 'image_folder': can't decode {file}: {error}") from error
    if size is not None:
        converted = converted.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(converted)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _listed(folder: Path) -> tuple[list[str], Labels, tuple[str, ...]]:
    """Return files, labels and classes of one part, in torchvision's order (classes and files sorted by name)."""
    import torchvision.datasets

    try:
        listed = torchvision.datasets.ImageFolder(folder)
    except FileNotFoundError as error:
        raise DatasetError(f"dataset 'image_folder': {' '.join(str(error).split())} ({folder})") from error
    files, labels = zip(*listed.samples, strict=True)
    return list(files), np.array(labels, dtype=np.int64), tuple(listed.classes)


def _stamps(root: Path) -> Iterator[tuple[str, int, int]]:
    """Yield relative path, size and modification time of every file: much faster than decoding them."""
    for part in ("train", "test"):
        for folder, _, names in os.walk(root / part, followlinks=True):
            for name in names:
                path = os.path.join(folder, name)
                status = os.stat(path)
                yield os.path.relpath(path, root), status.st_size, status.st_mtime_ns


plugin = ImageFolder
