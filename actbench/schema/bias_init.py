"""``bias_init``: how the biases of a run start, read from the number or word that a config writes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Literal

from pydantic_core import core_schema

from actbench.errors import ConfigError
from actbench.schema.components import beyond_torch, shown


@dataclass(frozen=True, eq=False)
class BiasInit:
    """Describe how the biases of a run start.

    A component like the other factors, but written as a bare number or word, in configs, in ``spec.json`` and in every
    report: ``0.01`` for ``constant``, ``pytorch`` for itself, null for ``none``. Equal to that number or word, so that
    records can be filtered and grouped by either.

    Args:
        kind: ``constant``: hidden biases start at ``value``, those of the output layer at 0. ``pytorch``: all are drawn
            uniformly within ±1/√fan_in, as ``torch.nn.Linear`` and ``Conv2d`` draw them. ``none``: there are no biases.
        value: The number that hidden biases start at; 0 unless the kind is ``constant``.

    Examples:
        >>> BiasInit("constant", 0.01) == 0.01, BiasInit("pytorch") == "pytorch", BiasInit("none") == None
        (True, True, True)
        >>> {0.01: "a small start"}[BiasInit("constant", 0.01)]
        'a small start'
    """

    kind: Literal["constant", "pytorch", "none"] = "constant"
    value: float = 0.0

    @classmethod
    def parse(cls, written: Any) -> BiasInit:
        """Read a number, ``pytorch`` or None, as a config or ``spec.json`` holds them.

        Raises:
            ConfigError: For anything else; a ValueError, too.

        >>> BiasInit.parse(0.01), BiasInit.parse(None)
        (BiasInit(kind='constant', value=0.01), BiasInit(kind='none', value=0.0))
        """
        if isinstance(written, BiasInit):
            return written
        if written is None:
            return cls("none")
        if written == "pytorch":
            return cls("pytorch")
        if isinstance(written, (int, float)) and not isinstance(written, bool) and abs(written) <= sys.float_info.max:
            if text := beyond_torch(float(written)):
                raise ConfigError(f"'bias_init': {text}")
            return cls("constant", float(written))
        raise ConfigError(f"'bias_init' should be a number, 'pytorch' or null, not {shown(written)}")

    def __eq__(self, other: object) -> bool:
        """Compare the written forms; ``other`` may be one. False and True, which Python counts as 0 and 1, are none."""
        if isinstance(other, bool):
            return False
        return bool(self.to_json() == (other.to_json() if isinstance(other, BiasInit) else other))

    def __hash__(self) -> int:
        """Return the hash of the written form, as equal objects need equal hashes."""
        return hash(self.to_json())

    @property
    def label(self) -> str:
        """The text in names of run folders: ``0.01``, ``pytorch``, ``none``."""
        return str(self.value) if self.kind == "constant" else self.kind

    def to_json(self) -> float | str | None:
        """Return the number, ``pytorch`` or None that ``parse`` reads: the written form, and the factor's value."""
        if self.kind == "constant":
            return self.value
        return None if self.kind == "none" else self.kind

    def to_minimal(self) -> float | str | None:
        """Return the part that enters the digest of a run: the written form again, as there are no options."""
        return self.to_json()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        """Validate with ``parse``; write as ``to_json`` does."""
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(cls.to_json)
        )
