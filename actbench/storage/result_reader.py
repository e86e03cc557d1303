"""Read the ``result.json`` of many runs: what repeats from run to run is parsed and checked once.

Of 12 kB a run, the settings, the environment and the metrics' units are those of thousands of others. They are known by
their text, so nothing is taken for granted: a file that differs in a letter there, or that actbench did not write so,
is parsed as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from actbench.schema.record import RunRecord
from actbench.schema.spec import RunSpec
from actbench.system.files import parse_json

_SECTION = '\n  "'
"""How actbench begins each key of a result: a line that begins so stands on the outermost level, as no string of JSON
holds a line break."""

_NAME = re.compile(r'([a-z]+)": ')
_SEED = re.compile(r'(\{\n.*,\n    "seed": )(0|[1-9]\d{0,17})\n  \}', re.DOTALL)

REPEATED = frozenset({"schema", "outcome", "message", "study", "metrics", "environment"})
"""Sections that are equal in many runs."""

MAX_KNOWN = 10_000
"""Texts that are kept: more than the cells of any table. Where they are all different, they would fill the memory."""


class ResultReader:
    """Turns the content of results into records, and remembers the parts that repeat."""

    def __init__(self) -> None:
        self._specs: dict[str, RunSpec] = {}
        self._parts: dict[str, Any] = {}

    def record(self, content: bytes, name: str, curves: Sequence[Mapping[str, Any]] = ()) -> RunRecord:
        """Rebuild a record from the content of its ``result.json``, as ``RunRecord.from_json`` does.

        Args:
            content: The file's content.
            name: The file's name, for messages.
            curves: The rows of ``metrics.jsonl``.

        Raises:
            ValueError: When it is not a whole result that this version can read.
        """
        whole = self._by_section(content)
        if whole is None:
            whole = parse_json(content)
            if not isinstance(whole, dict):
                raise ValueError(f"{name} holds no mapping")
        return RunRecord.from_json(whole, curves)

    def _by_section(self, content: bytes) -> dict[str, Any] | None:
        """Return a result's content with a checked spec; None where it has to be parsed as a whole."""
        try:
            start, *sections = content.decode("utf-8").split(_SECTION)
            if start != "{" or not sections[-1].endswith("\n}"):
                return None
            sections[-1] = f"{sections[-1][:-2]},"
            found: dict[str, Any] = {}
            for section in sections:
                name = _NAME.match(section)
                if name is None or section[-1] != ",":
                    return None
                found[name[1]] = self._value(name[1], section[name.end() : -1])
        except (ValueError, IndexError):  # what is wrong is found again, and named, in the whole
            return None
        return found

    def _value(self, name: str, text: str) -> Any:
        if name == "spec" and (seed := _SEED.fullmatch(text)):
            return self._spec(seed[1], int(seed[2]))
        if name not in REPEATED:
            return parse_json(text)
        if text not in self._parts:
            _make_room(self._parts)
            self._parts[text] = parse_json(text)
        return self._parts[text]

    def _spec(self, before: str, seed: int) -> RunSpec:
        """Return the run with settings that are written as ``before``, up to its seed."""
        cell = self._specs.get(before)
        if cell is None:
            _make_room(self._specs)
            cell = self._specs[before] = RunSpec.model_validate(parse_json(f"{before}{seed}\n}}"))
        return cell.with_seed(seed)


def _make_room(known: dict[str, Any]) -> None:
    if len(known) >= MAX_KNOWN:
        known.clear()
