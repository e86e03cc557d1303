"""Is a unit alive? Every definition as a row: what it needs to have seen, and what it says of each unit.

A convolution's unit is a channel: its weights are shared, so it learns if it lives at any position of any image. The
definition decides the number, so a printed fraction always carries its definition and its probe. Units and directions
of the totals stand in ``record.METRICS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from actbench.health.units.accumulators import State
from actbench.schema.spec import Health

Seen = Mapping[str, State]

RARE, ALWAYS = 0.01, 0.99
"""A unit that fires on less than 1 % of the inputs is rare; one that is positive on more than 99 % is always on."""

DORMANT = 0.1
"""τ of Sokar et al. 2023, arXiv 2302.12902, on their largest setting."""


@dataclass(frozen=True)
class Measure:
    """One definition.

    Args:
        text: The rule, with its formula.
        needs: Names of the statistics it is made of.
        finish: (statistics of one layer, thresholds) -> (R, U): a mask, or a share in [0, 1].
        counts: Whether it is a mask, whose units are counted; a share is averaged over units.
    """

    text: str
    needs: tuple[str, ...]
    finish: Callable[[Seen, Health], Tensor]
    counts: bool = True


def _dead(seen: Seen, health: Health) -> Tensor:
    return seen["steepest"][0] <= health.dead_slope


def _constant(seen: Seen, health: Health) -> Tensor:
    count, _, squares = seen["outputs"]
    return (count > 1) & ((squares / count).sqrt() <= health.constant_std)  # one number can't tell


def _dormant(seen: Seen, health: Health) -> Tensor:
    magnitude = seen["magnitude"][1]
    return magnitude <= DORMANT * magnitude.mean(1, keepdim=True)


def _spatially_silent(steepest_at: Tensor, health: Health) -> Tensor:
    """(R, …positions, U) -> (R, U)."""
    silent = (steepest_at <= health.dead_slope).double()
    return silent.reshape(silent.shape[0], -1, silent.shape[-1]).mean(1)


def _share(name: str) -> Callable[[Seen, Health], Tensor]:
    return lambda seen, health: seen[name][0] / seen[name][1]


MEASURES: dict[str, Measure] = {
    "dead": Measure("max |f'(z)| over the probe ≤ dead_slope: no gradient reaches the unit", ("steepest",), _dead),
    "constant": Measure("std of f(z) over the probe ≤ constant_std: it says nothing", ("outputs",), _constant),
    "inert": Measure(
        "dead or constant",
        ("steepest", "outputs"),
        lambda seen, health: _dead(seen, health) | _constant(seen, health),
    ),
    "rare": Measure(
        "z > 0 somewhere on less than 1 % of the inputs (ReLU family)",
        ("fired",),
        lambda seen, health: _share("fired")(seen, health) < RARE,
    ),
    "dormant": Measure(
        "E|f(z)| ≤ 0.1 of its layer's mean (Sokar et al. 2023, arXiv 2302.12902)", ("magnitude",), _dormant
    ),
    "always_on": Measure(
        "z > 0 on more than 99 % of inputs and positions: linear for the ReLU family",
        ("positive",),
        lambda seen, health: _share("positive")(seen, health) > ALWAYS,
    ),
    "sparsity": Measure("share of outputs that are exactly zero", ("zeros",), _share("zeros"), counts=False),
    "saturation": Measure("share of outputs with |f'(z)| ≤ dead_slope", ("flat",), _share("flat"), counts=False),
    "spatially_silent": Measure(
        "share of positions of a channel that are dead over the probe; a dense unit has one position",
        ("steepest_at",),
        lambda seen, health: _spatially_silent(seen["steepest_at"][0], health),
        counts=False,
    ),
}
