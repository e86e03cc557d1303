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
from actbench.training.checkpoint import EpochPosition, pack, restore
from actbench.training.epoch_log import EpochLog
from actbench.training.evaluation import Tally
from actbench.training.state import TrainState
from actbench.training.steps.choice import Steps, steps_of


def run_cohort(cohort: Cohort, runtime: Runtime) -> Iterator[Event]:
    """Train the cohort's runs together; an error or a lack of memory halves the cohort and tries again.

    Halving keeps one faulty run (a user's activation that raises, say) from taking its neighbours along, and changes
    no result. A cohort that comes with a state goes on from there, and starts from the beginning if it can't. One that
    is asked to stop (``stopping.ask``) ends with what is needed to go on: ``Saved``, unless nothing was trained yet.
    """
    try:
        with numerics.deterministic_numerics(cpu_library.choose(runtime.products).products):
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
        TrainState.open(cohort, runtime)
    except UsageError as error:
        yield _failure(cohort, error)
    except Exception:
        return


def train_epoch(state: TrainState, steps: Steps) -> Tally:
    """One pass over the training examples, and the losses seen on the way; nothing here waits for the device."""
    for _ in _steps(state, steps, EpochPosition.at_the_start(state)):
        pass
    return state.tally


def _train_or_begin_anew(cohort: Cohort, runtime: Runtime) -> Iterator[Event]:
    bare, refused = Cohort(cohort.specs), ""  # what comes back from a worker is without the state
    if cohort.state is not None:
        try:
            yield from _train(bare, runtime, saved=cohort.state)
            return
        except Unusable as error:
            refused = str(error)
    yield from _train(bare, runtime, refused=refused)


def _train(cohort: Cohort, runtime: Runtime, *, saved: bytes | None = None, refused: str = "") -> Iterator[Event]:
    """From the beginning, or from a state: then the epochs before it are told once more.

    Raises:
        Unusable: When there is a state that can't be used, before anything is trained.
    """
    yield Started(cohort, refused)
    state = TrainState.open(cohort, runtime)
    steps = steps_of(state, capture=runtime.capture)
    cancellation.between_steps(may_stop=False)
    epoch_log = EpochLog(state)
    position = EpochPosition.at_the_start(state)
    if saved is not None:
        position = restore(saved, state, epoch_log)
        for rows in epoch_log.told():
            yield EpochDone(cohort, rows)
    try:
        yield from _epochs(state, steps, epoch_log, position, runtime.checkpoint_every)
        records = epoch_log.records()
    except Stopped:
        if epoch_log.closed:
            yield Saved(cohort, pack(state, epoch_log, position))
        return
    for record in records:
        yield Finished(record)


def _epochs(
    state: TrainState, steps: Steps, epoch_log: EpochLog, position: EpochPosition, every: Cadence
) -> Iterator[Event]:
    """Train what is left; ``position`` is kept up to date.

    Raises:
        Stopped: Between two steps, when that was asked for.
    """
    cohort, due, epochs = state.cohort, _Due(every), state.cohort.shared.training.epochs
    if not epoch_log.closed:
        yield EpochDone(cohort, epoch_log.untrained())
    while epoch_log.closed <= epochs and not epoch_log.all_diverged:
        for _ in _steps(state, steps, position):
            if due.by_the_clock():
                yield Saved(cohort, pack(state, epoch_log, position))
        yield EpochDone(cohort, epoch_log.epoch(state.tally))
        position.begin_again(state)
        if due.by_the_epochs(epoch_log.closed - 1) and epoch_log.closed <= epochs:
            yield Saved(cohort, pack(state, epoch_log, position))


def _steps(state: TrainState, steps: Steps, position: EpochPosition) -> Iterator[None]:
    """Take the steps left of an epoch, with a stop after some; at the end the tally holds the whole epoch's losses."""
    tally, act = state.tally, state.act
    if not position.steps:
        tally.reset()
    act.training = True
    with numerics.tf32(allowed=state.cohort.shared.training.precision == "tf32"):
        batches = position.batches(state)
        began = time.perf_counter()
        while together := list(islice(batches, steps.together)):
            steps(state, together)
            state.seconds += time.perf_counter() - began
            tally.examples += sum(labels.shape[1] for _, labels in together)
            position.steps += len(together)
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
