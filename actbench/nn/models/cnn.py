"""A small convolutional network: blocks of convolutions with pooling between them, dense layers, logits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator

from actbench.errors import ModelError
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

Width = Annotated[int, Field(ge=1, le=MAX_UNITS)]
Convolutions = Annotated[tuple[Width, ...], Field(strict=False, min_length=1)]


def _a_number_is_a_block_of_one(value: object) -> object:
    return (value,) if isinstance(value, int) else value


Block = Annotated[
    Convolutions,
    BeforeValidator(_a_number_is_a_block_of_one, json_schema_input_type=Width | Convolutions),
]


class CNN(Normalised):
    """Per block: convolutions (stride 1, same size) with activations, then a pooling that halves the image.

    Attributes:
        channels: One entry a block: its convolutions' output channels. A number stands for one convolution.
        kernel: Side of every kernel, odd.
        pool: How a block ends.
        pool_size: Side of the pooling's window.
        dense: Units of the fully connected layers before the logits.
        dropout: Share of the dense layers' outputs zeroed while training.
        dropout_kind: ``standard`` zeroes outputs; ``alpha``, for selu, sets them to its lower limit and maps all so
            that mean 0 and variance 1 stay.
        match: What a stated width means where the activation changes it, as a gate does: ``width``, the number of
            output channels or units; ``parameters``, the width of an elementwise activation with as many parameters.
    """

    cpu_cohort: ClassVar[int] = 1
    evaluation_batch: ClassVar[int] = 250
    expands: ClassVar[bool] = True

    channels: Annotated[tuple[Block, ...], Field(strict=False, min_length=1)] = ((32, 32), (64, 64))
    kernel: int = Field(default=3, ge=1)
    pool: Literal["max", "avg"] = "max"
    pool_size: int = Field(default=2, ge=1)
    dense: Annotated[tuple[Width, ...], Field(strict=False)] = (128,)
    norm: NormName = "none"
    norm_alpha: NormAlpha = ALPHA
    batch_norm: OlderBatchNorm = False
    dropout: float = Field(default=0.0, ge=0, lt=1)
    dropout_kind: Literal["standard", "alpha"] = "standard"
    match: Match = "width"

    @field_validator("kernel")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"'kernel' should be odd, so that the image keeps its size, not {value}")
        return value

    def stated(self, shape: tuple[int, int, int], classes: int) -> Network:
        """Return ``conv.0.0`` (block, convolution) … and ``dense.0`` … with the widths that are stated.

        Raises:
            ModelError: When the poolings leave nothing of the image, or a kernel reaches beyond it on every side.
        """
        pixels = self._last_pixels(shape)
        convolutions = [
            HiddenLayer(f"conv.{block}.{index}", channels, self.kernel**2)
            for block, row in enumerate(self.channels)
            for index, channels in enumerate(row)
        ]
        dense = [
            HiddenLayer(f"dense.{index}", units, pixels if index == 0 else 1) for index, units in enumerate(self.dense)
        ]
        return Network(shape[0], [*convolutions, *dense], classes, 1 if self.dense else pixels)

    def hidden_layers(self, shape: tuple[int, int, int], classes: int) -> dict[str, int]:
        """Return ``conv.0.0`` (block, convolution) … with their channels, then ``dense.0`` … with their units.

        Raises:
            ModelError: When the poolings leave nothing of the image, or a kernel reaches beyond it on every side.
        """
        return {layer.name: layer.width for layer in self.stated(shape, classes).layers}

    def init(self, initializer: Initializer, shape: tuple[int, int, int], classes: int) -> dict[str, Tensor]:
        """Return one run's kernels (out, in, K, K), weights (out, in) and biases (out,)."""
        tensors: dict[str, Tensor] = {}
        inputs, first = shape[0], True
        widths = layer_widths(self.stated(shape, classes), group_of(initializer.spec.activation), self.match)
        for name, width in {**widths, "output": LayerWidth(classes, classes, classes)}.items():
            if name == ("dense.0" if self.dense else "output"):
                inputs *= self._last_pixels(shape)
            kernel = (self.kernel, self.kernel) if name.startswith("conv") else ()
            tensors |= initializer.layer(name, (width.inputs, inputs, *kernel), first=first, output=name == "output")
            if name != "output":
                tensors |= norm_tensors(self.norm, name, width.inputs, initializer.dtype, alpha=self.norm_alpha)
            inputs, first = width.outputs, False
        return tensors

    def apply(self, params: Mapping[str, Tensor], x: Tensor, act: Activate) -> Tensor:
        """Return logits (R, B, classes) for x (R, B, C, H, W)."""
        from actbench.nn import layers
        from actbench.nn.parts import whole

        pool = layers.max_pool2d if self.pool == "max" else layers.avg_pool2d
        for block, row in enumerate(self.channels):
            for index in range(len(row)):
                name = f"conv.{block}.{index}"
                weight, bias = params[f"{name}.weight"], params.get(f"{name}.bias")
                z = layers.conv2d(x, weight, bias, padding=self.kernel // 2, channels_last=not act.as_script)
                x = whole(self._activate(params, name, z, act))
            x = pool(x, self.pool_size)
        hidden: Hidden = x.flatten(2)
        for index in range(len(self.dense)):
            name = f"dense.{index}"
            pre = layers.linear(hidden, params[f"{name}.weight"], params.get(f"{name}.bias"), sizes=act.sizes)
            hidden = layers.dropout(self._activate(params, name, pre, act), self.dropout, act, kind=self.dropout_kind)
        return layers.linear(hidden, params["output.weight"], params.get("output.bias"))

    def network(
        self, tensors: Mapping[str, Tensor], activation: ActivationOf, shape: tuple[int, int, int], classes: int
    ) -> nn.Module:
        """Return one run's network: blocks of convolutions with a pooling each, dense layers, output."""
        from torch import nn

        from actbench.nn import networks

        pool = nn.MaxPool2d if self.pool == "max" else nn.AvgPool2d
        blocks = [
            nn.Sequential(
                *(
                    networks.hidden_layer(
                        networks.convolution(tensors, name),
                        norm_module(self.norm, tensors, name, images=True),
                        activation(name),
                    )
                    for name in (f"conv.{block}.{index}" for index in range(len(row)))
                ),
                pool(self.pool_size),
            )
            for block, row in enumerate(self.channels)
        ]
        dense = [
            networks.hidden_layer(
                networks.linear(tensors, name),
                norm_module(self.norm, tensors, name, images=False),
                activation(name),
                networks.dropout(self.dropout, self.dropout_kind),
            )
            for name in (f"dense.{index}" for index in range(len(self.dense)))
        ]
        parts = OrderedDict(
            conv=nn.Sequential(*blocks),
            flatten=nn.Flatten(),
            dense=nn.Sequential(*dense),
            output=networks.linear(tensors, "output"),
        )
        return nn.Sequential(parts)

    def _activate(self, params: Mapping[str, Tensor], name: str, z: Hidden, act: Activate) -> Hidden:
        return act(name, normalise(self.norm, z, params, name, act))

    def _last_pixels(self, shape: tuple[int, int, int]) -> int:
        """Return the pixels of each channel that the last block passes on, for one image."""
        side = max(shape[1:])
        # Weights beyond meet padding alone, and their memory grows with the square: gigabytes for a kernel of 1001.
        if self.kernel > 2 * side + 1:
            raise ModelError(
                f"cnn: a kernel of {self.kernel} reaches {self.kernel // 2} pixels to each side of a "
                f"{shape[1]}×{shape[2]} image; at most {2 * side + 1} is of use"
            )
        shrunk: int = self.pool_size ** len(self.channels)
        height, width = shape[1] // shrunk, shape[2] // shrunk
        if height < 1 or width < 1:
            raise ModelError(
                f"cnn: {len(self.channels)} blocks with pool_size {self.pool_size} leave nothing of a "
                f"{shape[1]}×{shape[2]} image; use fewer blocks or a smaller pool_size"
            )
        return height * width


plugin = CNN
