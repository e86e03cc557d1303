"""Merge the folders of one study, from several machines or handed in as packed files, into one: run by run.

Folders whose runs differ merge by copying as well. Here a run that lies in several of them is decided as a whole, and
no file of one try gets among those of another:

    finished with its epochs  >  finished  >  failed  >  begun

Of equals the first counts, and what lies in the target already comes before all others. Locks, heartbeats and files
that were left half written are not taken along; checkpoints are, while none of their runs has ended in the target.

A run is written under its lock, its result last. So several commands may work on the target meanwhile, and a merge that
is killed leaves whole runs, whole old ones, and one that was begun, which the same merge writes anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actbench.config import Study
from actbench.errors import ConfigError, ResultsError, UsageError
from actbench.schema.record import OUTCOMES, SCHEMA
from actbench.schema.spec import RunSpec
from actbench.storage.checkpoints import Checkpoints
from actbench.storage.folders import check_results_folder, packed_hint, refuse_packed, subfolders
from actbench.storage.lock_files import holder
from actbench.storage.locks import Locks
from actbench.storage.result_header import schema_and_outcome
from actbench.storage.store import CURVE, weight_files
from actbench.system.files import read_file, read_json, write_atomically, writing
from actbench.system.packed import is_packed, kind

CONFIG = "study.yaml"
RUN_FILES = ("spec.json", CURVE, "error.txt", "result.json")
"""In the order in which they are written: the presence of the last means finished."""

BEGUN, FAILED, FINISHED, WITH_EPOCHS = range(1, 5)
"""How much a run's folder is worth."""


@dataclass(frozen=True)
class _Run:
    """One run in one folder.

    Args:
        folder: Its folder.
        spec: Its settings.
        worth: How far it is.
    """

    folder: Path
    spec: RunSpec
    worth: int

    @property
    def has_ended(self) -> bool:
        return self.worth > BEGUN


@dataclass
class MergedStudy:
    """The end of a merge.

    Args:
        study: Its name.
        folder: The target.
        sources: Number of folders that were merged into it.
        copied: Runs that were written.
        finished: Runs in the target that have a result.
        repeated: Runs that several folders had finished; the first of each counts.
        differing: Those of them whose numbers differ.
        warnings: What was left out or could not be decided, one sentence each.
    """

    study: str
    folder: Path
    sources: int
    copied: int = 0
    finished: int = 0
    repeated: int = 0
    differing: int = 0
    warnings: list[str] = field(default_factory=list)


def merge_studies(paths: Sequence[Path], results: Path) -> list[MergedStudy]:
    """Merge the studies at or directly below some paths into a results folder, each into that of its name.

    Args:
        paths: Results folders, studies' folders or packed studies.
        results: The results folder; it is made if need be, and may be one of the paths.

    Returns:
        What was done, by study.

    Raises:
        UsageError: When the target is a packed study.
        ResultsError: When a path holds no study, or a file can't be read or written. What was written is whole.
    """
    refuse_packed(results)
    studies: dict[str, list[Path]] = {}
    for path in paths:
        for folder in _studies(path):
            places = studies.setdefault(folder.name, [])
            if folder not in places:
                places.append(folder)
    return [_merge(name, places, results / name) for name, places in studies.items()]


def _studies(path: Path) -> list[Path]:
    """Return the folders of studies at or directly below a path, resolved, so that their names are those of studies.

    Raises:
        ResultsError: When there is none, or the path can't be read.
    """
    check_results_folder(path)
    path = path.resolve()
    try:
        found = [one for one in (path, *subfolders(path)) if kind(one / "runs") or kind(one / CONFIG)]
    except OSError as error:
        raise ResultsError(f"can't read {path}: {error.strerror}") from error
    if not found:
        raise ResultsError(f"no study in {path}: give a folder that `actbench run` has written{packed_hint(path)}")
    return found


def _merge(name: str, places: Sequence[Path], target: Path) -> MergedStudy:
    refuse_packed(target)
    sources = [place for place in places if place != target.resolve()]
    done = MergedStudy(name, target, len(sources))
    there = {run.spec.digest: run for run in _best_of(_runs_of(target, done.warnings))}
    with writing(target):
        (target / "runs").mkdir(parents=True, exist_ok=True)
    _merge_configs(sources, target, done)
    with Locks(target) as locks:
        for source in sources:
            for run in _runs_of(source, done.warnings):
                before = there.get(run.spec.digest)
                if before is not None and min(before.worth, run.worth) >= FINISHED:
                    done.repeated += 1
                    done.differing += _numbers(before) != _numbers(run)
                if before is not None and before.worth >= run.worth:
                    continue
                own = target / "runs" / (run.folder.name if before is None else before.folder.name)
                if _write(run, own, locks, done):
                    there[run.spec.digest] = _Run(own, run.spec, run.worth)
                    done.copied += 1
        ended = {digest for digest, run in there.items() if run.has_ended}
        for source in sources:
            _copy_checkpoints(source, target, ended)
    done.finished = sum(run.worth >= FINISHED for run in there.values())
    return done


