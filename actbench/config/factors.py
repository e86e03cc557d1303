"""The factors of a study, ``cases``, ``sweep`` and ``zip``: their values, and their combinations, the cells."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from actbench.config import cases
from actbench.config.design import is_choice, sweep_problems, zip_problems
from actbench.errors import KeyPath
from actbench.schema.spec import CASE


@dataclass(frozen=True)
class Factors:
    """Hold the values of each factor, and which factors change together.

    Args:
        choices: Factor -> its values.
        paths: Factor -> the path of its list in the config.
        axes: The factors that change in step: ``case`` and each of ``sweep`` by itself, those of ``zip`` together.
        cases: Case -> the keys that it sets, with their values, of cases that are not run, too; empty where the factor
            ``case`` does not exist.
    """

    choices: Mapping[str, list[Any]] = field(default_factory=dict)
    paths: Mapping[str, KeyPath] = field(default_factory=dict)
    axes: tuple[tuple[str, ...], ...] = ()
    cases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Factors:
        """Return a config's factors without its broken lines, which are reported with the design."""
        swept = _lines(content.get("sweep"))
        swept = {key: values for key, values in swept.items() if not sweep_problems(key, values)}
        zipped = _lines(content.get("zip"))
        if zip_problems(zipped):
            zipped = {}
        zipped = {key: values for key, values in zipped.items() if key not in swept}
        named = cases.readable(content)
        by_name: dict[str, Any] = {CASE: list(cases.chosen(content))} if named else {}
        paths: dict[str, KeyPath] = {CASE: (cases.KEY,)} if named else {}
        paths |= {**{key: ("sweep", key) for key in swept}, **{key: ("zip", key) for key in zipped}}
        return cls(
            {**by_name, **swept, **zipped},
            paths,
            (*((key,) for key in (*by_name, *swept)), *([tuple(zipped)] if zipped else [])),
            named,
        )

    def settings(self, picked: Mapping[str, int]) -> dict[str, tuple[Any, KeyPath]]:
        """Return the keys that a cell sets, with their values and where these are written; outer keys first."""
        found: dict[str, tuple[Any, KeyPath]] = {}
        for key, position in picked.items():
            value = self.choices[key][position]
            if key == CASE:
                found |= {own: (one, (cases.KEY, value, own)) for own, one in self.cases[value].items()}
            else:
                found[key] = value, (*self.paths[key], position)
        # model may not undo model.hidden
        return dict(sorted(found.items(), key=lambda item: item[0].count(".")))

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
