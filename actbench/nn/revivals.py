"""REVIVALS: what is done during training about hidden units that hardly answer any more."""

from __future__ import annotations

from pydantic import Field

from actbench.schema.components import Options


class NoRevival(Options):
    """Units that die stay dead, unless training itself brings them back."""


class Redo(Options):
    """ReDo (Sokar et al. 2023, arXiv:2302.12902): from time to time, dormant units begin anew.

    Attributes:
        tau: A unit is dormant when its mean |f(z)| is at most this share of the mean over its layer.
        every: Steps from one time to the next; null for the steps of an epoch. Never before the first step, nor after
            the last.
    """

    tau: float = Field(default=0.1, ge=0)
    every: int | None = Field(default=None, ge=1)


REVIVALS: dict[str, type[Options]] = {"none": NoRevival, "redo": Redo}
