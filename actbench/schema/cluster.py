"""What an engine asks its cluster for: the keys that ``--cluster`` may set, checked by each engine's own class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from actbench.errors import UsageError, suggestion


class ClusterOptions(BaseModel):
    """Base of every engine's options; it has none, so an engine that works on this machine alone uses it as it is.

    Values come as text, from a command line or a file, and are turned into numbers where a field is one.

    >>> ClusterOptions.of("pool", {})
    ClusterOptions()
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @property
    def is_detached(self) -> bool:
        """Whether the command ends while what it has handed out goes on by itself: not where it computes."""
        return False

    @classmethod
    def of(cls, engine: str, given: Mapping[str, Any]) -> Self:
        """Check what was given.

        Args:
            engine: The engine's name, for messages.
            given: Key -> text, or a list of texts.

        Raises:
            UsageError: With the first problem: an unknown key, or a value that does not fit.
        """
        known = [name.replace("_", "-") for name in cls.model_fields]
        if given and not known:
            raise UsageError(f"engine '{engine}' has no cluster, of which to ask {_quoted(given)}: leave it out")
        for key in given:
            if key.replace("_", "-") not in known:
                hint = suggestion(key, known, otherwise=f"choose from: {', '.join(known)}")
                raise UsageError(f"--cluster: engine '{engine}' has no option '{key}' — {hint}")
        try:
            return cls.model_validate({key.replace("-", "_"): value for key, value in given.items()})
        except ValidationError as error:
            first = error.errors()[0]
            key = str(first["loc"][0]).replace("_", "-") if first["loc"] else "its options"
            message = first["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
            raise UsageError(f"--cluster {key}: {message[:1].lower()}{message[1:]}, not {first['input']!r}") from None


def _quoted(given: Mapping[str, Any]) -> str:
    return ", ".join(f"'{key}'" for key in given)
