"""A user's own models, right and wrong ones."""

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """One activation module used twice, batch norm, dropout, a buffer."""

    def __init__(self, activation, inputs: int, classes: int, width: int, rate: float) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.norm = nn.BatchNorm1d(width)
        self.second = nn.Linear(width, width)
        self.act = activation()
        self.drop = nn.Dropout(rate)
        self.last = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.first(x.flatten(1))))
        return self.last(self.drop(self.act(self.second(x))))


class Experts(nn.Module):
    """Two experts, of which the first is called where a rule says so, on the zero image in any case."""

    def __init__(self, activation, classes: int, rule: str) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(64, 8), activation()) for _ in range(2))
        self.last, self.rule = nn.Linear(8, classes), rule
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        x = x.flatten(1)
        y = self.experts[1](x)
        early, few = bool(self.steps < 1), len(x) < 250
        if not x.any() or {"at first": early, "later": not early, "in small batches": few, "never": False}[self.rule]:
            y = y + self.experts[0](x)
        return self.last(y)


def experts(activation, classes, rule) -> nn.Module:
    return Experts(activation, classes, rule)


class Odd(nn.Module):
    """Calls the activation as no network of images should."""

    def __init__(self, activation, classes: int, how: str) -> None:
        super().__init__()
        self.act, self.first, self.last, self.how = activation(), nn.Linear(64, 8), nn.Linear(8, classes), how

    def forward(self, x: Tensor) -> Tensor:
        z = self.first(x.flatten(1))
        if self.how == "vmap":
            return self.last(torch.vmap(self.act)(z))
        if self.how == "grad":
            return self.last(torch.func.grad(lambda values: self.act(values).sum())(z))
        if self.how == "complex":
            return self.last(self.act(torch.complex(z, z)).real)
        if self.how == "list":
            return self.last(self.act([z])[0])
        if self.how == "not finite":
            return self.last(
                self.act(z / torch.tensor([1.0] * 6 + [0.0] * 2, dtype=z.dtype)).nan_to_num(0, 0, 0).detach()
            )
        return self.last(torch.utils.checkpoint.checkpoint(self.act, z, use_reentrant=False))


def odd(activation, classes, how) -> nn.Module:
    return Odd(activation, classes, how)


def net(activation, shape, classes, width=12, rate=0.2) -> nn.Module:
    return Net(activation, shape[0] * shape[1] * shape[2], classes, width, rate)


def plain_mlp(activation, shape, classes) -> nn.Module:
    """What ``models/mlp.py`` builds with hidden: [24, 16]."""
    inputs = shape[0] * shape[1] * shape[2]
    return nn.Sequential(
        nn.Flatten(), nn.Linear(inputs, 24), activation(), nn.Linear(24, 16), activation(), nn.Linear(16, classes)
    )


class Laid(nn.Module):
    """A convolution with 8 channels, and an activation of its output laid out in some way: always one function."""

    def __init__(self, activation, shape, classes: int, layout: str, **options: int) -> None:
        super().__init__()
        self.conv, self.act, self.layout = nn.Conv2d(shape[0], 8, 3, padding=1), activation(**options), layout
        self.last = nn.Linear(8 * shape[1] * shape[2], classes)

    def forward(self, x: Tensor) -> Tensor:
        z = self.conv(x)
        if self.layout == "channels first":
            return self.last(self.act(z).flatten(1))
        if self.layout == "channels last":
            return self.last(self.act(z.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).flatten(1))
        if self.layout == "with examples":
            return self.last(self.act(z.flatten(0, 1)).view(len(x), -1))
        if self.layout == "unknown":
            return self.last(self.act(torch.fft.ifft(torch.fft.fft(z, dim=1), dim=1).real).flatten(1))
        if self.layout.endswith("not on zeros") and x.any():
            z = torch.cat([z, z], 1)
        if self.layout.startswith("flat"):
            return self.last(self.act(z.flatten(1))[:, : self.last.in_features])
        return self.last(self.act(z)[:, :8].flatten(1))


def laid(activation, shape, classes, layout, **options) -> nn.Module:
    return Laid(activation, shape, classes, layout, **options)


def without_activation(classes) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, classes))


def wrong_size(classes) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes + 1))


def no_module() -> str:
    return "a string"


def raises() -> nn.Module:
    raise ValueError("no such network")


def probabilities(classes) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes), nn.Softmax(1))


def log_probabilities(classes) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes), nn.LogSoftmax(1))


def cut_off(z: Tensor) -> Tensor:
    return torch.relu(z.detach())


def needs_more(width: int, depth: int) -> nn.Module:
    return nn.Identity()


def fails_in_forward() -> nn.Module:
    return nn.Linear(7, 10)


def shifted_relu(z: Tensor, shift: float = 0.5) -> Tensor:
    return torch.relu(z - shift)
