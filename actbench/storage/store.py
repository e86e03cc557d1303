"""Write and read one study's results: atomically, so that an interrupted run can be begun anew.

    results/<study>/study.yaml               the config; with overrides put in, if there were any
    results/<study>/runs/<run id>/
        spec.json        the resolved spec
        metrics.jsonl    a line an epoch
        result.json      written last: its presence means finished
        error.txt        message and traceback, only when failed
        weights-5.safetensors    the network after epoch 5, where the config keeps weights
        claim.json       the lock of the process that computes it, as long as one does (``lock_files``)

A run id says what varies in its study, so the same run may have another id where another sweep began it, or an earlier
version did. The digest in it decides: a run whose folder is there under another name goes on in that folder.

Nothing in a study's folder depends on where it lies, so it can be copied and archived as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from actbench.errors import ResultsError
from actbench.schema.record import OUTCOMES, SCHEMA, Outcome, RunRecord, recorded
from actbench.schema.spec import RunSpec
from actbench.storage.index_file import Known, known_outcomes
from actbench.storage.lock_files import holder
from actbench.storage.result_header import schema_and_outcome
from actbench.storage.study_index import known_end
from actbench.system.files import (
    clear_unfinished,
    json_text,
    open_file,
    read_file,
    read_json,
    write_atomically,
    writing,
)
from actbench.system.packed import kind, listing
from actbench.system.text import one_line, printable_lines, shortened

MAX_MESSAGE, MAX_TRACEBACK = 2_000, 100_000
"""Characters of an error that are kept: a user's exception may hold a whole tensor as text."""


CURVE = "metrics.jsonl"
"""Name of a run's file with a line an epoch."""

WEIGHTS_ENDING = ".safetensors"
_WEIGHTS = re.compile(rf"weights-(\d{{1,9}})\{WEIGHTS_ENDING}")


def weight_files(run: Path) -> dict[int, Path]:
    """Return epoch -> the file of a run's network after it, in the order of epochs; none in a folder without any.

    Raises:
        OSError: When the folder can't be read.
    """
    try:
        names = listing(run)
    except FileNotFoundError:
        return {}
    found = {int(match[1]): run / name for name in names if (match := _WEIGHTS.fullmatch(name))}
    return dict(sorted(found.items()))


