"""The events by which an engine reports on the cohorts that it computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from actbench.schema.record import RunRecord
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec


@dataclass(frozen=True)
class Started:
    """A worker took up a cohort.

    It comes twice when the cohort's checkpoint can't be used: at first without a reason, since that is not known
    before the cohort has been opened, and again with the reason when the runs start from the beginning.

    Args:
        cohort: The runs.
        refused: Why the cohort's checkpoint can't be used; empty when there is none, when it is used, and when it has
            not been tried yet.
        resumes: Whether it goes on from a checkpoint, or is about to try.
    """

    cohort: Cohort
    refused: str = ""
    resumes: bool = False


@dataclass(frozen=True)
class EpochDone:
    """An epoch of a cohort ended.

    Args:
        cohort: The runs.
        rows: A row of ``metrics.jsonl`` for each of the runs, in their order; None for one that diverged before.
    """

    cohort: Cohort
    rows: Sequence[Mapping[str, Any] | None]


@dataclass(frozen=True)
class Saved:
    """A cohort in training can be taken up again from here.

    Args:
        cohort: The runs.
        state: The checkpoint, to be put into ``Cohort.state``.
    """

    cohort: Cohort
    state: bytes = field(repr=False)


@dataclass(frozen=True)
class WeightsKept:
    """A run's network after an epoch is to be stored; it comes before the run's ``Finished``.

    Args:
        spec: The run.
        epoch: The epoch, 0 for the untrained network.
        content: The file: its tensors, as safetensors writes them.
    """

    spec: RunSpec
    epoch: int
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Finished:
    """A run ended; ``record`` is its record."""

    record: RunRecord


@dataclass(frozen=True)
class Failed:
    """A cohort ended with an error.

    Args:
        cohort: The runs that have no result.
        message: One line for the reader.
        traceback: The traceback, for ``error.txt``.
        usage: Whether the user can fix the cause; the command then ends with exit code 2.
    """

    cohort: Cohort
    message: str
    traceback: str
    usage: bool = False


@dataclass(frozen=True)
class Noted:
    """The user should read something about a cohort's data, such as which files were skipped.

    Args:
        cohort: The runs.
        message: One sentence, equal for all cohorts that it concerns.
    """

    cohort: Cohort
    message: str


@dataclass(frozen=True)
class JobsSubmitted:
    """A batch system took jobs, or has them from an earlier command.

    Args:
        jobs: How many.
        runs: How many runs they are to compute.
        place: Where their logs lie, and their ids: one phrase.
        earlier: Whether an earlier command submitted them.
    """

    jobs: int
    runs: int
    place: str
    earlier: bool = False


@dataclass(frozen=True)
class JobsSeen:
    """A batch system's jobs for this study, as it last reported them.

    Args:
        running: How many run.
        waiting: How many are to run.
        reason: Why most of the latter wait, in the system's words; empty where it gives no reason.
    """

    running: int
    waiting: int
    reason: str = ""


JobEvent = JobsSubmitted | JobsSeen
"""Events about jobs, not about runs."""

Event = Started | EpochDone | Saved | WeightsKept | Finished | Failed | Noted | JobsSubmitted | JobsSeen
