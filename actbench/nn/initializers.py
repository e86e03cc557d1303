"""WEIGHT_INITS, one row a scheme, and the ``Initializer`` that draws one run's weights and biases.

Every draw is made in float64 from a stream of its own purpose and cast afterwards. So runs with equal seeds share the
underlying normals across schemes, precisions and bias settings, and their differences are paired.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from actbench.errors import UsageError
from actbench.schema.components import Component, Options
from actbench.schema.spec import canonical_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from actbench.schema.spec import RunSpec

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """Describe a layer to a scheme.

    Args:
        shape: (out, in), or (out, in, height, width) of a convolution.
        activation: The activation before the layer; None where the layer sees the data.
        data_moment: E[x²] of the data's numbers x; 1 when they are standardised.
    """

    shape: Shape
    activation: Component | None
    data_moment: float = 1.0

    @property
    def fan_in(self) -> int:
        """The inputs of one unit, as torch counts them: channels times the kernel's pixels."""
        return self.shape[1] * math.prod(self.shape[2:])

    @property
    def fan_out(self) -> int:
        """The units times the kernel's pixels."""
        return self.shape[0] * math.prod(self.shape[2:])

    @property
    def input_moment(self) -> float:
        """E[input²] of the layer if the pre-activations before it are standard normal; that of the data for the first.

        Raises:
            UsageError: When the activation has none: the moment is 0, infinite or NaN.
        """
        from actbench.nn.chosen_activations import second_moment

        moment = self.data_moment if self.activation is None else second_moment(self.activation)
        if not 0 < moment < math.inf:
            label = self.activation.label if self.activation else "data"
            raise UsageError(
                f"weight_init matched needs a finite E[f(Z)²] > 0, but '{label}' has {moment}; choose he_normal"
            )
        return moment


@dataclass(frozen=True)
class WeightInit:
    """Hold a row of the table.

    Args:
        draw: (layer, options, generator) -> float64 weights.
        text: The distribution, one line.
        schema: The scheme's options.
        reads_activation: Whether the weights depend on the layer's activation; where they don't, runs of one seed that
            differ in their activations are drawn once.
    """

    draw: Callable[[Layer, Options, torch.Generator], Tensor]
    text: str
    schema: type[Options] = Options
    reads_activation: bool = True


class OrthogonalOptions(Options):
    """Options of orthogonal.

    Attributes:
        gain: Every singular value; 1 keeps lengths, torch recommends √2 for ReLU.
    """

    gain: float = Field(default=1.0, gt=0)


def normal(variance: Callable[[Layer], float]) -> Callable[[Layer, Options, torch.Generator], Tensor]:
    """Return a function that draws from N(0, variance), not truncated, as torch does."""

    def draw(layer: Layer, options: Options, generator: torch.Generator) -> Tensor:
        import torch

        return torch.randn(layer.shape, generator=generator, dtype=torch.float64) * math.sqrt(variance(layer))

    return draw


def uniform(variance: Callable[[Layer], float]) -> Callable[[Layer, Options, torch.Generator], Tensor]:
    """Return a function that draws uniformly from ±√(3·variance), which has this variance."""

    def draw(layer: Layer, options: Options, generator: torch.Generator) -> Tensor:
        return _symmetric(layer.shape, math.sqrt(3 * variance(layer)), generator)

    return draw


def orthogonal(layer: Layer, options: Options, generator: torch.Generator) -> Tensor:
    """Draw a random (out, in·height·width) matrix whose shorter side is orthonormal, times the gain.

    Reference:
        Saxe, McClelland, Ganguli 2013, arXiv:1312.6120.
    """
    import torch

    gain = options.model_dump()["gain"]
    return torch.nn.init.orthogonal_(torch.empty(layer.shape, dtype=torch.float64), gain, generator=generator)


def _he(layer: Layer) -> float:
    return 2 / layer.fan_in


def _lecun(layer: Layer) -> float:
    return 1 / layer.fan_in


def _xavier(layer: Layer) -> float:
    return 2 / (layer.fan_in + layer.fan_out)


def _pytorch(layer: Layer) -> float:
    return 1 / (3 * layer.fan_in)


def _matched(layer: Layer) -> float:
    return 1 / (layer.fan_in * layer.input_moment)


