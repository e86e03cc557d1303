"""Several processes on one study: what falls to this one of the runs that it would do alone."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec
from actbench.storage.locks import Lock, Locks
from actbench.storage.store import Store

_log = logging.getLogger("actbench.execution.work_sharing")


class Share:
    """Hands out a study's cohorts, without the runs that another process has at the time.

    Args:
        store: Where the study is kept.
        begun: Its runs that have a folder; how each of them ended before is noted now, so that one which another
            process brings to an end from now on is not done again.

    Attributes:
        elsewhere: Digest of a run -> who computes it, as last seen.
        done_elsewhere: Digests of runs that another process has brought to an end since.
    """

    def __init__(self, store: Store, begun: Iterable[RunSpec]) -> None:
        """Look at the files; nothing is written.

        Raises:
            ResultsError: When they can't be read.
        """
        self._store = store
        self._before = {spec.digest: store.ending(spec) for spec in begun}
        self._handed_out = 0
        self.elsewhere: dict[str, Lock] = {}
        self.done_elsewhere: set[str] = set()

    def rounds(self, locks: Locks, cohorts: Sequence[Cohort]) -> Iterator[Iterator[Cohort]]:
        """The cohorts, each narrowed when its turn comes to the runs that are free, which are locked thereby.

        The second round asks again for the runs that others had in the first, since a process may have died meanwhile,
        and so on until a round finds nothing to do. Nobody waits for the living; who they are is logged.

        Args:
            locks: Of this process.
            cohorts: In the order in which they should be computed.
        """
        while cohorts:
            self.elsewhere.clear()
            self._handed_out = 0
            yield self._free(locks, cohorts)
            left = [tuple(spec for spec in cohort.specs if spec.digest in self.elsewhere) for cohort in cohorts]
            cohorts = [Cohort(specs) for specs in left if specs] if self._handed_out else []
        for who, runs in Counter(lock.who for lock in self.elsewhere.values()).items():
            _log.warning("%d %s by %s", runs, "run is being computed" if runs == 1 else "runs are being computed", who)

    def _free(self, locks: Locks, cohorts: Iterable[Cohort]) -> Iterator[Cohort]:
        for cohort in cohorts:
            specs = tuple(spec for spec in cohort.specs if self._take(locks, spec))
            if specs:
                self._handed_out += 1
                yield Cohort(specs)

    def _take(self, locks: Locks, spec: RunSpec) -> bool:
        """Lock a run that nobody has; the lock comes first, since the run may end while one looks."""
        folder = self._store.run_folder(spec)
        other = locks.take(folder)
        if other is not None:
            self.elsewhere[spec.digest] = other
            return False
        ending = self._store.ending(spec)
        if ending in (None, self._before.get(spec.digest)):
            return True
        locks.release(folder)
        self.done_elsewhere.add(spec.digest)
        return False
