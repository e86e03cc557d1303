"""What is trained by actbench and by every peer: data, network, optimizer, batch size and the list of runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

ACTIVATIONS = ("relu", "leaky_relu", "elu", "selu", "silu", "gelu")
"""As torch and JAX name them; leaky slope 0.01, ELU with alpha 1, the exact GELU."""

BIASES = (0.0, 0.01)
CELLS = len(ACTIVATIONS) * len(BIASES)


@dataclass(frozen=True)
class Run:
    """One network to train: what differs within the sweep."""

    activation: str
    bias: float
    seed: int

    @property
    def label(self) -> str:
        """The run's name in every program's output."""
        return f"{self.activation}, bias {self.bias:g}, seed {self.seed}"


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Args:
        runs: What actbench trains at a time.
        peer_runs: What each process of a peer trains at a time; its time is divided by it.
        epochs: Passes over the training examples, the same for all.
        rounds: How often each peer is measured.
        together: Peers measured between two measurements of actbench.
        margin: Largest difference in mean test accuracy over the runs that both have trained; a share. It must hold
            the spread of a mean of few runs, whose random numbers differ from library to library.
    """

    runs: int
    peer_runs: int
    epochs: int
    rounds: int
    together: int
    margin: float


@dataclass(frozen=True)
class Workload:
    """One training task.

    Args:
        name: Its name on the command line.
        dataset: ``mnist`` or ``cifar10``.
        shape: (C, H, W) of an image.
        blocks: Output channels of the 3×3 convolutions, block by block; 2×2 max pooling ends a block.
        dense: Units of the hidden dense layers.
        examples: Training examples an epoch: what actbench trains on after a tenth is set aside for validation.
        learning_rate: Of SGD with ``momentum``, constant, without weight decay.
        mean: Of each channel, where 255 counts as 1.
        std: The standard deviation likewise.
        sizes: ``full`` and ``quick``.
    """

    name: str
    dataset: str
    shape: tuple[int, int, int]
    blocks: tuple[tuple[int, ...], ...]
    dense: tuple[int, ...]
    examples: int
    learning_rate: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sizes: Mapping[str, Size]
    momentum: float = 0.9
    batch_size: int = 128
    classes: int = 10

    @property
    def flat(self) -> int:
        """Numbers that reach the first dense layer."""
        shrunk = 2 ** len(self.blocks)
        channels, height, width = self.shape
        return prod((self.blocks[-1][-1] if self.blocks else channels, height // shrunk, width // shrunk))


MNIST_MLP = Workload(
    name="mnist_mlp",
    dataset="mnist",
    shape=(1, 28, 28),
    blocks=(),
    dense=(256, 256),
    examples=54_000,
    learning_rate=0.05,
    mean=(0.1307,),
    std=(0.3081,),
    sizes={
        "full": Size(runs=24, peer_runs=1, epochs=5, rounds=5, together=4, margin=0.01),
        "quick": Size(runs=6, peer_runs=1, epochs=1, rounds=3, together=4, margin=0.015),
    },
)

CIFAR10_CNN = Workload(
    name="cifar10_cnn",
    dataset="cifar10",
    shape=(3, 32, 32),
    blocks=((32, 32), (64, 64)),
    dense=(128,),
    examples=45_000,
    learning_rate=0.01,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    sizes={
        "full": Size(runs=2, peer_runs=1, epochs=1, rounds=3, together=4, margin=0.06),
        "quick": Size(runs=2, peer_runs=1, epochs=1, rounds=1, together=8, margin=0.1),
    },
)

WORKLOADS = {workload.name: workload for workload in (MNIST_MLP, CIFAR10_CNN)}


def sweep(count: int, *, first: int = 0, seed: int = 0) -> tuple[Run, ...]:
    """Runs ``first`` to ``first + count`` of the endless list: seeds outermost, then biases, activations fastest.

    >>> [run.label for run in sweep(2, first=5)]
    ['gelu, bias 0, seed 0', 'relu, bias 0.01, seed 0']
    """
    cells = list(product(BIASES, ACTIVATIONS))
    found = []
    for index in range(first, first + count):
        bias, activation = cells[index % CELLS]
        found.append(Run(activation, bias, seed + index // CELLS))
    return tuple(found)
