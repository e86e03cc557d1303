"""Share a study with other processes: hand out the runs that no other process has locked or finished."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from actbench.schema.runtime import Cohort
from actbench.schema.spec import RunSpec
from actbench.storage.lock_files import Lock, holder
from actbench.storage.locks import Locks
from actbench.storage.store import Store

_log = logging.getLogger("actbench.execution.work_sharing")


class WorkSharing:
    """Hands out a study's cohorts, without the runs that another process computes at the time.

    Args:
        store: The study's store.
        begun: Runs that have a folder. How each has ended is noted now, so that one which another process ends from
            now on is not computed again.

    Attributes:
        before: Digest of a run -> how it had ended by then, if it had: nothing for one without a folder.
        elsewhere: Digest of a run -> the lock of the process that computes it, as last seen.
    """

    def __init__(self, store: Store, begun: Iterable[RunSpec]) -> None:
        self._store = store
        self.before = {spec.digest: store.ending(spec) for spec in begun}
        self._handed_out = 0
        self._in_company = False
        self._config_seen: tuple[int, int] | None = None
        self.elsewhere: dict[str, Lock] = {}

    def rounds(self, locks: Locks, cohorts: Sequence[Cohort]) -> Iterator[Iterator[Cohort]]:
        """Yield the cohorts, in rounds.

        Just before a cohort is handed out, its unlocked runs are locked and the others dropped.

        The second round asks again for the runs that others had in the first, since a process may have died meanwhile,
        and so on until a round hands out nothing. This process does not wait for living ones; a warning names them.

        Args:
            locks: The locks of this process.
            cohorts: The work, in its order.

        Raises:
            ResultsError: When a folder can't be read or written.
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
            if self._others_may_have_begun():
                self._store.look_again(cohort.specs)
            specs = tuple(spec for spec in cohort.specs if self._lock(locks, spec))
            self._in_company = locks.in_company()
            if self._in_company:
                self._store.look_again(())
                specs = tuple(spec for spec in specs if self._is_mine_alone(locks, spec))
            if specs:
                self._handed_out += 1
                yield Cohort(specs)

    def _others_may_have_begun(self) -> bool:
        """Return whether other processes may have made folders since the runs were last listed, and note that it is so.

        A listing for every cohort grows with the square of the study: that of 10,000 folders takes 10 ms and more, on a
        network file system up to a second. Whoever begins to work writes the config anew, so while that is the same
        file and nobody was there at the last look, no other process has made a folder.
        """
        seen, self._config_seen = self._config_seen, self._store.config_stamp()
        return self._in_company or seen is None or seen != self._config_seen

    def _is_mine_alone(self, locks: Locks, spec: RunSpec) -> bool:
        """Give a locked run up, and return False, when another process has it under another id.

        A process with another sweep of the same study names runs otherwise, and may have made its folder since the
        look that named this one's. Each process looks after it has locked its own, so at least one of them sees both.
        """
        for other in self._store.other_folders(spec):
            found = holder(other)
            if found is not None and found.is_alive:
                own = self._store.run_folder(spec)
                locks.release(own)
                with suppress(OSError):  # it holds files of an earlier try
                    own.rmdir()
                self.elsewhere[spec.digest] = found.lock
                return False
        return True

    def _lock(self, locks: Locks, spec: RunSpec) -> bool:
        """Lock a run; return False when another process computes it or has ended it."""
        folder = self._store.run_folder(spec)
        attempt = locks.take(folder)
        if attempt.held_by is not None:
            self.elsewhere[spec.digest] = attempt.held_by
            return False
        # Only now, with the lock: the other process could have ended the run between a look and the lock.
        ending = self._store.ending(spec)
        if ending in (None, self.before.get(spec.digest)):
            return True
        locks.release(folder)
        return False
