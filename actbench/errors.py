"""Every error that actbench raises on purpose.

    ActbenchError                 exit code 1
    ├── UsageError                exit code 2: the user can mend it
    │   ├── ConfigError           problems in a config, all of them, each with its place
    │   ├── UnknownNameError      a name that no table or folder holds
    │   ├── DatasetError          a dataset that is absent, unreadable or too small
    │   ├── ModelError            a model that does not fit its data or its options
    │   ├── DeviceError           a device that this machine does not have
    │   └── ResultsError          a results folder that is absent, empty or unwritable
    └── WorkerLostError           a worker process ended before its work did

Anything else that escapes is a defect of actbench, and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class ActbenchError(Exception):
    """Base of all deliberate errors; its text is what the user reads."""

    exit_code = 1


class UsageError(ActbenchError):
    """The command, a config or the machine's state must change before this can work."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a config.

    Args:
        message: What is wrong and what to do, one sentence.
        where: ``file:line:column``, or the command-line argument it came from.
        excerpt: The source line with a caret below it; empty when there is none.
    """

    message: str
    where: str = ""
    excerpt: str = ""

    def __str__(self) -> str:
        """The problem as the user reads it."""
        head = f"{self.where}: {self.message}" if self.where else self.message
        return f"{head}\n{self.excerpt}" if self.excerpt else head


class ConfigError(UsageError):
    """A config has one or more problems; ``str()`` lists them all."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Collect the problems, in the order in which they stand in the file."""
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[Problem, ...]]]:
        """Survive the way from a worker process to its parent."""
        return type(self), (self.problems,)


class UnknownNameError(UsageError):
    """A name that does not exist; the message offers the nearest one that does."""

    def __init__(self, kind: str, name: str, valid: Sequence[str], nearest: str | None) -> None:
        """Remember what was asked for, so that a caller can say where."""
        self.kind, self.name, self.valid, self.nearest = kind, name, tuple(valid), nearest
        hint = f"did you mean '{nearest}'?" if nearest else f"choose from: {', '.join(valid)}"
        super().__init__(f"unknown {kind} '{name}' — {hint}")

    def __reduce__(
        self,
    ) -> tuple[type[UnknownNameError], tuple[str, str, tuple[str, ...], str | None]]:
        """Survive the way from a worker process to its parent."""
        return type(self), (self.kind, self.name, self.valid, self.nearest)


class DatasetError(UsageError):
    """A dataset can't be had: the message names the folder searched and an offline alternative."""


class ModelError(UsageError):
    """A model can't be built for this data, or a user's model breaks the protocol."""


class DeviceError(UsageError):
    """The device asked for is not on this machine."""


class ResultsError(UsageError):
    """A results folder can't be read or written."""


class WorkerLostError(ActbenchError):
    """A worker process ended (killed, out of memory) before it had finished its cohort."""
