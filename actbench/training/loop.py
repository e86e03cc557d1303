"""The only training loop: a cohort of runs in, their epochs and records out. A single run is a cohort of one."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from itertools import islice

import torch

from actbench.errors import ActbenchError, UsageError
from actbench.nn import cpu_library
from actbench.schema.checkpoint_header import Unusable
from actbench.schema.events import EpochDone, Event, Failed, Finished, Saved, Started
from actbench.schema.runtime import Cadence, Cohort, Runtime
from actbench.system import cancellation
from actbench.system.cancellation import Stopped
from actbench.training import numerics
from actbench.training.checkpoint import Place, pack, restore
from actbench.training.epoch_log import Logbook
from actbench.training.evaluation import Tally
from actbench.training.state import Session
from actbench.training.steps.choice import Steps, steps_of


def run_cohort(cohort: Cohort, runtime: Runtime) -> Iterator[Event]:
    """Train the cohort's runs together; an error or a lack of memory halves the cohort and tries again.

    Halving keeps one faulty run (a user's activation that raises, say) from taking its neighbours along, and changes
    no result. A cohort that comes with a state goes on from there, and starts from the beginning if it can't. One that
    is asked to stop (``stopping.ask``) ends with what is needed to go on: ``Saved``, unless nothing was trained yet.
    """
    try:
        with numerics.plain(cpu_library.choose(runtime.products).products):
            yield from _train_or_begin_anew(cohort, runtime)
        return
    except (Exception, SystemExit) as error:  # a user's code may call sys.exit, which must not end the study
        failure = _failure(cohort, error)
    if len(cohort.specs) == 1:
        yield failure
        return
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    for half in cohort.halves():
        if not cancellation.is_asked():
            yield from run_cohort(half, runtime)


def check_cohort(cohort: Cohort, runtime: Runtime) -> Iterator[Event]:
    """Before any training: is the data at hand, does the model fit it, are all parts of the user's own in order?

    Yields only what the user must mend; anything else will be the failure of the runs that it concerns.
    """
    try:
        Session.open(cohort, runtime)
    except UsageError as error:
        yield _failure(cohort, error)
    except Exception:
        return


def train_epoch(session: Session, steps: Steps) -> Tally:
    """One pass over the training examples, and the losses seen on the way; nothing here waits for the device."""
    for _ in _steps(session, steps, Place.at_the_start(session)):
        pass
    return session.tally


def _train_or_begin_anew(cohort: Cohort, runtime: Runtime) -> Iterator[Event]:
    bare, refused = Cohort(cohort.specs), ""  # what comes back from a worker is without the state
    if cohort.state is not None:
        try:
            yield from _train(bare, runtime, state=cohort.state)
            return
        except Unusable as error:
            refused = str(error)
    yield from _train(bare, runtime, refused=refused)


def _train(cohort: Cohort, runtime: Runtime, *, state: bytes | None = None, refused: str = "") -> Iterator[Event]:
    """From the beginning, or from a state: then the epochs before it are told once more.

    Raises:
        Unusable: When there is a state that can't be used, before anything is trained.
    """
    yield Started(cohort, refused)
    session = Session.open(cohort, runtime)
    steps = steps_of(session, capture=runtime.capture)
    cancellation.between_steps(may_stop=False)
    logbook = Logbook(session)
    place = Place.at_the_start(session)
    if state is not None:
        place = restore(state, session, logbook)
        for rows in logbook.told():
            yield EpochDone(cohort, rows)
    try:
        yield from _epochs(session, steps, logbook, place, runtime.checkpoint_every)
        records = logbook.records()
    except Stopped:
        if logbook.closed:
            yield Saved(cohort, pack(session, logbook, place))
        return
    for record in records:
        yield Finished(record)


def _epochs(session: Session, steps: Steps, logbook: Logbook, place: Place, every: Cadence) -> Iterator[Event]:
    """Train what is left; ``place`` is kept up to date.

    Raises:
        Stopped: Between two steps, when that was asked for.
    """
    cohort, due, epochs = session.cohort, _Due(every), session.cohort.shared.training.epochs
    if not logbook.closed:
        yield EpochDone(cohort, logbook.untrained())
    while logbook.closed <= epochs and not logbook.all_diverged:
        for _ in _steps(session, steps, place):
            if due.by_the_clock():
                yield Saved(cohort, pack(session, logbook, place))
        yield EpochDone(cohort, logbook.epoch(session.tally))
        place.begin_again(session)
        if due.by_the_epochs(logbook.closed - 1) and logbook.closed <= epochs:
            yield Saved(cohort, pack(session, logbook, place))


def _steps(session: Session, steps: Steps, place: Place) -> Iterator[None]:
    """Take the steps left of an epoch, with a stop after some; at the end the tally holds the whole epoch's losses."""
    tally, act = session.tally, session.act
    if not place.steps:
        tally.reset()
    act.training = True
    with numerics.tf32(allowed=session.cohort.shared.training.precision == "tf32"):
        batches = place.batches(session)
        began = time.perf_counter()
        while together := list(islice(batches, steps.together)):
            steps(session, together)
            session.seconds += time.perf_counter() - began
            tally.examples += sum(labels.shape[1] for _, labels in together)
            place.steps += len(together)
            cancellation.between_steps()
            yield
            began = time.perf_counter()
    act.training = False


class _Due:
    """Tells when it is time to save."""

    def __init__(self, every: Cadence) -> None:
        """The clock starts now."""
        self._every, self._last = every, time.monotonic()

    def by_the_clock(self) -> bool:
        """Whether enough seconds have passed since the last time that it was."""
        if self._every.seconds is None or time.monotonic() - self._last < self._every.seconds:
            return False
        self._last = time.monotonic()
        return True

    def by_the_epochs(self, trained: int) -> bool:
        """Whether it is after so many epochs."""
        return self._every.epochs is not None and trained % self._every.epochs == 0


def _failure(cohort: Cohort, error: Exception | SystemExit) -> Failed:
    message = str(error) if isinstance(error, ActbenchError) else f"{type(error).__name__}: {error}"
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in message:
        message += " — out of memory: try fewer --jobs, a smaller model or a smaller training.batch_size"
    return Failed(Cohort(cohort.specs), message, traceback.format_exc(), usage=isinstance(error, UsageError))
