"""One run's network as plain torch modules: what a model's ``network`` is built of."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from actbench.nn import chosen_activations, layers
from actbench.nn.layers import EPSILON, MOMENTUM
from actbench.nn.unit_axes.layout import UnitLayout
from actbench.schema.components import Component
from actbench.schema.unit_groups import group_of

Tensors = Mapping[str, Tensor]
"""One run's tensors by the names that its model's ``init`` gave them, without a run axis."""


class ActivationOf(Protocol):
    """Makes the activations of a network."""

    def __call__(self, layer: str, calls: Mapping[str, UnitLayout | None] | None = None) -> nn.Module:
        """Return the activation of a hidden layer.

        Args:
            layer: Its name.
            calls: The layers that its calls in one pass stand for, in their order, and where the units of each lie;
                None for a single call with the units in dimension 1.
        """
        ...


class TrainedActivation(nn.Module):
    """f(z) of one run for z of any shape, examples first, with its learned parameters.

    Elementwise, unless the activation changes the width: then the pre-activations lie in dimension 1.

    Args:
        component: The activation.
        learned: For each call in a forward pass: option -> its value (), or one for each unit (U,). None where nothing
            is learned, however often it is called.
        layouts: For each call, where the units lie in z; None for dimension 1.
    """

    def __init__(
        self,
        component: Component,
        learned: Sequence[Tensors] = (),
        layouts: Sequence[UnitLayout | None] = (),
    ) -> None:
        super().__init__()
        self.component = component
        self.group = group_of(component)
        self.calls = 0
        self._function = chosen_activations.function_of(component, axis=1)
        self._random = chosen_activations.row_of(component).random
        self._layouts = tuple(layouts)
        self._names: list[dict[str, str]] = []
        for call, values in enumerate(learned):
            names = {option: option if call == 0 else f"{option}_{call + 1}" for option in values}
            self._names.append(names)
            for option, name in names.items():
                self.register_parameter(name, nn.Parameter(values[option]))
        # Counted by a hook rather than in ``forward``, which ``measure_health`` calls besides for the slope.
        self.register_forward_pre_hook(_count)

    def forward(self, z: Tensor) -> Tensor:
        """Return f(z), like z."""
        arguments: dict[str, Any] = {}
        if self._names:
            call = max(self.calls - 1, 0) % len(self._names)
            layout = self._layouts[call] if call < len(self._layouts) else None
            arguments = {
                option: _spread(getattr(self, name), z, layout).to(z.dtype)
                for option, name in self._names[call].items()
            }
        if self._random and self.training:
            arguments["noise"] = torch.rand_like(z)
        return self._function(z, **arguments)

    def extra_repr(self) -> str:
        """Return the activation's label, for the printed module."""
        return self.component.label


def reset_calls(module: nn.Module) -> None:
    """Let every forward pass of a module count the calls of its activations anew."""
    found = [layer for layer in module.modules() if isinstance(layer, TrainedActivation)]

    def reset(*_: Any) -> None:
        for layer in found:
            layer.calls = 0

    module.register_forward_pre_hook(reset)


def linear(tensors: Tensors, name: str) -> nn.Linear:
    """Return a dense layer with the weight (out, in) of that name, and its bias if it has one."""
    weight, bias = tensors[f"{name}.weight"], tensors.get(f"{name}.bias")
    layer = _unfilled(nn.Linear, weight.shape[1], weight.shape[0], bias=bias is not None, dtype=weight.dtype)
    return cast(nn.Linear, _filled(layer, weight, bias))


def convolution(tensors: Tensors, name: str) -> nn.Conv2d:
    """Return a convolution of stride 1 that keeps the image's size, with the kernels (out, in, K, K) of that name."""
    weight, bias = tensors[f"{name}.weight"], tensors.get(f"{name}.bias")
    out, channels, kernel, _ = weight.shape
    padding = kernel // 2
    layer = _unfilled(nn.Conv2d, channels, out, kernel, padding=padding, bias=bias is not None, dtype=weight.dtype)
    return cast(nn.Conv2d, _filled(layer, weight, bias))


def dropout(rate: float, kind: str) -> nn.Module | None:
    """Return the dropout behind a hidden layer, as ``layers.dropout`` has it; None where its rate is 0."""
    if not rate:
        return None
    return nn.AlphaDropout(rate) if kind == "alpha" else nn.Dropout(rate)