class Store:
    """Keeps one study's runs.

    Args:
        root: The results folder, made when needed.
        study: Name of the study's folder below it.
        factors: Keys that the study sweeps, which new run ids name.
    """

    def __init__(self, root: Path, study: str, factors: Sequence[str] = ("bias_init",)) -> None:
        self.folder = Path(root) / study
        self._factors = tuple(factors)
        self._ids: dict[str, str] = {}
        self._by_digits: dict[str, list[str]] | None = None
        self._known: dict[str, Known] | None = None

    def create(self, text: str) -> None:
        """Make the study's folder and keep its config.

        Raises:
            ResultsError: When the folder can't be written.
        """
        with writing(self.folder):
            (self.folder / "runs").mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / "study.yaml", text)

    def config_text(self) -> str:
        """Return the config that is kept.

        Raises:
            OSError: When there is none, or it can't be read.
            ValueError: When it is not UTF-8 text.
        """
        return read_file(self.folder / "study.yaml").decode()

    def config_stamp(self) -> tuple[int, int] | None:
        """Return a stamp that tells one writing of the config from another; None where it can't be read.

        It is opened, not only asked for its times: a network file system may answer those from memory for a minute.
        """
        try:
            with open_file(self.folder / "study.yaml") as file:
                found = os.fstat(file.fileno())
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def run_folder(self, spec: RunSpec) -> Path:
        """Return the folder of one run's files."""
        return self.folder / "runs" / self.run_id(spec)

    def _text_of(self, spec: RunSpec) -> str:
        """Return the same as text: to make 100,000 paths takes seconds."""
        return f"{self.folder}{os.sep}runs{os.sep}{self.run_id(spec)}"

    def is_computed(self, spec: RunSpec) -> bool:
        """Return whether a living process computes this run.

        Raises:
            ResultsError: When its folder can't be read.
        """
        folder = self.run_folder(spec)
        try:
            found = holder(folder)
        except OSError as error:
            raise ResultsError(f"can't read {folder}: {error.strerror}") from error
        return found is not None and found.is_alive

    def run_id(self, spec: RunSpec) -> str:
        """Return the name of a run's folder: that of the one that is there, else the id that the study gives it."""
        found = self._ids.get(spec.digest)
        if found is None:
            there = self._folders_of(spec)
            found = self._ids[spec.digest] = there[0] if there else spec.id_with(self._factors)
        return found

    def look_again(self, specs: Iterable[RunSpec]) -> None:
        """Forget which folders some runs have: a process with another sweep may have begun them under other ids."""
        for spec in specs:
            self._ids.pop(spec.digest, None)
        self._by_digits = None

    def has_folder(self, spec: RunSpec) -> bool:
        """Return whether a run has a folder, under any id, as of the last look."""
        there = self._folders_of(spec)
        if there:
            self._ids.setdefault(spec.digest, there[0])
        return bool(there)

    def has_error_log(self, spec: RunSpec) -> bool:
        """Return whether a run's folder says why it failed."""
        return kind(self.run_folder(spec) / "error.txt") is not None

    def other_folders(self, spec: RunSpec) -> list[Path]:
        """Return the folders of the same run under other ids than its own, as of the last look."""
        return [self.folder / "runs" / name for name in self._folders_of(spec) if name != self.run_id(spec)]

    def _folders_of(self, spec: RunSpec) -> list[str]:
        """Return the names of a run's folders, the one with a result first, then those of known ids."""
        if self._by_digits is None:
            self._by_digits = {}
            for name in self.begun():
                self._by_digits.setdefault(name.rpartition("-")[2], []).append(name)
        alike = self._by_digits.get(spec.digest[:8])
        if not alike:
            return []
        own = spec.id_with(self._factors)
        if alike == [own]:  # as it nearly always is
            return [own]
        known = (own, spec.run_id)
        found = [one for one in alike if one in known or self._is_of(one, spec)]
        if len(found) > 1:
            found.sort(key=lambda name: (not os.path.exists(self._in(name, "result.json")), name not in known, name))
        return found

    def _is_of(self, name: str, spec: RunSpec) -> bool:
        """Return whether a folder with the digits of a run's digest is that run's: of 10,000 runs, two may share them.

        One without settings has only just been made, by a process of another sweep.
        """
        try:
            return RunSpec.model_validate(read_json(self._in(name, "spec.json"))).digest == spec.digest
        except FileNotFoundError:
            return True
        except (OSError, ValueError):
            return False

    def _in(self, name: str, file: str) -> Path:
        return self.folder / "runs" / name / file

    def begun(self) -> frozenset[str]:
        """Return the ids of the runs that have a folder: one look at a study, where asking for each would be thousands.

        Raises:
            ResultsError: When the study's folder can't be read.
        """
        try:
            return frozenset(listing(self.folder / "runs"))
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise ResultsError(f"can't read {self.folder}: {error.strerror}") from error

    def finished(self, digests: Iterable[str]) -> frozenset[str]:
        """Return those of some runs that have a result, whatever their settings: by the digest in the folders' names.

        Raises:
            ResultsError: When the study's folder can't be read.
        """
        folders = {name.rpartition("-")[2]: name for name in self.begun()}
        found = ((digest, folders.get(digest[:8])) for digest in digests)
        return frozenset(
            digest for digest, name in found if name and os.path.exists(self.folder / "runs" / name / "result.json")
        )

    def outcome(self, spec: RunSpec) -> Outcome | None:
        """Return the outcome of a run; None when it has none, or none that can be read.

        Raises:
            ResultsError: When the result was written by a newer actbench, which running again would overwrite, or the
                folder can't be read.
        """
        run = self.run_id(spec)
        if self._known is None:
            self._known = known_outcomes(self.folder)
        folder = self._text_of(spec)
        try:
            if known := known_end(folder, self._known.get(run)):
                return known
            schema, outcome = schema_and_outcome(Path(folder, "result.json"))
        except FileNotFoundError:
            return "failed" if kind(Path(folder, "error.txt")) is not None else None
        except OSError as error:
            raise ResultsError(f"can't read {folder}: {error.strerror}") from error
        except ValueError:
            return None
        if isinstance(schema, int) and schema > SCHEMA:
            raise ResultsError(f"{folder} was written by a newer actbench: upgrade, or choose another results folder")
        return outcome if schema == SCHEMA and outcome in OUTCOMES else None

    def ending(self, spec: RunSpec) -> tuple[str, int] | None:
        """Return a stamp that tells one end of a run from another: the file that holds its end, and its time.

        Returns:
            None while the run has neither finished nor failed.

        Raises:
            ResultsError: When the folder can't be read.
        """
        folder = self._text_of(spec)
        for name in ("result.json", "error.txt"):
            try:
                return name, os.stat(f"{folder}{os.sep}{name}").st_mtime_ns
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ResultsError(f"can't read {folder}: {error.strerror}") from error
        return None

    def begin(self, spec: RunSpec, *, resumes: bool = False) -> None:
        """Open the run's folder and remove what an earlier, interrupted or failed try left there.

        Args:
            spec: The run.
            resumes: Whether it goes on from a checkpoint: the weights of earlier epochs then stay.
        """
        folder = self.run_folder(spec)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for stale in ("result.json", "error.txt", "metrics.jsonl"):
                (folder / stale).unlink(missing_ok=True)
            for name in ("spec.json", "result.json", "error.txt", "metrics.jsonl"):
                clear_unfinished(folder / name)
            for path in () if resumes else weight_files(folder).values():
                path.unlink(missing_ok=True)
                clear_unfinished(path)
        write_atomically(folder / "spec.json", json_text(spec.to_json(), indent=2))

    def keep_weights(self, spec: RunSpec, epoch: int, content: bytes) -> None:
        """Write the file of a run's network after an epoch, whole or not at all."""
        write_atomically(self.run_folder(spec) / f"weights-{epoch}{WEIGHTS_ENDING}", content)

    def append(self, spec: RunSpec, row: Mapping[str, Any]) -> None:
        """Add one epoch's row to the run's curve and flush it, so that others may follow."""
        path = self.run_folder(spec) / "metrics.jsonl"
        with writing(path), path.open("a", encoding="utf-8") as file:
            file.write(json_text(recorded(row)) + "\n")

    def finish(self, record: RunRecord) -> None:
        """Write the run's own curve anew, since another command may have appended to it too, and last its result."""
        folder = self.run_folder(record.spec)
        if record.curves:  # a try that was killed may have gone on for longer than the one that ended
            last = record.curves[-1]["epoch"]
            with writing(folder):
                for epoch, path in weight_files(folder).items():
                    if epoch > last:
                        path.unlink(missing_ok=True)
        write_atomically(folder / "metrics.jsonl", "".join(f"{json_text(recorded(row))}\n" for row in record.curves))
        write_atomically(folder / "result.json", json_text(record.to_json(), indent=2))

    def fail(self, spec: RunSpec, message: str, traceback: str) -> None:
        """Write why the run failed; without a result it will be run again.

        Args:
            spec: The run.
            message: The reason; its first ``MAX_MESSAGE`` characters or so become the first line.
            traceback: Where it happened; so long a one as a message can make it is kept without its middle.
        """
        folder = self.run_folder(spec)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "spec.json", json_text(spec.to_json(), indent=2))
        shown = printable_lines(shortened(traceback, MAX_TRACEBACK))
        write_atomically(folder / "error.txt", f"{one_line(message, MAX_MESSAGE)}\n\n{shown}")
