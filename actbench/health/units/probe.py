"""Measure every hidden unit of a cohort while a fixed probe of training inputs passes through.

The probe is these inputs. ``UnitObserver`` observes them batch after batch and returns a ``UnitHealth``;
``UnitHealth.of_run`` makes one run's rows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from actbench.health.units.accumulators import STATISTICS, Observation, Summary, widened
from actbench.health.units.measures import MEASURES
from actbench.schema.health_measures import HEALTH_MEASURES
from actbench.schema.spec import HealthSettings

Derivative = Callable[[str, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class UnitHealth:
    """Hold every measure of every unit of a cohort.

    Args:
        units: Layer -> measure -> (R, U): a mask or a share.
        signals: Layer -> figure (``z_mean``, ``a_std`` …) -> (R,): how strong the layer's signal is.
        examples: Inputs in the probe.
    """

    units: Mapping[str, Mapping[str, Tensor]]
    signals: Mapping[str, Mapping[str, Tensor]]
    examples: int

    def of_run(self, run: int) -> dict[str, Any]:
        """Return counts and shares of one run, per layer and in total, as written to ``result.json``."""
        rows = [self._layer_row(name, run) for name in self.units]
        return {"probe_size": self.examples, **_totals(rows), "layers": rows}

    def _layer_row(self, layer: str, run: int) -> dict[str, Any]:
        measured = {name: values[run] for name, values in self.units[layer].items()}
        row: dict[str, Any] = {"name": layer, "units": len(measured["dead"])}
        for name, values in measured.items():
            row[name] = int(values.sum()) if HEALTH_MEASURES[name].counts else float(values.mean())
        return row | {name: float(values[run]) for name, values in sorted(self.signals[layer].items())}


def _totals(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return totals weighted by units, and the worst layer; None for a network without hidden units."""
    units = sum(row["units"] for row in rows)
    totals: dict[str, Any] = {"units": units}
    for name, measure in HEALTH_MEASURES.items():
        if measure.counts:
            totals[name] = sum(row[name] for row in rows)
            totals[measure.total(name)] = totals[name] / units if units else None
        else:
            totals[measure.total(name)] = sum(row[name] * row["units"] for row in rows) / units if units else None
    worst = max(rows, key=lambda row: row["dead"] / row["units"], default=None)
    totals["worst_layer"] = worst["name"] if worst else None
    totals["worst_layer_dead_fraction"] = worst["dead"] / worst["units"] if worst else None
    return totals


class UnitObserver:
    """Collect a few numbers per unit from forward passes in evaluation mode, and measure the units by them.

    Args:
        derivative: (layer, z) -> (f(z), |f'(z)|), each run with its own f.
        health: Thresholds.
    """

    def __init__(self, derivative: Derivative, health: HealthSettings) -> None:
        self._derivative, self._health = derivative, health
        self._seen: dict[str, dict[str, Summary]] = {}

    def observe(self, layer: str, z: Tensor) -> None:
        """Add one batch of a layer's pre-activations (R, B, U, …positions)."""
        a, slope = self._derivative(layer, z.detach())
        batch = Observation(z.detach(), a, slope, self._health.dead_slope)
        seen = self._seen.setdefault(layer, {})
        for name, statistic in STATISTICS.items():
            summary = tuple(map(widened, statistic.observe(batch)))
            seen[name] = statistic.merge(seen[name], summary) if name in seen else summary

    def finish(self, examples: int) -> UnitHealth:
        """Return the measures of all that was observed, on the CPU.

        Args:
            examples: Inputs in the probe.
        """
        units = {
            # In the order of HEALTH_MEASURES, which is that of the keys in metrics.jsonl and result.json.
            layer: {name: MEASURES[name](seen, self._health).cpu() for name in HEALTH_MEASURES}
            for layer, seen in self._seen.items()
        }
        return UnitHealth(units, {layer: _signals(seen) for layer, seen in self._seen.items()}, examples)


def slope_by_autograd(apply: Callable[[str, Tensor], Tensor]) -> Derivative:
    """Return (layer, z) -> f(z) and |f'(z)|, by autograd of f itself, so that any elementwise activation is covered.

    An f whose result does not depend differentiably on z (a step function) has slope 0 everywhere.

    Args:
        apply: (layer, z) -> f(z).
    """

    def derivative(layer: str, z: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            leaf = z.detach().requires_grad_()
            a = apply(layer, leaf)
            if not a.requires_grad:
                return a, torch.zeros_like(a)
            # f is elementwise, so the gradient of the sum of all outputs is f' at every element. A part of f that
            # leaves z out (a constant branch) has no path back to the leaf: zeros stand in for its slope.
            (slope,) = torch.autograd.grad(a, leaf, torch.ones_like(a), materialize_grads=True, allow_unused=True)
        return a.detach(), slope.abs()

    return derivative


def _signals(seen: Mapping[str, Summary]) -> dict[str, Tensor]:
    """Return mean and deviation of the layer's z and a over units, inputs and positions; largest |a|: (R,) each."""
    figures = {"a_max": seen["max_output"][0].amax(1).cpu()}
    for letter, name in (("z", "inputs"), ("a", "outputs")):
        count, mean, squares = (part.cpu() for part in seen[name])
        overall = mean.mean(1, keepdim=True)
        # The law of total variance: within the units, and of the units' means around the layer's.
        variance = (squares / count + (mean - overall).square()).mean(1)
        figures |= {f"{letter}_mean": overall.squeeze(1), f"{letter}_std": variance.sqrt()}
    return figures
