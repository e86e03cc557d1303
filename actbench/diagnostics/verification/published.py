"""Check a published count of dead units digit by digit; it needs Fashion-MNIST, which is not shipped."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from actbench.datasets import _idx
from actbench.diagnostics.verification import Check, Folders
from actbench.errors import DatasetError
from actbench.health.units.probe import UnitObserver, slope_by_autograd
from actbench.schema.spec import HealthSettings

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the four files."""

SIZES = (784, 512, 256, 256, 128)
DEAD = (0.0, 0.0, 3.0, 10.0)
SEED, IMAGES, TRAINED_ON = 42, 60_000, 50_000
NAME = "dead at init, Fashion-MNIST, by layer"
SOURCE = "UvA DL, tutorial 3"
MISSING = (
    "Fashion-MNIST is not in {folders}: `apt-get install dataset-fashion-mnist` (Debian, Ubuntu), or name a folder "
    "that holds its four IDX files with --fashion-mnist DIR"
)


def checks(folders: Folders) -> Iterator[Check]:
    """Compare the counts of each hidden layer, on the first 50,000 of the tutorial's shuffled training images.

    Raises:
        DatasetError: When the folder that was asked for lacks the files or holds something else.
    """
    searched = [folders.fashion_mnist] if folders.fashion_mnist else [DEBIAN, folders.data / "FashionMNIST" / "raw"]
    found = next((folder for folder in searched if not _idx.missing(folder)), folders.fashion_mnist)
    if found is None:
        reason = MISSING.format(folders=" or ".join(map(str, searched)))
        yield Check(NAME, DEAD, (), 0, SOURCE, skipped=reason)
        return
    yield Check(NAME, DEAD, tuple(_dead_units(_training_images(found))), 0, SOURCE)


def _training_images(folder: Path) -> Tensor:
    """Return (60000, 1, 28, 28) uint8, in the files' order."""
    images = torch.from_numpy(_idx.decode(_idx.files(folder)).train_images.copy())
    if images.shape != (IMAGES, 1, 28, 28):
        raise DatasetError(f"{folder} holds training images of shape {tuple(images.shape)}, not Fashion-MNIST's")
    return images


def _dead_units(images: Tensor) -> list[float]:
    """Return the dead units of each hidden layer on the tutorial's training split, scaled to [−1, 1]."""
    split = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(SEED))[:TRAINED_ON]
    observer = UnitObserver(slope_by_autograd(lambda layer, z: torch.relu(z)), HealthSettings())
    layers = _hidden_layers()
    with torch.no_grad():
        for index in torch.split(split, 1000):
            signal = images[index].flatten(1).float() / 255 * 2 - 1
            for number, layer in enumerate(layers):
                z = layer(signal)
                observer.observe(f"hidden.{number}", z.unsqueeze(0))
                signal = torch.relu(z)
    return [float(row["dead"]) for row in observer.finish(TRAINED_ON).of_run(0)["layers"]]


def _hidden_layers() -> list[nn.Linear]:
    """Return the layers as the tutorial makes them: torch's default initialisation, straight after seeding."""
    # ``nn.Linear`` draws from torch's global generator and takes no other; it is put back afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(SEED)
        return [nn.Linear(inputs, units) for inputs, units in pairwise(SIZES)]
