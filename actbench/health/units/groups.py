"""Observe units with several pre-activations or outputs: gates, maxout, CReLU.

A unit learns through any of its pre-activations, so its slope at an input is the largest |∂ sum of its outputs/∂z| by
them. What a measure looks at besides:

================== ============================= ==================== ====================
of                 a gate v·g(z)                 maxout               CReLU
================== ============================= ==================== ====================
z > 0              its gate's z                  its largest piece    its z
f(z), zeros, sizes its output                    its output           both of its outputs
varies             its output                    its output           its z
mean, deviation    v and z                       all pieces           its z
================== ============================= ==================== ====================

Each pre-activation is followed besides: one that no gradient reaches is *silent*. The silent pre-activations of maxout
are the pieces that are never the largest. A gate is *closed* where the value is silent, since ∂a/∂v = g(z).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from actbench.health.units.accumulators import STATISTICS, Observation, Scratch, Summary, largest, widened
from actbench.schema.unit_groups import UnitGroup

OF_INPUTS, OF_OUTPUTS = ("max_input", "inputs"), ("max_output", "outputs", "magnitude", "zeros")
"""The statistics over all of a unit's pre-activations, and over all of its outputs; others take one number of each."""


@dataclass(frozen=True)
class Parts:
    """Hold what was seen of each pre-activation of a layer.

    Args:
        slopes: (R, inputs, U): the largest slope of each pre-activation.
        group: How many a unit has, and how many outputs.
    """

    slopes: Tensor
    group: UnitGroup

    def merged(self, other: Parts) -> Parts:
        """Return what was seen in both."""
        return Parts(torch.maximum(self.slopes, other.slopes), self.group)


@dataclass(frozen=True)
class PartHealth:
    """Hold which pre-activations of a layer no gradient reaches.

    Args:
        silent: (R, inputs, U) bool.
        group: How many a unit has, and how many outputs.
    """

    silent: Tensor
    group: UnitGroup

    @classmethod
    def of(cls, parts: Parts, dead_slope: float) -> PartHealth:
        """Judge the pre-activations; one with a slope that is not finite is not silent."""
        return cls((parts.slopes <= dead_slope).cpu(), parts.group)

    def of_run(self, run: int) -> dict[str, int]:
        """Return one run's counts, as they are written to a layer's row."""
        silent = self.silent[run]
        row = {
            "outputs": silent.shape[1] * self.group.outputs,
            "pre_activations": silent.numel(),
            "silent_pre_activations": int(silent.sum()),
        }
        return {**row, "closed": int(silent[0].sum())} if self.group.kind == "gate" else row


@dataclass(frozen=True)
class GroupObservation:
    """Hold a piece of one layer's batch, each unit's numbers beside each other.

    Args:
        inputs: All pre-activations, (R, B, U, …positions, inputs) where a unit has several.
        outputs: All outputs, (R, B, U, …positions, outputs) where a unit has several.
        units: One pre-activation of each unit, and the unit's slope, (R, B, U, …positions).
        parts: The largest slope of each pre-activation.
    """

    inputs: Observation
    outputs: Observation
    units: Observation
    parts: Parts

    @classmethod
    def of(
        cls,
        z: Tensor,
        a: Tensor,
        slope: Tensor,
        keep: Tensor | None,
        group: UnitGroup,
        *,
        dead_slope: float,
        scratch: Scratch,
    ) -> GroupObservation:
        """Arrange a piece.

        Args:
            z: Pre-activations (R, B, U·inputs, …positions).
            a: Outputs (R, B, U·outputs, …positions).
            slope: |∂ sum of outputs/∂z|, shaped like z.
            keep: Shaped like z, true where there is an input rather than padding; None where there is everywhere.
            group: How many of each a unit has.
            dead_slope: At or below this a slope counts as none.
            scratch: Memory that one piece after another uses.
        """
        blocks, slopes = (torch.unflatten(part, 2, (group.inputs, -1)) for part in (z, slope))
        one = blocks.amax(2) if group.kind == "pieces" else blocks[:, :, -1]
        there = None if keep is None else torch.unflatten(keep, 2, (group.inputs, -1))[:, :, 0]
        unit_slope, outputs = slopes.amax(2), torch.unflatten(a, 2, (group.outputs, -1))

        def observation(values: Tensor) -> Observation:
            """Take all of one kind, values (R, B, blocks, U, …positions), as further positions of the unit."""
            kept = None if there is None else _beside(there.unsqueeze(2).expand(values.shape))
            beside = _beside(values)
            return Observation(beside, beside, beside, dead_slope, kept, scratch)

        (largest_slopes,) = largest(slope, keep)
        return cls(
            observation(blocks),
            observation(outputs),
            Observation(one, outputs[:, :, 0], unit_slope, dead_slope, there, scratch),
            Parts(widened(torch.unflatten(largest_slopes, 1, (group.inputs, -1))), group),
        )

    def summaries(self) -> Mapping[str, Summary]:
        """Return every statistic of each unit."""
        chosen = {**dict.fromkeys(OF_INPUTS, self.inputs), **dict.fromkeys(OF_OUTPUTS, self.outputs)}
        return {name: statistic.observe(chosen.get(name, self.units)) for name, statistic in STATISTICS.items()}


def _beside(blocks: Tensor) -> Tensor:
    """Return (R, B, blocks, U, …positions) as (R, B, U, …positions, blocks); without that dimension for one block."""
    return blocks.squeeze(2) if blocks.shape[2] == 1 else blocks.movedim(2, -1)
