"""Submissions: the jobs of a batch system that compute a study's runs, as files beside these runs.

    results/<study>/slurm/<submission>/
        submission.json     who submitted what: written before the jobs are, and again with their ids
        study.yaml          the config as it was then
        chunk-<n>.json      the runs of job n, the code that may compute them, and how each had ended before
        job.sh              the script of every job
        job-<id>_<index>.log    what a job printed

The folder is removed when all its runs have ended. Until then it is how another command, the same after a lost driver
or ``status``, finds the jobs. Which runs are computed at the time is not written here: their locks say that.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from actbench.errors import UsageError
from actbench.schema.spec import RunSpec
from actbench.storage.folders import subfolders
from actbench.storage.store import Store
from actbench.system.files import json_text, read_json, write_atomically, writing

FOLDER = "slurm"
SCHEMA = 1

Ending = tuple[str, int] | None
"""How a run has ended, as ``Store.ending`` stamps it."""


@dataclass(frozen=True)
class Array:
    """An array of jobs.

    Args:
        job: Its id.
        first: The number of the chunk of its first job.
        jobs: How many it has.
    """

    job: str
    first: int
    jobs: int


@dataclass(frozen=True)
class Chunk:
    """The runs of one job.

    Args:
        code: Digest of the code that may compute them.
        cohorts: Digests of the runs, cohort by cohort as they were planned.
        before: Digest -> how the run had ended when it was dealt out, if it had: it is to be computed while that holds.
    """

    code: str
    cohorts: Sequence[Sequence[str]]
    before: Mapping[str, Ending]

    @classmethod
    def of(cls, code: str, cohorts: Iterable[Sequence[RunSpec]], before: Mapping[str, Ending]) -> Self:
        """Return the chunk of some cohorts; ``before`` knows of all their runs."""
        digests = [[spec.digest for spec in cohort] for cohort in cohorts]
        return cls(code, digests, {digest: before[digest] for cohort in digests for digest in cohort})


@dataclass(frozen=True)
class Submission:
    """What was submitted at one time.

    Args:
        folder: Its folder.
        since: When, ISO 8601.
        code: Digest of the code that its jobs have to run.
        chunks: Number of jobs.
        arrays: Their arrays; those of which the batch system has answered.
        argv: The words of the command, behind the program's name.
    """

    folder: Path
    since: str
    code: str
    chunks: int
    arrays: tuple[Array, ...] = ()
    argv: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def job_name(self) -> str:
        """The name of its jobs, by which they are found when the answer to their submission was lost."""
        return f"actbench-{self.name}"

    def job_of(self, chunk: int) -> str | None:
        """Return ``<array>_<index>`` of a chunk's job; None where that was not answered."""
        for array in self.arrays:
            if array.first <= chunk < array.first + array.jobs:
                return f"{array.job}_{chunk - array.first}"
        return None

    def log_of(self, job: str) -> Path:
        """Return the path of a job's log."""
        return self.folder / f"job-{job}.log"

    def chunk(self, number: int) -> Chunk:
        """Read a chunk.

        Raises:
            UsageError: When it can't be read.
        """
        return read_chunk(chunk_file(self.folder, number))

    def with_arrays(self, *arrays: Array) -> Submission:
        """Note the answer of the batch system, and return the submission with it.

        Raises:
            ResultsError: When that can't be written.
        """
        noted = replace(self, arrays=(*self.arrays, *arrays))
        noted.write()
        return noted

    def write(self) -> None:
        """Write ``submission.json``.

        Raises:
            ResultsError: When it can't be written.
        """
        content = {"schema": SCHEMA, **asdict(self), "arrays": [asdict(one) for one in self.arrays]}
        del content["folder"]
        write_atomically(self.folder / "submission.json", json_text(content, indent=2))

    def remove(self) -> None:
        """Remove its folder; what can't be removed stays until the next command on the study."""
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            self.folder.parent.rmdir()
        except OSError:
            return  # there are other submissions


def begin(study: Path, text: str, chunks: Sequence[Chunk], *, code: str, argv: Sequence[str]) -> Submission:
    """Write the files of a submission, but for the script of its jobs, which are then to be submitted.

    Args:
        study: The study's folder, as an absolute path: jobs are given paths in it.
        text: The config.
        chunks: The runs of each job.
        code: Digest of the code.
        argv: The words of the command, behind the program's name.

    Raises:
        ResultsError: When a file can't be written.
    """
    now = datetime.now(UTC)
    folder = study / FOLDER / f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    with writing(folder):
        folder.mkdir(parents=True)
    write_atomically(folder / "study.yaml", text)
    for number, chunk in enumerate(chunks):
        write_atomically(chunk_file(folder, number), json_text({"schema": SCHEMA, **asdict(chunk)}))
    submission = Submission(folder, now.isoformat(timespec="seconds"), code, len(chunks), argv=tuple(argv))
    submission.write()
    return submission


def chunk_file(folder: Path, number: int) -> Path:
    """Return the path of a chunk."""
    return folder / f"chunk-{number}.json"


def read_chunk(path: Path) -> Chunk:
    """Read the runs of a job.

    Raises:
        UsageError: When the file can't be read, or holds something else.
    """
    try:
        content = read_json(path)
        if content["schema"] != SCHEMA:
            raise ValueError("it was written by another version")
        before = {str(digest): _ending(stamp) for digest, stamp in content["before"].items()}
        cohorts = [[str(digest) for digest in cohort] for cohort in content["cohorts"]]
        if {digest for cohort in cohorts for digest in cohort} != set(before):
            raise ValueError("its runs differ")
        return Chunk(str(content["code"]), cohorts, before)
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} holds no runs of a job: {error}") from error


def _ending(stamp: Any) -> Ending:
    if stamp is None:
        return None
    name, time = stamp
    return str(name), int(time)


def submissions(study: Path) -> list[Submission]:
    """Return the submissions in a study's folder that can be read, the earliest first."""
    try:
        folders = sorted(subfolders(study / FOLDER))
    except OSError:
        return []
    return [found for folder in folders if (found := _read(folder)) is not None]


def _read(folder: Path) -> Submission | None:
    """Return a submission; None where the folder holds none, as when it is just being written or removed."""
    try:
        content = read_json(folder / "submission.json")
        if content["schema"] != SCHEMA:
            return None
        arrays = tuple(Array(str(one["job"]), int(one["first"]), int(one["jobs"])) for one in content["arrays"])
        since, code, chunks = str(content["since"]), str(content["code"]), int(content["chunks"])
        return Submission(folder, since, code, chunks, arrays, tuple(map(str, content["argv"])))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_ended(store: Store) -> None:
    """Remove the submissions of a study all of whose runs have ended since they were submitted."""
    if not os.path.isdir(store.folder / FOLDER):
        return
    names = {name.rpartition("-")[2]: name for name in store.begun()}
    for submission in submissions(store.folder):
        try:
            chunks = [submission.chunk(number) for number in range(submission.chunks)]
        except UsageError:
            continue
        before = {digest: ending for chunk in chunks for digest, ending in chunk.before.items()}
        if all(_has_ended(store.folder / "runs", names, digest, ending) for digest, ending in before.items()):
            submission.remove()


def _has_ended(runs: Path, names: Mapping[str, str], digest: str, before: Ending) -> bool:
    name = names.get(digest[:8])
    return name is not None and any(
        (file, changed(runs / name / file)) not in ((file, -1), before) for file in ("result.json", "error.txt")
    )


def changed(path: Path) -> int:
    """Return when a file was last changed, in nanoseconds; -1 where it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1
