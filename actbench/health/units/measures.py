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

import torch
from torch import Tensor

from actbench.health.units.accumulators import UNOBSERVED, Summary
from actbench.health.units.groups import Parts
from actbench.schema.health_measures import HEALTH_MEASURES, NOT_FINITE
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
    """Return the mask of units with a slope that never exceeds ``dead_slope``."""
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
    return dormant_mask(seen["magnitude"][1], not_finite(seen, health), DORMANT)


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
    silent, seen_at = (
        mask.double().reshape(mask.shape[0], -1, mask.shape[-1])
        for mask in ((max_slope_at != UNOBSERVED) & (max_slope_at <= health.dead_slope), max_slope_at != UNOBSERVED)
    )
    return silent.sum(1) / seen_at.sum(1)


@measure
def not_finite(seen: Seen, health: HealthSettings) -> Tensor:
    """Return the mask of units with a pre-activation, output or slope that is NaN or infinite."""
    # A maximum of absolute values is finite if and only if all of them are: ``amax`` passes NaN on.
    return ~torch.stack([seen[name][0].isfinite() for name in ("max_input", "max_output", "max_slope")]).all(0)


def judged(seen: Seen, health: HealthSettings, parts: Parts | None = None) -> dict[str, Tensor]:
    """Return every measure of one layer; a unit with numbers that are not finite fulfils no rule but that one.

    Args:
        seen: The layer's statistics.
        health: Thresholds.
        parts: Its pre-activations one by one, where the activation changes the width.
    """
    if parts is not None and parts.group.outputs > 1:
        # Outputs that differ from each other do not carry information for that: z says whether they vary.
        seen = {**seen, "outputs": seen["inputs"]}
    unknown = not_finite(seen, health)
    found = {name: MEASURES[name](seen, health) for name in HEALTH_MEASURES}
    return {
        name: values & ~unknown if HEALTH_MEASURES[name].counts and name != NOT_FINITE else values
        for name, values in found.items()
    }


def dormant_mask(magnitude: Tensor, unknown: Tensor, tau: float) -> Tensor:
    """Return the mask of units whose mean |f(z)| is at most tau of the mean over their layer.

    Args:
        magnitude: (R, U), each unit's mean.
        unknown: (R, U), the units with numbers that are not finite, which the layer's mean leaves out.
        tau: The share.
    """
    return magnitude <= tau * mean_over_units(magnitude, unknown).unsqueeze(1)


def mean_over_units(values: Tensor, unknown: Tensor) -> Tensor:
    """Return each run's mean over its units with finite numbers: values (R, U) and a mask (R, U) -> (R,).

    NaN where a run has no such unit. A run whose units are all finite gets the bits of a plain mean.
    """
    plain = values.mean(1)
    if not unknown.any():
        return plain
    known = torch.where(unknown, 0, values).sum(1) / (~unknown).sum(1)
    return torch.where(unknown.any(1), known, plain)


def share(statistic: str, seen: Seen) -> Tensor:
    """Return how many of a unit's elements or inputs were counted, out of all: (R, U)."""
    hits, total = seen[statistic]
    return hits / total
