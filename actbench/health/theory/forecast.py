"""Forecast a run's network at initialisation: ``meanfield`` and ``closed_forms`` applied to its spec."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from actbench.health.theory.closed_forms import normal_below, probability_of_silence
from actbench.health.theory.meanfield import Function, gradient_factor, next_variance, weight_gain
from actbench.health.units.diagnosis import EXPLODING, VANISHING
from actbench.schema.components import Component
from actbench.schema.spec import RunSpec

if TYPE_CHECKING:
    from torch import Tensor


WITHOUT_THEORY = {"rai": "its weights are neither of mean 0 nor independent"}
"""Scheme -> why mean-field theory doesn't cover it."""


@dataclass(frozen=True)
class Forecast:
    """The expectations; a figure that no theorem or standard result covers is absent.

    Args:
        variances: Of z in each hidden layer, over weights and inputs of the data's mean square.
        factors: χ between each hidden layer and the next: the factor on the squared norm of the gradient.
        silenced: Probability that a whole layer is zero at one given input; None where outputs are not exactly zero.
        silenced_at_most: Whether that is an upper bound (positive biases) rather than exact.
        zeros: Expected share of outputs that are exactly zero, over all hidden units.
        note: Why figures are absent; empty where none is.
    """

    variances: tuple[float, ...] = ()
    factors: tuple[float, ...] = ()
    silenced: float | None = None
    silenced_at_most: bool = False
    zeros: float | None = None
    note: str = ""

    @property
    def gradient_ratio(self) -> float | None:
        """Norm of the gradient with respect to z in the first hidden layer over that in the last: √∏χ."""
        return math.sqrt(math.prod(self.factors)) if self.factors else None

    @property
    def factor_per_layer(self) -> float | None:
        """The geometric mean of χ."""
        return math.prod(self.factors) ** (1 / len(self.factors)) if self.factors else None

    @property
    def gradients(self) -> str:
        """``vanish``, ``explode`` or ``pass``, by the thresholds of a run's diagnosis; empty for one hidden layer."""
        if self.gradient_ratio is None:
            return ""
        return "vanish" if self.gradient_ratio < VANISHING else "explode" if self.gradient_ratio > EXPLODING else "pass"

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it; null for a number that is not finite."""
        return {
            "variances": [_finite(value) for value in self.variances],
            "gradient_factors": [_finite(value) for value in self.factors],
            "gradient_ratio": _finite(self.gradient_ratio),
            "gradients": self.gradients,
            "silenced": self.silenced,
            "silenced_at_most": self.silenced_at_most,
            "zeros": self.zeros,
            "note": self.note,
        }


def forecast(spec: RunSpec, inputs: int, *, data_moment: float = 1.0) -> Forecast:
    """Return the expectations for a run's network at initialisation.

    Args:
        spec: The run; model, activation, weight_init and bias_init are read.
        inputs: Numbers that one image has; any number will do where ``depends_on_inputs`` is False.
        data_moment: E[x²] of an image's numbers as the network sees them; 1 unless ``depends_on_pixels``.

    Raises:
        UsageError: When the activation can't be had, or ``matched`` has no gain for it.
    """
    widths = tuple(spec.model.options.get("hidden", ()))
    if spec.model.path is not None or spec.model.name != "mlp":
        return Forecast(note=f"no closed form for model {spec.model.label}")
    if spec.model.options["batch_norm"]:
        return Forecast(note="no closed form with batch_norm")
    if not widths:
        return Forecast(note="no hidden layer")
    if spec.weight_init.name in WITHOUT_THEORY:
        return Forecast(
            note=f"no closed form for weight_init {spec.weight_init.name}: {WITHOUT_THEORY[spec.weight_init.name]}"
        )
    found = _signal(_Network.of(spec, (inputs, *widths), data_moment), data_moment)
    return replace(found, **_silence(spec, widths, found.variances))


def depends_on_inputs(spec: RunSpec) -> bool:
    """Return whether the forecast depends on the size of an image, so that the data has to be at hand.

    >>> depends_on_inputs(RunSpec()), depends_on_inputs(RunSpec(bias_init="pytorch"))
    (False, True)
    """
    if spec.weight_init.name in WITHOUT_THEORY:
        return False
    few, many = (weight_gain(spec.weight_init.name, inputs, 2, moment=1.0, first=True) for inputs in (1, 3))
    return few != many or spec.bias_init.kind == "pytorch"


def depends_on_pixels(spec: RunSpec) -> bool:
    """Return whether the forecast depends on the mean square of the data's numbers: unless they are standardised."""
    scale: str = spec.dataset.options.get("scale", "standard")
    return scale != "standard"


