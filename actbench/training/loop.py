"""Train a cohort of runs: the only training loop. A single run is a cohort of one."""

from __future__ import annotations

import time
import traceback
from collections.abc import Generator, Iterator
from itertools import islice

import torch

from actbench.errors import ActbenchError, UsageError
from actbench.nn import cpu_library
from actbench.nn.native import library as native
from actbench.schema.checkpoint_header import UnusableCheckpoint
from actbench.schema.events import EpochDone, Event, Failed, Finished, Noted, Saved, Started
from actbench.schema.runtime import Cadence, Cohort, Runtime
from actbench.system import cancellation, devices
from actbench.system.cancellation import Stopped
from actbench.system.user_code import contained_events
from actbench.training import numerics
from actbench.training.checkpoint import pack, restore
from actbench.training.epoch_log import EpochLog
from actbench.training.evaluation import Tally
from actbench.training.kept_weights import WeightKeeper, check_weights_can_be_kept
from actbench.training.selection import check_epochs_can_be_judged
from actbench.training.state import TrainState
from actbench.training.steps.choice import Stepper, choose_forward, choose_stepper


def run_cohort(cohort: Cohort, runtime: Runtime) -> Iterator[Event]:
    """Train the cohort's runs together; after an error, or when memory is short, halve the cohort and try again.

    Halving keeps one faulty run (a user's activation that raises, say) from taking its neighbours along, and changes
    no result. A cohort that comes with a checkpoint goes on from there, or from the beginning if the checkpoint can't
    be used. A cohort that is asked to stop (``cancellation.request_stop``) ends with ``Saved``, all that is needed
    to go on; or with nothing, if nothing was trained yet.
    """
    try:
        products = cpu_library.choose(runtime.products).products
        with numerics.deterministic_numerics(products, _kernels(runtime)):
            yield from contained_events(_resume_or_begin(cohort, runtime))
        return
    except (Exception, SystemExit) as error:  # a user's code may call sys.exit, which must not end the study
        failure = _failure(cohort, error)
    # Outside of the handler: the traceback held the failed attempt's tensors, and the halves need their memory.
    if len(cohort.specs) == 1:
        yield failure
        return
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    for half in cohort.halves():
        if not cancellation.stop_requested():
            yield from run_cohort(half, runtime)


def check_cohort(cohort: Cohort, runtime: Runtime) -> Iterator[Event]:
    """Check before any training that the data is at hand, the model fits it, and a user's own parts are in order.

    Yields:
        ``Noted`` for each note of the dataset; ``Failed`` for a mistake that the user must fix. Any other error will
        be the failure of the runs it concerns.
    """
    yield from contained_events(_check(cohort, runtime))


def _kernels(runtime: Runtime) -> str:
    """Return the kernels that compute what surrounds the products: torch's own on every device but the CPU."""
    return native.choose(runtime.kernels).kernels if devices.choose(runtime.device) == "cpu" else "torch"


def _check(cohort: Cohort, runtime: Runtime) -> Generator[Event, None, None]:
    try:
        if runtime.kernels == "native":
            _kernels(runtime)
        state = TrainState.open(cohort, runtime)
        check_weights_can_be_kept(state, runtime.keep_weights)
        check_epochs_can_be_judged(state)
        for note in state.images.notes:
            yield Noted(cohort, f"dataset '{cohort.shared.dataset.name}': {note}")
    except UsageError as error:
        yield _failure(cohort, error)
    except (Exception, SystemExit):  # a user's code may call sys.exit, which must not end the study
        return


def train_epoch(state: TrainState, stepper: Stepper) -> Tally:
    """Pass once over the training examples and return the losses seen on the way; no step waits for the device.

    Tests and benchmarks train with this; ``run_cohort`` also saves checkpoints between the steps of an epoch.
    """
    for _ in _steps_of_epoch(state, stepper):
        pass
    state.advance_epoch()
    return state.tally


def _resume_or_begin(cohort: Cohort, runtime: Runtime) -> Generator[Event, None, None]:
    bare, unusable = Cohort(cohort.specs), ""  # events return from a worker without the checkpoint's bytes
    if cohort.state is not None:
        try:
            yield from _train(bare, runtime, checkpoint=cohort.state)
            return
        except UnusableCheckpoint as error:
            unusable = str(error)
    yield from _train(bare, runtime, unusable=unusable)


