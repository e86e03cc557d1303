"""Images for the peers: the same files that actbench reads, as arrays or as a dataset of PIL images.

The first ``examples`` of the training set are trained on; all test examples are used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torchvision
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset, Subset
from torchvision.transforms import Compose, Normalize, ToTensor

from benchmarks.peers.program import Task, refuse

ARCHIVES = {"mnist": ("MNIST", "MNIST/raw"), "cifar10": ("CIFAR10", "cifar-10-batches-py")}
"""Dataset -> torchvision's class, and the folder whose presence tells that its files are there."""


@dataclass(frozen=True)
class Arrays:
    """Normalised images (N, C, H, W), float32, and labels (N,), int64."""

    train_images: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]


class Decoded(Dataset[Any]):
    """Arrays (N, C, H, W) as torchvision's own datasets serve theirs: a PIL image for each item, then the transform."""

    def __init__(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], transform: Callable[[Any], Any] | None
    ) -> None:
        """Keep the arrays with the channels last, as PIL wants them."""
        self.data = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        self.targets = labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        """Number of images."""
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """One image and its label."""
        image = Image.fromarray(self.data[index])
        return self.transform(image) if self.transform else image, self.targets[index]


def image_datasets(task: Task) -> tuple[Dataset[Any], Dataset[Any]]:
    """Training and test images with ToTensor and Normalize."""
    transform = Compose([ToTensor(), Normalize(task.workload.mean, task.workload.std)])
    train, test = _parts(task, transform)
    return Subset(train, range(_enough(task, len(train)))), test


def arrays(task: Task) -> Arrays:
    """All images in memory, normalised."""
    train, test = _parts(task, None)
    count = _enough(task, len(train))
    images, labels = _normalised(task, train), np.asarray(train.targets, dtype=np.int64)
    return Arrays(images[:count], labels[:count], _normalised(task, test), np.asarray(test.targets, dtype=np.int64))


def _parts(task: Task, transform: Callable[[Any], Any] | None) -> tuple[Any, Any]:
    name, marker = ARCHIVES[task.workload.dataset]
    if (task.data / marker).is_dir():
        kind = getattr(torchvision.datasets, name)
        return kind(task.data, train=True, transform=transform), kind(task.data, train=False, transform=transform)
    if (task.data / "train").is_dir() and (task.data / "test").is_dir():
        return _image_folder(task.data, transform)
    refuse(f"no {name} here: neither {task.data / marker} nor the folders train and test in {task.data}")


def _image_folder(root: Path, transform: Callable[[Any], Any] | None) -> tuple[Decoded, Decoded]:
    """Images decoded once and cached by actbench, because decoding 60,000 files would outlast every measurement."""
    from actbench.datasets import load
    from actbench.schema.components import resolve

    data = load(resolve("datasets", {"name": "image_folder", "root": str(root)}), root)
    train = Decoded(data.train_images, data.train_labels, transform)
    return train, Decoded(data.test_images, data.test_labels, transform)


def _enough(task: Task, available: int) -> int:
    if task.examples > available:
        refuse(f"{task.examples} training examples wanted, but there are only {available} in {task.data}")
    return task.examples


def _normalised(task: Task, part: Any) -> NDArray[np.float32]:
    pixels = np.asarray(part.data, dtype=np.float32) / 255
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
    mean, std = (
        np.array(values, dtype=np.float32).reshape(-1, 1, 1) for values in (task.workload.mean, task.workload.std)
    )
    return np.ascontiguousarray((pixels - mean) / std)
