"""Read stored runs: every finished or failed run below some folders, or the one that a user points to."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

from actbench.errors import ResultsError, UsageError, suggestion
from actbench.schema.record import RunRecord
from actbench.schema.spec import RunSpec
from actbench.storage.commands import train_command
from actbench.storage.study_settings import comparison_settings, reason
from actbench.system.command_line import command_text
from actbench.system.files import parse_json, read_json

_log = logging.getLogger("actbench.storage.reading")


@dataclass(frozen=True)
class Records(Sequence[RunRecord]):
    """The runs that were read, sorted by study, seed and run id.

    Args:
        runs: The records.
        warnings: What was skipped and why, one sentence each.
        settings: Study -> ``baseline`` and ``metric`` of its config's ``compare`` section and its ``expect``, as far as
            it has them.
        folders: Study -> its folder; none where several folders hold a study of that name.
    """

    runs: tuple[RunRecord, ...]
    warnings: tuple[str, ...] = ()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict, compare=False)

    def __len__(self) -> int:
        return len(self.runs)

    @overload
    def __getitem__(self, index: int) -> RunRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[RunRecord]: ...
    def __getitem__(self, index: int | slice) -> RunRecord | Sequence[RunRecord]:
        return self.runs[index]


def read_results(*paths: Path | str, curves: bool = False) -> Records:
    """Every finished or failed run below the paths.

    A run that can't be read is skipped with a warning that names its file; runs still under way are counted in one.

    Args:
        paths: Results folders, study folders or run folders, in any mixture; a run reached twice counts once.
        curves: Whether to read the per-epoch rows too.

    Raises:
        ResultsError: When a path does not exist or no run is found.
    """
    folders = dict.fromkeys(run for path in paths for run in _run_folders(Path(path)))
    found: list[tuple[str, int, str, RunRecord]] = []
    warnings: list[str] = []
    unfinished: dict[str, int] = {}
    for folder in folders:
        study = _study_of(folder)
        try:
            record = _read_run(folder, warnings, curves=curves)
        except (OSError, ValueError) as error:
            warnings.append(f"{study}/runs/{folder.name}: skipped, {reason(error)}")
            continue
        if record is None:
            unfinished[study] = unfinished.get(study, 0) + 1
        else:
            found.append((study, record.spec.seed, folder.name, replace(record, study=study)))
    if not folders:
        raise ResultsError(f"no runs in {', '.join(map(str, paths))}: give a folder that `actbench run` has written")
    found.sort(key=lambda entry: entry[:3])
    warnings += [f"{study}: unfinished runs, left out: {count}" for study, count in unfinished.items()]
    settings = {
        folder: comparison_settings(folder, warnings) for folder in dict.fromkeys(run.parent.parent for run in folders)
    }
    by_study = {folder.resolve().name: section for folder, section in settings.items()}
    names = [folder.resolve().name for folder in settings]
    places = {name: folder for name, folder in zip(names, settings, strict=True) if names.count(name) == 1}
    return Records(tuple(entry[3] for entry in found), tuple(sorted(warnings)), by_study, places)


def find_run(root: Path | str, text: str) -> RunRecord:
    """Find the run that a user's text names, and read it with its curve; a torn curve is logged as a warning.

    Args:
        root: The results folder to search.
        text: A run folder's path, a run id, its first letters, or the eight digits it ends with.

    Raises:
        UsageError: When no run or more than one fits, or the run has neither finished nor failed.
        ResultsError: When its files can't be read.
    """
    folder, warnings = _pointed_to(Path(root), text), list[str]()
    try:
        record = _read_run(folder, warnings, curves=True)
    except (OSError, ValueError) as error:
        raise ResultsError(f"can't read run {_study_of(folder)}/runs/{folder.name}: {reason(error)}") from error
    for warning in warnings:
        _log.warning("%s", warning)
    if record is None:
        raise UsageError(f"run {folder.name} has not finished: {_how_to_resume(folder.parent.parent)}")
    return replace(record, study=_study_of(folder))


def _how_to_resume(study: Path) -> str:
    try:
        return f"`{command_text(train_command(study))}` resumes it"
    except UsageError as error:
        return f"no command resumes it from here, {error}"


def _study_of(run: Path) -> str:
    return run.parent.parent.resolve().name


def _run_folders(path: Path) -> Iterator[Path]:
    """Yield the run folders at or below a path; other files and folders are passed by."""
    if not path.is_dir():
        raise ResultsError(f"no results at {path}: {'not a folder' if path.exists() else 'it does not exist'}")
    path = path.resolve()
    if (path / "spec.json").is_file():
        yield path
        return
    for study in (path, *_subfolders(path)):
        yield from (run for run in _subfolders(study / "runs") if (run / "spec.json").is_file())


def _subfolders(path: Path) -> Iterable[Path]:
    try:
        with os.scandir(path) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return ()


def _read_run(folder: Path, warnings: list[str], *, curves: bool) -> RunRecord | None:
    """Return one run's record; None when it has neither finished nor failed."""
    rows = _read_curve(folder, warnings) if curves else []
    try:
        content = read_json(folder / "result.json")
        return RunRecord.from_json(content, rows)
    except FileNotFoundError:
        pass
    try:
        message = (folder / "error.txt").read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    except FileNotFoundError:
        return None
    return RunRecord(RunSpec.model_validate(read_json(folder / "spec.json")), "failed", rows, message=message)


def _read_curve(folder: Path, warnings: list[str]) -> list[Mapping[str, Any]]:
    """Return the rows of ``metrics.jsonl`` up to the first that is torn: a process may have died while writing it."""
    try:
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    rows: list[Mapping[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(parse_json(line))
        except ValueError:
            warnings.append(f"{_study_of(folder)}/runs/{folder.name}/metrics.jsonl: line {number} is torn and ignored")
            break
    return rows


def _pointed_to(root: Path, text: str) -> Path:
    if (Path(text) / "spec.json").is_file():
        return Path(text).resolve()
    runs = list(_run_folders(root))
    # The strictest reading first; the first that fits any run counts.
    for fits in (text.__eq__, lambda name: name.endswith(f"-{text}"), lambda name: name.startswith(text)):
        found = [run for run in runs if fits(run.name)]
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(f"{_study_of(run)}/runs/{run.name}" for run in found[:5])
            raise UsageError(f"'{text}' fits {len(found)} runs: {several}{' …' if len(found) > 5 else ''}")
    otherwise = f"`{command_text(['compare', root])}` and the folder's runs/ show what there is"
    hint = suggestion(text, [run.name for run in runs], otherwise=otherwise)
    raise UsageError(f"no run '{text}' in {root} — {hint}")
