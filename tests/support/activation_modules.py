"""Activations that are modules: a user's own, right and wrong ones."""

import torch
from torch import Tensor, nn


class Swish(nn.Module):
    """As the built-in swish, with a number that is learned, one that is not, and a buffer."""

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(beta))
        self.one = nn.Parameter(torch.ones(()), requires_grad=False)
        self.register_buffer("zero", torch.zeros(3)[:1])

    def forward(self, z: Tensor) -> Tensor:
        return self.one * z * torch.sigmoid(self.beta * z) + self.zero


class FirstRunOnly(Swish):
    """Uses the first of all parameters that it is given."""

    def forward(self, z: Tensor) -> Tensor:
        return z * torch.sigmoid(self.beta.flatten()[0] * z)


class Wide(nn.Module):
    """Learns as many numbers as a layer has units, of one size."""

    def __init__(self) -> None:
        super().__init__()
        self.slopes = nn.Parameter(torch.ones(64))

    def forward(self, z: Tensor) -> Tensor:
        return self.slopes * z


class Drawn(nn.Module):
    """Starts at a number that is drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.rand(()))

    def forward(self, z: Tensor) -> Tensor:
        return torch.where(z > 0, z, self.slope * z)


class Noisy(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return nn.functional.dropout(z, training=self.training)


made = Swish(0.5)
