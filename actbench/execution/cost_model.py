"""What a run costs by its settings alone: how cohorts are weighed before anything like them has been measured.

Only ratios matter: they order the work, carry a measured time over to another number of runs or epochs, and never stand
for seconds by themselves. Nothing is loaded; a dataset or model that can't be known without loading counts as MNIST in
a small network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, prod
from typing import Any

from actbench.schema.components import Component
from actbench.schema.record import FIRST_LOOK
from actbench.schema.spec import RunSpec

STEP, RUN_STEP = 1.2e-4, 1e-4
"""Seconds that a training step takes besides its products: of a cohort, and of each of its runs.

These and ``PRODUCT`` fit MLPs of 3,400 to 930,000 products, alone and in cohorts of six and twelve, within a tenth (one
core of an AMD EPYC)."""

PRODUCT = 2.1e-11
"""Seconds of one multiplication and addition with what surrounds it."""

BACKWARD = 2
"""Products of the backward pass for each one of the forward pass: one by the inputs, one by the weights."""

EVALUATED = 1000
"""Examples that an evaluation passes on at a time; a part of a step's overhead is paid for each."""

UNKNOWN_NETWORK = 250_000
"""Products of a network that is not known before it is built: those of 784-256-256-10."""


@dataclass(frozen=True)
class Shape:
    """What a dataset consists of.

    Args:
        image: (C, H, W).
        train: Training examples, those for validation included.
        test: Test examples.
        classes: Number of classes.
    """

    image: tuple[int, int, int]
    train: int
    test: int
    classes: int = 10


MNIST, CIFAR = (1, 28, 28), (3, 32, 32)
SHAPES = {
    "digits": Shape((1, 8, 8), 1438, 359),
    "mnist-5k": Shape(MNIST, 4000, 1000),
    "mnist": Shape(MNIST, 60000, 10000),
    "fashion_mnist": Shape(MNIST, 60000, 10000),
    "kmnist": Shape(MNIST, 60000, 10000),
    "cifar10": Shape(CIFAR, 50000, 10000),
    "cifar100": Shape(CIFAR, 50000, 10000, 100),
}
"""Of the datasets whose content is fixed; any other counts as ``mnist`` until it is loaded."""


@dataclass(frozen=True)
class Workload:
    """The work of one run.

    Args:
        products: Multiplications with an addition that one example takes, forward.
        train: Training examples.
        val: Validation examples.
        test: Test examples.
        probe: Examples on which health is measured.
        batch_size: Examples a step.
        epochs: Passes over the training examples.
    """

    products: int
    train: int
    val: int
    test: int
    probe: int
    batch_size: int
    epochs: int

    def start(self, runs: int) -> float:
        """Relative cost of epoch 0 for a cohort of so many runs: evaluated, not trained."""
        return self._evaluated(min(self.train, FIRST_LOOK), runs) + self._closing(runs)

    def epoch(self, runs: int) -> float:
        """Relative cost of an epoch of training, with what closes it."""
        steps = ceil(self.train / self.batch_size)
        products = self.train * runs * self.products * (1 + BACKWARD)
        return steps * (STEP + runs * RUN_STEP) + products * PRODUCT + self._closing(runs)

    def end(self, runs: int) -> float:
        """Relative cost of the test set."""
        return self._evaluated(self.test, runs)

    def total(self, runs: int) -> float:
        """Relative cost of a cohort of so many runs."""
        return self.start(runs) + self.epochs * self.epoch(runs) + self.end(runs)

    def _evaluated(self, examples: int, runs: int) -> float:
        passes = ceil(examples / EVALUATED)
        return passes * (STEP + runs * RUN_STEP) / (1 + BACKWARD) + examples * runs * self.products * PRODUCT

    def _closing(self, runs: int) -> float:
        """Validation, the probe, and its gradients."""
        return self._evaluated(self.val, runs) + (1 + BACKWARD) * self._evaluated(self.probe, runs)


def workload(spec: RunSpec) -> Workload:
    """The work of a run, from its settings."""
    shape = SHAPES.get(spec.dataset.name, SHAPES["mnist"])
    options = spec.dataset.options
    most = options.get("max_examples")
    val = round(shape.train * float(options.get("val_fraction", 0.1)))
    train = _at_most(shape.train - val, options.get("train_size"), most)
    return Workload(
        products=products(spec.model, shape),
        train=train,
        val=_at_most(val, most),
        test=_at_most(shape.test, options.get("test_size"), most),
        probe=min(spec.health.probe_size, train),
        batch_size=spec.training.batch_size,
        epochs=spec.training.epochs,
    )


def products(model: Component, shape: Shape) -> int:
    """Multiplications with an addition that one example takes on its way through a network.

    >>> from actbench.schema.components import resolve
    >>> products(resolve("models", {"name": "mlp", "hidden": [256, 256]}), SHAPES["mnist"])  # 784-256-256-10
    268800
    """
    count = COUNTED.get(model.name) if model.path is None else None
    return UNKNOWN_NETWORK if count is None else count(model.options, shape)


def _mlp(options: Mapping[str, Any], shape: Shape) -> int:
    return _dense((prod(shape.image), *options["hidden"], shape.classes))


def _cnn(options: Mapping[str, Any], shape: Shape) -> int:
    """Stride 1 and same size within a block, then a pooling."""
    channels, height, width = shape.image
    found = 0
    for block in options["channels"]:
        for outputs in block:
            found += channels * outputs * options["kernel"] ** 2 * height * width
            channels = outputs
        height, width = height // options["pool_size"], width // options["pool_size"]
    return found + _dense((channels * height * width, *options["dense"], shape.classes))


COUNTED = {"mlp": _mlp, "cnn": _cnn}


def _dense(sizes: Sequence[int]) -> int:
    return sum(inputs * outputs for inputs, outputs in pairwise(sizes))


def _at_most(count: int, *limits: int | None) -> int:
    return min((count, *(limit for limit in limits if limit is not None)))