def _runs_of(study: Path, warnings: list[str]) -> Iterator[_Run]:
    """Yield the runs of a study's folder; a warning names those that can't be read or that a process works on.

    Raises:
        ResultsError: When the folder can't be read, or holds results of a newer version.
    """
    try:
        folders = subfolders(study / "runs")
    except OSError as error:
        raise ResultsError(f"can't read {study / 'runs'}: {error.strerror}") from error
    for folder in folders:
        try:
            worth = _worth(folder)
            if worth is None:
                continue  # a foreign folder
            run = _Run(folder, RunSpec.model_validate(read_json(folder / "spec.json")), worth)
            if not run.has_ended and not is_packed(folder) and (found := holder(folder)) and found.is_alive:
                warnings.append(f"{folder}: left out, {found.lock.who} is computing it")
                continue
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "its settings or result can't be read"
            warnings.append(f"{folder}: left out, {why}")
            continue
        yield run


def _worth(folder: Path) -> int | None:
    """Return how far a run is; None for a folder without a run.

    Raises:
        ResultsError: When its result was written by a newer version.
        OSError: When it can't be read.
    """
    try:
        schema, outcome = schema_and_outcome(folder / "result.json")
    except (FileNotFoundError, ValueError):
        schema = outcome = None
    if isinstance(schema, int) and schema > SCHEMA:
        raise ResultsError(f"{folder} was written by a newer actbench: upgrade to merge it")
    if schema == SCHEMA and outcome in OUTCOMES:
        return FINISHED if kind(folder / CURVE) is None else WITH_EPOCHS
    if kind(folder / "error.txt") is not None:
        return FAILED
    return None if kind(folder / "spec.json") is None else BEGUN


def _best_of(runs: Iterable[_Run]) -> Iterator[_Run]:
    """Yield each run once, where sweeps of the study have given it several folders: the one that is furthest."""
    best: dict[str, _Run] = {}
    for run in runs:
        before = best.get(run.spec.digest)
        if before is None or before.worth < run.worth:
            best[run.spec.digest] = run
    yield from best.values()


def _numbers(run: _Run) -> Mapping[str, Any]:
    """Return what a finished run found, without what a clock decides."""
    content = read_json(run.folder / "result.json")
    final = {key: value for key, value in content.get("final", {}).items() if key != "seconds"}
    return {"outcome": content.get("outcome"), "final": final, "health": content.get("health")}


def _write(run: _Run, target: Path, locks: Locks, done: MergedStudy) -> bool:
    """Write one run's files in the place of those that are there; return False when another process has the run.

    Raises:
        ResultsError: When a file can't be read or written.
    """
    attempt = locks.take(target)
    if attempt.held_by is not None:
        done.warnings.append(f"{target}: left as it is, {attempt.held_by.who} is computing it")
        return False
    try:
        contents = {name: content for name in RUN_FILES if (content := _content(run.folder / name)) is not None}
        weights = {path.name: read_file(path) for path in weight_files(run.folder).values()}
    except OSError as error:
        raise ResultsError(f"can't read {run.folder}: {error.strerror}") from error
    with writing(target):
        # The result goes first and comes last, so that no moment shows it beside files of another try.
        for name in reversed(RUN_FILES):
            (target / name).unlink(missing_ok=True)
        for path in weight_files(target).values():
            path.unlink(missing_ok=True)
    for name, content in weights.items():
        write_atomically(target / name, content)
    for name in RUN_FILES:
        if name in contents and (name != "error.txt" or run.worth == FAILED):
            write_atomically(target / name, contents[name])
    locks.release(target)
    return True


def _content(path: Path) -> bytes | None:
    try:
        return read_file(path)
    except FileNotFoundError:
        return None


def _copy_checkpoints(source: Path, target: Path, ended: set[str]) -> None:
    """Copy the checkpoints whose runs all wait in the target; of two of the same runs the one that is further.

    Raises:
        ResultsError: When one can't be read or written.
    """
    if is_packed(source):
        return
    theirs, ours = Checkpoints(source), Checkpoints(target)
    for path, digests in theirs.found.items():
        own = target / "checkpoints" / path.name
        is_further = theirs.epochs.get(path, -1) > ours.epochs.get(own, -1) or own not in ours.found
        if ended.isdisjoint(digests) and is_further:
            content = _content(path)
            if content is not None:  # gone by now: its runs have ended in the source
                with writing(own):
                    own.parent.mkdir(exist_ok=True)
                write_atomically(own, content)


def _merge_configs(sources: Sequence[Path], target: Path, done: MergedStudy) -> None:
    """Keep the config of the most runs: that of the target, or of the first source that has all of the others' runs.

    Raises:
        ResultsError: When it can't be written.
    """
    texts: dict[str, Path] = {}
    for place in (target, *sources):
        try:
            texts.setdefault(read_file(place / CONFIG).decode(), place)
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            done.warnings.append(f"{place / CONFIG}: can't be read")
    planned: dict[str, frozenset[str]] = {}
    for text, place in texts.items() if len(texts) > 1 else ():
        try:
            planned[text] = frozenset(spec.digest for spec in Study.from_text(text).specs())
        except (ConfigError, UsageError):
            done.warnings.append(f"{place / CONFIG}: is not a config of this version")
    if not texts:
        done.warnings.append(f"no folder has a {CONFIG}, so what is missing is not known")
        return
    kept = next(iter(planned or texts))
    for text, specs in planned.items():
        if specs > planned[kept]:
            kept = text
    if not all(specs <= planned[kept] for specs in planned.values()):
        others = ", ".join(str(texts[text]) for text, specs in planned.items() if not specs <= planned[kept])
        done.warnings.append(
            f"the configs differ: kept that of {texts[kept]}, which lacks runs of {others} (another study, or other "
            "words KEY=VALUE); all runs are there"
        )
    if _content(target / CONFIG) != kept.encode():
        write_atomically(target / CONFIG, kept)
