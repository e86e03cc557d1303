"""Measure every hidden unit of a cohort while a fixed probe of training inputs passes through.

The probe is these inputs. ``UnitObserver`` observes them batch after batch and returns a ``UnitHealth``;
``UnitHealth.of_run`` makes one run's rows of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from actbench.health.units.accumulators import STATISTICS, Observation, Scratch, Summary, joined, widened
from actbench.health.units.compiled import Code, CompiledUnits
from actbench.health.units.groups import GroupObservation, PartHealth, Parts
from actbench.health.units.histograms import counts
from actbench.health.units.measures import judged, mean_over_units
from actbench.nn.native import library
from actbench.schema.health_measures import HEALTH_MEASURES, NOT_FINITE
from actbench.schema.histograms import HISTOGRAMS, packed
from actbench.schema.spec import HealthSettings
from actbench.schema.unit_groups import ELEMENTWISE, UnitGroup
from actbench.system import user_code

Derivative = Callable[[str, Tensor], tuple[Tensor, Tensor]]
Arrange = Callable[[Tensor], Sequence[Tensor]]
Codes = Callable[[str], Sequence[Code | None]]


@dataclass(frozen=True)
class UnitHealth:
    """Hold every measure of every unit of a cohort.

    Args:
        units: Layer -> measure -> (R, U): a mask or a share.
        signals: Layer -> figure (``z_mean``, ``a_std`` …) -> (R,): how strong the layer's signal is.
        examples: Inputs in the probe.
        histograms: Layer -> ``z_histogram`` and ``a_histogram`` -> (R, bins); empty unless asked for.
        parts: Layer whose activation changes its width -> what is known of its pre-activations.
    """

    units: Mapping[str, Mapping[str, Tensor]]
    signals: Mapping[str, Mapping[str, Tensor]]
    examples: int
    histograms: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    parts: Mapping[str, PartHealth] = field(default_factory=dict)

    def of_run(self, run: int) -> dict[str, Any]:
        """Return counts and shares of one run, per layer and in total, as written to ``result.json``."""
        rows = [self._layer_row(name, run) for name in self.units]
        return {"probe_size": self.examples, **_totals(rows), "layers": rows}

    def masks(self, measure: str) -> dict[str, Tensor]:
        """Return layer -> (R, U) of one measure."""
        return {layer: measured[measure] for layer, measured in self.units.items()}

    def _layer_row(self, layer: str, run: int) -> dict[str, Any]:
        measured = {name: values[run] for name, values in self.units[layer].items()}
        row: dict[str, Any] = {"name": layer, "units": len(measured["dead"])}
        if layer in self.parts:
            row |= self.parts[layer].of_run(run)
        unknown = measured[NOT_FINITE]
        for name, values in measured.items():
            if HEALTH_MEASURES[name].counts:
                row[name] = int(values.sum())
            else:
                known = values[~unknown] if unknown.any() else values
                row[name] = float(known.mean()) if len(known) else None
        row |= {name: _finite_or_none(float(values[run])) for name, values in sorted(self.signals[layer].items())}
        return row | {name: packed(bins[run].tolist()) for name, bins in self.histograms.get(layer, {}).items()}


def known_units(row: Mapping[str, Any]) -> int:
    """Return how many units of a layer, or of a run, have finite numbers: those that shares are taken of."""
    return int(row["units"] - row[NOT_FINITE])


def dead_share(row: Mapping[str, Any]) -> float | None:
    """Return the share of a layer's units that are dead, of those with finite numbers; None if it has none of them."""
    known = known_units(row)
    return row["dead"] / known if known else None


