"""Which of the earlier runs without an ``ok`` are run again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actbench.schema.record import Outcome

RetryChoice = Literal["failed", "none", "all"]
"""The failed runs, none, or all: also the collapsed and the diverged."""

RETRIED: Mapping[RetryChoice, tuple[Outcome, ...]] = {
    "failed": ("failed",),
    "none": (),
    "all": ("failed", "collapsed", "diverged"),
}
"""Choice -> outcomes of the runs that are run again."""
