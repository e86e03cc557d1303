"""A config's content together with the place of each of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from actbench.config.places import Argument, Place, Span
from actbench.errors import ConfigError, KeyPath, Problem


@dataclass(frozen=True)
class Document:
    """Content that was read but not checked, and where each part of it was written.

    The places are kept beside the content rather than in it, so that a check sees ordinary mappings, lists and numbers
    and names a value by its path; ``rejection`` looks the path up.

    Args:
        content: Mappings, lists, strings, numbers, booleans, None.
        keys: Path of a mapping's entry -> place of its key.
        values: Path -> place of the value; the whole document at ``()``.
        problems: What had to be left out of the content, and why.
        left_out: Paths of the values that were left out; in a list, the position that the value would have had.
    """

    content: Any
    keys: Mapping[KeyPath, Place] = field(default_factory=dict)
    values: Mapping[KeyPath, Place] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    left_out: frozenset[KeyPath] = frozenset()

    def placed(self, path: KeyPath, place: Place) -> Document:
        """Return the document with ``place`` as the origin of everything at and below ``path``."""
        # mappings on the way may exist only because of the new value: they stand there too unless the file has them
        above = {path[:length]: place for length in range(1, len(path))}

        def outside(places: Mapping[KeyPath, Place]) -> dict[KeyPath, Place]:
            return {other: known for other, known in places.items() if other[: len(path)] != path}

        return replace(
            self,
            keys={**above, **outside(self.keys), path: place},
            values={**above, **outside(self.values), path: place},
        )

    def rejection(self, found: ConfigError | None = None) -> ConfigError:
        """Return one error with the problems so far and those that a check has ``found``, each at its place."""
        problems = found.problems if found else ()
        return ConfigError([*self.problems, *(self._placed_problem(one) for one in problems)])

    def _placed_problem(self, problem: Problem) -> Problem:
        place, message = self._place_of(problem), problem.message
        if isinstance(place, Argument):
            return place.problem(problem.typed_message or message)
        value = self.values[self._known_part(problem.path)]
        if isinstance(value, Span) and value.is_running_on and not problem.at_key:
            line = value.end[0] + 1
            message = f"this text goes on in line {line}: is that line indented too far? As it stands, {message}"
        return place.problem(message)

    def _place_of(self, problem: Problem) -> Place:
        """A wrong key is shown itself; a wrong value is too, unless it has many lines: then its key."""
        path = problem.path
        if problem.at_key and path in self.keys:
            return self.keys[path]
        path = self._known_part(path)
        value = self.values[path]
        return value if value.is_one_line else self.keys.get(path, value)

    def _known_part(self, path: KeyPath) -> KeyPath:
        """Return the path of the value, or, where it is missing, of the innermost one around it."""
        while path not in self.values:
            path = path[:-1]
        return path
