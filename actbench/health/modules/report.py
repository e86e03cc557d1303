"""What ``measure_health`` found: counts and masks by layer, totals, and what it could not see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from actbench.schema.spec import Health

COLUMNS = ("units", "dead", "constant", "inert", "rare", "dormant", "always_on")
SHARES = ("sparsity", "saturation")
SHOWN = 8
"""Names in a line of the printed report; ``to_dict`` holds them all."""


@dataclass(frozen=True)
class LayerHealth:
    """One activation of the network: how many of its units fulfil each definition of ``health.measures``.

    Args:
        name: The submodule's name, or that of the module that calls the function, and the function's; ``#2`` for a
            second call in one forward pass.
        activation: Name of the function or class.
        after: The weight layers that feed it.
        examples: Inputs on which it was seen.
        units: Units (channels) that it has.
        dead: No gradient reaches them.
        constant: Their output does not vary.
        inert: Dead or constant.
        rare: z > 0 on less than 1 % of the inputs.
        dormant: Mean |f(z)| at most a tenth of the layer's.
        always_on: z > 0 on more than 99 % of inputs and positions.
        sparsity: Share of outputs that are exactly zero.
        saturation: Share of outputs at a slope of at most ``dead_slope``.
        spatially_silent: Mean share of a channel's positions that are dead on every input.
        signals: ``z_mean``, ``z_std``, ``a_mean``, ``a_std``, ``a_max`` over units, inputs and positions.
        masks: Definition -> (U,) bool, for each that counts units.
    """

    name: str
    activation: str
    after: tuple[str, ...]
    examples: int
    units: int
    dead: int
    constant: int
    inert: int
    rare: int
    dormant: int
    always_on: int
    sparsity: float
    saturation: float
    spatially_silent: float
    signals: Mapping[str, float]
    masks: Mapping[str, Tensor] = field(repr=False, compare=False)

    @property
    def dead_mask(self) -> Tensor:
        """(U,) bool: no gradient reaches the unit."""
        return self.masks["dead"]

    @property
    def constant_mask(self) -> Tensor:
        """(U,) bool: its output does not vary."""
        return self.masks["constant"]

    @property
    def inert_mask(self) -> Tensor:
        """(U,) bool: dead or constant."""
        return self.masks["inert"]

    @property
    def rare_mask(self) -> Tensor:
        """(U,) bool: z > 0 on less than 1 % of the inputs."""
        return self.masks["rare"]

    @property
    def dormant_mask(self) -> Tensor:
        """(U,) bool: mean |f(z)| at most a tenth of the layer's."""
        return self.masks["dormant"]

    @property
    def always_on_mask(self) -> Tensor:
        """(U,) bool: z > 0 on more than 99 % of inputs and positions."""
        return self.masks["always_on"]

    @property
    def dead_fraction(self) -> float:
        """Share of the units that are dead."""
        return self.dead / self.units

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and names; the dead units by index, the other masks left out."""
        row = {key: value for key, value in vars(self).items() if key != "masks"}
        return row | {
            "after": list(self.after),
            "signals": dict(self.signals),
            "dead_units": self.dead_mask.nonzero().flatten().tolist(),
        }


@dataclass(frozen=True)
class HealthReport:
    """The health of a network's hidden units on some inputs; ``print`` shows it as a table.

    Args:
        layers: The hidden activations, in the order in which they were first called.
        totals: Unit-weighted over the layers: a count and a fraction of each definition, and the shares.
        examples: Inputs that were seen.
        settings: The thresholds.
        unseen: Weight layers after which something non-linear happened that is no activation that can be measured.
        linear: Weight layers from which linear functions lead to the next: they have no activation.
        gating: Weight layers whose output, through a sigmoid, only scales the signal of others.
        outputs: Activations left out because no weight layer follows: they shape the network's output.
    """

    layers: tuple[LayerHealth, ...]
    totals: Mapping[str, Any]
    examples: int
    settings: Health
    unseen: tuple[str, ...] = ()
    linear: tuple[str, ...] = ()
    gating: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @property
    def units(self) -> int:
        """Hidden units that were seen."""
        return int(self.totals["units"])

    @property
    def dead(self) -> int:
        """Units that no gradient reaches."""
        return int(self.totals["dead"])

    @property
    def dead_fraction(self) -> float | None:
        """Share of the units that are dead; None when no activation was seen."""
        return self._fraction("dead")

    @property
    def constant_fraction(self) -> float | None:
        """Share of the units whose output does not vary; None when no activation was seen."""
        return self._fraction("constant")

    @property
    def inert_fraction(self) -> float | None:
        """Share of the units that are dead or constant; None when no activation was seen."""
        return self._fraction("inert")

    @property
    def worst_layer(self) -> str | None:
        """Name of the layer with the largest share of dead units; None when no activation was seen."""
        name: str | None = self.totals["worst_layer"]
        return name

    @property
    def firing_rate_bound(self) -> float:
        """At 95 % confidence a unit silent on all N inputs fires on less than 3/N of such inputs (rule of three)."""
        return min(1.0, 3 / self.examples)

    def layer(self, name: str) -> LayerHealth:
        """The layer of this name.

        Raises:
            KeyError: When there is none.
        """
        return {layer.name: layer for layer in self.layers}[name]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON can hold it; masks only as the indices of the dead units."""
        return {
            **self.totals,
            "examples": self.examples,
            "dead_slope": self.settings.dead_slope,
            "constant_std": self.settings.constant_std,
            "firing_rate_bound": self.firing_rate_bound,
            "unseen": list(self.unseen),
            "linear": list(self.linear),
            "gating": list(self.gating),
            "outputs": list(self.outputs),
            "layers": [layer.to_dict() for layer in self.layers],
        }

    def __str__(self) -> str:
        """A table of the layers; below it the totals with their definitions and the probe, and what was not seen."""
        parts = [_table(self.layers), *self._definitions()] if self.layers else ["no hidden activation was seen"]
        lists = {
            "activation not seen after": self.unseen,
            "no activation after": self.linear,
            "gate for others": self.gating,
            "left out as output": self.outputs,
        }
        return "\n".join([*parts, *(f"{text}: {_listed(names)}" for text, names in lists.items() if names)])

    def _definitions(self) -> list[str]:
        probe, bound = f"on {self.examples:,} inputs", self.firing_rate_bound
        rules = {
            "dead": f"slope ≤ {_threshold(self.settings.dead_slope)}",
            "constant": f"std ≤ {_threshold(self.settings.constant_std)}",
            "inert": "dead or constant",
        }
        lines = [
            f"{name} {_percent(self.totals[f'{name}_fraction'])} ({self.totals[name]}/{self.units}, {rule} {probe})"
            for name, rule in rules.items()
        ]
        return [*lines, f"silence {probe} bounds a unit's firing rate below {_percent(bound)} (3/N) at 95 %"]

    def _fraction(self, name: str) -> float | None:
        share: float | None = self.totals[f"{name}_fraction"]
        return share


def _table(layers: tuple[LayerHealth, ...]) -> str:
    """Aligned columns: names to the left, numbers to the right."""
    heads = ["layer", "activation", "after", *(name.replace("_", " ") for name in (*COLUMNS, *SHARES))]
    rows = [heads, *map(_cells, layers)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if place < 3 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells))
    return "\n".join(lines)


def _cells(layer: LayerHealth) -> list[str]:
    counts = [f"{getattr(layer, name):,}" for name in COLUMNS]
    return [
        layer.name,
        layer.activation,
        ", ".join(layer.after),
        *counts,
        *(_percent(getattr(layer, name)) for name in SHARES),
    ]


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _percent(share: float) -> str:
    """Two significant digits below one percent, so that no small share reads as none."""
    return f"{100 * share:.2g} %" if 0 < share < 0.01 else f"{100 * share:.1f} %"


def _threshold(value: float) -> str:
    """``1e-3`` rather than 0.001."""
    mantissa, _, exponent = f"{value:.15e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}" if 0 < value < 0.01 else f"{value:g}"
