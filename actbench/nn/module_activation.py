"""A user's own ``nn.Module`` as an activation, with parameters that every run learns for itself.

A module knows nothing of the axis of runs, so it is called for a run at a time, with that run's parameters in place of
its own. Nothing is written into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from actbench.errors import UsageError
from actbench.nn.parts import cut, join

PER = ("layer", "unit")


def is_module(found: object) -> bool:
    """Whether this is a module or a class of modules."""
    return isinstance(found, nn.Module) or (isinstance(found, type) and issubclass(found, nn.Module))


class ModuleActivation:
    """f(z, **learned) of a module.

    Attributes:
        starts: Parameter that runs train -> where it starts.

    Args:
        found: The module, or its class, which is called with the options.
        path: ``package.module:attribute`` of it.
        options: Those of the config. ``learned`` (true unless given) and ``per`` (``layer`` unless given, or ``unit``)
            say how its parameters are learned and are not handed over.

    Raises:
        UsageError: When it can't be made, or has parameters that are not single numbers.
    """

    def __init__(self, found: Any, path: str, options: Mapping[str, Any]) -> None:
        own = {name: value for name, value in options.items() if name not in ("path", "learned", "per")}
        self._path = path
        self._module = self._made(found, own)
        self._per, learned = options.get("per", PER[0]), options.get("learned", True)
        if self._per not in PER or not isinstance(learned, bool):
            raise UsageError(f"options of '{path}': 'per' is layer or unit, 'learned' is true or false")
        named = self._module.named_parameters()
        trained = {name: value for name, value in named if value.requires_grad} if learned else {}
        self._shapes = {name: value.shape for name, value in trained.items()}
        for name, value in trained.items():
            if value.numel() != 1:
                raise UsageError(
                    f"parameter '{name}' of '{path}' holds {value.numel()} numbers, but an activation learns single "
                    "ones: make it torch.nn.Parameter(torch.tensor(1.0)), and let `per: unit` give each unit its own"
                )
        self.starts = {name: value.item() for name, value in trained.items()}
        if not self.starts and "per" in options:
            raise UsageError(f"'{path}' has no parameters that are learned, so 'per' has no effect; leave it out")
        self._fixed = {
            name: value.detach()
            for name, value in [*self._module.named_parameters(), *self._module.named_buffers()]
            if name not in trained
        }

    def learned_parameters(self, units: int) -> dict[str, tuple[tuple[int, ...], float]]:
        """Return the parameters that a hidden layer trains: name -> (shape, start value)."""
        shape = (units,) if self._per == "unit" else ()
        return {name: (shape, start) for name, start in self.starts.items()}

    def __call__(self, z: Tensor, **learned: float | Tensor) -> Tensor:
        """Return f(z).

        Args:
            z: Any shape; (R, B, U, …) where parameters differ from run to run.
            learned: Each parameter, a number or a tensor that broadcasts against z.
        """
        values = {name: torch.as_tensor(value, dtype=z.dtype, device=z.device) for name, value in learned.items()}
        if all(value.numel() == 1 or len(value) == 1 for value in values.values()):
            return self._of_one_run(z, values)
        parts = cut(z, [1] * len(z))
        return join(
            [
                self._of_one_run(part, {name: value[run : run + 1] for name, value in values.items()})
                for run, part in enumerate(parts)
            ]
        )

    def check_units(self) -> None:
        """Make sure that every unit can have parameters of its own, where the options say so.

        Raises:
            UsageError: When a unit's result depends on those of its neighbours, or can't be computed beside them.
        """
        if self._per != "unit":
            return
        z = torch.tensor([[[-2.0, -0.5, 0.3], [0.25, 1.0, 3.0]]])
        shifts = torch.tensor([0.0, 0.25, 0.5])
        try:
            together = self(z, **{name: (start + shifts).view(1, 1, 3) for name, start in self.starts.items()})
        except Exception as error:  # a user's code may raise anything
            raise UsageError(
                f"'{self._path}' can't be given parameters for each unit, of shape (1, units): {error}"
            ) from error
        alone = [
            self(z[:, :, unit : unit + 1], **{name: start + float(shifts[unit]) for name, start in self.starts.items()})
            for unit in range(3)
        ]
        if not torch.allclose(together, torch.cat(alone, dim=2)):
            raise UsageError(f"'{self._path}' does not use each unit's own parameters where `per: unit` gives it some")

    def _of_one_run(self, z: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        own = {
            name: value.reshape(self._shapes[name]) if value.numel() == 1 else value for name, value in values.items()
        }
        fixed = {
            name: value.to(z.device, z.dtype if value.is_floating_point() else None)
            for name, value in self._fixed.items()
        }
        result: Tensor = torch.func.functional_call(self._module, {**fixed, **own}, (z,))
        return result

    def _made(self, found: Any, options: Mapping[str, Any]) -> nn.Module:
        if isinstance(found, nn.Module):
            if options:
                raise UsageError(f"'{self._path}' is a module already and takes no options; name its class to set them")
            return found
        # A start that is drawn is the same in every run: it is no part of what a seed decides.
        with torch.random.fork_rng([]):
            torch.default_generator.manual_seed(0)
            try:
                module: nn.Module = found(**options)
            except Exception as error:
                raise UsageError(f"'{self._path}' can't be made: {type(error).__name__}: {error}") from error
        return module
