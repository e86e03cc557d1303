"""SCHEDULES, by which the learning rate changes over the steps of a run; each may start with a linear warm-up."""

from __future__ import annotations

import math

from pydantic import Field

from actbench.schema.components import Options


class Schedule(Options):
    """Multiply the learning rate of each step by a factor: a linear warm-up, then what the subclass says.

    Attributes:
        warmup_epochs: Epochs over which the rate rises linearly to its full value, which it first has at the last
            warm-up step; may be a fraction, rounded to whole steps.
    """

    warmup_epochs: float = Field(default=0.0, ge=0)

    def factor(self, step: int, steps: int, steps_per_epoch: int) -> float:
        """Return the factor by which the learning rate is multiplied at a step.

        Args:
            step: Steps already taken, 0 before the first.
            steps: Steps of the whole run.
            steps_per_epoch: Steps of one epoch.

        >>> [Constant(warmup_epochs=1).factor(step, 8, 4) for step in range(6)]
        [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
        """
        warmup = round(self.warmup_epochs * steps_per_epoch)
        if step < warmup:
            return (step + 1) / warmup
        return self._after_warmup(step - warmup, steps - warmup, step // steps_per_epoch)

    def _after_warmup(self, step: int, steps: int, epoch: int) -> float:
        """Return the factor; ``step`` of ``steps`` count from the warm-up's end, ``epoch`` from the run's start."""
        raise NotImplementedError


class Constant(Schedule):
    """The same learning rate at every step, after the warm-up if there is one."""

    def _after_warmup(self, step: int, steps: int, epoch: int) -> float:
        return 1.0


class Warmup(Constant):
    """A linear rise over one epoch (or ``warmup_epochs``), then constant."""

    warmup_epochs: float = Field(default=1.0, ge=0)


class Linear(Schedule):
    """A straight line from the full rate to ``final`` of it, which a step after the last would have.

    Attributes:
        final: Share of the learning rate at the end.
    """

    final: float = Field(default=0.0, ge=0)

    def _after_warmup(self, step: int, steps: int, epoch: int) -> float:
        return 1 + (self.final - 1) * step / steps


class Cosine(Schedule):
    """Half a cosine from the full rate to ``final`` of it, no restarts (Loshchilov, Hutter 2016, arXiv:1608.03983).

    Attributes:
        final: Share of the learning rate that a step after the last would have.
    """

    final: float = Field(default=0.0, ge=0)

    def _after_warmup(self, step: int, steps: int, epoch: int) -> float:
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * step / steps)) / 2


class Step(Schedule):
    """Multiplied by ``gamma`` after every ``every`` epochs, counted from the start of the run.

    Attributes:
        every: Epochs between two drops.
        gamma: The factor of one drop.
    """

    every: int = Field(ge=1)
    gamma: float = Field(default=0.1, gt=0)

    def _after_warmup(self, step: int, steps: int, epoch: int) -> float:
        return float(self.gamma ** (epoch // self.every))


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "warmup": Warmup,
    "linear": Linear,
    "cosine": Cosine,
    "step": Step,
}
