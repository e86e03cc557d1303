"""The time of a cohort by its settings alone, before anything like it has been measured.

The constants below fit one machine, so the seconds are not shown to users. Their ratios serve: to put cohorts in order,
and to carry a measured time over to another number of runs, epochs or units. Nothing is loaded: a dataset whose size is
not fixed counts as MNIST, and a network of the user's own as 784-256-256-10.
"""

from __future__ import annotations

from math import ceil, prod
from typing import Literal, NamedTuple

from actbench.errors import ModelError
from actbench.schema.components import Component
from actbench.schema.record import MAX_INITIAL_EXAMPLES
from actbench.schema.spec import RunSpec
from actbench.schema.unit_groups import group_of, layer_widths

PASS, RUN_PASS = 4e-5, 3.3e-5
"""Seconds of a forward pass besides its products: of a cohort, and of each of its runs.

These and ``PRODUCT`` fit MLPs of 3,400 to 930,000 products, alone and in cohorts of six and twelve, within a tenth (one
core of an AMD EPYC)."""

PRODUCT = 2.1e-11
"""Seconds of one multiplication and addition with what surrounds it."""

TRAINED = 3
"""Forward passes that cost as much as a training step: itself, and the products by the inputs and by the weights."""

EVALUATED = 1000
"""Examples that an evaluation passes on at a time."""

OWN_NETWORK = 250_000
"""Products of a network that is not known before it is built."""

Image = tuple[int, int, int]
MNIST: Image = (1, 28, 28)
CIFAR: Image = (3, 32, 32)


class Shape(NamedTuple):
    """Image (C, H, W), training examples with those for validation, test examples and classes of a dataset."""

    image: Image
    train: int
    test: int
    classes: int = 10


SHAPES = {
    "digits": Shape((1, 8, 8), 1438, 359),
    "mnist-5k": Shape(MNIST, 4000, 1000),
    "mnist": Shape(MNIST, 60000, 10000),
    "fashion_mnist": Shape(MNIST, 60000, 10000),
    "kmnist": Shape(MNIST, 60000, 10000),
    "cifar10": Shape(CIFAR, 50000, 10000),
    "cifar100": Shape(CIFAR, 50000, 10000, 100),
    "circles": Shape((2, 1, 1), 1600, 400, 2),
    "moons": Shape((2, 1, 1), 1600, 400, 2),
    "regression": Shape((1, 1, 1), 1600, 400, 1),
    "spiral": Shape((2, 1, 1), 1600, 400, 2),
    "xor": Shape((2, 1, 1), 1600, 400, 2),
}

Basis = Literal["kind", "family"]
"""Runs on which an estimate rests: of the same kind, or of the same dataset and model with other settings."""


class CohortTime(NamedTuple):
    """Seconds of a cohort: until epoch 0 is evaluated, of each epoch, and after the last one (the test set).

    The basis is None where nothing comparable was measured; the seconds then serve to weigh cohorts, not to be shown.
    """

    start: float
    epoch: float
    end: float
    epochs: int
    basis: Basis | None = None

    @property
    def total(self) -> float:
        """Seconds of the whole cohort."""
        return self.start + self.epochs * self.epoch + self.end


def time_by_settings(spec: RunSpec, runs: int) -> CohortTime:
    """Return the time of so many runs like this one, trained together."""
    shape = SHAPES.get(spec.dataset.name, SHAPES["mnist"])
    options, training = spec.dataset.options, spec.training
    if (made := options.get("examples")) and spec.dataset.name in SHAPES:  # a toy set, a fifth of which is for testing
        shape = shape._replace(train=made - made // 5, test=made // 5)
    limits = ("max_examples", "train_size", "test_size")
    most, train_size, test_size = (options.get(key) or shape.train for key in limits)  # None, the default, is no limit
    val = round(shape.train * float(options.get("val_fraction", 0.1)))
    train = min(shape.train - val, train_size, most)
    each = products(spec.model, shape, spec.activation)

    trained = train - train % training.batch_size if training.drop_last else train

    def forward(examples: int, batch_size: int = EVALUATED) -> float:
        return ceil(examples / batch_size) * (PASS + runs * RUN_PASS) + examples * runs * each * PRODUCT

    # After every epoch: the validation set, and the probe set with its gradients, on which health is measured.
    closing = forward(min(val, most)) + TRAINED * forward(min(spec.health.probe_size, train))
    return CohortTime(
        start=forward(min(train, MAX_INITIAL_EXAMPLES)) + closing,
        epoch=TRAINED * forward(trained, training.batch_size) + closing,
        end=forward(min(shape.test, test_size, most)),
        epochs=training.epochs,
    )


def products(model: Component, shape: Shape, activation: Component | None = None) -> int:
    """Return the multiplications with an addition that one example takes on its way through a network.

    Args:
        model: The network.
        shape: That of the data.
        activation: Its activation, which may change the widths of layers; None for an elementwise one.

    >>> from actbench.schema.components import resolve
    >>> products(resolve("models", {"name": "mlp", "hidden": [256, 256]}), SHAPES["mnist"])  # 784-256-256-10
    268800
    """
    channels, height, width = shape.image
    options, convolved = model.options, 0
    if model.path is not None or model.name not in ("mlp", "cnn"):
        return OWN_NETWORK
    widths = iter(_widths(model, shape, activation))
    if model.name == "mlp":
        sizes, before = [*options["hidden"], shape.classes], prod(shape.image)
    else:
        for block in options["channels"]:  # stride 1 and same size within a block, then a pooling
            for outputs in block:
                inputs, passed = next(widths, (outputs, outputs))
                convolved += channels * inputs * options["kernel"] ** 2 * height * width
                channels = passed
            height, width = height // options["pool_size"], width // options["pool_size"]
        sizes, before = [*options["dense"], shape.classes], channels * height * width
    dense = 0
    for outputs in sizes:
        inputs, passed = next(widths, (outputs, outputs))
        dense += before * inputs
        before = passed
    return int(convolved + dense)


def _widths(model: Component, shape: Shape, activation: Component | None) -> list[tuple[int, int]]:
    """Return pre-activations and outputs of each hidden layer where the activation changes them; else nothing."""
    if activation is None or (group := group_of(activation)).is_elementwise:
        return []
    try:
        found = layer_widths(model.build().stated(shape.image, shape.classes), group, model.options["match"])
    except ModelError:  # the run itself will say so
        return []
    return [(width.inputs, width.outputs) for width in found.values()]
