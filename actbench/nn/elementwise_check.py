"""Whether a user's own function is an activation: elementwise, from tensor to tensor."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from actbench.errors import UsageError


def check_elementwise(function: Callable[[Tensor], Tensor], path: str) -> None:
    """Try a user's function on six numbers, before it meets a cohort in which dimension 0 is the run.

    Raises:
        UsageError: When it fails, returns another shape or type, changes its argument, or lets one element's value
            depend on another's (or on chance).
    """
    for dtype in (torch.float32, torch.float64):
        z = torch.tensor([[-2.0, -0.5, 0.0], [0.25, 1.0, 3.0]], dtype=dtype)
        _check_result(_tried(function, z, path), z, path)
    alone = torch.stack([_tried(function, element.reshape(1, 1), path)[0, 0] for element in z.flatten()])
    if not torch.allclose(alone.reshape(z.shape), _tried(function, z, path), equal_nan=True):
        raise UsageError(
            f"'{path}' is not elementwise: an element's value depends on the others beside it, or on chance"
        )


def _tried(function: Callable[[Tensor], Tensor], z: Tensor, path: str) -> Tensor:
    given = z.clone()
    try:
        result = function(given)
    except (Exception, SystemExit) as error:  # a user's code may raise anything
        raise UsageError(f"'{path}' failed on a small tensor: {type(error).__name__}: {error}") from error
    if not torch.equal(given, z):
        raise UsageError(f"'{path}' changes its argument in place; return a new tensor")
    return result


def _check_result(result: object, z: Tensor, path: str) -> None:
    if not isinstance(result, Tensor):
        raise UsageError(f"'{path}' returned {type(result).__name__} for a tensor; an activation returns a tensor")
    if result.shape != z.shape or result.dtype != z.dtype:
        raise UsageError(
            f"'{path}' returned {tuple(result.shape)} {result.dtype} for {tuple(z.shape)} {z.dtype}; "
            "an activation keeps shape and type"
        )
