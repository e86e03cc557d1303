"""A fully connected network: flattened image -> hidden layers -> logits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

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
from actbench.schema.unit_groups import HiddenLayer, LayerWidth, Match, Network, group_of, layer_widths

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
        dropout_kind: ``standard`` zeroes outputs; ``alpha``, for selu, sets them to its lower limit and maps all so
            that mean 0 and variance 1 stay.
        match: What a layer's stated width means where the activation changes it, as a gate does: ``width``, its number
            of outputs; ``parameters``, the width of an elementwise activation with as many parameters.
    """

    cpu_cohort: ClassVar[int] = 16
    evaluation_batch: ClassVar[int] = 500
    expands: ClassVar[bool] = True

    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=MAX_UNITS)], ...], Field(strict=False)] = (256, 256)
    norm: NormName = "none"
    norm_alpha: NormAlpha = ALPHA
    batch_norm: OlderBatchNorm = False
    dropout: float = Field(default=0.0, ge=0, lt=1)
    dropout_kind: Literal["standard", "alpha"] = "standard"
    match: Match = "width"

    def stated(self, shape: tuple[int, int, int], classes: int) -> Network:
        """Return ``hidden.0``, ``hidden.1`` … with the widths that are stated; any image fits."""
        layers = [HiddenLayer(f"hidden.{index}", width) for index, width in enumerate(self.hidden)]
        return Network(prod(shape), layers, classes)

    def hidden_layers(self, shape: tuple[int, int, int], classes: int) -> dict[str, int]:
        """Return ``hidden.0``, ``hidden.1`` … with their widths; any image fits."""
        return {layer.name: layer.width for layer in self.stated(shape, classes).layers}

    def init(self, initializer: Initializer, shape: tuple[int, int, int], classes: int) -> dict[str, Tensor]:
        """Return one run's weights (out, in) and biases (out,)."""
        tensors: dict[str, Tensor] = {}
        widths = layer_widths(self.stated(shape, classes), group_of(initializer.spec.activation), self.match)
        sizes = {**widths, "output": LayerWidth(classes, classes, classes)}
        inputs = prod(shape)
        for index, (name, width) in enumerate(sizes.items()):
            tensors |= initializer.layer(name, (width.inputs, inputs), first=index == 0, output=name == "output")
            if name != "output":
                tensors |= norm_tensors(self.norm, name, width.inputs, initializer.dtype, alpha=self.norm_alpha)
            inputs = width.outputs
        return tensors

    def apply(self, params: Mapping[str, Tensor], x: Tensor, act: Activate) -> Tensor:
        """Return logits (R, B, classes) for x (R, B, C, H, W)."""
        from actbench.nn import layers

        hidden: Hidden = x.flatten(2)
        for index in range(len(self.hidden)):
            name = f"hidden.{index}"
            z = layers.linear(hidden, params[f"{name}.weight"], params.get(f"{name}.bias"), sizes=act.sizes)
            z = normalise(self.norm, z, params, name, act)
            hidden = layers.dropout(act(name, z), self.dropout, act, kind=self.dropout_kind)
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
                networks.dropout(self.dropout, self.dropout_kind),
            )
            for name in (f"hidden.{index}" for index in range(len(self.hidden)))
        ]
        parts = OrderedDict(
            flatten=nn.Flatten(), hidden=nn.Sequential(*hidden), output=networks.linear(tensors, "output")
        )
        return nn.Sequential(parts)


plugin = MLP