@dataclass(frozen=True)
class _Network:
    """A run's multilayer perceptron, as the mean-field maps take it.

    Args:
        function: f.
        slope: |f′|.
        kinks: Of f.
        gains: Of each hidden layer's weights.
        bias: The value that all hidden biases start at; 0 for random ones or none.
        bias_variances: Of each hidden layer's biases.
    """

    function: Function
    slope: Function
    kinks: tuple[float, ...]
    gains: tuple[float, ...]
    bias: float
    bias_variances: tuple[float, ...]

    @classmethod
    def of(cls, spec: RunSpec, sizes: tuple[int, ...], data_moment: float) -> _Network:
        """Return a run's network.

        Args:
            spec: The run.
            sizes: Numbers of an image, then the hidden widths.
            data_moment: E[x²] of an image's numbers.
        """
        from actbench.nn.chosen_activations import row_of

        function, slope = _elementwise(spec.activation)
        is_random = spec.bias_init.kind == "pytorch"  # uniform within ±1/√fan_in
        return cls(
            function,
            slope,
            row_of(spec.activation).kinks,
            tuple(_gains(spec, sizes, data_moment)),
            spec.bias_init.value,
            tuple(1 / (3 * fan_in) if is_random else 0.0 for fan_in in sizes[:-1]),
        )


def _gains(spec: RunSpec, sizes: tuple[int, ...], data_moment: float) -> Iterator[float]:
    from actbench.nn.initializers import Layer, OrthogonalOptions, SirenOptions

    scheme, options = spec.weight_init.name, spec.weight_init.build()
    for index, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        first = index == 0
        layer = Layer((fan_out, fan_in), None if first else spec.activation, data_moment)
        moment = layer.input_moment if scheme == "matched" else 1.0
        scale = 1.0
        if isinstance(options, OrthogonalOptions):
            scale = options.of(layer)
        elif isinstance(options, SirenOptions) and not first:
            scale = 1 / options.of(layer)
        yield weight_gain(scheme, fan_in, fan_out, moment=moment, scale=scale, first=first)


def _signal(network: _Network, data_moment: float) -> Forecast:
    """Return variance and gradient factor from layer to layer, as long as they are finite numbers."""
    variances = [network.gains[0] * data_moment + network.bias_variances[0]]
    factors: list[float] = []
    function, slope, bias, kinks = network.function, network.slope, network.bias, network.kinks
    # The first layer's variance is its gain times the data's mean square; each further layer is one application of the
    # two maps to the variance before it.
    for gain, bias_variance in zip(network.gains[1:], network.bias_variances[1:], strict=True):
        factor = gradient_factor(slope, variances[-1], gain=gain, bias=bias, kinks=kinks)
        variance = next_variance(
            function, variances[-1], gain=gain, bias=bias, bias_variance=bias_variance, kinks=kinks
        )
        if not (math.isfinite(factor) and math.isfinite(variance)):
            note = f"beyond hidden.{len(factors)} the variance or the gradient factor is not a finite number"
            return Forecast(tuple(variances), tuple(factors), note=note)
        factors.append(factor)
        variances.append(variance)
    return Forecast(tuple(variances), tuple(factors))


def _silence(spec: RunSpec, widths: tuple[int, ...], variances: tuple[float, ...]) -> dict[str, Any]:
    """Return the figures on zeros: for activations that are zero exactly where z ≤ 0, else none.

    ``silenced`` needs biases that do not push z below zero.
    """
    bias = spec.bias_init.value
    if not _is_rectified(spec.activation):
        return {}
    known = {}
    if len(variances) == len(widths) and min(variances) > 0:
        shares = [normal_below(-bias / math.sqrt(variance)) for variance in variances]
        known = {"zeros": math.fsum(u * share for u, share in zip(widths, shares, strict=True)) / sum(widths)}
    if bias < 0:
        return known
    return {"silenced": probability_of_silence(widths), "silenced_at_most": bias > 0, **known}


def _is_rectified(activation: Component) -> bool:
    """Return whether f(z) = 0 for z ≤ 0 and not above, on a grid; slopes that are learned count at their start."""
    function, _ = _elementwise(activation)
    z = np.linspace(0, 5, 1001)[1:]
    return bool((function(-z) == 0).all() and function(np.zeros(1))[0] == 0 and (function(z) != 0).all())


def _elementwise(activation: Component) -> tuple[Function, Function]:
    """Return the function and its |f′| on numpy arrays, in evaluation mode, with learned options at their start."""
    import torch

    from actbench.health.units.probe import slope_by_autograd
    from actbench.nn.chosen_activations import function_of, learned_parameters

    starts = {name: start for name, (_, start) in learned_parameters(activation, 1).items()}
    function = partial(function_of(activation), **starts)

    def apply(layer: str, z: Tensor) -> Tensor:
        return function(z)

    derivative = slope_by_autograd(apply)
    return (
        lambda z: derivative("", torch.from_numpy(z))[0].numpy(),
        lambda z: derivative("", torch.from_numpy(z))[1].numpy(),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
