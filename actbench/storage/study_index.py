"""The index of a study: what its finished runs report, in one file beside them, since to open 100,000 files takes long.

    results/<study>/index.sqlite

It only repeats what the results hold. An entry is used while the result that it was made from is unchanged: same size,
same times, same inode. Every other run is read from its own files. So the index may be deleted, lost, torn or of
another version: whoever reads the study next writes a new one, if the study is large enough and its folder may be
written. Two writers don't disturb each other, and nobody waits for a lock, which many network file systems don't keep.
What the file looks like is ``index_file``'s matter.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from actbench.schema.packed_mapping import PackedMapping
from actbench.schema.record import Outcome, RunOutline, RunRecord
from actbench.schema.spec import RunSpec
from actbench.storage import index_file
from actbench.storage.index_file import Content, Entry, Known
from actbench.system.text import storable

MIN_RUNS = 2000
"""Runs from which on a study has an index: fewer are read in a second without."""

NEW_SHARE = 0.05
"""Share of the runs that must be missing in the index before it is written again. To read these from their own files
takes less time than to write all of it, which would be done over and over while a study is under way."""

SETTLED = 2.0
"""Seconds that a file must not have changed for before it gets an entry: within less, a clock of a file system may give
its successor the same times."""


def stamp_of(path: str) -> str | None:
    """Return a text that changes when a file is edited or replaced (size, times, inode); None where there is no file.

    Raises:
        OSError: When it can't be looked at.
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def known_end(run: str, known: Known | None) -> Outcome | None:
    """Return the outcome that the index has of a run, if it was made of the result that is there; else None.

    Args:
        run: The run's folder.
        known: What the index has of it.

    Raises:
        OSError: When the folder can't be looked into.
    """
    if known is None or stamp_of(f"{run}{os.sep}result.json") != known[0]:
        return None
    return known[1]


_LARGEST = 2**53
"""Beyond it, a double does not hold every whole number."""


class StudyIndex:
    """Reads the index of a study; collects the runs that it lacks, and writes a new one when there are enough.

    Args:
        folder: The study's folder.
        study: Its name.
        runs: How many runs it has.
        outlines: Whether outlines are asked for, and no records: they take no health.
    """

    def __init__(self, folder: Path, study: str, runs: int, *, outlines: bool) -> None:
        self._folder, self.study, self._runs = folder, study, runs
        self._content = index_file.read(folder, health=not outlines) if runs >= MIN_RUNS else Content()
        self._texts = self._content.texts
        self._made: dict[int, Any] = {}
        self._parts: dict[int, _Shared | None] = {}
        self._outlines = self._all_outlines() if outlines else {}
        self._kept: list[str] = []  # runs in the index that are as they were
        self._new: dict[str, tuple[Entry, bytes]] = {}
        self._shared: dict[int, tuple[object, int]] = {}

    def record(self, run: str, stamp: str | None) -> RunRecord | None:
        """Return the record of a run, without its curve; None where the index does not have it as it is now.

        Args:
            run: The name of its folder.
            stamp: Of its result.
        """
        entry, packed = self._content.runs.get(run), self._content.health.get(run)
        if entry is None or entry.stamp != stamp or packed is None:
            return None
        shared = self._shared_parts(entry.shared)
        if shared is None:
            return None
        self._kept.append(run)
        spec, environment, names = shared
        final, timing, beside = names.named(entry.numbers[entry.begin : entry.end])
        return RunRecord(
            spec=spec.with_seed(entry.seed),
            outcome=entry.outcome,
            final=final,
            health=PackedMapping.of(packed, tuple(beside.items())),
            environment=environment,
            timing=timing,
            message=entry.message,
            study=self.study,
            folder=run,
        )

    def outline(self, run: str, stamp: str | None) -> RunOutline | None:
        """Return the outline of a run; arguments and None are as in ``record``."""
        found = self._outlines.get(run)
        if found is None or found[0] != stamp:
            return None
        self._kept.append(run)
        return found[1]

    def note(self, run: str, stamp: str | None, record: RunRecord) -> None:
        """Note a run that was read from its own files.

        Args:
            run: The name of its folder.
            stamp: Of its result, taken before it was read.
            record: What was read.
        """
        if self._runs < MIN_RUNS or stamp is None or not isinstance(record.health, PackedMapping):
            return
        changed = int(stamp.split(" ")[2]) / 1e9
        if time.time() - changed < SETTLED or storable(run) != run:  # SQLite takes only names in UTF-8
            return
        spec, parts = record.spec, (record.final, record.timing, dict(record.health.beside))
        numbers = [value for part in parts for value in part.values()]
        types = "".join(map(_type_of, numbers))
        if len(types) < len(numbers):
            return
        shared = (
            self._number_of_shared(spec.digest_parts, lambda: spec.with_seed(0).to_json()),
            self._number_of_shared(record.environment, lambda: record.environment),
            self._number(json.dumps([types, *map(list, parts)])),
        )
        values = [0.0 if value is None else float(value) for value in numbers]
        own = (record.outcome, spec.seed, record.message, self._number(json.dumps(shared)))
        self._new[run] = Entry(stamp, *own, values, 0, len(values)), record.health.packed

    def save(self) -> None:
        """Write the index anew if much was missing in it; where that is not possible, the study has none."""
        if len(self._new) < max(1, NEW_SHARE * self._runs):
            return
        known = self._content
        if self._outlines:
            known = index_file.read(self._folder, health=True)
            if known.name != self._content.name:  # someone has written another one meanwhile
                return
        kept = [run for run in self._kept if run in known.runs and run in known.health]
        runs = {run: known.runs[run] for run in kept} | {run: entry for run, (entry, _) in self._new.items()}
        health = {run: known.health[run] for run in kept} | {run: packed for run, (_, packed) in self._new.items()}
        index_file.write(self._folder, runs, health, self._texts)

    def _all_outlines(self) -> dict[str, tuple[str, RunOutline]]:
        """Return stamp and outline of each run in the index, made at once: one by one they take twice as long."""
        found = {}
        for run, (stamp, outcome, seed, message, number, numbers, begin, _) in self._content.runs.items():
            shared = self._shared_parts(number)
            if shared is not None:
                spec, environment, names = shared
                final = FinalMetrics(names.final, numbers, begin)
                found[run] = stamp, RunOutline(self.study, run, spec, seed, outcome, final, environment, message)
        return found

    def _shared_parts(self, number: int) -> _Shared | None:
        """Return what a shared text stands for, the same objects for all runs that share it; None if it is damaged."""
        if number not in self._parts:
            try:
                settings, environment, names = json.loads(self._texts[number])
                self._parts[number] = (
                    self._part(settings, RunSpec.model_validate),
                    self._part(environment, dict),
                    self._part(names, _Numbers.of),
                )
            except (ValueError, TypeError, KeyError):
                self._parts[number] = None
        return self._parts[number]

    def _part(self, number: int, make: Callable[[Any], Any]) -> Any:
        if number not in self._made:
            self._made[number] = make(json.loads(self._texts[number]))
        return self._made[number]

    def _number(self, text: str) -> int:
        """Return the number of a text that other runs may share.

        It is made of the text. So the text of a later reading has the same one, and never that of a text that is lost.
        """
        number = int.from_bytes(sha256(text.encode()).digest()[:6], "big")
        self._texts[number] = text
        return number

    def _number_of_shared(self, shared: object, content: Callable[[], Any]) -> int:
        """Return the number of an object's text. Runs that share the object have it turned into text only once."""
        if id(shared) not in self._shared:
            self._shared[id(shared)] = (shared, self._number(json.dumps(content())))
        return self._shared[id(shared)][1]


