"""Check the probe's count of dead units against a loop over units and inputs that reads like the definition."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from actbench.diagnostics.verification import Check, Folders
from actbench.health.units.probe import UnitObserver, slope_by_autograd
from actbench.nn.chosen_activations import function_of
from actbench.schema.components import resolve
from actbench.schema.spec import HealthSettings

DEFINITION = "max |f′(z)| ≤ 1e-3"
SLOPES: dict[str, Callable[[float], float]] = {
    "relu": lambda z: 1.0 if z > 0 else 0.0,
    "leaky_relu": lambda z: 1.0 if z > 0 else 0.01,
    "elu": lambda z: 1.0 if z > 0 else math.exp(z),
    "tanh": lambda z: 1 - math.tanh(z) ** 2,
    "sigmoid": lambda z: 1 / (2 + math.exp(z) + math.exp(-z)),
    "silu": lambda z: (1 + math.exp(-z) + z * math.exp(-z)) / (1 + math.exp(-z)) ** 2,
}
"""Derivatives by hand, as independent of autograd as can be."""


def checks(folders: Folders) -> Iterator[Check]:
    """Compare counts of dense units, and of channels, which are dead only if they are so at every position."""
    for name, slope in SLOPES.items():
        inputs = (_inputs(()), _inputs((3, 3)))
        counted = tuple(float(_by_hand(z, slope)) for z in inputs)
        measured = tuple(float(_by_probe(name, z)) for z in inputs)
        yield Check(f"dead units, channels: {name}", counted, measured, 0, DEFINITION)


def _inputs(positions: tuple[int, ...]) -> Tensor:
    """Return (B, U, …positions): normal numbers, shifted from unit to unit, so that some units lie where f is flat."""
    generator = torch.Generator().manual_seed(len(positions))
    spread = torch.linspace(-15, 15, 40, dtype=torch.float64).view(40, *(1 for _ in positions))
    return torch.randn(50, 40, *positions, generator=generator, dtype=torch.float64) + spread


def _by_hand(z: Tensor, slope: Callable[[float], float]) -> int:
    units = z.transpose(0, 1).flatten(1).tolist()
    return sum(all(abs(slope(value)) <= HealthSettings().dead_slope for value in unit) for unit in units)


def _by_probe(activation: str, z: Tensor) -> int:
    """Count with the probe, in batches of unequal sizes, as a cohort of one."""
    function = function_of(resolve("activations", activation))
    observer = UnitObserver(slope_by_autograd(lambda layer, values: function(values)), HealthSettings())
    for batch in torch.split(z, [7, 30, 13]):
        observer.observe("hidden", batch.unsqueeze(0))
    count: int = observer.finish(len(z)).of_run(0)["layers"][0]["dead"]
    return count
