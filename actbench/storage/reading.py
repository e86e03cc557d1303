"""Read stored runs: every finished or failed run below some folders, or the one that a user points to."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, overload

from actbench.errors import ResultsError, UsageError, suggestion
from actbench.schema import registry
from actbench.schema.packed_mapping import PackedMapping
from actbench.schema.record import RunRecord, check_row
from actbench.schema.spec import RunSpec
from actbench.storage.commands import train_command
from actbench.storage.folders import check_results_folder, packed_hint, subfolder_names, subfolders
from actbench.storage.missing_parts import missing_parts
from actbench.storage.result_reader import ResultReader
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

_ID = re.compile(r".*-([0-9a-f]{8})/*", re.DOTALL)
"""A run id, or a path that ends with one."""


@dataclass(frozen=True, repr=False)
class Records(Sequence[RunRecord]):
    """The runs that were read, sorted by study, seed and run id.

    Args:
        runs: The records.
        warnings: What was skipped and why, one sentence each.
        settings: Study -> ``baseline``, ``metric`` and ``two_stage`` of its config's ``compare`` section and its
            ``expect``, as far as it has them.
        folders: Study -> its folder; none where several folders hold a study of that name.
        unfinished: The folders of the runs that have neither finished nor failed; a warning counts them.
    """

    runs: tuple[RunRecord, ...]
    warnings: tuple[str, ...] = ()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict, compare=False)
    unfinished: tuple[Path, ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return len(self.runs)

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
    warnings: list[str] = []
    # Text and not Path, which would take more time and memory than a run's own file: there may be 100,000.
    folders = dict.fromkeys(run for path in paths for run in _run_folders(Path(path), warnings))
    found: list[tuple[str, int, str, RunRecord, str]] = []
    unfinished: list[str] = []
    without_curve = Counter[str]()
    ended: dict[tuple[str, str], str] = {}
    studies = _study_names(folders)
    reader = ResultReader()
    # With curves every run's files are opened, so an index would save nothing.
    sizes = {} if curves else Counter(map(os.path.dirname, folders))
    indexes = {above: StudyIndex(Path(above).parent, studies[above], runs) for above, runs in sizes.items()}
    for folder in folders:
        above, name = os.path.split(folder)
        study = studies[above]
        try:
            if curves:
                record = _read_run(folder, reader, warnings, curves=True)
                record = record and replace(record, study=study, folder=name)
            else:
                record = _read_indexed(folder, reader, warnings, indexes[above])
        except (OSError, ValueError) as error:
            warnings.append(f"{study}/runs/{name}: skipped, {reason(error)}")
            continue
        if record is None:
            unfinished.append(folder)
            continue
        without_curve[study] += curves and record.lacks_curve and kind(Path(folder, CURVE)) is None
        place = (above, record.spec.digest)
        if name.endswith(f"-{record.spec.digest[:8]}"):
            if place in ended:  # two sweeps of the study have named it, each its own way
                warnings.append(f"{study}/runs/{name}: left out, it is the same run as {ended[place]}")
                continue
            ended[place] = name
        found.append((study, record.spec.seed, name, record, above))
    for index in indexes.values():
        index.save()
    if not folders:
        hints = "".join(dict.fromkeys(packed_hint(Path(path)) for path in paths))
        absent = f"no runs in {', '.join(map(str, paths))}: give a folder that `actbench run` has written{hints}"
        raise ResultsError("\n".join((absent, *warnings)))
    # Of the same run in several folders, a comparison takes the first: not a failed one where another has finished.
    found.sort(key=lambda entry: (*entry[:3], entry[3].outcome == "failed"))
    digits = {(study, record.spec.digest[:8]) for study, _, _, record, _ in found}
    unfinished = [run for run in unfinished if (studies[os.path.dirname(run)], run[-8:]) not in digits]
    waiting = Counter(studies[os.path.dirname(run)] for run in unfinished)
    warnings += [f"{study}{UNFINISHED}{count}" for study, count in waiting.items()]
    parents = {above: Path(above).parent for above in studies}
    warnings += missing_parts(
        [(study, record, parents[above]) for study, _, _, record, above in found], list(map(Path, unfinished))
    )
    warnings += [f"{study}{WITHOUT_CURVE}{count}" for study, count in without_curve.items() if count]
    settings = {above: comparison_settings(folder, warnings) for above, folder in parents.items()}
    by_study = {studies[above]: section for above, section in settings.items()}
    names = list(studies.values())
    places = {name: parents[above] for above, name in studies.items() if names.count(name) == 1}
    records = tuple(_with_case(run, settings[above]) for *_, run, above in found)
    return Records(records, tuple(sorted(warnings)), by_study, places, tuple(map(Path, unfinished)))


def _study_names(folders: Iterable[str]) -> dict[str, str]:
    """Return the folder above each run -> the name of its study, in the order of the runs."""
    return {above: study_of(Path(above, "run")) for above in dict.fromkeys(map(os.path.dirname, folders))}


def _with_case(run: RunRecord, settings: Mapping[str, Any]) -> RunRecord:
    spec = with_case(run.spec, settings)
    return run if spec is run.spec else replace(run, spec=spec)


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


def study_of(run: Path) -> str:
    """Return the name of the study that a run's folder belongs to."""
    return run.parent.parent.resolve().name


