"""A fully connected network: flattened image -> hidden layers -> logits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from actbench.nn.norms import (
    ALPHA,
    Normalised,
    NormAlpha,
    NormName,
    OlderBatchNorm,
    norm_module,
    norm_tensors,
    normalise,
)
from actbench.schema.components import MAX_UNITS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from actbench.nn.initializers import Initializer
    from actbench.nn.layers import Activate
    from actbench.nn.networks import ActivationOf
    from actbench.nn.parts import Hidden


class MLP(Normalised):
    """Linear, normalisation (if asked), activation, dropout (if asked), once for each hidden layer; then linear.

    Attributes:
        hidden: Units of each hidden layer; empty for a linear classifier.
        dropout: Share of hidden outputs zeroed while training.
    """

    cpu_cohort: ClassVar[int] = 16
    evaluation_batch: ClassVar[int] = 500

    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=MAX_UNITS)], ...], Field(strict=False)] = (256, 256)
    norm: NormName = "none"
    norm_alpha: NormAlpha = ALPHA
    batch_norm: OlderBatchNorm = False
    dropout: float = Field(default=0.0, ge=0, lt=1)

    def hidden_layers(self, shape: tuple[int, int, int], classes: int) -> dict[str, int]:
        """Return ``hidden.0``, ``hidden.1`` … with their widths; any image fits."""
        return {f"hidden.{index}": units for index, units in enumerate(self.hidden)}

    def init(self, initializer: Initializer, shape: tuple[int, int, int], classes: int) -> dict[str, Tensor]:
        """Return one run's weights (out, in) and biases (out,)."""
        tensors: dict[str, Tensor] = {}
        sizes = {**self.hidden_layers(shape, classes), "output": classes}
        inputs = prod(shape)
        for index, (name, units) in enumerate(sizes.items()):
            tensors |= initializer.layer(name, (units, inputs), first=index == 0, output=name == "output")
            if name != "output":
                tensors |= norm_tensors(self.norm, name, units, initializer.dtype, alpha=self.norm_alpha)
            inputs = units
        return tensors

    def apply(self, params: Mapping[str, Tensor], x: Tensor, act: Activate) -> Tensor:
        """Return logits (R, B, classes) for x (R, B, C, H, W)."""
        from actbench.nn import layers

        hidden: Hidden = x.flatten(2)
        for index in range(len(self.hidden)):
            name = f"hidden.{index}"
            z = layers.linear(hidden, params[f"{name}.weight"], params.get(f"{name}.bias"), sizes=act.sizes)
            z = normalise(self.norm, z, params, name, act)
            hidden = layers.dropout(act(name, z), self.dropout, act)
        return layers.linear(hidden, params["output.weight"], params.get("output.bias"))

    def network(
        self, tensors: Mapping[str, Tensor], activation: ActivationOf, shape: tuple[int, int, int], classes: int
    ) -> nn.Module:
        """Return one run's network: flatten, hidden layers, output."""
        from torch import nn

        from actbench.nn import networks

        hidden = [
            networks.hidden_layer(
                networks.linear(tensors, name),
                norm_module(self.norm, tensors, name, images=False),
                activation(name),
                dropout=self.dropout,
            )
            for name in (f"hidden.{index}" for index in range(len(self.hidden)))
        ]
        parts = OrderedDict(
            flatten=nn.Flatten(), hidden=nn.Sequential(*hidden), output=networks.linear(tensors, "output")
        )
        return nn.Sequential(parts)


plugin = MLP
