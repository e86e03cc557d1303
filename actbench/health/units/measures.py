"""Compute the health measures, a function per row of ``HEALTH_MEASURES``, from the few numbers kept of each unit.

**To add a measure**: a row in ``schema/health_measures.py`` (name, rule, whether units are counted) and a function of
the same name below, under ``@measure``. Records and the tables of ``show`` and ``diff`` follow. A measure reaches
``compare`` only if its row has ``metric="…"``. If its function has to see something of the probe that no row of
``STATISTICS`` in ``accumulators.py`` keeps yet, add that row too.

A convolution's unit is a channel: its weights are shared, so it learns if it lives at any position of any image. The
definition decides the number, so a printed fraction always carries its definition and its probe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from actbench.health.units.accumulators import Summary
from actbench.schema.spec import HealthSettings

Seen = Mapping[str, Summary]
"""One layer's statistics: a row of ``STATISTICS`` -> its summary over the whole probe."""

RARE_BELOW, ALWAYS_ON_ABOVE = 0.01, 0.99
"""A unit that fires on less than 1 % of the inputs is rare; one that is positive on more than 99 % is always on."""

DORMANT = 0.1
"""τ of Sokar et al. 2023, arXiv 2302.12902, on their largest setting."""


MEASURES: dict[str, Callable[[Seen, HealthSettings], Tensor]] = {}
"""Name -> (statistics of one layer, thresholds) -> (R, U): a mask where units are counted, else a share in [0, 1]."""


def measure(function: Callable[[Seen, HealthSettings], Tensor]) -> Callable[[Seen, HealthSettings], Tensor]:
    """Enter a function in ``MEASURES`` under its own name, which is that of its row in ``HEALTH_MEASURES``."""
    MEASURES[function.__name__] = function
    return function


@measure
def dead(seen: Seen, health: HealthSettings) -> Tensor:
    """Return the mask of units with a slope that never exceeds ``dead_slope``.

    A unit that is NaN is not counted: NaN compares as False, and torch's slope of relu is 1 there. In a run the loss is
    NaN then too, and the outcome is ``diverged``.
    """
    return seen["max_slope"][0] <= health.dead_slope


@measure
def constant(seen: Seen, health: HealthSettings) -> Tensor:
    """Return the mask of units with an output that does not vary; a single output is too few to decide."""
    count, _, squares = seen["outputs"]
    return (count > 1) & ((squares / count).sqrt() <= health.constant_std)


@measure
def inert(seen: Seen, health: HealthSettings) -> Tensor:
    """Return the mask of units that are dead or constant."""
    return dead(seen, health) | constant(seen, health)


@measure
def rare(seen: Seen, health: HealthSettings) -> Tensor:
    """Return the mask of units with z > 0 on few inputs; a channel fires where any of its positions does."""
    return share("fired", seen) < RARE_BELOW


@measure
def dormant(seen: Seen, health: HealthSettings) -> Tensor:
    """Return the mask of units with a mean |f(z)| that is small beside the mean over their own layer."""
    # Needs the layer mean, known only after the whole probe: so each unit's mean is kept, and compared here. All units
    # have seen equally many values, so the mean of their means is the layer's.
    magnitude = seen["magnitude"][1]
    return magnitude <= DORMANT * magnitude.mean(1, keepdim=True)


@measure
def always_on(seen: Seen, health: HealthSettings) -> Tensor:
    """Return the mask of units with z > 0 nearly everywhere."""
    return share("positive", seen) > ALWAYS_ON_ABOVE


@measure
def sparsity(seen: Seen, health: HealthSettings) -> Tensor:
    """Return each unit's share of outputs that are exactly zero."""
    return share("zeros", seen)


@measure
def saturation(seen: Seen, health: HealthSettings) -> Tensor:
    """Return each unit's share of outputs at a slope of at most ``dead_slope``."""
    return share("flat", seen)


@measure
def spatially_silent(seen: Seen, health: HealthSettings) -> Tensor:
    """Return each channel's share of positions that are dead by themselves on every input."""
    (max_slope_at,) = seen["max_slope_at"]  # (R, …positions, U)
    silent = (max_slope_at <= health.dead_slope).double()
    return silent.reshape(silent.shape[0], -1, silent.shape[-1]).mean(1)


def share(statistic: str, seen: Seen) -> Tensor:
    """Return how many of a unit's elements or inputs were counted, out of all: (R, U)."""
    hits, total = seen[statistic]
    return hits / total