def _train(cohort: Cohort, runtime: Runtime, *, checkpoint: bytes | None = None, unusable: str = "") -> Iterator[Event]:
    """Train from the beginning, or from a checkpoint. When resuming, first yield the rows of the epochs already done.

    Args:
        cohort: The runs.
        runtime: Where and how.
        checkpoint: Bytes of ``pack``; None for the beginning.
        unusable: Why an earlier attempt could not use the cohort's checkpoint.

    Raises:
        UnusableCheckpoint: When the checkpoint can't be used, before anything is trained.
    """
    yield Started(cohort, unusable, resumes=checkpoint is not None)
    state = TrainState.open(cohort, runtime)
    check_weights_can_be_kept(state, runtime.keep_weights)
    check_epochs_can_be_judged(state)
    stepper = choose_stepper(state, capture=runtime.capture)
    cancellation.between_steps(may_stop=False)
    epoch_log = EpochLog(state, choose_forward(state, capture=runtime.capture))
    timer = _CheckpointTimer(runtime.checkpoint_every)
    keeper = WeightKeeper(state, runtime.keep_weights, epoch_log)
    if checkpoint is not None:
        restore(checkpoint, state, epoch_log, keeper)
        for rows in epoch_log.rows_so_far():
            yield EpochDone(cohort, rows)
    epochs = cohort.shared.training.epochs
    try:
        if not epoch_log.epochs_written:
            rows = epoch_log.close_initial()  # epoch 0: the network as it was initialised
            yield EpochDone(cohort, rows)
            yield from keeper.after_epoch(rows)
        while epoch_log.epochs_trained < epochs and not epoch_log.all_ended:
            for _ in _steps_of_epoch(state, stepper):
                if timer.is_due_by_time():
                    timer.restart()
                    yield Saved(cohort, pack(state, epoch_log, keeper))
            rows = epoch_log.close_epoch(state.tally)
            yield EpochDone(cohort, rows)
            yield from keeper.after_epoch(rows)
            state.advance_epoch()
            goes_on = epoch_log.epochs_trained < epochs and not epoch_log.all_ended
            if timer.is_due_after(epoch_log.epochs_trained) and goes_on:
                yield Saved(cohort, pack(state, epoch_log, keeper))
        records = epoch_log.records()
    except Stopped:  # raised between two steps or two evaluation batches: the state is whole, and can be saved
        if epoch_log.epochs_written:
            yield Saved(cohort, pack(state, epoch_log, keeper))
        return
    for run, record in enumerate(records):
        yield from keeper.at_end(run)
        yield Finished(record)


def _steps_of_epoch(state: TrainState, stepper: Stepper) -> Iterator[None]:
    """Take the steps left of an epoch and yield after each chunk of them; the tally ends with the whole epoch's losses.

    Raises:
        Stopped: Between two chunks, when the training was asked to stop.
    """
    tally, position = state.tally, state.position
    if not position.steps:
        tally.reset()
        if state.revival is not None:
            state.revival.reset()
    state.act.training = True
    with numerics.tf32(allowed=state.cohort.shared.training.precision == "tf32"):
        batches = state.batches.epoch(skip=position.steps)
        began = time.perf_counter()
        # Most ways to take steps want one batch at a time; a replay takes several steps of a run before the next run's.
        while chunk := list(islice(batches, _steps_at_once(state, stepper))):
            state.revive()
            stepper(state, chunk)
            state.seconds += time.perf_counter() - began
            tally.examples += sum(labels.shape[1] for _, labels in chunk)
            position.steps += len(chunk)
            cancellation.between_steps()
            yield  # the caller may save here, which is not counted as training time
            began = time.perf_counter()
        if state.device.type != "cpu":
            tally.loss.sum().item()  # waits: so far the device has only been given its steps, which count until done
            state.seconds += time.perf_counter() - began
    state.act.training = False


def _steps_at_once(state: TrainState, stepper: Stepper) -> int:
    """Return how many batches to hand over: as many as the stepper wants, up to when units are revived next."""
    if state.revival is None:
        return stepper.batches_per_call
    return min(stepper.batches_per_call, state.revival.steps_until_due(state.taken))


class _CheckpointTimer:
    """Decide when a cohort in training is saved."""

    def __init__(self, cadence: Cadence) -> None:
        self._cadence, self._last = cadence, time.monotonic()

    def is_due_by_time(self) -> bool:
        """Return whether the cadence's seconds have passed since the start or the last ``restart``."""
        return self._cadence.seconds is not None and time.monotonic() - self._last >= self._cadence.seconds

    def restart(self) -> None:
        """Count the cadence's seconds from now."""
        self._last = time.monotonic()

    def is_due_after(self, epochs: int) -> bool:
        """Return whether the cadence wants a checkpoint after so many trained epochs."""
        return self._cadence.epochs is not None and epochs % self._cadence.epochs == 0


def _failure(cohort: Cohort, error: Exception | SystemExit) -> Failed:
    try:
        text = str(error)
    except Exception:  # a user's exception, whose text is made by a user's code
        text = "its text can't be made, as str() of it fails"
    message = text if isinstance(error, ActbenchError) else f"{type(error).__name__}: {text}"
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in message:
        message += " — out of memory: try fewer --jobs, a smaller model or a smaller training.batch_size"
    return Failed(Cohort(cohort.specs), message, traceback.format_exc(), usage=isinstance(error, UsageError))
