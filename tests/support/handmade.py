"""Hand-made networks of which it is known which units are dead, and how to read a report about them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from actbench import HealthReport

X = torch.linspace(-1, 1, 101)[:, None]
ALIVE, DEAD = 0.0, -9.0
"""Biases: with z = x + bias and x in [-1, 1] the first unit lives and the second is dead under ReLU."""


def fixed(inputs: int, *biases: float) -> nn.Linear:
    """Each unit's z is the first input plus its own bias."""
    layer = nn.Linear(inputs, len(biases))
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[:, 0] = 1
        layer.bias.copy_(torch.tensor(biases))
    return layer


class Functional(nn.Module):
    """Two hidden layers, 1 and 2 units dead, with a function called on tensors between them."""

    def __init__(self, function: Callable[[Tensor], Tensor], kind: Callable[..., nn.Module] = fixed) -> None:
        super().__init__()
        self.one, self.two, self.out = kind(1, ALIVE, DEAD), kind(2, ALIVE, DEAD, DEAD), fixed(3, 0.0)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.function(self.two(self.function(self.one(x)))))


def masks(report: HealthReport) -> dict[str, list[bool]]:
    return {layer.name: layer.dead_mask.tolist() for layer in report.layers}


def net(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers)
