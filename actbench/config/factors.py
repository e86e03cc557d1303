"""The factors of a study, ``sweep`` and ``zip``: the values that they take, and their combinations, the cells."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from actbench.config.design import is_choice, sweep_problems, zip_problems
from actbench.errors import KeyPath


@dataclass(frozen=True)
class Factors:
    """Hold the values of each factor, and which factors change together.

    Args:
        choices: Factor -> its values.
        paths: Factor -> the path of its list in the config.
        axes: The factors that change in step: each of ``sweep`` by itself, those of ``zip`` together.
    """

    choices: Mapping[str, list[Any]] = field(default_factory=dict)
    paths: Mapping[str, KeyPath] = field(default_factory=dict)
    axes: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Factors:
        """Return a config's factors without its broken lines, which are reported with the design."""
        swept = _lines(content.get("sweep"))
        swept = {key: values for key, values in swept.items() if not sweep_problems(key, values)}
        zipped = _lines(content.get("zip"))
        if zip_problems(zipped):
            zipped = {}
        zipped = {key: values for key, values in zipped.items() if key not in swept}
        return cls(
            {**swept, **zipped},
            {**{key: ("sweep", key) for key in swept}, **{key: ("zip", key) for key in zipped}},
            (*((key,) for key in swept), *([tuple(zipped)] if zipped else [])),
        )

    @property
    def count(self) -> int:
        """How many cells there are."""
        total = 1
        for keys in self.axes:
            total *= len(self.choices[keys[0]])
        return total

    def cells(self) -> Iterator[dict[str, int]]:
        """Yield each combination as factor -> position of its value; the first axis varies slowest."""
        for picked in itertools.product(*(range(len(self.choices[keys[0]])) for keys in self.axes)):
            yield {key: position for keys, position in zip(self.axes, picked, strict=True) for key in keys}

    def has(self, picked: Mapping[str, int], settings: Mapping[str, Any]) -> bool:
        """Return whether a cell has all of some factors' values."""
        return all(is_choice(key, value, self.choices[key][picked[key]]) for key, value in settings.items())


def _lines(section: Any) -> Mapping[str, Any]:
    return section if isinstance(section, Mapping) else {}
