"""How runs are computed: on which device, by how many workers, and which train together.

Nothing here may change a result: same RunSpec, different Runtime, same record. A field on the wrong side of that line
is the bug to look for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from actbench.schema.spec import RunSpec

KeepWeights = Literal["last", "best", "all"]
"""Which networks of a run are stored: after the last epoch; at the best validation accuracy, the first of equally good
epochs; after each epoch, the untrained one (epoch 0) included."""


@dataclass(frozen=True)
class Cadence:
    """Set how often a cohort in training is saved, besides when it is stopped; with neither, it is saved only then.

    Args:
        epochs: Epochs between two checkpoints.
        seconds: Seconds between two checkpoints, within an epoch too.
    """

    epochs: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Runtime:
    """Set how runs are computed; nothing here may change a result.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` (``cuda:1`` …) or ``mps``.
        engine: The name of a file of ``execution/engines/``.
        jobs: Number of worker processes; None lets the engine choose by the machine.
        cohort_size: Most runs that train together; None chooses by device and model.
        data_folder: Folder in which datasets lie and are cached; None for the platform's user cache folder.
        products: The one of ``cpu_linear.LIBRARIES`` that computes matrix products on a CPU; ``auto`` for the fastest,
            measured once per machine.
        kernels: ``native`` or ``torch``: the kernels that compute activations and losses on a CPU; ``auto`` for native
            ones where a C compiler can make them.
        capture: Whether whole steps are launched at once: from a CUDA graph, or replayed from an op trace on a CPU.
        timeout: Seconds after which a worker process that finishes no step is ended; 0 for never. An engine without
            workers can't end a run that hangs.
        checkpoint_every: How often cohorts are saved; a study sets it for its runs.
        cluster: What the engine asks its cluster for, as ``--cluster`` gives it: key -> text.
        keep_weights: Which networks are stored beside the results; None for none. A study sets it for its runs.
        functions: Those of the caller's session that the runs use, by name, for workers (``system.session``).
        handed_over: Datasets that were loaded on another machine: component as JSON -> the file of this machine that
            holds one (``datasets._handover``). Others are loaded from ``data_folder``.

    >>> Runtime(jobs=2, cohort_size=8).device
    'auto'
    """

    device: str = "auto"
    engine: str = "pool"
    jobs: int | None = None
    cohort_size: int | None = None
    data_folder: Path | None = None
    products: str = "auto"
    kernels: str = "auto"
    capture: bool = True
    timeout: float = 600.0
    cluster: Mapping[str, Any] = field(default_factory=dict)
    checkpoint_every: Cadence = Cadence(seconds=600)
    keep_weights: KeepWeights | None = None
    functions: Mapping[str, bytes] = field(default_factory=dict, compare=False, repr=False)
    handed_over: Mapping[str, Path] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Cohort:
    """Runs that train together, as dimension 0 (``R``) of every tensor; a single run is a cohort of one.

    Args:
        specs: One or more runs with one ``cohort_key``: equal but for activation, biases, weight init and seed. Sorted
            so that equal activations stand beside each other, since each stretch of them is computed at once.
        state: A checkpoint to go on from; None to start from the beginning. Cohorts that differ in it alone are equal.

    Raises:
        ValueError: When the runs can't train together, or there are none.

    >>> cohort = Cohort(tuple(RunSpec(seed=seed) for seed in range(4)))
    >>> [len(half.specs) for half in cohort.halves()]
    [2, 2]
    """

    specs: tuple[RunSpec, ...]
    state: bytes | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse runs that can't train together."""
        if len({spec.cohort_key for spec in self.specs}) != 1:
            raise ValueError("a cohort holds one or more runs with one cohort key")

    @property
    def shared(self) -> RunSpec:
        """The first spec, from which the settings that all have in common may be read."""
        return self.specs[0]

    def halves(self) -> tuple[Cohort, Cohort]:
        """Return two smaller cohorts with the same runs, for when memory does not suffice."""
        middle = len(self.specs) // 2
        return Cohort(self.specs[:middle]), Cohort(self.specs[middle:])