def _run_folders(path: Path, warnings: list[str]) -> Iterator[str]:
    """Yield the run folders at or below a path; other files and folders are passed by.

    Args:
        path: Where to look.
        warnings: A warning is added for each study whose folder can't be read.

    Raises:
        ResultsError: When the path does not exist, or can't be read.
    """
    check_results_folder(path)
    path = path.resolve()
    try:
        if _is_run(str(path)):
            yield str(path)
            return
        studies = [path, *subfolders(path)]
    except OSError as error:
        raise ResultsError(f"can't read {path}: {error.strerror}") from error
    for study in studies:
        try:
            runs = (f"{study}{os.sep}runs{os.sep}{name}" for name in subfolder_names(study / "runs"))
            yield from filter(_may_be_run, runs)
        except OSError as error:
            warnings.append(f"{study.name}: skipped, its runs can't be listed: {error.strerror}")


def _is_run(folder: str) -> bool:
    """Return whether a folder holds a run.

    Raises:
        PermissionError: When that can't be known.
    """
    spec = f"{folder}{os.sep}spec.json"
    try:
        # A link to nowhere is a run that can't be read.
        return os.path.lexists(spec) or kind(Path(spec)) is not None
    except PermissionError:
        raise
    except (OSError, ValueError):  # no such folder; no folder; a text that can't be the name of one
        return False


def _may_be_run(folder: str) -> bool:
    """Return whether a folder holds a run, or can't be looked into, which is reported when the run is read."""
    try:
        return _is_run(folder)
    except PermissionError:
        return True


def _read_run(folder: str, reader: ResultReader, warnings: list[str], *, curves: bool) -> RunRecord | None:
    """Return one run's record; None when it has neither finished nor failed."""
    rows = _read_curve(Path(folder), warnings) if curves else []
    try:
        return reader.record(read_file(f"{folder}{os.sep}{RESULT}"), RESULT, rows)
    except FileNotFoundError:
        pass
    try:
        message, _, traceback = read_file(Path(folder, "error.txt")).decode(errors="replace").partition("\n")
    except FileNotFoundError:
        return None
    spec = RunSpec.model_validate(read_json(Path(folder, "spec.json")))
    return RunRecord(spec, "failed", rows, message=message, traceback=traceback.strip() if curves else "")


def _read_indexed(folder: str, reader: ResultReader, warnings: list[str], index: StudyIndex) -> RunRecord | None:
    """Return one run's record without its curve, from the index of its study if that has it."""
    name = os.path.basename(folder)
    stamp = stamp_of(f"{folder}{os.sep}{RESULT}")
    record = index.record(name, stamp)
    if record is not None:
        return record
    record = _read_run(folder, reader, warnings, curves=False)
    if record is None:
        return None
    health = PackedMapping(record.health, beside=ASKED_OF_ALL)
    record = replace(record, study=index.study, folder=name, health=health)
    index.note(name, stamp, record)
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


def find_folder(root: Path, text: str) -> Path:
    """Return the folder of the run that a user's text names, as ``find_run`` reads it.

    Raises:
        UsageError: When no run or more than one fits.
    """
    if not text.strip():
        raise UsageError("an empty name is that of no run: give a run's id, its first letters, its digits or its path")
    with suppress(PermissionError):  # then it is the name of a run below the root
        if _is_run(text):
            return Path(text).resolve()
    warnings = list[str]()
    runs = [Path(run) for run in _run_folders(root, warnings)]
    for warning in warnings:
        _log.warning("%s", warning)
    # The strictest reading first; the first that fits any run counts. The digits that end an id decide which run it is:
    # the rest says what varied in its study when it was begun, and other versions said it otherwise.
    digits = _ID.fullmatch(text)
    for fits in (
        text.__eq__,
        lambda name: name.endswith(f"-{text}"),
        lambda name: name.startswith(text),
        lambda name: digits is not None and name.endswith(f"-{digits[1]}"),
    ):
        found = [run for run in runs if fits(run.name)]
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(f"{study_of(run)}/runs/{run.name}" for run in found[:5])
            raise UsageError(f"'{text}' fits {len(found)} runs: {several}{' …' if len(found) > 5 else ''}")
    otherwise = f"`{command_text(['compare', root])}` and the folder's runs/ show what there is"
    hint = suggestion(text, [run.name for run in runs], otherwise=otherwise)
    raise UsageError(f"no run '{text}' in {root} — {hint}")
