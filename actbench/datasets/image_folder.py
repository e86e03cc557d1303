"""A folder of image files, one subfolder a class."""

from __future__ import annotations

import importlib.metadata
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from actbench.datasets import _listing
from actbench.datasets._cache import cached
from actbench.datasets._data import Data, DatasetOptions
from actbench.datasets._decoding import BITS, Reading, bits_in_use, decode, suffixes
from actbench.datasets._listing import Part
from actbench.datasets._source import Source
from actbench.datasets._split import hold_out, split
from actbench.errors import DatasetError
from actbench.system.files import expanded, path_text

if TYPE_CHECKING:
    from actbench.datasets._data import Images, Labels

BLOCK = 256
"""Files that one task of the thread pool decodes: enough to make a task's overhead small."""

MEANT = {"train": ("training", "trainset"), "test": ("testing", "testset", "val", "valid", "validation", "eval")}
"""A part -> names, in lower case, under which other tools keep it or its like."""

HOLD_OUT = "test_fraction: 0.2, to test on a fifth of each class"


class ImageFolder(DatasetOptions):
    """Your folder of images, ``train/<class>/**`` and ``test/<class>/**``, in any format that Pillow decodes.

    Attributes:
        root: The folder that holds ``train`` and ``test``; ``~`` is the home folder, a relative path starts at the
            current folder.
        size: Resize every image to size × size pixels (bilinear; the aspect ratio is not kept); None when all images
            have one size already.
        grey: Decode to one channel instead of three.
        test_fraction: For a ``root`` that holds the classes' folders themselves: the part of each class that becomes
            the test set, always the same. None where there are ``train`` and ``test``.
    """

    root: str = Field(min_length=1)
    size: int | None = Field(default=None, ge=1)
    grey: bool = False
    test_fraction: float | None = Field(default=None, gt=0, lt=1)

    def load(self, folder: Path) -> Data:
        """Read the images below ``root``; ``folder`` only holds the cache."""
        root = expanded(self.root).absolute()
        try:
            parts = [_listing.listed(place) for place in self._places(root)]
        except OSError as error:
            raise DatasetError(
                f"dataset 'image_folder': can't read {path_text(str(error.filename))}: {error.strerror}"
            ) from error
        stamps = [
            (path_text(os.path.relpath(entry.path, root)), entry.size, entry.mtime_ns)
            for part in parts
            for entry in part.entries
        ]
        skipped = [path_text(path) for part in parts for paths in part.skipped.values() for path in paths]
        options = [self.size, self.grey, self.test_fraction, importlib.metadata.version("pillow")]
        key = [path_text(root.resolve()), *options, skipped, *stamps]
        return split("image_folder", cached("image_folder", key, partial(self._decode, root, parts), folder), self)

    def _places(self, root: Path) -> list[Path]:
        """Return the folders of the parts: ``train`` and ``test``, or ``root`` alone with ``test_fraction``."""
        if not root.is_dir():
            raise DatasetError(f"dataset 'image_folder': 'root' {path_text(root)} is not a folder")
        places = [root / "train", root / "test"]
        there = [place.name for place in places if place.is_dir()]
        if self.test_fraction is not None:
            if there:
                raise DatasetError(
                    f"dataset 'image_folder': 'test_fraction' is for a folder of classes, but {path_text(root)} holds "
                    f"{' and '.join(there)}; leave it out, or name the folder of the classes as 'root'"
                )
            return [root]
        if len(there) < len(places):
            raise DatasetError(f"dataset 'image_folder': {_way_out(root, there)}")
        return places

    def _decode(self, root: Path, parts: Sequence[Part]) -> Source:
        known = suffixes()
        parts = [part.only(known) for part in parts]
        _refuse_empty_classes(parts, root)
        reading = Reading(self.grey, self.size)
        with warnings.catch_warnings():
            # Pillow's warnings about odd metadata name no file; a file that can't be decoded raises.
            warnings.simplefilter("ignore")
            images, notes = _decode_all([entry.path for part in parts for entry in part.entries], reading)
        classes = tuple(map(path_text, parts[0].classes))
        index = {label: number for number, label in enumerate(parts[0].classes)}
        labels = np.array([index[entry.label] for part in parts for entry in part.entries], dtype=np.int64)
        source = self._divided(images, labels, classes, train=len(parts[0].entries))
        skipped = _listing.skipped_note(parts, root)
        return replace(source, notes=(*([skipped] if skipped else []), *notes))

    def _divided(self, images: Images, labels: Labels, classes: tuple[str, ...], *, train: int) -> Source:
        if self.test_fraction is not None:
            return hold_out(images, labels, classes, self.test_fraction)
        return Source(images[:train], labels[:train], images[train:], labels[train:], classes)


