"""Find tensors that share memory: views, ``.data``, and results written into an existing tensor (``out=``)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor


def version(tensor: Tensor) -> int:
    """Return how often a tensor's memory was written; 0 for one that keeps no count (in inference mode, in vmap)."""
    try:
        return tensor._version
    except (RuntimeError, NotImplementedError):
        return 0


def overlay(one: Tensor, other: Tensor) -> Literal["whole", "part"] | None:
    """Return whether two tensors share their memory: as a whole, element by element, or in part; None if they don't.

    >>> import torch
    >>> h = torch.zeros(2, 4)
    >>> overlay(h, h.data), overlay(h, h[:, :2]), overlay(h, h.clone())
    ('whole', 'part', None)
    """
    storage = memory_of(one)
    if storage is None or storage != memory_of(other):
        return None
    same = (one.storage_offset(), one.shape, one.stride(), one.dtype) == (
        other.storage_offset(), other.shape, other.stride(), other.dtype
    )  # fmt: skip
    return "whole" if same else "part"


def memory_of(tensor: Tensor) -> int | None:
    """Return the identity of a tensor's memory; None for one without a memory of its own (sparse, in vmap)."""
    try:
        identity: int = tensor.untyped_storage()._cdata
        return identity
    except (RuntimeError, NotImplementedError):
        return None
