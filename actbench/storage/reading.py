"""Read stored runs: every finished or failed run below some folders, or the one that a user points to."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, overload

from actbench.errors import ResultsError, UsageError
from actbench.schema import registry
from actbench.schema.packed_mapping import PackedMapping
from actbench.schema.record import RunOutline, RunRecord, check_row
from actbench.schema.spec import RunSpec
from actbench.storage.commands import train_command
from actbench.storage.folders import packed_hint
from actbench.storage.missing_parts import missing_parts
from actbench.storage.result_reader import ResultReader
from actbench.storage.run_folders import find_folder, folders_of_runs, is_run, study_of
from actbench.storage.store import CURVE
from actbench.storage.study_index import StudyIndex, stamp_of
from actbench.storage.study_settings import comparison_settings, reason, with_case
from actbench.system.collection import collection_paused
from actbench.system.command_line import command_text
from actbench.system.files import parse_json, read_file, read_json
from actbench.system.packed import kind

_log = logging.getLogger("actbench.storage.reading")


UNFINISHED = ": unfinished runs, left out: "
"""Between the study and the number in the warning that counts runs without an end."""

WITHOUT_CURVE = ": finished runs without epochs (metrics.jsonl), which no chart over epochs or layers shows: "
"""Between the study and their number; ``pack --no-curves`` leaves the epochs out."""

RESULT = "result.json"

ASKED_OF_ALL = ("units", "probe_size")
"""Entries of a run's health that a comparison asks every run for; the rest stays packed."""

_FRAME = "actbench.analysis.frames:frame_of_runs"
"""Found by its name, as plugins are: that room imports this one."""

Run = TypeVar("Run", RunRecord, RunOutline)


@dataclass(frozen=True)
class Reading(Generic[Run]):
    """The runs that were read, sorted by study, seed and run id.

    Args:
        runs: The record of each, or its outline.
        warnings: What was skipped and why, one sentence each.
        settings: Study -> ``baseline``, ``metric`` and ``two_stage`` of its config's ``compare`` section and its
            ``expect``, as far as it has them.
        folders: Study -> its folder; none where several folders hold a study of that name.
        unfinished: The folders of the runs that have neither finished nor failed; a warning counts them.
    """

    runs: tuple[Run, ...]
    warnings: tuple[str, ...] = ()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict, compare=False)
    unfinished: tuple[Path, ...] = field(default=(), compare=False)


@dataclass(frozen=True, repr=False)
class Records(Reading[RunRecord], Sequence[RunRecord]):
    """The records of the runs that were read."""

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[RunRecord]:
        return iter(self.runs)

    @overload
    def __getitem__(self, index: int) -> RunRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[RunRecord]: ...
    def __getitem__(self, index: int | slice) -> RunRecord | Sequence[RunRecord]:
        return self.runs[index]

    def __repr__(self) -> str:
        studies = dict.fromkeys(run.study for run in self.runs)
        return f"<Records {len(self.runs):,} run{'' if len(self.runs) == 1 else 's'} of {', '.join(studies)}>"

    def to_frame(
        self, backend: Literal["pandas", "polars"] | None = None, per: Literal["run", "epoch", "layer"] = "run"
    ) -> Any:
        """Return the runs as a data frame: study, run, dataset, model, what varies, seed, outcome, every metric.

        Args:
            backend: The library; None for the one that is installed, pandas where both are.
            per: What a line stands for: a run, one of its epochs, or a layer at one of them; these need the curves.

        Returns:
            A ``pandas.DataFrame`` or ``polars.DataFrame``. Fractions stay fractions; what is not known is NaN or null.

        Raises:
            UsageError: When the library is not installed, or the runs were read without the curves that it takes.
        """
        return registry.import_object(_FRAME)(self, backend, per)


@collection_paused()
def read_results(*paths: Path | str, curves: bool = False) -> Records:
    """Every finished or failed run below the paths.

    A run that can't be read is skipped with a warning that names its file; runs still under way are counted in one.

    Args:
        paths: Results folders, study folders or run folders, in any mixture; a run reached twice counts once.
        curves: Whether to read the per-epoch rows too.

    Raises:
        ResultsError: When a path does not exist or no run is found.
    """
    found = _read_all(paths, _read_indexed) if not curves else _read_all(paths, _read_with_curve)
    return Records(found.runs, found.warnings, found.settings, found.folders, found.unfinished)


@collection_paused()
def read_outlines(*paths: Path | str) -> Reading[RunOutline]:
    """Read what a list says of each run; paths, order and errors are those of ``read_results``."""
    return _read_all(paths, _read_outline, outlines=True)