def _decode_all(files: Sequence[str], reading: Reading) -> tuple[Images, list[str]]:
    """Return (N, C, H, W), decoded by threads (Pillow releases the interpreter's lock while it decodes), and notes.

    Raises:
        DatasetError: Naming the first file that can't be decoded, or has another size than the first one.
    """
    shape = decode(files[0], reading).pixels.shape
    images = np.empty((len(files), *shape), dtype=np.uint8)

    def decode_block(numbers: Sequence[int], reading: Reading) -> tuple[Counter[str], dict[int, int]]:
        """Decode these files into ``images``; return how many files each remark is about, and file -> peak."""
        remarks, peaks = Counter[str](), dict[int, int]()
        for number in numbers:
            decoded = decode(files[number], reading)
            _refuse_other_size(decoded.pixels.shape, shape, files[number])
            images[number] = decoded.pixels
            remarks.update(decoded.remarks)
            if decoded.peak is not None:
                peaks[number] = decoded.peak
        return remarks, peaks

    def decode_these(numbers: Sequence[int], reading: Reading) -> tuple[Counter[str], dict[int, int]]:
        blocks = [numbers[start : start + BLOCK] for start in range(0, len(numbers), BLOCK)]
        remarks, peaks = Counter[str](), dict[int, int]()
        for some_remarks, some_peaks in pool.map(partial(decode_block, reading=reading), blocks):
            remarks += some_remarks
            peaks |= some_peaks
        return remarks, peaks

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        remarks, peaks = decode_these(range(len(files)), reading)
        notes = [f"{count} of {len(files)} images {remark}" for remark, count in sorted(remarks.items())]
        # Which of the 16 bits are in use is known only when all images are read. The white of a 12-bit camera is 4095:
        # read as 16 bits its pictures would keep 16 grey levels of 4096.
        if peaks and (bits := bits_in_use(peak := max(peaks.values()))) < BITS[-1]:
            decode_these(list(peaks), replace(reading, bits=bits))
            notes.append(f"levels of more than 8 bits go up to {peak} only: read as {bits} bits, 0 … {2**bits - 1}")
    return images, notes


def _refuse_other_size(shape: tuple[int, ...], expected: tuple[int, ...], file: str) -> None:
    if shape != expected:
        raise DatasetError(
            f"dataset 'image_folder': {path_text(file)} is {shape[2]}×{shape[1]} pixels, the first image is "
            f"{expected[2]}×{expected[1]}; set 'size' to resize them all"
        )


def _refuse_empty_classes(parts: Sequence[Part], root: Path) -> None:
    """Refuse parts without class folders, class folders without images, and classes that only one part has."""
    skipped = _listing.skipped_note(parts, root)
    besides = f"; {skipped}" if skipped else ""
    for part in parts:
        place = path_text(part.folder)
        if not part.classes:
            raise DatasetError(
                f"dataset 'image_folder': {place} holds no class folder; expected {place}/<class>/<images>{besides}"
            )
    for one, other in zip(parts, reversed(parts), strict=True):
        if absent := set(other.classes) - set(one.classes):
            names = ", ".join(map(path_text, sorted(absent)))
            raise DatasetError(
                f"dataset 'image_folder': {path_text(root)} has classes in only one of train and test: {names} (not in "
                f"{one.folder.name}); make the folders of both parts alike{besides}"
            )
    for part in parts:
        if empty := sorted(set(part.classes) - {entry.label for entry in part.entries}):
            raise DatasetError(
                f"dataset 'image_folder': no image in {path_text(part.folder)} for the class"
                f"{'es' if len(empty) > 1 else ''} {', '.join(map(path_text, empty))}; add images or remove the "
                f"folder{'s' if len(empty) > 1 else ''}{besides}"
            )


def _way_out(root: Path, there: Sequence[str]) -> str:
    """Say which part is absent, and what to do with the folders that are there instead."""
    absent = next(part for part in MEANT if part not in there)
    text = f"no folder {path_text(root / absent)}; expected {absent}/<class>/<images>"
    folders = [name for name in sorted(os.listdir(root)) if (root / name).is_dir() and not name.startswith(".")]
    meant = [name for name in folders if name.lower() in (absent, *MEANT[absent])]
    if meant:
        reason = ""
        if meant[0].lower().startswith(("val", "eval")):
            reason = " (actbench takes its own validation images from train, see 'val_fraction')"
        return f"{text}. There is '{path_text(meant[0])}': rename it to '{absent}'{reason}"
    if there == ["train"]:
        return f"{text}. Move some images of each class there; or set root: {path_text(root / 'train')} and {HOLD_OUT}"
    others = [name for name in folders if name not in MEANT]
    if others and not there:
        return f"{text}. If the folders there ({_listing.some(others)}) are the classes, set {HOLD_OUT}"
    return text


plugin = ImageFolder
