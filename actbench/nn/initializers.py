"""WEIGHT_INITS, one row a scheme, and the ``Initializer`` that draws one run's weights and biases.

Every draw is made in float64 from a stream of its own purpose and cast afterwards. So runs with equal seeds share the
underlying normals across schemes, precisions and bias settings, and their differences are paired.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from actbench.errors import UsageError
from actbench.schema.components import Component, Options, expecting
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
        name: Its name in the network, for messages.
    """

    shape: Shape
    activation: Component | None
    data_moment: float = 1.0
    name: str = ""

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
                f"weights matched to the activation need a finite E[f(Z)²] > 0, but '{label}' has {moment}; choose "
                "weight_init: he_normal"
            )
        return moment


Draw = Callable[[Layer, Options, "torch.Generator"], "Tensor"]
"""(layer, options, generator) -> float64 weights in the layer's shape."""


@dataclass(frozen=True)
class WeightInit:
    """Hold a row of the table.

    Args:
        draw: Draws the weights.
        text: The distribution, one line.
        schema: The scheme's options.
        reads_activation: Whether the weights depend on the layer's activation; where they don't, runs of one seed that
            differ in their activations are drawn once. A ``gain`` that is ``matched`` reads it in any row.
        asymmetric: Whether one entry of each unit's weights and bias is then replaced by a positive number.
        reads_data: Whether the weights are then scaled on training data, layer after layer.
    """

    draw: Draw
    text: str
    schema: type[Options] = Options
    reads_activation: bool = True
    asymmetric: bool = False
    reads_data: bool = False

    def depends_on_activation(self, options: Options) -> bool:
        """Return whether the weights depend on the activation before the layer, with these options."""
        return self.reads_activation or getattr(options, "gain", None) == MATCHED


MATCHED = "matched"
Gain = Annotated[Annotated[float, Field(gt=0)] | Literal["matched"], expecting("a number above 0 or 'matched'")]


class OrthogonalOptions(Options):
    """Options of orthogonal and delta_orthogonal.

    Attributes:
        gain: Every singular value; 1 keeps lengths, torch recommends √2 for ReLU. ``matched``: E[f(Z)²]^(−1/2) of the
            activation f before the layer, Z standard normal, found by quadrature; in the first
            layer E[x²]^(−1/2) of the data.
    """

    gain: Gain = 1.0

    def of(self, layer: Layer) -> float:
        """Return the gain of a layer."""
        return layer.input_moment**-0.5 if self.gain == MATCHED else float(self.gain)


class SirenOptions(Options):
    """Options of siren.

    Attributes:
        w0: The frequency by which the layers behind the first are divided; null for that of the activation ``sine``.
    """

    w0: float | None = Field(default=None, gt=0)

    def of(self, layer: Layer) -> float:
        """Return the frequency of the activation before a layer.

        Raises:
            UsageError: When the activation is not a sine and no frequency is given.
        """
        if self.w0 is not None:
            return self.w0
        before = layer.activation
        if before is None or before.name != "sine":
            label = before.label if before else "data"
            raise UsageError(
                f"weight_init siren takes w0 from the activation sine, but the activation is '{label}'; choose "
                "activation: sine, or write {name: siren, w0: 30}"
            )
        return float(before.options["w0"])


class RaiOptions(Options):
    """Options of rai.

    Attributes:
        sigma: The normal numbers have variance sigma²/fan_in. The paper's value keeps E[output²] of ReLU layers from
            growing: it solves σ²/2 + (2/3)·√(2/π)·σ + 1/2 = 1.
    """

    sigma: float = Field(default=0.6007, gt=0)


class LsuvOptions(Options):
    """Options of lsuv.

    Attributes:
        tolerance: A layer is left alone when its variance is nearer to 1 than this (0.1 in the paper).
        max_iterations: Most times that a layer is scaled (10 in the paper).
        examples: Size of the batch: the first training examples in the dataset's fixed order, for all seeds; all of
            them where there are fewer.
    """

    tolerance: float = Field(default=0.1, gt=0)
    max_iterations: int = Field(default=10, ge=1)
    examples: int = Field(default=256, ge=2)


