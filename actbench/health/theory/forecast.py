"""Forecast a run's network at initialisation: ``meanfield`` and ``closed_forms`` applied to its spec."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from actbench.errors import UsageError
from actbench.health.theory.closed_forms import (
    born_dead_lower_bound,
    normal_below,
    probability_of_silence,
    variance_spread,
)
from actbench.health.theory.meanfield import Function, gaussian_mean, gradient_factor, next_variance, weight_gain
from actbench.health.units.diagnosis import EXPLODING, VANISHING
from actbench.schema.components import Component
from actbench.schema.spec import RunSpec
from actbench.schema.unit_groups import group_of

if TYPE_CHECKING:
    from torch import Tensor


WITHOUT_THEORY = {"rai": "its weights are neither of mean 0 nor independent"}
"""Scheme -> why mean-field theory doesn't cover it."""

MANY_SILENCED = 0.05
"""Share of silent networks from which on their number is said beside the means over all networks."""

WIDE_SPREAD = 1.0
"""Standard deviations of var z between networks, over its mean, from which on the mean says little about any."""


@dataclass(frozen=True)
class Forecast:
    """The expectations; a figure that no theorem or standard result covers is absent.

    Args:
        variances: Of z in each hidden layer, over weights and inputs of the data's mean square.
        spreads: Standard deviation of that variance between networks, over its mean, in each hidden layer, at one
            given input; where f is homogeneous, weights are normal and biases zero.
        factors: χ between each hidden layer and the next: the factor on the squared norm of the gradient.
        silenced: Probability that a whole layer is zero at one given input; None where outputs are not exactly zero.
        silenced_at_most: Whether that is an upper bound (positive biases) rather than exact.
        born_dead_at_least: Lower bound of the probability that a network of one input is zero on every input;
            ``silenced`` is the upper bound, for any number of inputs.
        zeros: Expected share of outputs that are exactly zero, over all hidden units.
        note: Why figures are absent; empty where none is.
    """

    variances: tuple[float, ...] = ()
    factors: tuple[float, ...] = ()
    spreads: tuple[float, ...] = ()
    silenced: float | None = None
    silenced_at_most: bool = False
    born_dead_at_least: float | None = None
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

    @property
    def warning(self) -> str:
        """What the means hide in narrow networks; empty where they hide little."""
        parts = []
        if self.silenced is not None and self.silenced >= MANY_SILENCED:
            share = f"{'up to ' if self.silenced_at_most else ''}{100 * self.silenced:.3g} %"
            parts.append(f"{share} of such networks are silent at a given input, and no gradient passes through them")
        if self.spreads and self.spreads[-1] >= WIDE_SPREAD:
            times = f"{float(f'{self.spreads[-1]:.2g}'):g} times its mean"
            parts.append(f"the last layer's var z has a standard deviation between networks of {times}")
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it; null for a number that is not finite."""
        return {
            "variances": [_finite(value) for value in self.variances],
            "variance_spreads": [_finite(value) for value in self.spreads],
            "gradient_factors": [_finite(value) for value in self.factors],
            "gradient_ratio": _finite(self.gradient_ratio),
            "gradients": self.gradients,
            "silenced": self.silenced,
            "silenced_at_most": self.silenced_at_most,
            "born_dead_at_least": self.born_dead_at_least,
            "zeros": self.zeros,
            "note": self.note,
            "warning": self.warning,
        }


def forecast(spec: RunSpec, inputs: int | None, *, data_moment: float = 1.0) -> Forecast:
    """Return the expectations for a run's network at initialisation.

    Args:
        spec: The run; model, activation, weight_init and bias_init are read.
        inputs: Numbers that one example has; None where it is not known, and ``depends_on_inputs`` is False.
        data_moment: E[x²] of an example's numbers as the network sees them; 1 unless ``depends_on_pixels``.

    Raises:
        UsageError: When the activation can't be had, or ``matched`` has no gain for it.
    """
    widths = tuple(spec.model.options.get("hidden", ()))
    if spec.model.path is not None or spec.model.name != "mlp":
        return Forecast(note=f"no closed form for model {spec.model.label}")
    if (norm := spec.model.options["norm"]) != "none":
        return Forecast(note=f"no closed form with norm: {norm}")
    if not group_of(spec.activation).is_elementwise:
        return Forecast(note=f"not computed for {spec.activation.label}, which changes the width of its layers")
    if not widths:
        return Forecast(note="no hidden layer")
    if spec.weight_init.name in WITHOUT_THEORY:
        return Forecast(
            note=f"no closed form for weight_init {spec.weight_init.name}: {WITHOUT_THEORY[spec.weight_init.name]}"
        )
    network = _Network.of(spec, (inputs or 1, *widths), data_moment)
    found = replace(_signal(network, data_moment), spreads=_spreads(spec, network, widths))
    return replace(found, **_silence(spec, widths, found.variances, has_one_input=inputs == 1))


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
        from actbench.nn.chosen_activations import kinks_of

        function, slope = _elementwise(spec.activation)
        is_random = spec.bias_init.kind == "pytorch"  # uniform within ±1/√fan_in
        return cls(
            function,
            slope,
            kinks_of(spec.activation),
            tuple(_gains(spec, sizes, data_moment, function)),
            spec.bias_init.value,
            tuple(1 / (3 * fan_in) if is_random else 0.0 for fan_in in sizes[:-1]),
        )


def _gains(spec: RunSpec, sizes: tuple[int, ...], data_moment: float, function: Function) -> Iterator[float]:
    from actbench.nn.chosen_activations import kinks_of
    from actbench.nn.initializers import Layer, LsuvOptions, OrthogonalOptions, SirenOptions

    scheme, options = spec.weight_init.name, spec.weight_init.build()
    for index, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        first = index == 0
        layer = Layer((fan_out, fan_in), None if first else spec.activation, data_moment)
        moment = layer.input_moment if scheme == "matched" or first else 1.0
        if isinstance(options, LsuvOptions) and not first:
            # Behind a layer whose weights give variance 1, to which random biases add their own.
            variance = 1 + (1 / (3 * sizes[index - 1]) if spec.bias_init.kind == "pytorch" else 0)
            kinks = kinks_of(spec.activation)
            moment = gaussian_mean(lambda z: function(z) ** 2, spec.bias_init.value, variance, kinks)
            if not 0 < moment < math.inf:
                raise UsageError(f"weight_init lsuv has no gain behind '{spec.activation.label}': E[f(z)²] is {moment}")
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


def _spreads(spec: RunSpec, network: _Network, widths: tuple[int, ...]) -> tuple[float, ...]:
    """Return the spread of the variance in each hidden layer; empty where the law of finite widths does not hold."""
    scheme = spec.weight_init.name
    if not (scheme.endswith("_normal") or scheme == "matched") or spec.bias_init.kind == "pytorch" or network.bias:
        return ()
    if not _is_homogeneous(network.function):
        return ()
    second = gaussian_mean(lambda z: network.function(z) ** 2, 0, 1, network.kinks)
    fourth = gaussian_mean(lambda z: network.function(z) ** 4, 0, 1, network.kinks)
    if second == 0:  # f is zero everywhere
        return ()
    return tuple(variance_spread(fourth / second**2, widths[:layer]) for layer in range(len(widths)))


def _silence(
    spec: RunSpec, widths: tuple[int, ...], variances: tuple[float, ...], *, has_one_input: bool
) -> dict[str, Any]:
    """Return the figures on zeros: for activations that are zero exactly where z ≤ 0, else none.

    ``silenced`` needs biases that do not push z below zero; the lower bound of being born dead needs none, one input,
    and an activation that keeps rays rays.
    """
    bias = spec.bias_init.value
    if not _is_rectified(spec.activation):
        return {}
    known: dict[str, Any] = {}
    if len(variances) == len(widths) and min(variances) > 0:
        shares = [normal_below(-bias / math.sqrt(variance)) for variance in variances]
        known = {"zeros": math.fsum(u * share for u, share in zip(widths, shares, strict=True)) / sum(widths)}
    if bias < 0:
        return known
    if has_one_input and bias == 0 and spec.bias_init.kind != "pytorch":
        function, _ = _elementwise(spec.activation)
        known |= {"born_dead_at_least": born_dead_lower_bound(widths)} if _is_homogeneous(function) else {}
    return {"silenced": probability_of_silence(widths), "silenced_at_most": bias > 0, **known}


def _is_rectified(activation: Component) -> bool:
    """Return whether f(z) = 0 for z ≤ 0 and not above, on a grid; slopes that are learned count at their start."""
    function, _ = _elementwise(activation)
    z = np.linspace(0, 5, 1001)[1:]
    return bool((function(-z) == 0).all() and function(np.zeros(1))[0] == 0 and (function(z) != 0).all())


def _is_homogeneous(function: Function) -> bool:
    """Return whether f(c·z) = c·f(z) for c > 0, on a grid."""
    z = np.linspace(-4, 4, 801)
    return all(np.allclose(function(c * z), c * function(z), rtol=1e-12, atol=0) for c in (0.25, 3.0, 1000.0))


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
