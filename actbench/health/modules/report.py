"""Hold and print the result of ``measure_health``: counts and masks by layer, totals, and the layers not observed.

The measures are those of ``schema.health_measures``: a row there is a column, an attribute and a key here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from actbench.health.theory.closed_forms import max_unseen_firing_rate
from actbench.health.units.probe import dead_share
from actbench.schema.health_measures import COUNTED, HEALTH_MEASURES, NOT_FINITE, SHARES
from actbench.system.text import some_names

if TYPE_CHECKING:
    from torch import Tensor

    from actbench.schema.spec import HealthSettings

NOT_PRINTED = ("spatially_silent",)
"""Measures left out of the printed table: it means something for channels only, and the table is wide."""

LISTS = {
    "unseen": "activation not seen after",
    "linear": "no activation after",
    "gating": "gate for others",
    "outputs": "left out as output",
    "uncertain": "units uncertain, in no total (choose unit_axis)",
    "unmasked": "mask does not fit, all positions count",
    "others": "others with parameters",
    "unused": "not used on these inputs",
}
"""A report's lists of layers, and the words before each in the printed one."""

MAX_NAMES = 8
"""Names in a line of the printed report; ``to_dict`` holds them all."""


@dataclass(frozen=True)
class LayerHealth:
    """One activation of the network: how many of its units fulfil each of ``HEALTH_MEASURES``.

    Each measure is an attribute too: ``layer.dead`` is ``layer.measures["dead"]``, a count of units, and
    ``layer.sparsity`` a share; ``layer.dead_mask`` is ``layer.masks["dead"]``, (U,) bool, and so for all that count.

    Args:
        name: The submodule's name, or that of the module that calls the function, and the function's; ``#2`` for a
            second call in one forward pass.
        activation: Name of the function or class.
        after: The weight layers that feed it.
        examples: Inputs on which it was seen.
        units: Units (channels) that it has.
        measures: Measure -> how many units fulfil it, or the mean share over the units with finite numbers.
        signals: ``z_mean``, ``z_std``, ``a_mean``, ``a_std``, ``a_max`` over those units, inputs and positions.
        masks: Measure -> (U,) bool, for each that counts units.
        uncertain: Whether the units could not be followed to here, so that their dimension is a guess.
    """

    name: str
    activation: str
    after: tuple[str, ...]
    examples: int
    units: int
    measures: Mapping[str, int | float | None]
    signals: Mapping[str, float | None]
    masks: Mapping[str, Tensor] = field(repr=False, compare=False)
    uncertain: bool = False

    def __getattr__(self, name: str) -> Any:
        """Return a measure or the mask of one that counts units; see the class."""
        measure = name.removesuffix("_mask")
        if name in HEALTH_MEASURES:
            return self.measures[name]
        if measure in COUNTED:
            return self.masks[measure]
        raise AttributeError(f"'{type(self).__name__}' has no attribute '{name}'")

    def __dir__(self) -> list[str]:
        """Return the attributes, measures and masks included, so that an interactive session completes them."""
        return [*super().__dir__(), *HEALTH_MEASURES, *(f"{name}_mask" for name in COUNTED)]

    @property
    def dead_fraction(self) -> float | None:
        """The share of the units with finite numbers that are dead; None when there are none."""
        return dead_share({"units": self.units, **self.measures})

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and names; the dead units by index, the other masks left out."""
        return {
            "name": self.name,
            "activation": self.activation,
            "after": list(self.after),
            "examples": self.examples,
            "units": self.units,
            "uncertain": self.uncertain,
            **self.measures,
            "signals": dict(self.signals),
            "dead_units": self.masks["dead"].nonzero().flatten().tolist(),
        }


@dataclass(frozen=True)
class HealthReport:
    """The health of a network's hidden units on some inputs; ``print`` shows it as a table.

    Args:
        layers: The hidden activations, in the order in which they were first called.
        totals: Unit-weighted over the certain layers: a count and a fraction of each definition, and the shares.
        examples: Inputs that were seen.
        settings: The thresholds.
        unseen: Weight layers followed by something non-linear that is not an activation that can be measured.
        linear: Weight layers from which linear functions lead to the next: they have no activation.
        gating: Weight layers whose output, through a sigmoid, only scales the signal of others.
        uncertain: Layers with a guessed dimension of units: they stand in ``layers``, but in no total.
        outputs: Weight layers that no other follows, and activations left out for that: they shape the network's
            output.
        unmasked: Layers with positions that the mask does not fit: all of their positions count.
        others: Modules with parameters that are no weight layers: normalisations, embeddings, learned scales. A
            parameter of the network itself goes by its own name.
        unused: Modules with parameters that no input of these reached.
    """

    layers: tuple[LayerHealth, ...]
    totals: Mapping[str, Any]
    examples: int
    settings: HealthSettings
    unseen: tuple[str, ...] = ()
    linear: tuple[str, ...] = ()
    gating: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    uncertain: tuple[str, ...] = ()
    unmasked: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def units(self) -> int:
        """The number of hidden units that were seen."""
        return int(self.totals["units"])

    @property
    def dead(self) -> int:
        """The number of units that no gradient reaches."""
        return int(self.totals["dead"])

    @property
    def not_finite(self) -> int:
        """The number of units with a NaN or an infinite number; they are in no other count or share."""
        return int(self.totals[NOT_FINITE])

    @property
    def dead_fraction(self) -> float | None:
        """The share of the units with finite numbers that are dead; None when there are none."""
        return self._fraction("dead")

    @property
    def constant_fraction(self) -> float | None:
        """The share of those units with an output that does not vary; None when there are none."""
        return self._fraction("constant")

    @property
    def inert_fraction(self) -> float | None:
        """The share of those units that are dead or constant; None when there are none."""
        return self._fraction("inert")

    @property
    def worst_layer(self) -> str | None:
        """The name of the layer with the largest share of dead units; None when no activation was seen."""
        name: str | None = self.totals["worst_layer"]
        return name

    @property
    def firing_rate_bound(self) -> float:
        """The share of inputs on which a unit silent on all of these fires at most, at 95 % (rule of three)."""
        return max_unseen_firing_rate(self.examples)

    def layer(self, name: str) -> LayerHealth:
        """Return the layer of this name.

        Raises:
            KeyError: When there is none.
        """
        return {layer.name: layer for layer in self.layers}[name]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it; masks only as the indices of the dead units."""
        return {
            **self.totals,
            "examples": self.examples,
            "dead_slope": self.settings.dead_slope,
            "constant_std": self.settings.constant_std,
            "firing_rate_bound": self.firing_rate_bound,
            **{name: list(getattr(self, name)) for name in LISTS},
            "layers": [layer.to_dict() for layer in self.layers],
        }

    def __str__(self) -> str:
        """Return a table of the layers, the totals with their definitions and the probe, and the layers not seen."""
        parts = [_table(self.layers)] if self.layers else ["no hidden activation was seen"]
        parts += self._definitions() if self.units else []
        lists = [(text, getattr(self, name)) for name, text in LISTS.items()]
        return "\n".join([*parts, *(f"{text}: {some_names(names, MAX_NAMES)}" for text, names in lists if names)])

    def _definitions(self) -> list[str]:
        probe, bound = f"on {self.examples:,} inputs", self.firing_rate_bound
        rules = {
            "dead": f"slope ≤ {_threshold(self.settings.dead_slope)}",
            "constant": f"std ≤ {_threshold(self.settings.constant_std)}",
            "inert": "dead or constant",
        }
        lost = self.not_finite
        known = self.units - lost
        apart = f"; {lost} of {self.units} units not finite" if lost else ""
        lines = [
            f"{name} {_percent(self.totals[f'{name}_fraction'])} ({self.totals[name]}/{known}, {rule} {probe}{apart})"
            for name, rule in rules.items()
        ]
        if lost:
            lines.append(f"not finite: z, f(z) or its slope is NaN or infinite {probe}; in no other count or share")
        return [*lines, f"silence {probe} bounds a unit's firing rate below {_percent(bound)} (3/N) at 95 %"]

    def _fraction(self, name: str) -> float | None:
        share: float | None = self.totals[f"{name}_fraction"]
        return share


def _table(layers: tuple[LayerHealth, ...]) -> str:
    """Return aligned columns: names to the left, numbers to the right."""
    counts, shares = (tuple(name for name in names if name not in NOT_PRINTED) for names in (COUNTED, SHARES))
    heads = ["layer", "activation", "after", "units", *(name.replace("_", " ") for name in (*counts, *shares))]
    rows = [heads]
    for layer in layers:
        names = [layer.name, layer.activation, ", ".join(layer.after)]
        numbers = [f"{layer.units:,}{'?' * layer.uncertain}", *(f"{layer.measures[name]:,}" for name in counts)]
        rows.append([*names, *numbers, *(_percent(layer.measures[name]) for name in shares)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if place < 3 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells))
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    """Return percent, with two significant digits below one so that no small share reads as none; – for None."""
    if share is None:
        return "–"
    return f"{100 * share:.2g} %" if 0 < share < 0.01 else f"{100 * share:.1f} %"


def _threshold(value: float) -> str:
    """Return a threshold as configs write it: ``1e-3`` rather than 0.001."""
    mantissa, _, exponent = f"{value:.15e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}" if 0 < value < 0.01 else f"{value:g}"