def _totals(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return totals weighted by units, and the worst layer; None for a network without finite hidden units."""
    units, known = sum(row["units"] for row in rows), sum(map(known_units, rows))
    totals: dict[str, Any] = {"units": units}
    for name, measure in HEALTH_MEASURES.items():
        if measure.counts:
            totals[name] = sum(row[name] for row in rows)
            of = units if name == NOT_FINITE else known
            totals[measure.total(name)] = totals[name] / of if of else None
        else:
            weighted = [row[name] * known_units(row) for row in rows if row[name] is not None]
            totals[measure.total(name)] = sum(weighted) / known if known else None
    shares = {row["name"]: share for row in rows if (share := dead_share(row)) is not None}
    worst = max(shares, key=shares.__getitem__, default=None)
    totals["worst_layer"], totals["worst_layer_dead_fraction"] = worst, shares.get(worst)
    return totals


def _finite_or_none(value: float) -> float | None:
    return value if isfinite(value) else None


PIECE = 2**20
"""Bytes of one run's pre-activations that are summed up at a time on a CPU: with f, f' and scratch they stay in a cache
of some megabytes, from where each of the statistics reads them again."""


class UnitObserver:
    """Collect a few numbers per unit from forward passes in evaluation mode, and measure the units by them.

    Args:
        derivative: (layer, z) -> (f(z), |f'(z)|), each run with its own f.
        health: Thresholds.
        histograms: Whether to count each layer's values in bins besides.
        codes: Layer -> each run's activation as the compiled kernels know it, None for one that they do not; None where
            they are not to be used. They are used for what they can observe, if this process has them.
    """

    def __init__(
        self, derivative: Derivative, health: HealthSettings, *, histograms: bool = False, codes: Codes | None = None
    ) -> None:
        self._derivative, self._health, self._has_histograms, self._codes = derivative, health, histograms, codes
        self._layers: dict[str, _Layer] = {}
        self._scratch = Scratch()

    def observe(
        self,
        layer: str,
        z: Tensor,
        arrange: Arrange | None = None,
        order: Tensor | None = None,
        keep: Tensor | None = None,
        group: UnitGroup = ELEMENTWISE,
    ) -> None:
        """Add one batch of a layer's pre-activations.

        Args:
            layer: The layer's name.
            z: The pre-activations, in the shape in which the activation sees them.
            arrange: Makes (R, B, U, …positions) of values of that shape; several such tensors, one after another along
                the units, where some units have more numbers than others. None where z has that shape.
            order: The places of the units among those; None for one after another.
            keep: True where z belongs to an input rather than to padding, in the shape of z; None for everywhere.
            group: How many pre-activations and outputs a unit has. Unless one each, z is (R, B, U, …positions).
        """
        z = z.detach()
        if not group.is_elementwise:
            for piece, there in _pieces(z, keep):
                self._add_groups(layer, piece, there, group)
            return
        if arrange is None:
            runs = self._not_compiled(layer, z) if keep is None else None
            if runs == ():
                return
            # f is applied to each piece, too: here it is the trainer's, which is known to be elementwise.
            for piece, there in _pieces(z, keep):
                a, slope = self._derivative(layer, piece)
                # In mixed company f and f' are computed for all runs; few studies have formulas beside the table's.
                z, a, slope = (values if runs is None else values[list(runs)] for values in (piece, a, slope))
                self._add(layer, [self._observation(z, a, slope, there)], runs=runs)
            return
        a, slope = self._derivative(layer, z)
        kept: Sequence[Tensor | None] = [None] * len(arrange(z))
        if keep is not None:
            kept = [part.bool() for part in arrange(keep.to(torch.uint8))]
        groups = [self._observation(*values) for values in zip(*map(arrange, (z, a, slope)), kept, strict=True)]
        if len(groups) > 1:  # which may differ in how many inputs they have
            self._add(layer, groups, order)
            return
        (only,) = groups
        for z, a, slope, there in _pieces(only.z, only.a, only.slope, only.keep):
            self._add(layer, [self._observation(z, a, slope, there)], order)

    def _not_compiled(self, layer: str, z: Tensor) -> tuple[int, ...] | None:
        """Let the compiled kernel observe the runs of z (R, B, U, …positions) that it can.

        Returns:
            The other runs; None for all.
        """
        kernels = library.in_use()
        fits = z.device.type == "cpu" and z.dtype == torch.float32 and z.numel() > 0
        if self._codes is None or kernels is None or not fits:
            return None
        found = self._layers.setdefault(layer, _Layer())
        if found.codes is None:
            found.codes = tuple(self._codes(layer))
        codes = {run: code for run, code in enumerate(found.codes) if code is not None}
        if not codes:
            return None
        shape = tuple(z.shape[2:])
        if shape not in found.compiled:  # the length of sequences may change from batch to batch
            found.compiled[shape] = CompiledUnits(
                kernels,
                list(codes.values()),
                shape,
                dead_slope=self._health.dead_slope,
                histograms=self._has_histograms,
            )
        found.compiled[shape].add([z[run] for run in codes])
        return tuple(run for run, code in enumerate(found.codes) if code is None)

    def _observation(self, z: Tensor, a: Tensor, slope: Tensor, keep: Tensor | None) -> Observation:
        return Observation(z, a, slope, self._health.dead_slope, keep, self._scratch)

    def _add(
        self,
        layer: str,
        batches: Sequence[Observation],
        order: Tensor | None = None,
        runs: tuple[int, ...] | None = None,
    ) -> None:
        """Add groups of units, each with the same inputs: of these runs, None for all."""
        found = self._layers.setdefault(layer, _Layer())
        if self._has_histograms:
            for batch in batches:
                _count(found.histograms.setdefault(runs, {}), z=batch.z, a=batch.a, keep=batch.keep)
        seen = found.seen.setdefault(runs, {})
        for name, statistic in STATISTICS.items():
            summary = tuple(map(widened, joined([statistic.observe(batch) for batch in batches], order)))
            seen[name] = statistic.merge(seen[name], summary) if name in seen else summary

    def _add_groups(self, layer: str, z: Tensor, keep: Tensor | None, group: UnitGroup) -> None:
        """Add a piece (R, B, U·inputs, …positions) of a layer whose activation changes its width."""
        found = self._layers.setdefault(layer, _Layer())
        a, slope = self._derivative(layer, z)
        groups = GroupObservation.of(
            z, a, slope, keep, group, dead_slope=self._health.dead_slope, scratch=self._scratch
        )
        if self._has_histograms:
            _count(found.histograms.setdefault(None, {}), z=z, a=a, keep=keep)
        seen = found.seen.setdefault(None, {})
        for name, summary in groups.summaries().items():
            wide = tuple(map(widened, summary))
            seen[name] = STATISTICS[name].merge(seen[name], wide) if name in seen else wide
        found.parts = groups.parts if found.parts is None else found.parts.merged(groups.parts)

    def finish(self, examples: int) -> UnitHealth:
        """Return the measures of all that was observed, on the CPU.

        Args:
            examples: Inputs in the probe.
        """
        layers = {layer: found.together() for layer, found in self._layers.items()}
        parts = {layer: found.parts for layer, found in self._layers.items() if found.parts is not None}
        units = {
            # In the order of HEALTH_MEASURES, which is that of the keys in metrics.jsonl and result.json.
            layer: {name: values.cpu() for name, values in judged(seen, self._health, parts.get(layer)).items()}
            for layer, (seen, _) in layers.items()
        }
        signals = {layer: _signals(seen, units[layer][NOT_FINITE]) for layer, (seen, _) in layers.items()}
        histograms = {layer: counted for layer, (_, counted) in layers.items() if counted}
        healths = {layer: PartHealth.of(one, self._health.dead_slope) for layer, one in parts.items()}
        return UnitHealth(units, signals, examples, histograms, healths)


Runs = tuple[int, ...] | None
"""Some of the runs; None for all of them."""


@dataclass
class _Layer:
    """Hold what was seen of one layer: of some runs by the compiled kernel, of others by torch.

    Args:
        codes: The activations of the runs as the kernel knows them; None before they were asked for.
        compiled: (U, …positions) -> what the kernel knows of such batches.
        seen: Runs -> the statistics of those, by torch.
        histograms: Runs -> the histograms of those, by torch.
        parts: What was seen of a unit's pre-activations one by one, where the activation changes the width.
    """

    codes: tuple[Code | None, ...] | None = None
    compiled: dict[tuple[int, ...], CompiledUnits] = field(default_factory=dict)
    seen: dict[Runs, dict[str, Summary]] = field(default_factory=dict)
    histograms: dict[Runs, dict[str, Tensor]] = field(default_factory=dict)
    parts: Parts | None = None

    def together(self) -> tuple[dict[str, Summary], dict[str, Tensor]]:
        """Return the statistics and the histograms of all runs."""
        native: Runs = None
        if self.codes is not None and not all(self.codes):
            native = tuple(run for run, code in enumerate(self.codes) if code)
        parts = [(runs, seen, self.histograms.get(runs, {})) for runs, seen in self.seen.items()]
        parts += [(native, one.summaries(), one.histograms()) for one in self.compiled.values()]
        if len(parts) == 1:
            return parts[0][1:]
        runs = len(self.codes or ())
        of_runs = [_of_run(run, parts) for run in range(runs)]
        seen = {
            name: tuple(torch.cat(same) for same in zip(*(one[name] for one, _ in of_runs), strict=True))
            for name in STATISTICS
        }
        return seen, {name: torch.cat([counted[name] for _, counted in of_runs]) for name in of_runs[0][1]}


def _of_run(
    run: int, parts: Sequence[tuple[Runs, dict[str, Summary], dict[str, Tensor]]]
) -> tuple[dict[str, Summary], dict[str, Tensor]]:
    """Return one run's statistics and histograms, those of all parts in which it is."""
    merged: dict[str, Summary] = {}
    totals: dict[str, Tensor] = {}
    for runs, seen, histograms in parts:
        if runs is not None and run not in runs:
            continue
        place = run if runs is None else runs.index(run)
        for name, summary in seen.items():
            own = tuple(part[place : place + 1] for part in summary)
            merged[name] = STATISTICS[name].merge(merged[name], own) if name in merged else own
        for name, found in histograms.items():
            own_counts = found[place : place + 1]
            totals[name] = totals[name] + own_counts if name in totals else own_counts
    return merged, totals


def _count(totals: dict[str, Tensor], *, z: Tensor, a: Tensor, keep: Tensor | None) -> None:
    """Add to the histograms of z and f(z)."""
    for name, values in zip(HISTOGRAMS, (z, a), strict=True):
        found = counts(values, keep)
        totals[name] = totals[name] + found if name in totals else found


def _pieces(*tensors: Tensor | None) -> Iterator[tuple[Any, ...]]:
    """Cut tensors (R, B, …) of one shape along the inputs, at the same places: on a CPU into pieces of ``PIECE`` bytes.

    The size is that of one run, so that the sums of a run are taken over the same inputs in any company.
    """
    first = next(tensor for tensor in tensors if tensor is not None)
    inputs = first.shape[1]
    bytes_of_input = first.element_size() * math.prod((1, *first.shape[2:]))
    size = max(1, PIECE // max(1, bytes_of_input)) if first.device.type == "cpu" else inputs
    for start in range(0, max(inputs, 1), max(size, 1)):
        yield tuple(None if tensor is None else tensor[:, start : start + size] for tensor in tensors)


def slope_by_autograd(apply: Callable[[str, Tensor], Tensor]) -> Derivative:
    """Return (layer, z) -> f(z) and |f'(z)|, by autograd of f itself, so that any elementwise activation is covered.

    Of a unit with several pre-activations or outputs it is |∂ sum of its outputs/∂z|, by each of them. An f whose
    result does not depend differentiably on z (a step function) has slope 0 everywhere.

    Args:
        apply: (layer, z) -> f(z).
    """

    def derivative(layer: str, z: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            leaf = z.detach().requires_grad_()
            a = apply(layer, leaf)
            slope = user_code.slope(a, leaf)
        return a.detach(), slope.abs()

    return derivative


def _signals(seen: Mapping[str, Summary], unknown: Tensor) -> dict[str, Tensor]:
    """Return mean and deviation of the layer's z and a over units, inputs and positions; largest |a|: (R,) each.

    Units with numbers that are not finite are left out; NaN where a run has no other.
    """
    largest = torch.where(unknown, -torch.inf, seen["max_output"][0].cpu()).amax(1)
    figures = {"a_max": torch.where(unknown.all(1), torch.nan, largest)}
    for letter, name in (("z", "inputs"), ("a", "outputs")):
        count, mean, squares = (part.cpu() for part in seen[name])
        overall = mean_over_units(mean, unknown)
        # The law of total variance: within the units, and of the units' means around the layer's.
        variance = mean_over_units(squares / count + (mean - overall.unsqueeze(1)).square(), unknown)
        figures |= {f"{letter}_mean": overall, f"{letter}_std": variance.sqrt()}
    return figures
