"""Units over time: born dead is not died, and the dead may come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ALIVE = -1
"""First epoch of death of a unit that has not died yet."""


@dataclass
class _Layer:
    """One layer's units: (R, U) each.

    Args:
        born_dead: Dead at the first measurement.
        before: Dead at the measurement before the last.
        dead: Dead at the last measurement.
        died_at: Epoch of the first death of a unit that was born alive, or ``ALIVE``.
    """

    born_dead: Tensor
    before: Tensor
    dead: Tensor
    died_at: Tensor


class Dynamics:
    """Follows every unit's death and revival from measurement to measurement."""

    def __init__(self) -> None:
        """Nothing has been measured yet."""
        self._layers: dict[str, _Layer] = {}

    def note(self, epoch: int, dead: Mapping[str, Tensor]) -> None:
        """Take in one measurement: layer -> (R, U) bool; the first one says who was born dead."""
        for name, mask in dead.items():
            known = self._layers.get(name)
            if known is None:
                self._layers[name] = _Layer(mask, mask, mask, torch.full(mask.shape, ALIVE))
                continue
            known.before, known.dead = known.dead, mask
            new = mask & ~known.born_dead & (known.died_at == ALIVE)
            known.died_at = torch.where(new, epoch, known.died_at)

    def of_run(self, layer: str, run: int) -> dict[str, Any]:
        """One run's layer at the last measurement.

        Returns:
            ``born_dead``: units dead at the first measurement. ``died``: dead now, alive at the measurement before.
            ``revived``: the opposite. ``lost``: dead now, born alive. ``first_death``: epoch of the earliest death of a
            unit born alive, None if none. ``persistence``: share of those dead at the measurement before that still
            are, None if there were none.
        """
        known = self._layers[layer]
        born, before, dead = known.born_dead[run], known.before[run], known.dead[run]
        deaths = known.died_at[run][known.died_at[run] != ALIVE]
        stayed, were = int((before & dead).sum()), int(before.sum())
        return {
            "born_dead": int(born.sum()),
            "died": int((dead & ~before).sum()),
            "revived": int((before & ~dead).sum()),
            "lost": int((dead & ~born).sum()),
            "first_death": int(deaths.min()) if len(deaths) else None,
            "persistence": stayed / were if were else None,
        }
