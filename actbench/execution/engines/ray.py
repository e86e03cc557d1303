"""Workers on the machines of a Ray cluster (extra ``ray``; Ray core alone, not Tune).

    driver (this process)                     each machine
    ├── locks and stores, alone               ├── a slot per worker: an actor with a pool of one worker
    ├── hands each idle slot a cohort         └── an actor that holds the datasets in memory
    └── the object store: each dataset once, as bytes

``_ray_slot`` draws the messages. What a run does to its worker is settled on its machine, as the pool does. What is
left for this file is the loss of a slot: its machine was switched off, or the system killed its processes. The cohort
is then tried again elsewhere, from its last stored checkpoint; after ``retries`` of that its unfinished runs are
halved, until a run that takes machines down is alone, and fails. Without the cluster's head nothing goes on: what is in
training is saved, and the command ends (``_ray_head``).

A slot has one cohort at a time and none in waiting. A second one would be locked against other commands long before it
is computed, and would gain nothing: between two cohorts a slot is idle for the time of one message.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import sys
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator
from concurrent import futures
from concurrent.futures import Future
from dataclasses import dataclass
from math import floor
from types import TracebackType
from typing import Any, ClassVar, Self

from actbench.errors import ClusterLostError, DeviceError, UsageError, WorkerLostError
from actbench.execution.engines import Work
from actbench.execution.engines._held_cohort import HeldCohort
from actbench.execution.engines._ray_cluster import Connection, environment_of_driver, one_line
from actbench.execution.engines._ray_head import Head
from actbench.execution.engines._ray_machine import Description, differences_from_here
from actbench.execution.engines._ray_resources import (
    RayOptions,
    cluster_resources,
    fitting,
    gpus_here,
    gpus_of_a_slot,
    spelled,
)
from actbench.execution.engines._ray_slot import Done, Node, Slot, Unfit, load_dataset
from actbench.schema.cluster import ClusterOptions
from actbench.schema.events import Event, Failed
from actbench.schema.runtime import Cohort
from actbench.schema.spec import canonical_json
from actbench.system import devices
from actbench.system.devices import GPU_SHARE
from actbench.system.user_modules import module_digest, modules_of

_log = logging.getLogger("actbench.execution.engines.ray")

TICK = 1.0
"""Seconds between two looks at the slots."""

SILENCE = 180.0
"""Seconds after which a slot that answers nothing, though it answers every ten, counts as lost."""

FIRST_WARNING = 30.0
"""Seconds without any slot after which a warning says what is waited for."""

CLOSING = 10.0
"""Seconds that the slots may take to end their workers before they are killed."""

KEPT = 4
"""Datasets that stay in the cluster's memory; of those used longest ago, more are let go when no slot needs them."""


@dataclass(eq=False)
class _Slot(HeldCohort):
    """A slot as the driver sees it.

    Args:
        actor: Ray's handle.
        machine: Where it is; None until it has answered for the first time.
        silent: Seconds since its last answer; None while the first one of a cohort may take long, for data.
        told_to_stop: Whether it has been told to save its cohort.
        dataset: The dataset of its cohort, as JSON.
    """

    actor: Any
    machine: Description | None = None
    silent: float | None = None
    told_to_stop: bool = False
    dataset: str = ""

    def begin(self, cohort: Cohort, dataset: str) -> None:
        """Note a cohort and the dataset that it needs."""
        self.hold(cohort)
        self.dataset, self.silent = dataset, None