def normal(variance: Callable[[Layer], float]) -> Draw:
    """Return a function that draws from N(0, variance), not truncated, as torch does."""

    def draw(layer: Layer, options: Options, generator: torch.Generator) -> Tensor:
        import torch

        return torch.randn(layer.shape, generator=generator, dtype=torch.float64) * math.sqrt(variance(layer))

    return draw


def uniform(variance: Callable[[Layer], float]) -> Draw:
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

    assert isinstance(options, OrthogonalOptions)
    empty = torch.empty(layer.shape, dtype=torch.float64)
    return torch.nn.init.orthogonal_(empty, options.of(layer), generator=generator)


def orthonormal(layer: Layer, options: Options, generator: torch.Generator) -> Tensor:
    """Draw the weights that ``lsuv`` scales: those of ``orthogonal`` without a gain."""
    return orthogonal(layer, OrthogonalOptions(), generator)


def delta_orthogonal(layer: Layer, options: Options, generator: torch.Generator) -> Tensor:
    """Draw kernels that are zero but for their centre, a random (out, in) matrix with orthonormal columns, times gain.

    Every pixel's channels are rotated into the output's, so a convolution keeps lengths at any depth. A kernel's centre
    is at ((height − 1) // 2, (width − 1) // 2). A dense layer is drawn as ``orthogonal`` does.

    Raises:
        UsageError: For a convolution with fewer output than input channels, which can't keep lengths.

    Reference:
        Xiao, Bahri, Sohl-Dickstein, Schoenholz, Pennington 2018, arXiv:1806.05393.
    """
    import torch

    if len(layer.shape) == 2:
        return orthogonal(layer, options, generator)
    out, channels, height, width = layer.shape
    if out < channels:
        raise UsageError(
            f"weight_init delta_orthogonal needs at least as many channels behind a convolution as before it, but "
            f"'{layer.name}' has {channels} before it and {out} behind; choose orthogonal, or other model.channels"
        )
    kernels = torch.zeros(layer.shape, dtype=torch.float64)
    centre = orthogonal(Layer((out, channels), layer.activation, layer.data_moment), options, generator)
    kernels[:, :, (height - 1) // 2, (width - 1) // 2] = centre
    return kernels


def siren(layer: Layer, options: Options, generator: torch.Generator) -> Tensor:
    """Draw uniformly, from ±1/fan_in in the first layer and from ±√(6/fan_in)/w0 in all others.

    Reference:
        Sitzmann, Martel, Bergman, Lindell, Wetzstein 2020, arXiv:2006.09661.
    """
    assert isinstance(options, SirenOptions)
    is_first = layer.activation is None
    bound = 1 / layer.fan_in if is_first else math.sqrt(6 / layer.fan_in) / options.of(layer)
    return _symmetric(layer.shape, bound, generator)


def rai(layer: Layer, options: Options, generator: torch.Generator) -> Tensor:
    """Draw the normal numbers of an asymmetric initialisation; ``replace_one`` then changes one of each unit's.

    Reference:
        Lu, Shin, Su, Karniadakis 2019, arXiv:1903.06733.
    """
    assert isinstance(options, RaiOptions)
    sigma = options.sigma
    return normal(lambda layer: sigma**2 / layer.fan_in)(layer, options, generator)


def replace_one(entries: Tensor, generator: torch.Generator) -> Tensor:
    """Replace one entry of each row, chosen with equal chances, by a draw from Beta(2, 1): density 2x on [0, 1].

    Args:
        entries: (units, entries), float64.
        generator: From which the places and then the new values are drawn.
    """
    import torch

    units, count = entries.shape
    places = torch.randint(count, (units, 1), generator=generator)
    values = torch.rand((units, 1), generator=generator, dtype=torch.float64).sqrt()  # P(√U ≤ x) = x²
    return entries.scatter(1, places, values)


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
    "delta_orthogonal": WeightInit(
        delta_orthogonal,
        "kernels that are 0 but for an orthogonal centre, times gain; dense layers as orthogonal "
        "(Xiao et al. 2018, arXiv:1806.05393)",
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
    "lsuv": WeightInit(
        orthonormal,
        "orthonormal, then each layer scaled to variance 1 on training data (Mishkin, Matas 2015, arXiv:1511.06422)",
        LsuvOptions,
        reads_data=True,
    ),
    "rai": WeightInit(
        rai,
        "asymmetric: normal, variance sigma²/fan_in, one of a unit's weights and bias from Beta(2, 1) instead "
        "(Lu et al. 2019, arXiv:1903.06733)",
        RaiOptions,
        reads_activation=False,
        asymmetric=True,
    ),
    "siren": WeightInit(
        siren,
        "uniform within ±1/fan_in in the first layer, ±√(6/fan_in)/w0 in others, for the activation sine "
        "(Sitzmann et al. 2020, arXiv:2006.09661)",
        SirenOptions,
    ),
}


class Initializer:
    """Draw one run's weights and biases, layer after layer in the order of the calls.

    Args:
        spec: The run; its seed, weight_init, bias_init, output_bias and activation are read.
        dtype: What the drawn float64 numbers are cast to.
        data_moment: E[x²] of the numbers that the first layer sees; 1 for standardised data.
        class_counts: Training examples of each class, for ``output_bias: prior``.
        revived_at: The step before which units begin anew with the numbers; None for those of the run's start.

    Raises:
        UsageError: When weight_init and bias_init exclude each other.
    """

    def __init__(
        self,
        spec: RunSpec,
        dtype: torch.dtype,
        *,
        data_moment: float = 1.0,
        class_counts: Sequence[int] = (),
        revived_at: int | None = None,
    ) -> None:
        from actbench.nn.rng import stream
        from actbench.schema.registry import load

        self.dtype = dtype
        self.spec = spec
        self._data_moment = data_moment
        self.class_counts = tuple(class_counts)
        self._scheme: WeightInit = load("weight_inits", spec.weight_init.name)
        self.options = self._scheme.schema(**spec.weight_init.options)
        # Two streams: drawing biases never shifts the weights.
        if revived_at is None:
            self._weights, self._biases = stream(spec.seed, "init.weight"), stream(spec.seed, "init.bias")
        else:
            self._weights = stream(spec.seed, "revive.weight", step=revived_at)
            self._biases = stream(spec.seed, "revive.bias", step=revived_at)
        if self._scheme.asymmetric and spec.bias_init.kind == "pytorch":
            raise UsageError(
                f"weight_init {spec.weight_init.name} draws the biases itself, and bias_init: pytorch would too; "
                "choose bias_init: 0, or null for no biases"
            )

    @property
    def reads_data(self) -> bool:
        """Whether the weights that are drawn have yet to be scaled on training data."""
        return self._scheme.reads_data

    @property
    def drawn_alike(self) -> tuple[object, ...]:
        """What decides the numbers drawn: runs that are equal in it draw the same."""
        spec = self.spec
        reads = self._scheme.depends_on_activation(self.options)
        activation = canonical_json(spec.activation.to_json()) if reads else None
        # 0.0 and -0.0 are equal, and not the same bits
        biases = spec.bias_init.kind, repr(spec.bias_init.value), repr(spec.output_bias)
        return spec.seed, canonical_json(spec.weight_init.to_json()), biases, activation, self.dtype

    def layer(self, name: str, shape: Shape, *, first: bool = False, output: bool = False) -> Mapping[str, Tensor]:
        """Draw ``name.weight`` and, unless the layer has no biases, ``name.bias``; arguments as below."""
        weight, bias = self.weight_and_bias(shape, name=name, first=first, output=output)
        tensors = {f"{name}.weight": weight}
        return tensors if bias is None else {**tensors, f"{name}.bias": bias}

    def weight_and_bias(
        self, shape: Shape, *, name: str = "", first: bool = False, output: bool = False, has_bias: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """Draw one layer's weights and biases, together where the scheme wants it so.

        Args:
            shape: (out, in), or (out, in, height, width).
            name: The layer's name, for messages.
            first: Whether the layer sees the data rather than an activation's outputs.
            output: Whether this is the logits' layer.
            has_bias: False for a layer that was built without one.

        Returns:
            The weights in the shape asked for, and the biases (out,) or None for no biases.
        """
        import torch

        weight = self._weight(shape, name=name, first=first)
        bias = self._bias(shape, output=output) if has_bias else None
        if self._scheme.asymmetric:
            assert isinstance(self.options, RaiOptions)
            # The bias is one of the entries. What is drawn besides the normal weights comes from the biases' stream, so
            # that the weights share their normals with those of other schemes.
            entries = weight.flatten(1)
            if bias is not None:
                scale = self.options.sigma / math.sqrt(Layer(shape, None).fan_in)
                drawn = scale * torch.randn((shape[0], 1), generator=self._biases, dtype=torch.float64)
                entries = torch.cat([entries, drawn], dim=1)
            entries = replace_one(entries, self._biases)
            weight, shift = entries[:, : weight[0].numel()].reshape(shape), entries[:, -1]
            bias = None if bias is None else bias + shift
        return weight.to(self.dtype), None if bias is None else bias.to(self.dtype)

    def weight(self, shape: Shape, *, first: bool = False) -> Tensor:
        """Draw the weights of one layer without biases; arguments as of ``weight_and_bias``."""
        return self.weight_and_bias(shape, first=first, has_bias=False)[0]

    def bias(self, weight_shape: Shape, *, output: bool = False) -> Tensor | None:
        """Return one layer's biases (out,), started as the run's ``bias_init`` and ``output_bias`` say; None for none.

        Args:
            weight_shape: As for ``weight``.
            output: Whether this is the logits' layer.
        """
        bias = self._bias(weight_shape, output=output)
        return None if bias is None else bias.to(self.dtype)

    def _weight(self, shape: Shape, *, name: str, first: bool) -> Tensor:
        layer = Layer(shape, None if first else self.spec.activation, self._data_moment, name)
        return self._scheme.draw(layer, self.options, self._weights)

    def _bias(self, weight_shape: Shape, *, output: bool) -> Tensor | None:
        import torch

        start = self.spec.bias_init
        if output and self.spec.output_bias is not None:
            return self._output_bias(weight_shape[0])
        if start.kind == "none":
            return None
        if start.kind == "pytorch":
            bound = 1 / math.sqrt(Layer(weight_shape, None).fan_in)
            return _symmetric(weight_shape[:1], bound, self._biases)
        return torch.full(weight_shape[:1], 0.0 if output else start.value, dtype=torch.float64)

    def _output_bias(self, units: int) -> Tensor:
        """Return the logits' biases as ``output_bias`` says: a number, or the classes' log frequencies."""
        import torch

        if self.spec.output_bias != "prior":
            assert self.spec.output_bias is not None
            return torch.full((units,), float(self.spec.output_bias), dtype=torch.float64)
        if not self.class_counts:
            raise UsageError(
                "output_bias: prior needs classes to count, and these examples have numbers; give a number"
            )
        counts = torch.tensor(self.class_counts, dtype=torch.float64)
        if len(counts) != units:
            raise UsageError(f"output_bias: prior has {len(counts)} classes for the {units} units of the last layer")
        if not counts.all():
            missing = int((counts == 0).sum())
            raise UsageError(
                f"output_bias: prior needs training examples of every class, but {missing} of {units} have none; "
                "choose a larger dataset.train_size, or a number"
            )
        return (counts / counts.sum()).log()


def _symmetric(shape: Shape, bound: float, generator: torch.Generator) -> Tensor:
    """Draw uniformly from [−bound, bound), in float64."""
    import torch

    return (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1) * bound
