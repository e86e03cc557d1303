"""A config's content together with the place of each of its parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

from actbench.config.nodes import Unreadable, read
from actbench.config.problems import UNKNOWN_KEY, Fault, Finding, Path, Source, Spot, rejection
from actbench.errors import ConfigError, Problem
from actbench.schema.bias_init import BiasInit
from actbench.schema.components import Component


@dataclass(frozen=True)
class Document:
    """Content that is about to be checked.

    Args:
        content: Plain data.
        keys: Path of a mapping's entry -> place of its key.
        values: Path -> place of the value; the whole document at ``()``.
        findings: What is already known to be wrong.
    """

    content: Mapping[str, Any]
    keys: Mapping[Path, Spot] = field(default_factory=dict)
    values: Mapping[Path, Spot] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @classmethod
    def parse(cls, source: Source) -> Document:
        """Read a YAML text.

        Raises:
            ConfigError: When it is no YAML mapping at all.
        """
        try:
            tree = read(source)
        except Unreadable as error:
            raise rejection([error.finding]) from error
        if not isinstance(tree.content, dict):
            wrong = Finding(tree.values[()], "a config is a mapping of keys to values, such as 'activation: relu'")
            raise rejection(tree.findings or [wrong])
        return cls(tree.content, tree.keys, tree.values, tuple(tree.findings))

    def placed(self, path: Path, spot: Spot) -> Document:
        """The document with ``spot`` as the place of what stands at and below ``path``."""
        above = {path[:length]: spot for length in range(1, len(path))}
        return replace(
            self,
            keys={**above, **_without(self.keys, path), path: spot},
            values={**above, **_without(self.values, path), path: spot},
        )

    def rejection(self, faults: Sequence[Fault]) -> ConfigError:
        """One error with the findings so far and these faults, each at its place."""
        return rejection([*self.findings, *(Finding(self._spot(fault), fault.message) for fault in faults)])

    def _spot(self, fault: Fault) -> Spot:
        """A message about a key points at it; any other at the value, or at its key when the value is many lines."""
        path = fault.path
        if fault.message.startswith(UNKNOWN_KEY) and path in self.keys:
            return self.keys[path]
        while path not in self.values:
            path = path[:-1]
        value = self.values[path]
        return value if value.is_one_line else self.keys.get(path, value)


def _without(places: Mapping[Path, Spot], path: Path) -> dict[Path, Spot]:
    return {other: spot for other, spot in places.items() if other[: len(path)] != path}


def plain(value: Any, path: Path = ()) -> Any:
    """Python objects as the plain data that a YAML file would have held.

    Raises:
        ConfigError: For something that no config could say.
    """
    if isinstance(value, Component):
        return value.to_minimal()
    if isinstance(value, BiasInit):
        return value.to_json()
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name), (*path, name)) for name in value.model_fields_set}
    if isinstance(value, Mapping):
        return {str(key): plain(item, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [plain(item, (*path, index)) for index, item in enumerate(value)]
    return _scalar(value, path)


def _scalar(value: Any, path: Path) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    text = "is not finite, or beyond 64 bits" if isinstance(value, (int, float)) else "is not plain data"
    raise ConfigError([Problem(f"a value of type {type(value).__name__} {text}", dotted(path))])


def dotted(path: Path) -> str:
    """The path as the user would write it."""
    return ".".join(map(str, path))
