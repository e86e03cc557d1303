"""The obviously right way to train one network: a plain ``nn.Module``, a plain loop, nothing of actbench's trainer.

It is the oracle of the cohort tests, and reads like a tutorial on purpose. It shares with actbench only the data, the
initial weights' numbers and the order of the examples, which are inputs to both.
"""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn


class PlainMLP(nn.Module):
    def __init__(
        self,
        sizes: list[int],
        activation: Callable[[], nn.Module],
        *,
        bias: bool,
        norm: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in itertools.pairwise(sizes[:-1]):
            layers.append(nn.Linear(inputs, outputs, bias=bias))
            if norm is not None:
                layers.append(norm(outputs))
            layers.append(activation())
        layers.append(nn.Linear(sizes[-2], sizes[-1], bias=bias))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class PlainCNN(nn.Module):
    """One convolution a block, max pooling of 2, one dense layer."""

    def __init__(
        self,
        channels: list[int],
        flat: int,
        dense: int,
        activation: Callable[[], nn.Module],
        *,
        norms: tuple[Callable[[int], nn.Module], Callable[[int], nn.Module]] | None = None,
    ) -> None:
        super().__init__()
        of_image, of_vector = norms or (None, None)
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(channels):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), *([of_image(outputs)] if of_image else [])]
            layers += [activation(), nn.MaxPool2d(2)]
        layers += [nn.Flatten(), nn.Linear(flat, dense), *([of_vector(dense)] if of_vector else [])]
        layers += [activation(), nn.Linear(dense, 10)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class PlainDyT(nn.Module):
    """γ·tanh(α·x) + β with one α, as its paper's listing has it; with ``erf`` and a learned shift of x, Derf.

    The units are in dimension 1.
    """

    def __init__(self, units: int, alpha: float = 0.5, *, erf: bool = False) -> None:
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(units)), nn.Parameter(torch.zeros(units))
        self.alpha = nn.Parameter(torch.full((1,), alpha))
        self.shift = nn.Parameter(torch.zeros(1)) if erf else None

    def forward(self, x: Tensor) -> Tensor:
        x = x.movedim(1, -1)
        y = torch.tanh(self.alpha * x) if self.shift is None else torch.erf(self.alpha * x + self.shift)
        return (self.gamma * y + self.beta).movedim(-1, 1)


def normalised(images: Tensor, mean: list[float], std: list[float], dtype: torch.dtype) -> Tensor:
    """uint8 (N, C, H, W) -> zero mean and unit deviation per channel."""
    x = images.to(dtype) / 255
    return (x - torch.tensor(mean, dtype=dtype).view(-1, 1, 1)) / torch.tensor(std, dtype=dtype).view(-1, 1, 1)


def train(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    labels: Tensor,
    orders: list[Tensor],
    batch_size: int,
    clip_norm: float | None = None,
) -> list[float]:
    """One epoch for each order; returns the mean loss of every epoch."""
    curve = []
    for order in orders:
        total = 0.0
        module.train()
        for index in order.split(batch_size):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(module(x[index]), labels[index])
            loss.backward()
            if clip_norm is not None:
                nn.utils.clip_grad_norm_(module.parameters(), clip_norm)
            optimizer.step()
            total += loss.item() * len(index)
        curve.append(total / len(order))
    return curve


@torch.no_grad()
def test(module: nn.Module, x: Tensor, labels: Tensor) -> tuple[float, float]:
    """Mean loss and accuracy."""
    module.eval()
    logits = module(x)
    return nn.functional.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).double().mean().item()
