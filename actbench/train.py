"""The only training loop: a cohort of runs in, their epochs and records out. A single run is a cohort of one."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

import torch

from actbench import arithmetic, kernels
from actbench.errors import ActbenchError, UsageError
from actbench.evaluation import Tally
from actbench.logbook import Logbook
from actbench.record import EpochDone, Event, Failed, Finished, Started
from actbench.session import Session
from actbench.spec import Cohort, Runtime


def run_cohort(cohort: Cohort, runtime: Runtime) -> Iterator[Event]:
    """Train the cohort's runs together; an error or a lack of memory halves the cohort and tries again.

    Halving keeps one faulty run (a user's activation that raises, say) from taking its neighbours along, and changes
    no result.
    """
    try:
        with arithmetic.plain(kernels.choose(runtime.products).products):
            yield from _train(cohort, runtime)
        return
    except Exception as error:
        failure = _failure(cohort, error)
    if len(cohort.specs) == 1:
        yield failure
        return
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    for half in cohort.halves():
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


def _train(cohort: Cohort, runtime: Runtime) -> Iterator[Event]:
    yield Started(cohort)
    session = Session.open(cohort, runtime)
    logbook = Logbook(session)
    yield EpochDone(cohort, logbook.untrained())
    for _ in range(cohort.shared.training.epochs):
        if logbook.all_diverged:
            break
        yield EpochDone(cohort, logbook.epoch(train_epoch(session)))
    for record in logbook.records():
        yield Finished(record)


def train_epoch(session: Session) -> Tally:
    """One pass over the training examples, and the losses seen on the way; nothing here waits for the device."""
    tally, act = session.tally, session.act
    tally.reset()
    act.training = True
    with arithmetic.tf32(allowed=session.cohort.shared.training.precision == "tf32"):
        for x, labels in session.batches.epoch():
            session.set_learning_rate()
            session.step(x, labels)
            tally.examples += labels.shape[1]
    act.training = False
    return tally


def _failure(cohort: Cohort, error: Exception) -> Failed:
    message = str(error) if isinstance(error, ActbenchError) else f"{type(error).__name__}: {error}"
    return Failed(cohort, message, traceback.format_exc(), usage=isinstance(error, UsageError))
