"""Find what makes a dataset's results meaningless or odd, before an activation is blamed for it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from actbench.datasets._source import Source

if TYPE_CHECKING:
    from actbench.datasets._data import Images

WORTH_A_NOTE = 0.01
"""Share of a part's images from which equal images are reported: some published sets hold a few."""

SHOWN = 5
"""Classes that a note names."""


def unlearnable(source: Source) -> str | None:
    """Say why nothing can be learned from the training images; None when something can."""
    images, labels, noun = source.train_images, source.train_labels, _noun(source)
    if not source.classes:
        if np.ptp(labels, axis=0).max() == 0:
            return f"the targets of all {len(labels)} training examples are equal, so that nothing can be learned"
        return f"all {len(images)} training examples are equal" if all_equal(images) else None
    if labels.min() == labels.max():
        return (
            f"all {len(labels)} training {noun} are of one class, '{source.classes[labels[0]]}', so that any network "
            "is right; at least two are needed"
        )
    if all_equal(images):
        levels = f"every pixel is {images[0, 0, 0, 0]}" if np.ptp(images[0]) == 0 else "pixel by pixel"
        return f"all {len(images)} training {noun} are equal ({levels}), so that nothing can be learned from them"
    return None


def oddities(source: Source) -> Iterator[str]:
    """Yield a sentence for each finding that makes results hard to read, though they can be had.

    Nothing is looked for among numbers to be learned.
    """
    if not source.classes:
        return
    noun = _noun(source)
    for part, images in (("training", source.train_images), ("test", source.test_images)):
        if len(images) > 1 and all_equal(images):
            yield f"all {len(images)} {part} {noun} are equal"
        elif images.dtype == np.uint8 and (
            blank := int(np.sum(images.max(axis=(1, 2, 3)) == images.min(axis=(1, 2, 3))))
        ):
            yield f"{blank} of {len(images)} {part} images are blank, all their pixels alike"
    trained, tested = (set(labels.tolist()) for labels in (source.train_labels, source.test_labels))
    if only := sorted(tested - trained):
        yield f"no training {noun[:-1]} is of the class{_named(only, source)}, which the test {noun} hold"
    if unused := sorted(set(range(len(source.classes))) - trained - tested):
        yield f"no {noun[:-1]} is of the class{_named(unused, source)}: {len(unused)} of {len(source.classes)} classes"
    yield from _repeated(source)


def _noun(source: Source) -> str:
    return "images" if source.train_images.dtype == np.uint8 else "examples"


def all_equal(images: Images) -> bool:
    """Return whether each image (N, C, H, W) equals the first one."""
    return all(np.array_equal(image, images[0]) for image in images)


def _repeated(source: Source) -> Iterator[str]:
    """Yield sentences on test images that are training images too, and on equal images of different classes."""
    train, noun = _digests(source.train_images), _noun(source)
    labels_of: dict[bytes, set[int]] = defaultdict(set)
    for digest, label in zip(train, source.train_labels.tolist(), strict=True):
        labels_of[digest].add(label)
    leaked = sum(digest in labels_of for digest in _digests(source.test_images))
    if leaked >= WORTH_A_NOTE * len(source.test_images) and leaked:
        yield f"{leaked} of {len(source.test_images)} test {noun} are training {noun} too"
    torn = sum(len(labels_of[digest]) > 1 for digest in train)
    if torn >= WORTH_A_NOTE * len(train) and torn:
        yield f"{torn} of {len(train)} training {noun} equal one of another class, so that both can't be learned"


def _digests(images: Images) -> list[bytes]:
    return [hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() for image in images]


def _named(labels: list[int], source: Source) -> str:
    shown = ", ".join(source.classes[label] for label in labels[:SHOWN]) + (", …" if len(labels) > SHOWN else "")
    return f"{'es' if len(labels) > 1 else ''} {shown}"
