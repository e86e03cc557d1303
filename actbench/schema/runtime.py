"""How runs are computed: where, with how many workers, and which train together. Nothing here may change a result."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from actbench.schema.spec import RunSpec


@dataclass(frozen=True)
class Cadence:
    """How often a cohort in training is saved, besides when it is stopped; neither means never.

    Args:
        epochs: After so many epochs.
        seconds: After so many seconds, within an epoch too.
    """

    epochs: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Runtime:
    """How runs are computed; nothing here may change a result.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` (``cuda:1`` …) or ``mps``.
        engine: A file of ``engines/``.
        jobs: Worker processes; None lets the engine choose by the machine.
        cohort_size: Most runs that train together; None chooses by device and model.
        data_folder: Where datasets lie and are cached; None for the platform's user cache folder.
        products: Which of ``cpu_linear.LIBRARIES`` compute on a CPU; ``auto`` for the fastest, measured once a machine.
        capture: Whether steps are launched whole: from a CUDA graph, or replayed from a trace on a CPU.
        timeout: Seconds after which a worker process that finishes no step is ended; 0 for never. An engine without
            workers can't end what hangs.
        checkpoint_every: How often cohorts are saved; a study decides it for its runs.
    """

    device: str = "auto"
    engine: str = "pool"
    jobs: int | None = None
    cohort_size: int | None = None
    data_folder: Path | None = None
    products: str = "auto"
    capture: bool = True
    timeout: float = 600.0
    checkpoint_every: Cadence = Cadence(seconds=600)


@dataclass(frozen=True)
class Cohort:
    """Runs that train together, as dimension 0 of every tensor.

    Args:
        specs: Non-empty; equal cohort keys; sorted so that equal activations stand beside each other.
        state: A checkpoint to go on from; None to start from the beginning. No part of what the cohort is.
    """

    specs: tuple[RunSpec, ...]
    state: bytes | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what can't train together."""
        if len({spec.cohort_key for spec in self.specs}) != 1:
            raise ValueError("a cohort holds one or more runs with one cohort key")

    @property
    def shared(self) -> RunSpec:
        """Any of the specs, to read what they all have in common."""
        return self.specs[0]

    def halves(self) -> tuple[Cohort, Cohort]:
        """Two smaller cohorts with the same runs, for when memory does not suffice."""
        middle = len(self.specs) // 2
        return Cohort(self.specs[:middle]), Cohort(self.specs[middle:])
