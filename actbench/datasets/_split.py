"""Decide which examples train, validate and test: a fixed random order, cut into pieces.

The order comes from the stream ``data.split`` of seed 0, whatever the run's seed, so that all runs of a study have the
same validation and test examples. It is the argsort of PCG64's raw 64-bit output, because NumPy promises that output
never to change, which it does not promise for ``Generator.permutation``.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from actbench.datasets._data import Data, DatasetOptions
from actbench.datasets._moments import moments
from actbench.datasets._source import Source
from actbench.errors import DatasetError

if TYPE_CHECKING:
    from actbench.datasets._data import Images, Labels

SEED = int.from_bytes(hashlib.sha256(b"0/data.split").digest()[:8], "big")
HELD_OUT = 0.2
"""Part of each class that becomes the test set of a source that ships none."""


def random_order(count: int) -> NDArray[np.int64]:
    """Return a permutation (count,) of 0 … count-1, always the same for one count."""
    return np.argsort(np.random.PCG64(SEED).random_raw(count), kind="stable")


def shuffled(source: Source) -> Source:
    """Return the same examples in the fixed random order, so that every split is a slice and needs no copy."""
    train, test = random_order(len(source.train_labels)), random_order(len(source.test_labels))
    return replace(
        source,
        train_images=source.train_images[train],
        train_labels=source.train_labels[train],
        test_images=source.test_images[test],
        test_labels=source.test_labels[test],
    )


def hold_out(images: Images, labels: Labels, classes: tuple[str, ...], fraction: float = HELD_OUT) -> Source:
    """Make a test set for a source that has none: the same part of every class, chosen by the fixed order."""
    test = np.zeros(len(labels), dtype=bool)
    order = random_order(len(labels))
    for label in range(len(classes)):
        members = order[labels[order] == label]
        test[members[: round(fraction * len(members))]] = True
    return Source(images[~test], labels[~test], images[test], labels[test], classes)


def hold_out_any(examples: Images, targets: Labels, fraction: float = HELD_OUT) -> Source:
    """Make a test set for a source of numbers to be learned, which has no classes: the first of the fixed order."""
    order = random_order(len(targets))
    count = round(fraction * len(targets))
    test, train = np.sort(order[:count]), np.sort(order[count:])
    return Source(examples[train], targets[train], examples[test], targets[test], ())


def split(name: str, ordered: Source, options: DatasetOptions) -> Data:
    """Cut a source that is in the fixed order: validation first, so that these examples don't depend on ``train_size``.

    Raises:
        DatasetError: When the options ask for more than there is, or leave a part without examples.
    """
    if options.scale == "symmetric" and ordered.train_images.dtype != np.uint8:
        raise DatasetError(
            f"dataset '{name}' holds no grey levels for scale: symmetric; choose standard, or unit, which "
            "leaves its numbers as they are"
        )
    val = _val_count(name, len(ordered.train_labels), options.val_fraction)
    train, test = _counts(name, len(ordered.train_labels) - val, len(ordered.test_labels), options)
    val_end = _limited(val, options)
    train_images = ordered.train_images[val : val + train]
    mean, std = moments(train_images)
    return Data(
        name=name,
        train_images=train_images,
        train_labels=ordered.train_labels[val : val + train],
        val_images=ordered.train_images[:val_end],
        val_labels=ordered.train_labels[:val_end],
        test_images=ordered.test_images[:test],
        test_labels=ordered.test_labels[:test],
        classes=ordered.classes,
        mean=mean,
        std=std,
        fingerprint=ordered.fingerprint,
        notes=ordered.notes,
        scale=options.scale,
    )


def cut(data: Data, options: DatasetOptions) -> Data:
    """Shorten data that is already split; its normalisation stays as it is, unless the options name a scale."""
    train, test = _counts(data.name, len(data.train_labels), len(data.test_labels), options)
    val = _limited(len(data.val_labels), options)
    return replace(
        data,
        train_images=data.train_images[:train],
        train_labels=data.train_labels[:train],
        val_images=data.val_images[:val],
        val_labels=data.val_labels[:val],
        test_images=data.test_images[:test],
        test_labels=data.test_labels[:test],
        scale=options.scale if "scale" in options.model_fields_set else data.scale,
    )


def _val_count(name: str, available: int, fraction: float) -> int:
    count = round(fraction * available)
    if fraction and not 0 < count < available:
        raise DatasetError(
            f"dataset '{name}': val_fraction {fraction:g} of {available} training examples is {count}, which leaves "
            f"{available - count} to train on; both need at least one"
        )
    return count


def _counts(name: str, train: int, test: int, options: DatasetOptions) -> tuple[int, int]:
    """Return the numbers of training and of test examples that are used."""
    train_size = _taken(name, "train", options.train_size, train)
    test_size = _taken(name, "test", options.test_size, test)
    return _limited(train_size, options), _limited(test_size, options)


def _limited(count: int, options: DatasetOptions) -> int:
    return count if options.max_examples is None else min(count, options.max_examples)


def _taken(name: str, part: str, size: int | None, available: int) -> int:
    if size is not None and size > available:
        raise DatasetError(f"dataset '{name}': {part}_size is {size}, but there are only {available} {part} examples")
    return available if size is None else size
