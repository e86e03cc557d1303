"""The errors that actbench raises on purpose.

    ActbenchError                 exit code 1
    ├── UsageError                exit code 2: the user can mend it
    │   ├── ConfigError           every problem of a config, each with its place
    │   ├── UnknownNameError      a name that no table or folder holds
    │   ├── DatasetError          a dataset that is absent, unreadable or too small
    │   ├── ModelError            a model that does not fit its data or its options
    │   ├── DeviceError           a device that this machine does not have
    │   └── ResultsError          a results folder that is absent, empty or unwritable
    ├── InterruptedCommandError   exit code 130: Ctrl-C
    ├── WorkerLostError           a worker process ended before its work did
    ├── ClusterLostError          what keeps a cluster's machines together does not answer any more
    └── LostResultsError          results that were computed are not in the results folder

Any other exception that escapes is a defect of actbench, and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any


class ActbenchError(Exception):
    """Base of all deliberate errors; users read its text."""

    exit_code = 1


class UsageError(ActbenchError):
    """The command, a config or the machine's state must change before this can work."""

    exit_code = 2


KeyPath = tuple[str | int, ...]
"""The way to a value of a config through mappings (keys) and lists (positions); ``()`` is the whole config."""


@dataclass(frozen=True)
class Problem:
    """One mistake in a config.

    A check knows only the path of the value; ``config.document`` then finds the place where the user wrote it.

    Args:
        message: What is wrong and how to mend it, one sentence.
        path: The way to the value.
        at_key: Whether the key at that path is the mistake, rather than the value.
        place: ``file:line:column``, or the command-line argument; empty as long as nobody has looked for it.
        excerpt: The source line with carets below it; empty when there is none.
        order: Sorts problems as they stand in the file, and those of the command line behind them.
        file: The file that it stands in; empty for the command line and for a study made in Python.
        position: Line and column there, from 1; None where the file itself is what is wrong.
        typed_message: The message where the value was typed on the command line; empty where it is the same.
    """

    message: str
    path: KeyPath = ()
    at_key: bool = False
    place: str = ""
    excerpt: str = ""
    order: tuple[int, int, int] = (0, 0, 0)
    file: str = ""
    position: tuple[int, int] | None = None
    typed_message: str = ""

    def below(self, above: KeyPath) -> Problem:
        """Return the same problem, as seen from outside the value at ``above``."""
        return replace(self, path=(*above, *self.path))

    @property
    def where(self) -> str:
        """The place, or the dotted key for a study that was made in Python and stands in no file."""
        return self.place or ".".join(map(str, self.path))

    def __str__(self) -> str:
        """Return the problem as the user reads it."""
        head = f"{self.where}: {self.message}" if self.where else self.message
        return f"{head}\n{self.excerpt}" if self.excerpt else head


class ConfigError(UsageError, ValueError):
    """A config has one or more problems; ``str()`` lists them all.

    Also a ValueError, so that pydantic collects it when a validator raises it, and goes on checking.

    Args:
        problems: Every problem, in any order and with repetitions; or the message of a single one.
    """

    def __init__(self, problems: str | Iterable[Problem]) -> None:
        found = [Problem(problems)] if isinstance(problems, str) else problems
        self.problems: tuple[Problem, ...] = tuple(sorted(dict.fromkeys(found), key=lambda problem: problem.order))
        super().__init__("\n".join(map(str, self.problems)))

    @property
    def messages(self) -> str:
        """The messages alone, on one line, for an error that names the place in its own words."""
        return "; ".join(problem.message for problem in self.problems)

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[Problem, ...]]]:
        """Survive the way from a worker process to its parent."""
        return type(self), (self.problems,)


class UnknownNameError(UsageError):
    """A name that does not exist; the message offers the nearest one that does, or all of them.

    Args:
        kind: The kind of thing, in the singular, such as ``activation``.
        name: The name asked for.
        valid: Every name that exists.
        synonyms: Other names that would be accepted, offered where one of them comes nearest.
        meant: Names that are known to be meant, offered in place of the nearest.
    """

    def __init__(
        self, kind: str, name: str, valid: Iterable[str], synonyms: Iterable[str] = (), meant: Iterable[str] = ()
    ) -> None:
        self.kind, self.name, self.valid, self.synonyms = kind, name, tuple(valid), tuple(synonyms)
        self.meant = tuple(meant)
        near = (*self.valid, *self.synonyms)
        hint = suggestion(name, near, otherwise=f"choose from: {', '.join(self.valid)}")
        super().__init__(f"unknown {kind} '{name}' — {did_you_mean(self.meant) if self.meant else hint}")

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[Any, ...]]:
        """Survive the way from a worker process to its parent."""
        return type(self), (self.kind, self.name, self.valid, self.synonyms, self.meant)


class DatasetError(UsageError):
    """A dataset is absent or unusable; the message names the folder searched and an offline alternative."""


class ModelError(UsageError):
    """A model can't be built for its data, or a user's model breaks the protocol."""


class DeviceError(UsageError):
    """The device asked for is not on this machine."""


class ResultsError(UsageError):
    """A results folder can't be read or written."""


class InterruptedCommandError(ActbenchError):
    """Ctrl-C ended a command."""

    exit_code = 130  # 128 and the number of SIGINT, as of other programs


class WorkerLostError(ActbenchError):
    """A worker process ended (killed, out of memory) before it had finished its cohort."""


class ClusterLostError(ActbenchError):
    """What keeps a cluster's machines together has been lost, and with it all workers."""


class LostResultsError(ActbenchError):
    """Runs were computed whose results are not in the results folder.

    Args:
        message: What has become of them, and what to do.
        runs: Their ids.
    """

    def __init__(self, message: str, runs: Iterable[str]) -> None:
        self.runs = tuple(runs)
        super().__init__(message)


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """Return the valid name that looks most like ``name``, or None when none comes close.

    >>> nearest("reluu", ["relu", "gelu", "tanh"])
    'relu'
    """
    from difflib import get_close_matches  # needed only when something is wrong

    found = get_close_matches(name.lower(), list(valid), n=1, cutoff=0.6)
    return found[0] if found else None


def suggestion(name: str, valid: Iterable[str], *, otherwise: str) -> str:
    """Return the hint that ends a message about an unknown name.

    >>> suggestion("reluu", ["relu", "gelu"], otherwise="choose another"), suggestion("x", [], otherwise="add one")
    ("did you mean 'relu'?", 'add one')
    >>> suggestion("loss", ["test.loss", "test.accuracy", "val.loss"], otherwise="")
    "did you mean 'test.loss' or 'val.loss'?"
    """
    names = tuple(valid)
    if ending := [one for one in names if one.endswith(f".{name}")][:4]:
        return did_you_mean(ending)
    near = nearest(name, names)
    return did_you_mean([near]) if near else otherwise


def did_you_mean(names: Sequence[str]) -> str:
    """Return the question that offers one name or several.

    >>> did_you_mean(["activation.alpha", "training.optimizer.alpha"])
    "did you mean 'activation.alpha' or 'training.optimizer.alpha'?"
    """
    *first, last = (f"'{name}'" for name in names)
    return f"did you mean {', '.join(first)} or {last}?" if first else f"did you mean {last}?"