WEIGHT_INITS: dict[str, WeightInit] = {
    "he_normal": WeightInit(
        normal(_he), "normal, variance 2/fan_in (He et al. 2015, arXiv:1502.01852)", reads_activation=False
    ),
    "he_uniform": WeightInit(
        uniform(_he), "uniform, variance 2/fan_in (He et al. 2015, arXiv:1502.01852)", reads_activation=False
    ),
    "lecun_normal": WeightInit(
        normal(_lecun), "normal, variance 1/fan_in (LeCun et al. 1998, Efficient BackProp)", reads_activation=False
    ),
    "lecun_uniform": WeightInit(
        uniform(_lecun), "uniform, variance 1/fan_in (LeCun et al. 1998, Efficient BackProp)", reads_activation=False
    ),
    "xavier_normal": WeightInit(
        normal(_xavier), "normal, variance 2/(fan_in + fan_out) (Glorot, Bengio 2010, AISTATS)", reads_activation=False
    ),
    "xavier_uniform": WeightInit(
        uniform(_xavier),
        "uniform, variance 2/(fan_in + fan_out) (Glorot, Bengio 2010, AISTATS)",
        reads_activation=False,
    ),
    "orthogonal": WeightInit(
        orthogonal,
        "orthonormal rows or columns times gain (Saxe et al. 2013, arXiv:1312.6120)",
        OrthogonalOptions,
        reads_activation=False,
    ),
    "pytorch": WeightInit(
        uniform(_pytorch),
        "uniform within ±1/√fan_in: the default of torch.nn.Linear and Conv2d",
        reads_activation=False,
    ),
    "matched": WeightInit(
        normal(_matched), "normal, variance 1/(fan_in·E[f(Z)²]): keeps the variance whatever the activation f"
    ),
}


class Initializer:
    """Draw one run's weights and biases, layer after layer in the order of the calls.

    Args:
        spec: The run; its seed, weight_init, bias_init and activation are read.
        dtype: What the drawn float64 numbers are cast to.
        data_moment: E[x²] of the numbers that the first layer sees; 1 for standardised data.
    """

    def __init__(self, spec: RunSpec, dtype: torch.dtype, *, data_moment: float = 1.0) -> None:
        from actbench.nn.rng import stream
        from actbench.schema.registry import load

        self.dtype = dtype
        self.spec = spec
        self._data_moment = data_moment
        self._scheme: WeightInit = load("weight_inits", spec.weight_init.name)
        self._options = self._scheme.schema(**spec.weight_init.options)
        self._weights = stream(spec.seed, "init.weight")  # two streams: drawing biases never shifts the weights
        self._biases = stream(spec.seed, "init.bias")

    @property
    def drawn_alike(self) -> tuple[object, ...]:
        """What decides the numbers drawn: runs that are equal in it draw the same."""
        spec = self.spec
        activation = canonical_json(spec.activation.to_json()) if self._scheme.reads_activation else None
        biases = spec.bias_init.kind, repr(spec.bias_init.value)  # 0.0 and -0.0 are equal, and not the same bits
        return spec.seed, canonical_json(spec.weight_init.to_json()), biases, activation, self.dtype

    def layer(self, name: str, shape: Shape, *, first: bool = False, output: bool = False) -> Mapping[str, Tensor]:
        """Draw ``name.weight`` and, unless the run has no biases, ``name.bias``; arguments as below."""
        tensors = {f"{name}.weight": self.weight(shape, first=first)}
        bias = self.bias(shape, output=output)
        return tensors if bias is None else {**tensors, f"{name}.bias": bias}

    def weight(self, shape: Shape, *, first: bool = False) -> Tensor:
        """Draw one layer's weights, in the shape asked for.

        Args:
            shape: (out, in), or (out, in, height, width).
            first: Whether the layer sees the data rather than an activation's outputs.
        """
        layer = Layer(shape, None if first else self.spec.activation, self._data_moment)
        return self._scheme.draw(layer, self._options, self._weights).to(self.dtype)

    def bias(self, weight_shape: Shape, *, output: bool = False) -> Tensor | None:
        """Return one layer's biases (out,), started as the run's ``bias_init`` describes; None for no biases.

        Args:
            weight_shape: As for ``weight``.
            output: Whether this is the logits' layer.
        """
        import torch

        start = self.spec.bias_init
        if start.kind == "none":
            return None
        if start.kind == "pytorch":
            bound = 1 / math.sqrt(Layer(weight_shape, None).fan_in)
            return _symmetric(weight_shape[:1], bound, self._biases).to(self.dtype)
        return torch.full(weight_shape[:1], 0.0 if output else start.value, dtype=self.dtype)


def _symmetric(shape: Shape, bound: float, generator: torch.Generator) -> Tensor:
    """Draw uniformly from [−bound, bound), in float64."""
    import torch

    return (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1) * bound
