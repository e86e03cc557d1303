"""Check the signal through deep networks at initialisation: our own networks against mean-field theory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from actbench.diagnostics.verification import Check, Folders, mean_check
from actbench.health.theory.closed_forms import variance_spread
from actbench.health.theory.forecast import forecast
from actbench.health.units.gradients import first_to_last, norms
from actbench.nn.chosen_activations import function_of
from actbench.nn.initializers import Initializer
from actbench.nn.models import build
from actbench.schema.spec import RunSpec
from actbench.training.parameters import stack
from actbench.training.run_activations import Activations, activation_tensors

WIDTH, EXAMPLES = 256, 128
NETWORKS = 256
"""For each case: 4 standard errors are then 1 to 7 % of what is expected, and a gain that is 1 % off a layer shows."""
SELU_LAYERS, SELU_NETWORKS = 64, 48
LAYERS = 8
NARROW, NARROW_NETWORKS = (16, 16, 16), 50_000
SELU = "arXiv:1706.02515"
VARIANCE = "arXiv:1606.05340"
FINITE = "arXiv:1803.01719"
GRADIENT = "arXiv:1611.01232"
CASES: tuple[dict[str, Any], ...] = (
    {"activation": "relu", "weight_init": "he_normal"},
    {"activation": "tanh", "weight_init": "lecun_normal"},
    {"activation": "gelu", "weight_init": "matched", "bias_init": 0.1},
    {"activation": "sigmoid", "weight_init": "pytorch", "bias_init": "pytorch"},
)


def checks(folders: Folders) -> Iterator[Check]:
    """Compare means over networks with seeds 0, 1 … with theory, each within 4 standard errors."""
    yield from _selu()
    for case in CASES:
        spec = _spec(LAYERS, **case)
        expected = forecast(spec, WIDTH)
        name = f"{spec.activation.label}, {spec.weight_init.label}"
        variances, ratios = zip(*(_figures(_of_seed(spec, seed)) for seed in range(NETWORKS)), strict=True)
        yield mean_check(f"{name}: var z, layer {LAYERS}", expected.variances[-1], variances, VARIANCE)
        yield mean_check(f"{name}: gradient 1/{LAYERS}", expected.gradient_ratio or math.nan, ratios, GRADIENT)
    yield _finite_width()


def _selu() -> Iterator[Check]:
    """Check that mean 0 and variance 1 of SELU's outputs survive 64 layers."""
    spec = _spec(SELU_LAYERS, activation="selu", weight_init="lecun_normal")
    function = function_of(spec.activation)
    with torch.no_grad():
        last = [list(_passed(_of_seed(spec, seed))[0].values())[-1] for seed in range(SELU_NETWORKS)]
        variances, means = zip(*(map(float, torch.var_mean(function(z))) for z in last), strict=True)
    yield mean_check(f"selu, lecun_normal: mean, layer {SELU_LAYERS}", 0.0, means, SELU)
    yield mean_check(f"selu, lecun_normal: var, layer {SELU_LAYERS}", 1.0, variances, SELU)


def _finite_width() -> Check:
    """Check the law of the spread of var z between narrow ReLU networks with He's weights, at one input."""
    generator = np.random.default_rng(0)
    z = math.sqrt(2) * generator.standard_normal((NARROW_NETWORKS, NARROW[0]))  # of an input of mean square 1
    for units in NARROW[1:]:
        weights = math.sqrt(2 / z.shape[1]) * generator.standard_normal((NARROW_NETWORKS, units, z.shape[1]))
        z = np.einsum("tui,ti->tu", weights, np.maximum(z, 0))
    variances = 2 * np.square(np.maximum(z, 0)).mean(1)  # of the next layer's z over its own weights; 2 in the mean
    expected = 1 + variance_spread(6, NARROW) ** 2
    name = f"relu, he_normal, {'-'.join(map(str, NARROW))}: E[q²]/E[q]²"
    return mean_check(name, expected, (np.square(variances) / 4).tolist(), FINITE)


def _figures(spec: RunSpec) -> tuple[float, float]:
    """Return the variance of the last hidden layer's z, and the first-to-last ratio of the gradients.

    The gradients are of a random sum of the logits, in place of a loss.
    """
    layers, logits = _passed(spec)
    direction = torch.randn(logits.shape, generator=torch.Generator().manual_seed(spec.seed))
    gradients = norms((logits * direction).sum((1, 2)), layers)
    ratio = first_to_last([float(norm[0]) for norm in gradients.values()])
    return float(list(layers.values())[-1].detach().var()), math.nan if ratio is None else ratio


def _passed(spec: RunSpec) -> tuple[dict[str, Tensor], Tensor]:
    """Return layer -> z (1, B, U), and the logits (1, B, classes), of normal inputs in the run's untrained network."""
    shape, classes = (1, 1, WIDTH), 10
    model = build(spec.model)
    learned = activation_tensors(spec.activation, model.hidden_layers(shape, classes), torch.float32)
    tensors = stack([{**model.init(Initializer(spec, torch.float32), shape, classes), **learned}], torch.device("cpu"))
    act, layers = Activations((spec,), tensors.tensors), dict[str, Tensor]()
    x = torch.randn(1, EXAMPLES, *shape, generator=torch.Generator().manual_seed(spec.seed))
    with act.observed(layers.__setitem__):
        return layers, model.apply(tensors.tensors, x, act)


def _spec(layers: int, **choices: Any) -> RunSpec:
    return RunSpec.model_validate({"model": {"name": "mlp", "hidden": [WIDTH] * layers}, **choices})


def _of_seed(spec: RunSpec, seed: int) -> RunSpec:
    return spec.model_copy(update={"seed": seed})
