"""Look how far the runs of a study are: done, running, failed, stale, or still to do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from actbench.errors import ActbenchError, ResultsError, UsageError
from actbench.schema.record import OUTCOMES, SCHEMA, Outcome
from actbench.storage.checkpoints import Checkpoints
from actbench.storage.folders import check_results_folder, packed_hint, subfolder_names, subfolders
from actbench.storage.index_file import known_outcomes
from actbench.storage.lock_files import LOCK_FILE, holder
from actbench.storage.result_header import schema_and_outcome
from actbench.storage.study_index import known_end
from actbench.system.collection import collection_paused
from actbench.system.command_line import program
from actbench.system.files import open_file, read_file, read_json
from actbench.system.packed import kind, listing

ENDS = tuple(outcome for outcome in OUTCOMES if outcome != "failed")
"""Outcomes of a run that has a result."""

LOOKS = 5
"""How often a run is looked at when its files change meanwhile."""


@dataclass(frozen=True)
class Running:
    """A run that a living process works on.

    Args:
        run: Its id.
        host: The machine; empty while the lock is being written.
        pid: The process there; None likewise.
        since: When the process took it, ISO 8601.
        epoch: The last epoch that ended, 0 for the untrained network; None before.
        epochs: How many there will be; None before the run has begun.
    """

    run: str
    host: str
    pid: int | None
    since: str
    epoch: int | None
    epochs: int | None


@dataclass(frozen=True)
class Failure:
    """A run that ended with an error.

    Args:
        run: Its id.
        message: The first line of its log.
        log: The log, below the path that was asked about.
    """

    run: str
    message: str
    log: Path


@dataclass(frozen=True)
class Stale:
    """A run that was begun and that no process works on.

    Args:
        run: Its id.
        why: The reason why it has no result.
    """

    run: str
    why: str


@dataclass(frozen=True)
class Paused:
    """A run that was stopped in training, and goes on from its checkpoint.

    Args:
        run: Its id.
        epoch: The last epoch that had ended, 0 for the untrained network; None where an earlier version saved it.
        epochs: How many there will be; None where its settings can't be read.
    """

    run: str
    epoch: int | None
    epochs: int | None


@dataclass(frozen=True)
class SubmittedJob:
    """A job of a batch system that computes some runs of a study.

    Args:
        job: Its id, ``<array>_<index>``.
        phase: ``waiting``, ``running``, ``ended``, or ``unknown`` where the batch system does not answer.
        state: In the system's own word.
        reason: Why it waits; empty where none is given.
        node: The machine; empty before it began.
        since: When it was submitted, ISO 8601.
        log: Where it prints.
    """

    job: str
    phase: str
    state: str
    reason: str
    node: str
    since: str
    log: str


@dataclass(frozen=True)
class Newer:
    """A run that a newer actbench has written.

    Args:
        run: Its id.
    """

    run: str


Found = Running | Failure | Stale | Newer | Outcome


@dataclass
class StudyStatus:
    """How far one study is.

    Args:
        study: Its name.
        folder: Its folder.
        done: Outcome -> runs that ended so; ``failed`` ones are not among them.
        running: Runs at work.
        failed: Runs that ended with an error, and that `actbench run` tries again.
        paused: Runs that were stopped in training, and that `actbench run` takes up where they were.
        stale: Runs that were left, and that `actbench run` begins anew.
        jobs: The jobs of a batch system that are to compute runs, or did and left some without a result.
        to_do: Runs of the study's config that have not been begun; None when that can't be read.
        resume: Words of the command that goes on, from the current folder; empty when none would, with a warning.
        shard: The shard of one of its finished runs, ``I/N``, while some are open; empty when there is none.
        warnings: What could not be read, one sentence each.
    """

    study: str
    folder: Path
    done: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(ENDS, 0))
    running: list[Running] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    paused: list[Paused] = field(default_factory=list)
    stale: list[Stale] = field(default_factory=list)
    jobs: list[SubmittedJob] = field(default_factory=list)
    to_do: int | None = None
    resume: list[str] = field(default_factory=list)
    shard: str = ""
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the status as ``actbench status --json`` prints it."""
        failed = [{**asdict(one), "log": str(one.log)} for one in self.failed]
        return {**asdict(self), "folder": str(self.folder), "failed": failed}


