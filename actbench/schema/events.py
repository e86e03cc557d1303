"""The events by which an engine reports on the cohorts that it computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from actbench.schema.record import RunRecord
from actbench.schema.runtime import Cohort


@dataclass(frozen=True)
class Started:
    """A worker took up a cohort.

    Args:
        cohort: The runs.
        refused: Why the state that came with it is not used, so that it starts from the beginning; empty if it is.
    """

    cohort: Cohort
    refused: str = ""


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
        state: What ``Cohort.state`` is to be for that.
    """

    cohort: Cohort
    state: bytes = field(repr=False)


@dataclass(frozen=True)
class Finished:
    """A run ended and this is its record."""

    record: RunRecord


@dataclass(frozen=True)
class Failed:
    """A cohort ended with an error.

    Args:
        cohort: The runs that have no result.
        message: One line for the reader.
        traceback: The whole story, for ``error.txt``.
        usage: Whether the user can mend it (then the whole command ends with exit code 2).
    """

    cohort: Cohort
    message: str
    traceback: str
    usage: bool = False


Event = Started | EpochDone | Saved | Finished | Failed
