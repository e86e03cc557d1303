"""Give an elementwise function a backward pass of its own: the gradient times a slope f′(z) in closed form.

Autograd takes z·g(z) apart, and far out multiplies infinity by a slope of 0, where f′ has a limit; it also keeps each
intermediate result for the backward pass. With a closed form z alone is kept, and each limit is what the form says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Elementwise = Callable[[Tensor], Tensor]


def with_slope(z: Tensor, function: Elementwise, slope: Elementwise) -> Tensor:
    """Return f(z), through which gradients flow as f′(z) says; both may be differentiated again.

    Args:
        z: Any shape.
        function: f, elementwise; autograd never sees its parts.
        slope: f′, elementwise, of the same z.
    """
    result: Tensor = _WithSlope.apply(z, function, slope)
    return result


class _WithSlope(torch.autograd.Function):
    """Compute f(z); backward and forward mode multiply by f′(z)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor, function: Elementwise, slope: Elementwise) -> Tensor:
        return function(z)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Elementwise, Elementwise], output: Tensor) -> None:
        z, _, ctx.slope = inputs
        ctx.save_for_backward(z)
        ctx.save_for_forward(z)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (z,) = ctx.saved_tensors
        return gradient * ctx.slope(z), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        (z,) = ctx.saved_tensors
        change: Tensor = tangent * ctx.slope(z)
        return change
