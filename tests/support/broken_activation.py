"""Activations of a user's own, some of them faulty."""

import torch
from torch import Tensor


def raises_when_training(z: Tensor) -> Tensor:
    if z.shape[0] and z.requires_grad and z.ndim == 3 and z.shape[1] == 32:
        raise RuntimeError("out of order")
    return torch.relu(z)