def _read_all(paths: Sequence[Path | str], read: ReadRun[Run], *, outlines: bool = False) -> Reading[Run]:
    """Read every run below some paths.

    Args:
        paths: Results folders, study folders or run folders.
        read: Reads one run.
        outlines: Whether it returns outlines.
    """
    warnings: list[str] = []
    reader = ResultReader()
    found: list[Run] = []
    unfinished: list[Path] = []
    names: dict[Path, str] = {}
    settings: dict[str, Mapping[str, Any]] = {}
    for above, runs in folders_of_runs(paths, warnings).items():
        study, name = above.parent, above.parent.resolve().name
        place = _Place(above, name, reader, warnings, len(runs), outlines=outlines)
        own, without_end = _read_study(place, runs, read)
        if not place.has_runs:
            continue
        names[study] = name
        settings[name] = comparison_settings(study, warnings)
        found += _with_cases(_without_repeated(own, warnings), settings[name])
        unfinished += without_end
    if not names:
        hints = "".join(dict.fromkeys(packed_hint(Path(path)) for path in paths))
        absent = f"no runs in {', '.join(map(str, paths))}: give a folder that `actbench run` has written{hints}"
        raise ResultsError("\n".join((absent, *warnings)))
    # Of the same run in several folders, a comparison takes the first: not a failed one where another has finished.
    found.sort(key=lambda one: (one.study, one.seed, one.folder, one.outcome == "failed"))
    if unfinished:
        ended = {(one.study, one.digest[:8]) for one in found}
        unfinished = [run for run in unfinished if (names[run.parent.parent], run.name[-8:]) not in ended]
    waiting = Counter(names[run.parent.parent] for run in unfinished)
    warnings += [f"{name}{UNFINISHED}{count}" for name, count in waiting.items()]
    warnings += missing_parts(found, names, unfinished)
    alike = Counter(names.values())
    places = {name: study for study, name in names.items() if alike[name] == 1}
    return Reading(tuple(found), tuple(sorted(warnings)), settings, places, tuple(unfinished))


class _Place:
    """Where the runs of one study are read from.

    Args:
        folder: The folder of the runs.
        study: The study's name.
        reader: Reads their results.
        warnings: A warning is added for what can't be read.
        runs: How many there may be.
        outlines: Whether their outlines are read, and not their records.

    Attributes:
        has_runs: Whether one has been found, be it one that can't be read.
        without_curve: How many have none.
    """

    def __init__(
        self, folder: Path, study: str, reader: ResultReader, warnings: list[str], runs: int, *, outlines: bool
    ) -> None:
        self.study, self.reader, self.warnings, self._runs, self._outlines = study, reader, warnings, runs, outlines
        self.above = f"{folder}{os.sep}"  # text and not Path, which would take longer than to read a run
        self._study_folder = folder.parent
        self.has_runs = False
        self.without_curve = 0

    @cached_property
    def index(self) -> StudyIndex:
        """The study's index, for who reads no curves: with these every run's files are opened."""
        return StudyIndex(self._study_folder, self.study, self._runs, outlines=self._outlines)

    def save(self) -> None:
        """Write the index, if it was asked for and has changed."""
        if "index" in self.__dict__:
            self.index.save()


ReadRun = Callable[[_Place, str], Run | None]
"""Reads the run of a name; None where it has neither finished nor failed, or where there is none."""


def _read_study(place: _Place, names: Sequence[str], read: ReadRun[Run]) -> tuple[list[Run], list[Path]]:
    """Return the runs of a study that have finished or failed, and the folders of the others.

    Folders without a run are passed by.
    """
    found: list[Run] = []
    unfinished: list[Path] = []
    skipped = 0
    for run in names:
        try:
            one = read(place, run)
            if one is not None:
                found.append(one)
            elif is_run(f"{place.above}{run}"):
                unfinished.append(Path(f"{place.above}{run}"))
        except (OSError, ValueError) as error:
            place.warnings.append(f"{place.study}/runs/{run}: skipped, {reason(error)}")
            skipped += 1
    place.has_runs = bool(found or unfinished or skipped)
    place.save()
    if place.without_curve:
        place.warnings.append(f"{place.study}{WITHOUT_CURVE}{place.without_curve}")
    return found, unfinished


def _without_repeated(runs: Sequence[Run], warnings: list[str]) -> Sequence[Run]:
    """Return the runs of a study but those that have come already: two sweeps have named them, each its own way."""
    digits = Counter([one.folder[-8:] for one in runs])
    if len(digits) == len(runs):
        return runs
    kept: list[Run] = []
    come: dict[str, str] = {}
    for one in runs:
        if digits[one.folder[-8:]] > 1 and one.folder.endswith(f"-{one.digest[:8]}"):
            first = come.setdefault(one.digest, one.folder)
            if first != one.folder:
                warnings.append(f"{one.study}/runs/{one.folder}: left out, it is the same run as {first}")
                continue
        kept.append(one)
    return kept


def _with_cases(runs: Iterable[Run], settings: Mapping[str, Any]) -> Iterable[Run]:
    """Return the runs of a study, each with its case if the study has cases."""
    if settings.get("cases") is None:
        return runs
    return (one.with_spec(with_case(one.spec, settings)) for one in runs)