def hidden_layer(
    weights: nn.Module, norm: nn.Module | None, activation: nn.Module, dropout: nn.Module | None = None
) -> nn.Sequential:
    """Return a hidden layer: its weights, normalisation if it has one, activation, dropout if asked."""
    parts: OrderedDict[str, nn.Module] = OrderedDict(weights=weights)
    if norm is not None:
        parts["norm"] = norm
    parts["activation"] = activation
    if dropout is not None:
        parts["dropout"] = dropout
    return nn.Sequential(parts)


def batch_norm(values: Tensors, *, images: bool) -> nn.Module:
    """Return a batch normalisation with these parameters and running statistics."""
    kind = nn.BatchNorm2d if images else nn.BatchNorm1d
    layer = kind(len(values["weight"]), eps=EPSILON, momentum=MOMENTUM, dtype=values["weight"].dtype)
    # Statistics as they are made, mean 0 and variance 1, stand for no data: torch tells that by the count of batches.
    is_fresh = not values["running_mean"].any() and bool((values["running_var"] == 1).all())
    layer.load_state_dict({**values, "num_batches_tracked": torch.tensor(0 if is_fresh else 1)})
    return layer


def layer_norm(values: Tensors, *, images: bool) -> nn.Module:
    """Return a layer normalisation with these parameters; for images a group normalisation with one group."""
    units, dtype = len(values["weight"]), values["weight"].dtype
    layer: nn.Module = nn.LayerNorm(units, eps=EPSILON, dtype=dtype)
    if images:
        layer = nn.GroupNorm(1, units, eps=EPSILON, dtype=dtype)
    layer.load_state_dict(dict(values))
    return layer


class DynamicTanh(nn.Module):
    """γ·tanh(α·z) + β, for z (B, U) or (B, C, H, W): DyT in the place of a normalisation.

    Args:
        weight: γ (U,).
        bias: β (U,).
        alpha: ().
    """

    def __init__(self, weight: Tensor, bias: Tensor, alpha: Tensor) -> None:
        super().__init__()
        self.weight, self.bias, self.alpha = (nn.Parameter(value) for value in (weight, bias, alpha))

    def forward(self, z: Tensor) -> Tensor:
        """Return a tensor like z."""
        return layers.dyt(z, self.weight, self.bias, self.alpha.unsqueeze(0))


class DynamicErf(nn.Module):
    """γ·erf(α·z + s) + β, for z (B, U) or (B, C, H, W): Derf in the place of a normalisation.

    Args:
        weight: γ (U,).
        bias: β (U,).
        alpha: ().
        offset: s ().
    """

    def __init__(self, weight: Tensor, bias: Tensor, alpha: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.weight, self.bias, self.alpha, self.offset = map(nn.Parameter, (weight, bias, alpha, offset))

    def forward(self, z: Tensor) -> Tensor:
        """Return a tensor like z."""
        return layers.derf(z, self.weight, self.bias, self.alpha.unsqueeze(0), self.offset.unsqueeze(0))


ELEMENTWISE_NORMS = (DynamicTanh, DynamicErf)
"""Bounded functions that stand in the place of a normalisation, and are no activations of units."""


def elementwise_norm(values: Tensors, *, images: bool) -> nn.Module:
    """Return DyT or, where it has an offset, Derf with these parameters; the same for images."""
    return DynamicErf(**values) if "offset" in values else DynamicTanh(**values)


def _unfilled(kind: Any, *sizes: int, **options: Any) -> Any:
    """Make a layer without drawing its first weights, which would move the caller's random numbers."""
    return skip_init(kind, *sizes, **options)  # type: ignore[no-untyped-call]


def _filled(layer: Any, weight: Tensor, bias: Tensor | None) -> Any:
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias)
    return layer


def _spread(value: Tensor, z: Tensor, layout: UnitLayout | None) -> Tensor:
    """Return a parameter () or (U,), shaped to broadcast over z."""
    if not value.ndim:
        return value
    if layout is not None and not layout.is_second:
        return layout.spread(value, z.shape)
    return value.view(1, -1, *(1 for _ in z.shape[2:]))


def _count(layer: nn.Module, _: Any) -> None:
    assert isinstance(layer, TrainedActivation)
    layer.calls += 1
