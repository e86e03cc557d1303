"""Follow every unit over the epochs: born dead is not the same as died, and a dead unit may come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ALIVE = -1
"""First epoch of death of a unit that has not died yet."""


@dataclass
class _UnitHistory:
    """When the units of one layer were dead: an (R, U) tensor each.

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
        self._layers: dict[str, _UnitHistory] = {}

    def note(self, epoch: int, dead: Mapping[str, Tensor], not_finite: Mapping[str, Tensor] | None = None) -> None:
        """Add one measurement.

        Args:
            epoch: When it was made.
            dead: Layer -> (R, U) bool. The first measurement of a layer decides which units were born dead.
            not_finite: Layer -> (R, U) bool: units that are neither dead nor alive, and so count as at the measurement
                before.
        """
        for name, mask in dead.items():
            known = self._layers.get(name)
            if known is None:
                self._layers[name] = _UnitHistory(mask, mask, mask, torch.full(mask.shape, ALIVE))
                continue
            now = torch.where(not_finite[name], known.dead, mask) if not_finite else mask
            known.before, known.dead = known.dead, now
            # Only the first death counts: a unit that came back and dies again keeps its earlier epoch.
            new = now & ~known.born_dead & (known.died_at == ALIVE)
            known.died_at = torch.where(new, epoch, known.died_at)

    def state(self) -> dict[str, dict[str, Tensor]]:
        """Return all that a checkpoint has to keep: layer -> name -> (R, U) tensor."""
        return {name: dict(vars(history)) for name, history in self._layers.items()}

    def restore(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Go on from a ``state``; its tensors may come from another device."""
        for name, tensors in state.items():
            self._layers[name] = _UnitHistory(**{key: tensor.cpu() for key, tensor in tensors.items()})

    def of_run(self, layer: str, run: int) -> dict[str, Any]:
        """Return one run's counts in a layer at the last measurement.

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
