"""Health measured on handmade activations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from actbench.health.units.probe import UnitObserver, slope_by_autograd
from actbench.nn.chosen_activations import function_of, learned_parameters
from actbench.schema.components import resolve
from actbench.schema.spec import HealthSettings


def one_activation(name: str, **options: object) -> Callable[[str, Tensor], Tensor]:
    component = resolve("activations", {"name": name, **options})
    starts = {
        key: torch.tensor(start, dtype=torch.float64) for key, (_, start) in learned_parameters(component, 1).items()
    }
    function = function_of(component)
    return lambda layer, z: function(z, **starts)


def measured(z: Tensor, apply: Callable[[str, Tensor], Tensor], batches: list[int], **thresholds: float) -> dict:
    """Health of one run with one layer whose pre-activations are z (N, U, …), seen in batches of these sizes."""
    observer = UnitObserver(slope_by_autograd(apply), HealthSettings(**thresholds))
    for part in z.split(batches):
        observer.observe("hidden", part.unsqueeze(0))
    return observer.finish(len(z)).of_run(0)
