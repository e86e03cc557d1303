"""Measure the health of every hidden unit of a cohort on a fixed probe of training inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from actbench.health.measures import MEASURES, Observation, State
from actbench.spec import Health


@dataclass(frozen=True)
class UnitHealth:
    """What every measure says of every unit.

    Args:
        layers: Layer -> measure -> (R, U): a mask or a share.
        examples: Inputs in the probe.
    """

    layers: Mapping[str, Mapping[str, Tensor]]
    examples: int

    def of_run(self, run: int) -> dict[str, Any]:
        """Counts and shares of one run, per layer and in total, as written to ``result.json``."""
        rows = [
            _layer_row(name, {key: values[run] for key, values in row.items()}) for name, row in self.layers.items()
        ]
        return {"probe_size": self.examples, **_totals(rows), "layers": rows}


class Probe:
    """Collects observations from forward passes in evaluation mode.

    Args:
        derivative: (layer, z) -> (f(z), |f'(z)|), each run with its own f.
        health: Thresholds.
    """

    def __init__(self, derivative: Callable[[str, Tensor], tuple[Tensor, Tensor]], health: Health) -> None:
        """Start with nothing seen."""
        self._derivative, self._health = derivative, health
        self._states: dict[str, dict[str, State]] = {}

    def observe(self, layer: str, z: Tensor) -> None:
        """See one batch of a layer's pre-activations (R, B, U, …)."""
        a, slope = self._derivative(layer, z.detach())
        seen = Observation(z.detach(), a, slope)
        states = self._states.setdefault(layer, {})
        for name, measure in MEASURES.items():
            state = measure.observe(seen, self._health)
            states[name] = measure.merge(states[name], state) if name in states else state

    def finish(self, examples: int) -> UnitHealth:
        """The verdict on each unit."""
        finished = {
            layer: {name: MEASURES[name].finish(state, self._health) for name, state in states.items()}
            for layer, states in self._states.items()
        }
        return UnitHealth(finished, examples)


def slope_by_autograd(apply: Callable[[str, Tensor], Tensor]) -> Callable[[str, Tensor], tuple[Tensor, Tensor]]:
    """f(z) and |f'(z)| from autograd of f itself, so that any elementwise activation is covered."""

    def derivative(layer: str, z: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            leaf = z.detach().requires_grad_()
            a = apply(layer, leaf)
            (slope,) = torch.autograd.grad(a, leaf, torch.ones_like(a))
        return a.detach(), slope.abs()

    return derivative


def is_collapsed(row: Mapping[str, Any], health: Health) -> bool:
    """Whether more than ``collapse_at`` of the hidden units are inert, or every unit of one layer is."""
    if not row["units"]:
        return False
    whole_layer = any(layer["inert"] == layer["units"] for layer in row["layers"])
    return whole_layer or bool(row["inert_fraction"] > health.collapse_at)


def _layer_row(name: str, units: Mapping[str, Tensor]) -> dict[str, Any]:
    dead, constant = units["dead"], units["constant"]
    return {
        "name": name,
        "units": len(dead),
        "dead": int(dead.sum()),
        "constant": int(constant.sum()),
        "inert": int((dead | constant).sum()),
        "always_on": int((units["positive"] > 0.99).sum()),
        "sparsity": float(units["sparsity"].mean()),
        "saturation": float(units["saturation"].mean()),
    }


def _totals(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Unit-weighted over the layers, and the worst layer; fractions are None for a network without hidden units."""
    rows = list(rows)
    units = sum(row["units"] for row in rows)
    counts = {key: sum(row[key] for row in rows) for key in ("dead", "constant", "inert")}
    shares = {
        key: sum(row[key] * row["units"] for row in rows) / units if units else None
        for key in ("sparsity", "saturation")
    }
    worst = max(rows, key=lambda row: row["dead"] / row["units"], default=None)
    return {
        "units": units,
        **counts,
        **{f"{key}_fraction": count / units if units else None for key, count in counts.items()},
        **shares,
        "worst_layer": worst and worst["name"],
        "worst_layer_dead_fraction": worst and worst["dead"] / worst["units"],
    }