def curve_at(records: Records, record: RunRecord, epochs: Sequence[int]) -> list[Mapping[str, Any]]:
    """Return the rows of a run's curve at some epochs, without layers, as far as they can be read.

    For pictures, not for numbers: only the lines of those epochs are parsed, since reading whole curves would take
    longer than comparing the runs, and what can't be read is left out without a warning.

    Args:
        records: What the run was read with, which knows its folder.
        record: The run.
        epochs: Line numbers of ``metrics.jsonl``, which has a line for each epoch from 0 on.
    """
    if record.study not in records.folders:
        return []
    rows = []
    try:
        lines = read_file(records.folders[record.study] / "runs" / record.run_id / CURVE).splitlines()
    except OSError:
        return []
    for epoch in epochs:
        with suppress(ValueError):  # a torn line has no bar
            row = parse_json(lines[epoch]) if epoch < len(lines) else None
            if isinstance(row, Mapping) and row.get("epoch") == epoch:
                rows.append(check_row({key: value for key, value in row.items() if key != "layers"}))
    return rows


def find_run(root: Path | str, text: str) -> RunRecord:
    """Find the run that a user's text names, and read it with its curve; a torn curve is logged as a warning.

    Args:
        root: The results folder to search.
        text: A run folder's path, a run id (also an earlier one), its first letters, or the digits it ends with.

    Raises:
        UsageError: When no run or more than one fits, or the run has neither finished nor failed.
        ResultsError: When its files can't be read.
    """
    folder, warnings = find_folder(Path(root), text), list[str]()
    try:
        record = _read_run(str(folder), ResultReader(), warnings, curves=True)
    except (OSError, ValueError) as error:
        raise ResultsError(f"can't read run {study_of(folder)}/runs/{folder.name}: {reason(error)}") from error
    for warning in warnings:
        _log.warning("%s", warning)
    if record is None:
        raise UsageError(f"run {folder.name} has not finished: {_how_to_resume(folder.parent.parent)}")
    return replace(record, study=study_of(folder), folder=folder.name)


def _how_to_resume(study: Path) -> str:
    try:
        return f"`{command_text(train_command(study))}` resumes it"
    except UsageError as error:
        return f"no command resumes it from here, {error}"


def _read_run(folder: str, reader: ResultReader, warnings: list[str], *, curves: bool) -> RunRecord | None:
    """Return one run's record; None where it has neither finished nor failed, or where there is none."""
    rows = _read_curve(Path(folder), warnings) if curves else []
    try:
        return reader.record(read_file(f"{folder}{os.sep}{RESULT}"), RESULT, rows)
    except FileNotFoundError:
        pass
    try:
        message, _, traceback = read_file(Path(folder, "error.txt")).decode(errors="replace").partition("\n")
    except FileNotFoundError:
        return None
    try:
        spec = RunSpec.model_validate(read_json(Path(folder, "spec.json")))
    except FileNotFoundError:
        return None  # a foreign folder
    return RunRecord(spec, "failed", rows, message=message, traceback=traceback.strip() if curves else "")


def _read_with_curve(place: _Place, run: str) -> RunRecord | None:
    """Return one run's record with its curve."""
    folder = f"{place.above}{run}"
    if not is_run(folder):
        return None
    record = _read_run(folder, place.reader, place.warnings, curves=True)
    if record is None:
        return None
    place.without_curve += record.lacks_curve and kind(Path(folder, CURVE)) is None
    return replace(record, study=place.study, folder=run)


def _read_indexed(place: _Place, run: str) -> RunRecord | None:
    """Return one run's record without its curve, from the index of its study if that has it."""
    stamp = stamp_of(f"{place.above}{run}{os.sep}{RESULT}")
    return place.index.record(run, stamp) or _read_and_note(place, run, stamp)


def _read_outline(place: _Place, run: str) -> RunOutline | None:
    """Return what a list says of one run, from the index of its study if that has it."""
    stamp = stamp_of(f"{place.above}{run}{os.sep}{RESULT}")
    found = place.index.outline(run, stamp)
    if found is None and (record := _read_and_note(place, run, stamp)) is not None:
        return RunOutline.of(record)
    return found


def _read_and_note(place: _Place, run: str, stamp: str | None) -> RunRecord | None:
    """Return one run's record from its own files, for the index too."""
    record = _read_run(f"{place.above}{run}", place.reader, place.warnings, curves=False)
    if record is None:
        return None
    health = PackedMapping(record.health, beside=ASKED_OF_ALL)
    record = replace(record, study=place.study, folder=run, health=health)
    place.index.note(run, stamp, record)
    return record


def _read_curve(folder: Path, warnings: list[str]) -> list[Mapping[str, Any]]:
    """Return the rows of ``metrics.jsonl`` up to the first that is torn: a process may have died while writing it."""
    try:
        lines = read_file(folder / CURVE).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    rows: list[Mapping[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        place = f"{study_of(folder)}/runs/{folder.name}/{CURVE}: line {number}"
        try:
            row = parse_json(line)
        except ValueError:
            warnings.append(f"{place} is torn and ignored")
            break
        try:
            rows.append(check_row(row))
        except ValueError as error:
            warnings.append(f"{place} and what follows are ignored: {error}")
            break
    return rows
