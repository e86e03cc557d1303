"""Check published numbers on Fashion-MNIST, which is not shipped: counts of dead units, and constant weights."""

from __future__ import annotations

import hashlib
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

SHA256 = "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012"
"""Of the training images' bytes, to tell Fashion-MNIST from other data of its shape, such as MNIST or KMNIST."""

IMAGES, TRAINED_ON, SEED = 60_000, 50_000, 42
DEAD = {
    (784, 512, 256, 256, 128): (0.0, 0.0, 3.0, 10.0),
    (784, *[256] * 5, *[128] * 5): (0.0, 0.0, 7.0, 27.0, 89.0, 60.0, 58.0, 61.0, 72.0, 56.0),
}
"""Sizes of input and hidden layers -> the published count of dead units in each hidden layer."""

CONSTANT, CONSTANT_SIZES = 0.005, (784, 512, 256, 256, 128, 10)
"""Every weight and bias of the tutorial's linear network, and its layers' sizes."""
MEAN, STD, BATCH = 0.2860, 0.3530, 1024
VARIANCES = (2.058276, 13.489119, 22.100567, 36.209572, 14.831439)
CONSTANT_NAME = f"var z, all weights and biases {CONSTANT}"
ROUNDING = 5e-5
"""The tutorial computes in float32, whose rounding over 784 pixels leaves six digits; this check in float64."""

ACTIVATION_TUTORIAL, INITIALISATION_TUTORIAL = "UvA DL, tutorial 3", "UvA DL, tutorial 4"
MISSING = (
    "Fashion-MNIST is not in {folders}: `apt-get install dataset-fashion-mnist` (Debian, Ubuntu), or name a folder "
    "that holds its four IDX files with --fashion-mnist DIR"
)


def checks(folders: Folders) -> Iterator[Check]:
    """Compare counts of dead units, and variances under constant weights, on the tutorials' training split.

    Raises:
        DatasetError: When the folder that was asked for lacks the files or holds something else.
    """
    searched = [folders.fashion_mnist] if folders.fashion_mnist else [DEBIAN, folders.data / "FashionMNIST" / "raw"]
    found = next((folder for folder in searched if not _idx.missing(folder)), folders.fashion_mnist)
    if found is None:
        yield from _skipped(MISSING.format(folders=" or ".join(map(str, searched))))
        return
    try:
        images = training_images(found)
    except DatasetError as error:
        if folders.fashion_mnist:
            raise
        yield from _skipped(str(error))  # nobody asked for this folder, and other checks have their results
        return
    split = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(SEED))[:TRAINED_ON]
    for sizes, dead in DEAD.items():
        yield Check(_dead_name(sizes), dead, tuple(_dead_units(images, split, sizes)), 0, ACTIVATION_TUTORIAL)
    measured = _variances_of_constant_weights(images[split[:BATCH]])
    yield Check(CONSTANT_NAME, VARIANCES, measured, ROUNDING, INITIALISATION_TUTORIAL)


def training_images(folder: Path) -> Tensor:
    """Return Fashion-MNIST's training images (60000, 1, 28, 28) uint8, in the files' order.

    Raises:
        DatasetError: When a file is missing or damaged, or the images are not Fashion-MNIST's.
    """
    images = _idx.decode(_idx.files(folder)).train_images
    if images.shape != (IMAGES, 1, 28, 28):
        raise DatasetError(f"{folder} holds training images of shape {tuple(images.shape)}, not Fashion-MNIST's")
    if hashlib.sha256(images.tobytes()).hexdigest() != SHA256:
        raise DatasetError(
            f"{folder} holds training images of Fashion-MNIST's shape, but others (MNIST's and KMNIST's files have the "
            "same names): name the folder of Fashion-MNIST with --fashion-mnist DIR"
        )
    return torch.from_numpy(images.copy())


def _skipped(reason: str) -> Iterator[Check]:
    for sizes, dead in DEAD.items():
        yield Check(_dead_name(sizes), dead, (), 0, ACTIVATION_TUTORIAL, skipped=reason)
    yield Check(CONSTANT_NAME, VARIANCES, (), ROUNDING, INITIALISATION_TUTORIAL, skipped=reason)


def _dead_name(sizes: tuple[int, ...]) -> str:
    return f"dead at init, {len(sizes) - 1} hidden layers"


def _dead_units(images: Tensor, split: Tensor, sizes: tuple[int, ...]) -> list[float]:
    """Return the dead units of each hidden layer on the split, scaled to [−1, 1]."""
    observer = UnitObserver(slope_by_autograd(lambda layer, z: torch.relu(z)), HealthSettings())
    layers = _hidden_layers(sizes)
    with torch.no_grad():
        for index in torch.split(split, 1000):
            signal = images[index].flatten(1).float() / 255 * 2 - 1
            for number, layer in enumerate(layers):
                z = layer(signal)
                observer.observe(f"hidden.{number}", z.unsqueeze(0))
                signal = torch.relu(z)
    return [float(row["dead"]) for row in observer.finish(TRAINED_ON).of_run(0)["layers"]]


def _hidden_layers(sizes: tuple[int, ...]) -> list[nn.Linear]:
    """Return the layers as the tutorial makes them: torch's default initialisation, straight after seeding."""
    # ``nn.Linear`` draws from torch's global generator and takes no other; it is put back afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(SEED)
        return [nn.Linear(inputs, units) for inputs, units in pairwise(sizes)]


def _variances_of_constant_weights(images: Tensor) -> tuple[float, ...]:
    """Return each linear layer's variance over images (n, 1, 28, 28) and units, divided by their count."""
    signal = (images.flatten(1).double() / 255 - MEAN) / STD
    variances = []
    for inputs, units in pairwise(CONSTANT_SIZES):
        weight = torch.full((units, inputs), CONSTANT, dtype=torch.float64)
        signal = nn.functional.linear(signal, weight, weight[:, 0])
        variances.append(float(signal.var(correction=0)))
    return tuple(variances)
