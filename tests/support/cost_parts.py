"""A user's own activations that note what they were called for, with tensors of the shape that the tests measure."""

import torch
from torch import Tensor

from actbench.nn.activations import Activation

SHAPE = (1, 8, 16)
calls: list[str] = []
greeted: list[bool] = []


def first(z: Tensor) -> Tensor:
    calls.extend(["first"] * (z.shape == SHAPE))
    return 2 * z


def second(z: Tensor) -> Tensor:
    calls.extend(["second"] * (z.shape == SHAPE))
    return 3 * z


def stepped(z: Tensor) -> Tensor:
    return (z > 0).to(z.dtype)


def greets(z: Tensor) -> Tensor:
    if not greeted:
        greeted.append(True)
        print("greetings of a user")
    return 4 * z


def draws(z: Tensor, noise: Tensor | None = None) -> Tensor:
    if z.shape != SHAPE:
        return z
    if noise is None:
        calls.append(f"evaluation {'with' if torch.is_grad_enabled() else 'without'} a graph")
        return z
    inside = noise.shape == z.shape and 0 <= float(noise.min()) < float(noise.max()) < 1
    calls.append("training with noise in [0, 1)" if inside else f"training with {noise}")
    return z * noise


noisy = Activation("noisy", "cost_parts:draws", "z·noise", "noise", random=True)