class Ray:
    """``jobs`` slots on the machines of a Ray cluster."""

    parallel: ClassVar[bool] = True
    delegates: ClassVar[bool] = False
    options: ClassVar[type[ClusterOptions]] = RayOptions

    @classmethod
    def device(cls, asked: str, options: RayOptions) -> str:
        """Return the device of the workers, which may be on machines that are not reached yet: none is looked for.

        Raises:
            DeviceError: When it is not one that Ray can give.
        """
        if asked not in ("auto", "cpu", "cuda"):
            raise DeviceError(f"engine 'ray' computes on cpu or cuda, of which Ray chooses one, not on '{asked}'")
        if asked == "cpu" and options.gpus:
            raise DeviceError("--cluster gpus asks for GPUs and --device cpu for none: leave one of them out")
        if asked == "cuda" and options.gpus == 0:
            raise DeviceError("--device cuda asks for GPUs and --cluster gpus=0 for none: leave one of them out")
        if asked != "auto":
            return asked
        if options.gpus is not None:
            return "cuda" if options.gpus else "cpu"
        if options.address is None:
            return "cuda" if devices.choose("auto") == "cuda" else "cpu"
        return "cuda" if any(resources.get("GPU") for resources in cluster_resources(options.address)) else "cpu"

    @classmethod
    def default_jobs(cls, device: str, options: RayOptions) -> int:
        """Return as many workers as fit on the cluster's machines; on this one where the cluster is to be started.

        Raises:
            UsageError: When none fits.
        """
        gpus = gpus_of_a_slot(device, options)
        if options.address is None:
            here: dict[str, float] = {"CPU": devices.processors(), "GPU": gpus_here() if gpus else 0}
            return max(1, fitting(here, 0 if gpus else options.cpus, gpus))
        found = sum(fitting(resources, options.cpus, gpus) for resources in cluster_resources(options.address))
        if not found:
            raise UsageError(
                f"no machine of the Ray cluster {options.address} has {spelled(options.cpus, gpus)}: ask for less with "
                "--cluster, or give the number of workers (-j) that machines will join for"
            )
        return found

    def __init__(self, jobs: int, options: RayOptions) -> None:
        self._jobs, self._options = jobs, options
        self._connection: Connection | None = None
        self._head: Head | None = None
        self._slots: list[_Slot] = []
        self._missing = 0
        self._nodes: dict[str, Any] = {}
        self._blocks: OrderedDict[str, Any] = OrderedDict()
        self._held: dict[tuple[str, str], Any] = {}
        self._again: deque[Cohort] = deque()
        self._tries: Counter[tuple[str, ...]] = Counter()
        self._inbox: queue.SimpleQueue[tuple[_Slot | None, Future[Any] | None]] = queue.SimpleQueue()
        self._stopping = False
        self._last_look = self._began = time.monotonic()
        self._why_unfit = ""
        self._has_warned = False

    def __enter__(self) -> Self:
        """Connect to the cluster, or start one.

        Raises:
            UsageError: When neither works.
        """
        options = self._options
        gpus = 0 if options.gpus == 0 or options.address is not None else gpus_here()
        self._connection = Connection(
            options.address,
            cpus=max(1, floor(self._jobs * options.cpus + 0.999)),
            gpus=gpus,
            working_dir=options.working_dir,
        )
        self._connection.__enter__()
        try:
            name = options.address or "of this machine"
            self._head = Head(self._connection.head, self._connection.raylet, name)
        except BaseException:
            self._connection.__exit__()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every slot and its worker, then the connection, and with it a cluster that was started."""
        assert self._connection is not None
        try:
            self._end_slots()
        finally:
            self._connection.__exit__()
            if self._head is not None:
                self._head.close()

    def stop(self) -> None:
        """Hand out nothing more and let those at work save; safe inside a signal handler, as this queue is."""
        self._stopping = True
        self._inbox.put((None, None))

    def execute(self, work: Work, cohorts: Iterable[Cohort]) -> Iterator[Event]:
        """Yield events as they come; cohorts are handed out in their order, each to the next idle slot.

        Raises:
            WorkerLostError: When no slot is left.
            ClusterLostError: When the head of the cluster is lost, after what is in training was saved.
            UsageError: When no slot is fit for the work, or the data can't be loaded.
        """
        assert self._head is not None
        if not self._slots:
            self._began, self._missing = time.monotonic(), self._jobs
        waiting, is_exhausted = iter(cohorts), False
        while True:
            if self._head.is_lost:
                self._stopping = True
            self._start_missing(work)
            for slot in self._slots:
                if self._stopping:
                    if slot.cohort is not None and not slot.told_to_stop:
                        slot.told_to_stop = True
                        slot.actor.stop.remote()
                elif (
                    slot.cohort is None
                    and slot.machine is not None
                    and not (is_exhausted and not self._again)
                    and self._head.answers()
                ):
                    # Taken only now, since a cohort that has been taken is locked against other processes.
                    cohort = self._again.popleft() if self._again else next(waiting, None)
                    if cohort is None:
                        is_exhausted = True
                    else:
                        self._hand_over(slot, work, cohort)
            is_idle = all(slot.cohort is None for slot in self._slots)
            is_all_handed_out = is_exhausted and not self._again
            if is_idle and is_all_handed_out:
                return
            if self._head.is_lost and (is_idle or self._head.is_over):
                raise self._head.loss()
            if is_idle and self._stopping:
                return
            yield from self._answered(work, *self._next())

    # -- slots ------------------------------------------------------------------------------------------------------

    def _start_missing(self, work: Work) -> None:
        """Ask for the slots that are missing, once the head is there to be asked."""
        assert self._head is not None
        if self._missing and not self._stopping and self._head.answers():
            self._forget_lost_nodes()
            while self._missing:
                self._start(work)
                self._missing -= 1

    def _start(self, work: Work) -> None:
        """Ask Ray for a slot; it may wait until a machine has room."""
        assert self._connection is not None
        ray = self._connection.ray
        gpus = gpus_of_a_slot(work.runtime.device, self._options)
        variables = {GPU_SHARE: str(gpus)} if 0 < gpus < 1 else {}
        actor = (
            ray.remote(Slot)
            .options(num_cpus=self._cpus(gpus), num_gpus=gpus, max_concurrency=4, max_restarts=0)
            .remote(os.getcwd() if self._options.working_dir is None else "", _module_path(), variables)
        )
        slot = _Slot(actor)
        self._slots.append(slot)
        self._expect(slot, actor.describe.remote())

    def _cpus(self, gpus: float) -> float:
        """Return the processors set aside for a slot: none on a local cluster with GPUs, whose number decides."""
        return 0 if gpus and self._options.address is None else self._options.cpus

    def _expect(self, slot: _Slot, reference: Any) -> None:
        """Put the answer into the inbox when it comes, whether it is a value or an error."""
        reference.future().add_done_callback(lambda future: self._inbox.put((slot, future)))

    def _hand_over(self, slot: _Slot, work: Work, cohort: Cohort) -> None:
        """Give an idle slot a cohort. If it has just been lost, its answer is about to say so."""
        assert slot.machine is not None
        dataset = canonical_json(cohort.shared.dataset.to_json()) if work.dataset else ""
        place = self._place(slot.machine.node, work, dataset) if dataset else ""
        paths = [path for spec in cohort.specs for path in (spec.activation.path, spec.model.path)]
        modules = {name: module_digest(name) for name in modules_of(dict.fromkeys(paths))}
        slot.begin(cohort, dataset)
        self._expect(slot, slot.actor.take.remote(work.for_worker(), cohort, modules, dataset, place))

    def _answered(self, work: Work, slot: _Slot | None, future: Future[Any] | None) -> Iterator[Event]:
        """Do what an answer asks for, and yield the events in it."""
        if slot is None or future is None or slot not in self._slots:
            return
        try:
            answer = future.result()
            events = [] if isinstance(answer, Description) else answer
            contents = [one if isinstance(one, bytes) else self._fetched(one) for one in events]
        except ClusterLostError:
            raise
        except Exception as error:  # Ray's errors, and those of code that ran there, which it wraps
            cause = getattr(error, "cause", None)
            if isinstance(cause, UsageError):  # of the task that loads a dataset
                raise cause from None
            yield from self._lose(work, slot, one_line(str(error)))
            return
        if isinstance(answer, Description):
            self._admit(slot, answer)  # whose error, where no machine is fit, is the user's
            return
        if slot.cohort is not None:
            slot.silent = 0.0
        for content in contents:
            message = pickle.loads(content)
            if isinstance(message, Done):
                slot.cohort, slot.silent = None, None
            elif isinstance(message, Unfit):
                yield from self._leave_out(work, slot, message.reason)
                return
            else:
                slot.note_ended(message)
                yield message
        if slot.cohort is not None:
            self._expect(slot, slot.actor.take.remote())

    def _fetched(self, reference: Any) -> bytes:
        """Return an event that was too long for an answer.

        Raises:
            ClusterLostError: When Ray has ended on this machine.
        """
        assert self._head is not None
        if not self._head.can_fetch():
            raise self._head.loss()
        content: bytes = self._connection_ray().get(reference)
        return content

    def _admit(self, slot: _Slot, machine: Description) -> None:
        """Let a slot have cohorts if its machine has what this one has."""
        if differences := differences_from_here(machine):
            self._kill(slot)
            self._why_unfit = f"{machine.host} {': '.join(differences[0])}"
            self._warn_unfit()
            return
        slot.machine = machine

    def _warn_unfit(self) -> None:
        """Warn of a machine that is left out; end where none is left.

        Raises:
            UsageError: When no slot is left.
        """
        hint = "" if self._options.address is None else f" (actbench doctor --address {self._options.address})"
        if not self._slots and not self._missing:
            raise UsageError(f"no machine of the Ray cluster can compute this: {self._why_unfit}{hint}")
        _log.warning("a worker is left out: %s%s", self._why_unfit, hint)

    def _leave_out(self, work: Work, slot: _Slot, reason: str) -> Iterator[Event]:
        """Use a slot no more, and have its cohort computed elsewhere."""
        assert slot.machine is not None
        if slot.unfinished:
            self._again.append(self._resumed(work, Cohort(slot.unfinished)))
        self._kill(slot)
        self._why_unfit = f"{slot.machine.host}: {reason}"
        self._warn_unfit()
        return iter(())

    def _lose(self, work: Work, slot: _Slot, reason: str) -> Iterator[Event]:
        """Ask for a slot in place of a lost one, and have its unfinished runs tried again.

        A slot that is lost while it is idle, or before it has answered, is not replaced: one that can't even start
        would be replaced for ever.
        """
        self._kill(slot)
        where = slot.machine.host if slot.machine is not None else "a machine of the Ray cluster"
        specs = slot.unfinished
        if slot.cohort is None:
            if not self._slots and not self._missing:
                raise WorkerLostError(f"{where}: {reason}")
            _log.warning("a worker was lost on %s: %s", where, reason)
            return
        self._missing += 1
        if not specs:
            return
        runs = tuple(spec.digest for spec in specs)
        self._tries[runs] += 1
        _log.warning("%d run(s) lost their worker on %s (%s)", len(specs), where, reason)
        if self._tries[runs] <= self._options.retries:
            self._again.append(self._resumed(work, Cohort(specs)))
        elif len(specs) > 1:
            self._again.extend(Cohort(specs).halves())
        else:
            times = self._tries[runs]
            yield Failed(Cohort(specs), f"its worker was lost {times} times, at last on {where}: {reason}", "")

    def _resumed(self, work: Work, cohort: Cohort) -> Cohort:
        """Return a cohort with its last stored checkpoint."""
        return cohort if work.resume is None else work.resume(cohort)

    def _next(self) -> tuple[_Slot | None, Future[Any] | None]:
        """Return the next answer, or none after a tick; count the silence of the slots, and kill those that hang."""
        try:
            found = self._inbox.get(timeout=TICK)
        except queue.Empty:
            found = (None, None)
        # Counted in ticks, not read off a clock: if more has passed, this process itself stood still.
        now = time.monotonic()
        passed, self._last_look = min(now - self._last_look, TICK), now
        for slot in self._slots:
            if slot.silent is not None:
                slot.silent += passed
                if slot.silent > SILENCE:
                    slot.silent = None
                    self._connection_ray().kill(slot.actor)  # its answer is an error then
        is_waiting = self._slots and all(slot.machine is None for slot in self._slots)
        if not self._has_warned and now - self._began > FIRST_WARNING and is_waiting:
            self._has_warned = True
            _log.warning(
                "waiting for the Ray cluster, which has no room for a worker yet (%d asked for, each with %s)",
                self._jobs,
                spelled(self._options.cpus, self._options.gpus or 0),
            )
        return found

    def _connection_ray(self) -> Any:
        assert self._connection is not None
        return self._connection.ray

    def _kill(self, slot: _Slot) -> None:
        self._slots.remove(slot)
        self._connection_ray().kill(slot.actor)

    def _end_slots(self) -> None:
        """End the workers and wait for it, since none may outlive its use; then the actors."""
        ray = self._connection_ray()
        slots, self._slots = self._slots, []
        closing = [slot.actor.close.remote().future() for slot in slots if slot.machine is not None]
        is_lost = self._head is not None and self._head.is_lost  # Ray is about to end this process
        # Not ray.wait, which needs Ray's process on this machine.
        futures.wait(closing, timeout=CLOSING / 2 if is_lost else CLOSING)
        for actor in (*(slot.actor for slot in slots), *self._nodes.values()):
            ray.kill(actor)
        self._nodes.clear()
        self._held.clear()
        self._blocks.clear()

    # -- datasets ---------------------------------------------------------------------------------------------------

    def _place(self, node: str, work: Work, dataset: str) -> Any:
        """Return a reference to the path of a dataset's file on a machine, to which it is sent the first time."""
        if dataset in self._blocks:
            self._blocks.move_to_end(dataset)
        else:
            self._release_some()
            self._blocks[dataset] = self._loaded(work, dataset)
        if (node, dataset) not in self._held:
            self._held[node, dataset] = self._node(node).hold.remote(dataset, self._blocks[dataset])
        return self._held[node, dataset]

    def _loaded(self, work: Work, dataset: str) -> Any:
        """Let a process on this machine put a dataset into the object store; return its reference at once."""
        ray = self._connection_ray()
        here = ray.get_runtime_context().get_node_id()
        return (
            ray.remote(load_dataset)
            .options(num_cpus=0, max_retries=0, scheduling_strategy=_at(here))
            .remote(
                work.dataset,
                dataset,
                work.runtime.data_folder,
                os.getcwd(),
                _module_path(),
                dict(environment_of_driver()),
            )
        )

    def _node(self, node: str) -> Any:
        """Return the actor that holds the datasets of a machine."""
        if node not in self._nodes:
            ray = self._connection_ray()
            self._nodes[node] = ray.remote(Node).options(num_cpus=0, scheduling_strategy=_at(node)).remote()
        return self._nodes[node]

    def _release_some(self) -> None:
        """Let go of the datasets used longest ago, where there are many and no slot needs them."""
        in_use = {slot.dataset for slot in self._slots if slot.cohort is not None}
        for dataset in [one for one in self._blocks if one not in in_use][: max(0, len(self._blocks) + 1 - KEPT)]:
            del self._blocks[dataset]
            for node, held in tuple(self._held):
                if held == dataset:
                    del self._held[node, held]
                    self._nodes[node].release.remote(dataset)

    def _forget_lost_nodes(self) -> None:
        """Forget the actors of machines that are gone, which another machine of the same id will never be."""
        assert self._connection is not None
        alive = {node["NodeID"] for node in self._connection.nodes()}
        for node in set(self._nodes) - alive:
            del self._nodes[node]
        self._held = {key: path for key, path in self._held.items() if key[0] in alive}


def _at(node: str) -> Any:
    """Return Ray's order to start something on one machine and no other."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node, soft=False)


def _module_path() -> list[str]:
    """Return this process's module path, the current folder by its name."""
    return [place or os.getcwd() for place in sys.path]


plugin = Ray
