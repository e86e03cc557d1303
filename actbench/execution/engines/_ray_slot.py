"""The actors of the engine ``ray``, as they are on the machines that compute.

    driver                                slot (an actor)                     worker (a process of the slot's pool)
     │  take(work, cohort)  ───────────────▶  │  (Work, Cohort)  ─────────────────▶  │
     │                                        │  ◀──────────────  Started, EpochDone …
     │  ◀──────────  a batch of events        │
     │  take()  ───────────────────────────▶  │  …
     │  ◀──────────  …, DONE                  │  idle again
     │  stop()  ───────────────────────────▶  │  STOP  ────────────────────────────▶  │
     │  ◀──────────  Saved, DONE              │

A slot holds a pool of one worker. So a run that kills its worker, hangs or prints does to it what it does to the pool
on one machine: the worker is replaced, its cohort halved, its traceback kept; the actor lives on. When the actor ends,
by whatever way, the worker's input ends and so does the worker: nothing is left on the machine.

``take`` waits for events, so the driver has one call under way for each slot and asks nobody in vain. An answer stays
below ``MAX_ANSWER`` bytes, which Ray sends at once; what is longer (checkpoints, kept weights, long records) goes
through the object store.
"""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from actbench.errors import ActbenchError
from actbench.execution.engines import Work
from actbench.execution.engines._ray_import import import_ray
from actbench.execution.engines._ray_machine import Description, describe_here
from actbench.execution.engines.pool import Pool
from actbench.schema.cluster import ClusterOptions
from actbench.schema.events import Event, Finished
from actbench.schema.runtime import Cohort
from actbench.system import environment
from actbench.system.user_modules import module_digest

MAX_ANSWER = 90_000
"""Bytes; Ray sends answers below 100 kB with its message, and puts longer ones into the object store."""

GATHERING = 0.2
"""Seconds for which events are gathered before they are sent, unless the cohort has ended."""

PATIENCE = 10.0
"""Seconds after which an answer without events shows that the slot is there."""


@dataclass(frozen=True)
class Done:
    """The slot is idle again."""


@dataclass(frozen=True)
class Unfit:
    """The slot can't compute the cohort, and has not begun it.

    Args:
        reason: What is wrong on its machine.
    """

    reason: str


Answer = list[Any]
"""Pickled events, ``Done`` or ``Unfit``; or a reference to one in the object store."""


class Slot:
    """An actor that computes one cohort at a time.

    Args:
        folder: The driver's current folder, entered if it is there; empty to stay.
        path: The driver's module path.
        variables: Environment variables for the worker.
    """

    def __init__(self, folder: str, path: Sequence[str], variables: Mapping[str, str]) -> None:
        if folder and Path(folder).is_dir():
            os.chdir(folder)
        sys.path.extend(place for place in path if place not in sys.path)
        self._pool = Pool(1, ClusterOptions(), may_fork=False, environment=variables)
        self._pool.__enter__()
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def describe(self) -> Description:
        """Return what the driver compares with its own."""
        return describe_here()

    def take(
        self,
        work: Work | None = None,
        cohort: Cohort | None = None,
        modules: Mapping[str, str | None] | None = None,
        dataset: str = "",
        place: str = "",
    ) -> Answer:
        """Begin a cohort if there is one, wait for events, and return some.

        Args:
            work: The work; None to wait for more events of the cohort that was given last.
            cohort: The runs.
            modules: The user's modules that they need -> their digests at the driver.
            dataset: Component of the dataset as JSON; empty where the work needs none.
            place: The file of this machine that holds it.
        """
        if work is not None and cohort is not None:
            other = [name for name, digest in (modules or {}).items() if module_digest(name) != digest]
            if other:
                return [pickle.dumps(Unfit(_differing(other[0])))]
            if dataset:
                work = replace(work, runtime=replace(work.runtime, handed_over={dataset: Path(place)}))
            threading.Thread(target=self._compute, args=(work, cohort), daemon=True).start()
        return self._gathered()

    def stop(self) -> None:
        """Let the cohort at work save itself."""
        self._pool.stop()

    def close(self) -> None:
        """End the worker and wait for its end."""
        self._pool.__exit__(None, None, None)

    def _compute(self, work: Work, cohort: Cohort) -> None:
        try:
            for event in self._pool.execute(work, [cohort]):
                self._inbox.put(_of_this_machine(event))
            self._inbox.put(Done())
        except ActbenchError as error:
            self._inbox.put(Unfit(str(error)))
        except Exception as error:  # a defect: the driver ends with it, as it would without machines between
            self._inbox.put(Unfit(f"{type(error).__name__}: {error}"))

    def _gathered(self) -> Answer:
        """Return the events of the next moments, in their order."""
        answer: Answer = []
        size, until = 0, time.monotonic() + PATIENCE
        while size < MAX_ANSWER // 2:
            try:
                message = self._inbox.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            until = min(until, time.monotonic() + GATHERING)
            content = pickle.dumps(message)
            if len(content) > MAX_ANSWER // 2:
                answer.append(import_ray().put(content))
                size += 1000  # a reference
            else:
                answer.append(content)
                size += len(content)
            if isinstance(message, (Done, Unfit)):
                break
        return answer


class Node:
    """An actor that holds the datasets of its machine, for all slots there.

    A dataset lies in a file without a name (``memfd_create``), which the workers open by way of this process and map:
    it is in the machine's memory once, and gone with the last process that uses it, however that ends.
    """

    def __init__(self) -> None:
        self._files: dict[str, int] = {}

    def hold(self, dataset: str, block: Any) -> str:
        """Keep a dataset and return the path of its file.

        Args:
            dataset: Its component as JSON.
            block: Its bytes (``datasets._handover``), which Ray maps from the machine's object store.
        """
        if dataset not in self._files:
            descriptor = _nameless_file()
            content = memoryview(block)
            while content:
                content = content[os.write(descriptor, content) :]
            self._files[dataset] = descriptor
        return f"/proc/{os.getpid()}/fd/{self._files[dataset]}"

    def release(self, dataset: str) -> None:
        """Let go of a dataset; workers that have mapped it keep it."""
        if dataset in self._files:
            os.close(self._files.pop(dataset))


def load_dataset(path: str, dataset: str, folder: Path | None, here: str, places: Sequence[str], given: Any) -> Any:
    """Load a dataset on the driver's machine, in a process of Ray's, so that the driver needs no memory for it.

    Args:
        path: ``module:function`` that loads it.
        dataset: Component as JSON.
        folder: The data folder; None for the usual one.
        here: The driver's current folder.
        places: Its module path.
        given: Its environment variables about datasets.
    """
    from actbench.schema import registry

    os.chdir(here)
    os.environ.update(given)
    sys.path.extend(place for place in places if place not in sys.path)
    return registry.import_object(path)(dataset, folder)


def _of_this_machine(event: Event) -> Event:
    """Complete a record with the machine on which it was computed; the driver adds its command."""
    if not isinstance(event, Finished):
        return event
    complete = {**environment.describe_machine(), **event.record.environment}
    return Finished(replace(event.record, environment=complete))


def _nameless_file() -> int:
    return os.memfd_create("actbench-dataset")


def _differing(module: str) -> str:
    there = "there is no module" if module_digest(module) is None else "there is another module"
    return (
        f"{there} '{module}', which the runs use: put the same file on every machine (a shared folder in which the "
        "command is given, or pip install), or let Ray copy this folder: --cluster working-dir=."
    )
