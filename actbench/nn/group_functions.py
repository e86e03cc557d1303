"""The activations that make a unit's output of several pre-activations, or several outputs of one.

The pre-activations of a layer lie in blocks along one dimension, ``axis``: those of unit u are numbers u, u + U,
u + 2U … (``schema.unit_groups``). Of a gate's two blocks the first is the value and the second the gate, as in
``torch.nn.functional.glu``. Imported only when one of them is used: configs are checked without torch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from actbench.nn.parts import split_runs


def glu(z: Tensor, *, axis: int) -> Tensor:
    """Gated linear unit: v·σ(g) for the halves v, g of z; ∂/∂v = σ(g), ∂/∂g = v·σ(g)·(1 − σ(g)).

    Args:
        z: Pre-activations, an even number of them along ``axis``.
        axis: Their dimension.

    Reference:
        Dauphin, Fan, Auli, Grangier 2016, arXiv:1612.08083.

    >>> glu(torch.tensor([3.0, 0.0]), axis=0)
    tensor([1.5000])
    """
    return functional.glu(z, axis)


def bilinear(z: Tensor, *, axis: int) -> Tensor:
    """Bilinear unit: v·g for the halves v, g of z (arguments as for ``glu``).

    Reference:
        Shazeer 2020, arXiv:2002.05202.
    """
    value, gate = z.chunk(2, axis)
    return value * gate


def reglu(z: Tensor, *, axis: int) -> Tensor:
    """Multiply by a ReLU: v·max(0, g) for the halves v, g of z (arguments as for ``glu``).

    Reference:
        Shazeer 2020, arXiv:2002.05202.
    """
    value, gate = z.chunk(2, axis)
    return value * torch.relu(gate)


def geglu(z: Tensor, *, axis: int) -> Tensor:
    """Multiply by an exact GELU: v·g·Φ(g) for the halves v, g of z (arguments as for ``glu``).

    Reference:
        Shazeer 2020, arXiv:2002.05202.
    """
    value, gate = z.chunk(2, axis)
    return value * functional.gelu(gate)


def swiglu(z: Tensor, *, axis: int) -> Tensor:
    """Multiply by a SiLU: v·g·σ(g) for the halves v, g of z (arguments as for ``glu``).

    Reference:
        Shazeer 2020, arXiv:2002.05202.

    >>> swiglu(torch.tensor([3.0, 30.0]), axis=0)
    tensor([90.])
    """
    value, gate = z.chunk(2, axis)
    return value * functional.silu(gate)


def crelu(z: Tensor, *, axis: int) -> Tensor:
    """Concatenated ReLU: max(0, z) for all pre-activations, then max(0, −z) for all (arguments as for ``glu``).

    Reference:
        Shang, Sohn, Almeida, Lee 2016, arXiv:1603.05201.

    >>> crelu(torch.tensor([3.0, -1.0]), axis=0)
    tensor([3., 0., 0., 1.])
    """
    both = torch.relu(z), torch.relu(-z)
    if z.ndim == 5 and axis == 2:
        # Images of runs (R, B, C, H, W): ``cat`` keeps channels-last for four dimensions alone.
        return split_runs(torch.cat([part.flatten(0, 1) for part in both], 1), z.shape[1])
    return torch.cat(both, axis)


def maxout(z: Tensor, *, axis: int, pieces: int) -> Tensor:
    """Take the largest of each unit's pieces; a tie's gradient is shared evenly.

    Args:
        z: Pre-activations, a multiple of ``pieces`` along ``axis``.
        axis: Their dimension.
        pieces: Pre-activations of a unit.

    Reference:
        Goodfellow, Warde-Farley, Mirza, Courville, Bengio 2013, arXiv:1302.4389.

    >>> maxout(torch.tensor([3.0, -1.0, 2.0, 5.0]), axis=0, pieces=2)
    tensor([3., 5.])
    """
    axis %= z.ndim
    return torch.unflatten(z, axis, (pieces, -1)).amax(axis)
