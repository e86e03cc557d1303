"""The files of checkpoints: ``results/<study>/checkpoints/<name of the cohort>.pt``, there while their runs wait."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from actbench.errors import ResultsError
from actbench.schema.checkpoint_header import (
    MAX_HEADER,
    CheckpointHeader,
    UnusableCheckpoint,
    checkpoint_name,
    parse_checkpoint,
)
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec
from actbench.system.files import clear_unfinished, open_file, read_file, write_atomically, writing

_log = logging.getLogger("actbench.storage.checkpoints")


class Checkpoints:
    """Keeps a study's checkpoints.

    Args:
        study: The study's folder.

    Attributes:
        found: File -> digests of its runs, the latest first; those that were there at the beginning, and those written
            since.
        epochs: File -> the last epoch that had ended in it, for those that were there at the beginning and say so.
        refused: File -> why it can't be used; found at the beginning.
    """

    def __init__(self, study: Path) -> None:
        """Look at the files; nothing is written.

        Raises:
            ResultsError: When they can't be read.
        """
        self._folder = study / "checkpoints"
        self.found: dict[Path, tuple[str, ...]] = {}
        self.epochs: dict[Path, int] = {}
        self.refused: dict[Path, str] = {}
        try:
            for path in sorted(self._folder.glob("*.pt"), key=_changed, reverse=True):
                self._note(path)
        except OSError as error:
            raise ResultsError(f"can't read {self._folder}: {error.strerror}") from error

    def write(self, cohort: Cohort, state: bytes) -> None:
        """Write a cohort's state, at once or not at all, and remove earlier checkpoints with any of its runs.

        Raises:
            ResultsError: When it can't be written.
        """
        path = self._path(cohort.specs)
        with writing(path):
            self._folder.mkdir(parents=True, exist_ok=True)
            clear_unfinished(path)
        write_atomically(path, state)
        runs = {spec.digest for spec in cohort.specs}
        for other, others in tuple(self.found.items()):
            if other != path and not runs.isdisjoint(others):
                self.remove(other)
        self.found[path] = tuple(spec.digest for spec in cohort.specs)

    def attach_checkpoint(self, cohort: Cohort) -> Cohort:
        """Return the cohort with its checkpoint's state; without it, and with a warning, when it can't be read."""
        path = self._path(cohort.specs)
        try:
            state = read_file(path)
            header, _ = parse_checkpoint(state)
            if header.runs != tuple(spec.digest for spec in cohort.specs):
                raise UnusableCheckpoint("it is of other runs")
        except FileNotFoundError:
            if path in self.found:  # since this process looked
                self.refuse(cohort, "another process has removed it")
            return cohort
        except OSError as error:
            self.refuse(cohort, error.strerror or str(error))
            return cohort
        except UnusableCheckpoint as error:
            self.refuse(cohort, str(error))
            return cohort
        return Cohort(cohort.specs, state)

    def refuse(self, cohort: Cohort, reason: str) -> None:
        """Warn once that a cohort's checkpoint is not used, and note it for removal when the runs have ended."""
        path = self._path(cohort.specs)
        self.found[path] = tuple(spec.digest for spec in cohort.specs)
        if self.refused.get(path) != reason:
            self.refused[path] = reason
            self.warn(path)

    def warn(self, path: Path) -> None:
        """Log a warning that names a checkpoint that is not used, and the reason."""
        _log.warning("%s is not used, its runs start from the beginning: %s", path, self.refused[path])

    def remove_finished(self, ended: set[str]) -> None:
        """Remove the checkpoints whose runs have all ended.

        Args:
            ended: Digests of runs.

        Raises:
            ResultsError: When one can't be removed.
        """
        for path, runs in tuple(self.found.items()):
            if ended.issuperset(runs):
                self.remove(path)

    def remove(self, path: Path) -> None:
        """Remove a checkpoint.

        Raises:
            ResultsError: When it can't be removed.
        """
        with writing(path):
            path.unlink(missing_ok=True)
            clear_unfinished(path)
        self.found.pop(path, None)

    def _note(self, path: Path) -> None:
        try:
            with open_file(path) as file:
                header = CheckpointHeader.parse(file.readline(MAX_HEADER))
        except FileNotFoundError:
            return  # another process has just ended its runs
        except UnusableCheckpoint as error:
            self.refused[path] = str(error)
            return
        self.found[path] = header.runs
        if isinstance(header.epoch, int) and header.epoch >= 0:
            self.epochs[path] = header.epoch

    def epoch_of(self, cohort: Cohort) -> int | None:
        """Return the last epoch that had ended in a cohort's checkpoint; None without one that can be read."""
        return self.epochs.get(self._path(cohort.specs))

    def _path(self, specs: Sequence[RunSpec]) -> Path:
        return self._folder / checkpoint_name(specs)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