@collection_paused()
def study_statuses(path: Path) -> tuple[StudyStatus, ...]:
    """Return the status of every study that lies at or directly below a path, in the order of their names.

    Of a run only its outcome is read, or, without one, its progress.

    Raises:
        ResultsError: When there is no study, or the path can't be read.
    """
    check_results_folder(path)
    try:
        studies = [path] if _is_study(path) else list(filter(_is_study, subfolders(path)))
    except OSError as error:
        raise ResultsError(f"can't read {path}: {error.strerror}") from error
    if not studies:
        raise ResultsError(f"no study in {path}: give a folder that `actbench run` has written{packed_hint(path)}")
    return tuple(map(_study_status, studies))


def _is_study(folder: Path) -> bool:
    """Return whether a folder holds runs; one that can't be read may, which is reported when it is read."""
    try:
        return kind(folder / "runs") == "folder"
    except PermissionError:
        return True
    except OSError:
        return False


def _study_status(folder: Path) -> StudyStatus:
    """Look once at every run's folder; a warning names what can't be read."""
    status = StudyStatus(folder.resolve().name, folder)
    above = folder / "runs"
    try:
        runs = subfolder_names(above)
    except OSError as error:
        status.warnings.append(f"its runs can't be listed: {error.strerror}")
        return status
    begun = set()
    known = known_outcomes(folder)
    for run in runs:  # by name, since 100,000 paths take a second to make
        try:
            found = known_end(f"{above}{os.sep}{run}", known.get(run)) or look_at(above / run)
        except OSError as error:
            begun.add(run)
            status.warnings.append(f"{run}: can't be read, not counted: {error.strerror}")
            continue
        if found is not None:
            begun.add(run)
            _add(status, found)
    _find_paused(status)
    _ask_config(status, begun)
    return status


def _find_paused(status: StudyStatus) -> None:
    """Move the stale runs that a checkpoint holds to the paused ones."""
    if not status.stale:
        return
    epochs = resumable(status.folder, (one.run for one in status.stale))
    left = [one for one in status.stale if one.run not in epochs]
    for run, epoch in epochs.items():
        status.paused.append(Paused(run, epoch, progress(status.folder / "runs" / run)[1]))
    status.stale[:] = left


def resumable(study: Path, runs: Iterable[str]) -> dict[str, int | None]:
    """Return which of some stale runs of a study go on from a checkpoint, each with the last epoch that had ended.

    A checkpoint is only used while all of its runs wait: those that another process has ended or works on are not
    among the given ones.

    Args:
        study: The study's folder.
        runs: Ids of its stale runs.
    """
    names = {run.rpartition("-")[2]: run for run in runs}
    try:
        checkpoints = Checkpoints(study)
    except ResultsError:
        return {}  # a folder that can't be read holds nothing to go on from
    found: dict[str, int | None] = {}
    for path, digests in checkpoints.found.items():
        held = [names.get(digest[:8]) for digest in digests]
        for name in held if all(held) else ():
            found.setdefault(str(name), checkpoints.epochs.get(path))
    return found


def _add(status: StudyStatus, found: Found) -> None:
    if isinstance(found, Running):
        status.running.append(found)
    elif isinstance(found, Failure):
        status.failed.append(found)
    elif isinstance(found, Stale):
        status.stale.append(found)
    elif isinstance(found, Newer):
        status.warnings.append(f"{found.run}: written by a newer actbench, not counted")
    else:
        status.done[found] += 1


def look_at(run: Path) -> Found | None:
    """Return one run's state; None for a folder that is foreign or empty.

    The run may go on while its files are read one after the other, so one that seems to be stale is looked at again.
    """
    ended = _result(run)
    if ended is not None and not isinstance(ended, Stale):
        return ended  # no other file matters, so the folder of a finished run is not listed
    for _ in range(LOOKS):
        try:
            files = set(listing(run))
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            found = _judge(run, files)
        except FileNotFoundError:
            continue
        if not isinstance(found, Stale) or set(listing(run)) == files:
            return found
    return Stale(run.name, "its files come and go")


