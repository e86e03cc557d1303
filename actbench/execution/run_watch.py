"""Watch a study's folder for runs that end, as jobs on other machines store them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping

from actbench.schema.events import Failed, Finished
from actbench.schema.record import RunRecord
from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec
from actbench.storage.store import Store
from actbench.storage.submissions import Ending
from actbench.system.files import read_file, read_json


class RunWatch:
    """Yields each watched run once, when it has ended since it was dealt out.

    Args:
        store: The study's store.
        specs: The runs.
        before: Digest -> how each had ended when it was dealt out.
        is_ours: Whether a finished run, by the words of the command that computed it, counts as this command's.

    Attributes:
        waiting: Digest -> run that has not ended.
        before: Digest -> how it had ended when it was dealt out.
    """

    def __init__(
        self,
        store: Store,
        specs: Iterable[RunSpec],
        before: Mapping[str, Ending],
        is_ours: Callable[[Iterable[str]], bool],
    ) -> None:
        self._store, self._is_ours, self.before = store, is_ours, before
        self.waiting = {spec.digest: spec for spec in specs}

    def drop(self, spec: RunSpec) -> None:
        """Watch a run no more."""
        self.waiting.pop(spec.digest, None)

    def look(self) -> Iterator[Finished | Failed]:
        """Yield the runs that have ended since the last look; one listing, and a look at each that was begun.

        Runs that another command has finished are dropped without an event.

        Raises:
            ResultsError: When the folder can't be read.
        """
        self._store.look_again(self.waiting.values())
        for spec in tuple(self.waiting.values()):
            if self._store.has_folder(spec) and (found := self._end_of(spec)) is not None:
                self.drop(spec)
                if isinstance(found, Failed) or self._is_ours(found.record.environment.get("argv", ())):
                    yield found

    def _end_of(self, spec: RunSpec) -> Finished | Failed | None:
        """Return how a run ended; None while it has not, or its files can't be read yet."""
        ending = self._store.ending(spec)
        if ending is None or ending == self.before[spec.digest]:
            return None
        folder = self._store.run_folder(spec)
        try:
            if ending[0] == "result.json":
                return Finished(RunRecord.from_json(read_json(folder / "result.json")))
            message, _, traceback = read_file(folder / "error.txt").decode(errors="replace").partition("\n")
        except (OSError, ValueError):
            return None  # it is being replaced: the next look will see
        return Failed(Cohort((spec,)), message, os.linesep.join(traceback.strip().splitlines()))