def _type_of(value: object) -> str:
    """Return a letter for what a number is, whose value a double holds; nothing for what none holds."""
    if value is None:
        return "n"
    if type(value) is float:
        return "f"
    return "i" if type(value) is int and abs(value) <= _LARGEST else ""


class _Numbers:
    """Names the numbers of a run, as many runs do alike.

    Args:
        groups: The names in ``final``, ``timing``, and health kept unpacked.
        types: For each of these names in turn, what ``_type_of`` says of its number.

    Attributes:
        final: Of each name in ``final``, the place of its number and the type.
    """

    def __init__(self, groups: Sequence[Sequence[str]], types: str) -> None:
        self.final = {name: (place, letter) for place, (name, letter) in enumerate(zip(groups[0], types, strict=False))}
        self._groups = []
        letters = iter(types)
        for names in groups:
            typed = list(zip(names, letters, strict=False))
            missing = {name: None for name, letter in typed if letter == "n"}
            self._groups.append((names, [name for name, letter in typed if letter == "i"], missing))

    @classmethod
    def of(cls, content: Sequence[Any]) -> _Numbers:
        """Return what a shared text stands for."""
        types, *groups = content
        return cls(groups, types)

    def named(self, numbers: Sequence[float]) -> Iterator[dict[str, Any]]:
        """Yield the numbers of a run by name, a dictionary for each group."""
        rest = iter(numbers)
        for names, whole, missing in self._groups:
            found: dict[str, Any] = dict(zip(names, rest, strict=False))  # as many as there are names
            for name in whole:
                found[name] = int(found[name])
            found.update(missing)
            yield found


_Shared = tuple[RunSpec, dict[str, Any], _Numbers]
"""What many runs share: settings, environment, what their numbers are."""


class FinalMetrics(Mapping[str, float | None]):
    """Final metrics as the index holds them, which take their names only when they are asked for.

    Args:
        places: Name -> the place of its number among those of a run, and its type.
        numbers: Numbers of this run and others.
        begin: The place of its first one.
    """

    __slots__ = ("_begin", "_numbers", "_places")

    def __init__(self, places: Mapping[str, tuple[int, str]], numbers: Sequence[float], begin: int) -> None:
        self._places, self._numbers, self._begin = places, numbers, begin

    def __getitem__(self, name: str) -> float | None:
        place, letter = self._places[name]
        if letter == "f":
            return self._numbers[self._begin + place]
        return None if letter == "n" else int(self._numbers[self._begin + place])

    def get(self, name: str, default: Any = None) -> Any:
        """Return a metric, or the default where there is none of that name."""
        return self[name] if name in self._places else default

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