def _judge(run: Path, files: set[str]) -> Found | None:
    """Return a run's state by its files; None for a folder that is foreign or empty.

    The result comes first: a process killed while it released a finished run has left its lock beside the result. A
    process that computes the run again removes the old result before anything else.
    """
    ended = _ended(run) if "result.json" in files else None
    if ended is not None and not isinstance(ended, Stale):
        return ended
    if "error.txt" in files:
        with open_file(run / "error.txt") as log:
            return Failure(run.name, log.readline().decode(errors="replace").strip(), run / "error.txt")
    found = holder(run) if LOCK_FILE in files else None
    if found is not None and found.is_alive:
        process, (epoch, epochs) = found.lock.process, progress(run)
        host, pid = ("", None) if process is None else (process.host, process.pid)
        return Running(run.name, host, pid, found.lock.since, epoch, epochs)
    if ended is not None:
        return ended
    if found is not None:
        return Stale(run.name, f"{found.lock.who} was computing it and has exited")
    return Stale(run.name, "begun, and no process is computing it") if "spec.json" in files else None


def _result(run: Path) -> Found | None:
    """Return what a run's result says; None without one."""
    try:
        return _ended(run)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _ended(run: Path) -> Found:
    try:
        schema, outcome = schema_and_outcome(run / "result.json")
    except ValueError:
        schema = outcome = None
    if isinstance(schema, int) and schema > SCHEMA:
        return Newer(run.name)
    known: Outcome | None = next((one for one in ENDS if one == outcome and schema == SCHEMA), None)
    return known or Stale(run.name, "its result can't be read")


def progress(run: Path) -> tuple[int | None, int | None]:
    """Return the last epoch in a run's curve, and how many there will be; None for each that is not written yet."""
    epochs = None
    try:
        epochs = read_json(run / "spec.json")["training"]["epochs"]
        rows = read_file(run / "metrics.jsonl").count(b"\n")  # a line an epoch, from epoch 0; the last may be torn
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None, epochs  # it has only just been taken
    return (rows - 1 if rows else None), epochs


def _ask_config(status: StudyStatus, begun: set[str]) -> None:
    """Add to a status how many runs of the study have no folder yet, and the command that resumes it."""
    from actbench.config import Study
    from actbench.storage.commands import recorded_argv, train_command

    folder = status.folder
    try:
        study = Study.from_yaml(folder / "study.yaml")
    except ActbenchError as error:
        reason = str(error).partition("\n")[0]
        status.warnings.append(f"what is to do is unknown, since the config can't be read: {reason}")
        return
    digits = {name.rpartition("-")[2] for name in begun}  # whatever else their ids say
    status.to_do = sum(spec.digest[:8] not in digits for spec in study.specs())
    is_open = bool(status.failed or status.paused or status.stale or status.to_do)
    environment = _environment_of_a_run(folder) if is_open else {}
    status.shard = str(environment.get("shard", ""))
    try:
        words = train_command(folder, _submitted_argv(folder) or recorded_argv(environment))
    except UsageError as error:
        status.warnings.append(f"no command to go on from here: {error}")
        return
    status.resume = [*program(), *words]


def _submitted_argv(folder: Path) -> tuple[str, ...]:
    """Return the words behind ``actbench run`` of the command that last submitted jobs; none where there are no jobs.

    The runs' own records have the words of these jobs.
    """
    from actbench.storage.submissions import submissions

    found = [one.argv for one in submissions(folder.absolute()) if one.argv[:1] == ("run",)]
    return found[-1][1:] if found else ()


def _environment_of_a_run(folder: Path) -> Mapping[str, Any]:
    """Return the environment of one of the study's finished runs that knows its command; empty without such a run."""
    from actbench.storage.commands import recorded_argv

    for path in sorted((folder / "runs").glob("*/result.json")):
        try:
            environment = read_json(path).get("environment")
        except (OSError, ValueError):
            continue
        if isinstance(environment, Mapping) and recorded_argv(environment):
            return environment
    return {}
