"""A study on up to a thousand workers as a simulation of discrete events: what waits for what, with measured costs.

    command starts, plans ─▶ workers start, get the dataset ─▶ ask a driver for a cohort
        ┌───────────────────────────────────────────────────────────┘
        ▼                       one thing at a time
      driver: look, lock, hand out ─▶ worker trains: a row an epoch ─▶ driver: append rows, store results, unlock ─┐
        ▲                                                                                                          │
        └──────────────────────── the worker asks again; a lost node's cohorts go back ◀───────────────────────────┘

A driver does one thing at a time, in the order in which it was asked; each thing takes its processor time, and the
replies of the file system that it waits for. With ``pool`` and ``ray`` there is one driver. Under ``--shard`` and
``slurm`` every job is a driver with workers and runs of its own, all on one file system, which answers only so many
requests a second in all.

``bottleneck`` simulates again with each part taken away, and names the one without which the study ends earliest.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

import numpy as np

DRIVER, DISK, DATASET, START, STRAGGLERS, LOSSES, ROUNDS = (
    *("driver", "disk", "dataset", "start", "stragglers", "lost nodes", "too few cohorts"),
)
"""The parts of the time beyond the work divided by the workers."""

PORTIONS = 2
"""The rows of a cohort's epochs reach the driver in so many portions at most: it is as much work as one by one, and a
simulation of 10,000 runs takes a second."""

NEGLIGIBLE = 0.05
"""A study that ends within this part of the work divided by its workers has no bottleneck worth a name."""


@dataclass(frozen=True)
class Cost:
    """What one thing costs a driver.

    Args:
        cpu: Seconds of its processor.
        reads: Requests to the file system that change nothing.
        writes: Those that do.
    """

    cpu: float = 0.0
    reads: float = 0.0
    writes: float = 0.0

    def times(self, number: float) -> Cost:
        """Return the cost of doing it so often."""
        return Cost(self.cpu * number, self.reads * number, self.writes * number)

    def __add__(self, other: Cost) -> Cost:
        """Return the cost of doing both."""
        return Cost(self.cpu + other.cpu, self.reads + other.reads, self.writes + other.writes)


@dataclass(frozen=True)
class Driver:
    """What a driver's work costs.

    Args:
        command: Seconds from the start of the command to its plan.
        plan_run: Seconds to plan one run.
        hand_out: Finding and locking one run.
        cohort: Handing a cohort out, beyond its runs.
        begin: Opening a run's folder.
        row: Appending an epoch's row to a run's curve.
        finish: Storing a run's result and unlocking it.
        end: Looking for a run's result at the end.
        name: Reading one name of the listing of runs, which several drivers on a folder do twice a cohort.
    """

    command: float = 0.0
    plan_run: float = 0.0
    hand_out: Cost = Cost()
    cohort: Cost = Cost()
    begin: Cost = Cost()
    row: Cost = Cost()
    finish: Cost = Cost()
    end: Cost = Cost()
    name: Cost = Cost()

    def without(self, part: str) -> Driver:
        """Return it with costs that have no ``cpu``, or no requests (``disk``)."""
        kept = (lambda cost: replace(cost, cpu=0.0)) if part == DRIVER else (lambda cost: Cost(cost.cpu))
        names = ("hand_out", "cohort", "begin", "row", "finish", "end", "name")
        return replace(self, **{name: kept(getattr(self, name)) for name in names})


@dataclass(frozen=True)
class FileSystem:
    """Where results are stored.

    Args:
        read: Seconds for which a driver waits for the reply to a request that changes nothing.
        write: The same for one that does.
        requests: Writing requests a second that it serves in all.
        bandwidth: Bytes a second that it delivers in all, for a dataset that jobs read from it.
    """

    read: float = 0.0
    write: float = 0.0
    requests: float = math.inf
    bandwidth: float = math.inf


@dataclass(frozen=True)
class Work:
    """A study.

    Args:
        runs: Number of runs.
        cohort: Runs of a cohort.
        epochs: Epochs; each and the untrained network have a row.
        seconds: A cohort's training on one worker, as a median.
        ratios: Measured times of cohorts over their median, from which one is drawn for each cohort; then all are
            multiplied by one factor, so that the work in all is ``total``.
        dataset: Bytes of the dataset, as uint8.
        open: Seconds that a worker takes to open it once it is there.
    """

    runs: int
    cohort: int
    epochs: int
    seconds: float
    ratios: Sequence[float] = (1.0,)
    dataset: float = 0.0
    open: float = 0.0

    @property
    def total(self) -> float:
        """Return the expected seconds of all cohorts on one worker."""
        return self.seconds * self.runs / self.cohort * fmean(self.ratios)


@dataclass(frozen=True)
class Cluster:
    """The machines.

    Args:
        workers: Cohorts that train at once.
        node: Workers of a machine.
        drivers: Number of drivers: 1, or the number of jobs, among which workers and runs are shared out.
        in_flight: Cohorts handed to a worker at most, the one in training included.
        start: Seconds from the command's plan to a worker that can train, without the dataset.
        bandwidth: Bytes a second between two machines.
        tree: Whether machines that have the dataset pass it on; else the driver's machine sends it to each.
        losses: Machines lost an hour and machine.
        notice: Seconds until a loss is noticed.
        replacement: Seconds until another machine is there; its workers then start.
        inline: Whether the driver trains itself.
    """

    workers: int = 1
    node: int = 1
    drivers: int = 1
    in_flight: int = 1
    start: float = 0.0
    bandwidth: float = math.inf
    tree: bool = True
    losses: float = 0.0
    notice: float = 0.0
    replacement: float = 0.0
    inline: bool = False


@dataclass(frozen=True)
class Setting:
    """All that a simulation needs.

    Args:
        work: The study.
        cluster: The machines.
        driver: What a driver's work costs.
        files: Where results are stored.
        seed: Of all draws.
    """

    work: Work
    cluster: Cluster
    driver: Driver = Driver()
    files: FileSystem = FileSystem()
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What came of a simulation.

    Args:
        seconds: From the start of the command to its end.
        busy: Share of that for which the busiest driver was at work.
        waited: Worker seconds spent waiting for a driver.
        repeated: Worker seconds of training that were lost with their machine.
        lost: Machines lost.
        latest: Seconds after the start at which the last worker was ready.
        requests: Requests to the file system.
    """

    seconds: float
    busy: float
    waited: float
    repeated: float
    lost: int
    latest: float
    requests: float


@dataclass
class _Slot:
    """A worker.

    Args:
        driver: The number of its driver.
        machine: The number of its machine.
        life: How often its machine was lost; events of an earlier life do not count.
        ready: Whether it can train.
        held: Cohorts that it has been handed, the one in training included: their seconds.
        asked: Cohorts on the way to it.
        idle_since: When it last had nothing to do; None while it trains.
    """

    driver: int
    machine: int
    life: int = 0
    ready: bool = False
    held: deque[float] = field(default_factory=deque)
    asked: int = 0
    training: bool = False
    began: float = 0.0
    idle_since: float = 0.0


class Simulation:
    """One study from its command to its end."""

    def __init__(self, setting: Setting) -> None:
        work, cluster = setting.work, setting.cluster
        self._setting = setting
        self._random = np.random.default_rng(setting.seed)
        self._heap: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = 0
        sizes = [
            [min(work.cohort, left - at) for at in range(0, left, work.cohort)]
            for left in (work.runs * (d + 1) // cluster.drivers - work.runs * d // cluster.drivers for d in self._all())
        ]
        lengths = np.array([size for mine in sizes for size in mine])
        factors = self._random.choice(list(work.ratios), len(lengths))
        # In all as much work as without the draw: of 40 cohorts the mean would be several percent off.
        factors *= fmean(work.ratios) * lengths.sum() / (factors * lengths).sum()
        drawn = iter(factors.tolist())
        self._waiting = [
            deque((size, work.seconds * size / work.cohort * next(drawn)) for size in mine) for mine in sizes
        ]
        self._left = sum(map(len, sizes))
        self._free = [0.0] * cluster.drivers
        self._busy = [0.0] * cluster.drivers
        self._server = 0.0
        self._requests = self._waited = self._repeated = self._latest = 0.0
        self._lost = 0
        self._stored = 0
        self._end = 0.0
        self._slots = [
            _Slot(number * cluster.drivers // cluster.workers, number // cluster.node)
            for number in range(cluster.workers)
        ]
        self._machines = -(-cluster.workers // cluster.node)
        self._sizes: dict[int, deque[int]] = {number: deque() for number in range(cluster.workers)}

    def run(self) -> Outcome:
        """Return what came of it."""
        work, cluster, driver = self._setting.work, self._setting.cluster, self._setting.driver
        planned = driver.command + driver.plan_run * work.runs
        self._free = [planned] * cluster.drivers
        for number, slot in enumerate(self._slots):
            arrival = self._arrival(slot.machine)
            self._at(planned + cluster.start + arrival + work.open, self._ready(number, slot.life))
        for machine in range(self._machines):
            self._plan_loss(machine, planned)
        while self._left and self._heap:
            now, _, happen = heapq.heappop(self._heap)
            happen(now)
        mine = max(1, work.runs // cluster.drivers)
        for number in self._all():
            self._end = max(self._end, self._serve(number, self._end, driver.end.times(mine)))
        total = self._end - planned
        return Outcome(
            seconds=self._end,
            busy=max(self._busy) / total if total else 0.0,
            waited=self._waited,
            repeated=self._repeated,
            lost=self._lost,
            latest=self._latest,
            requests=self._requests,
        )

    def _all(self) -> range:
        return range(self._setting.cluster.drivers)

    def _at(self, time: float, happen: Callable[[float], None]) -> None:
        self._number += 1
        heapq.heappush(self._heap, (time, self._number, happen))

    def _arrival(self, machine: int) -> float:
        """Return when a machine has the dataset, after the first byte was sent."""
        work, cluster, files = self._setting.work, self._setting.cluster, self._setting.files
        if not work.dataset:
            return 0.0
        if cluster.drivers > 1:  # each machine reads it from the file system, all at once
            return max(work.dataset / cluster.bandwidth, work.dataset * self._machines / files.bandwidth)
        if machine == 0:  # the driver's own
            return 0.0
        transfers = math.ceil(math.log2(machine + 1)) if cluster.tree else machine
        return transfers * work.dataset / cluster.bandwidth

    def _serve(self, number: int, now: float, cost: Cost) -> float:
        """Let a driver do something; return when it is done."""
        files = self._setting.files
        began = max(now, self._free[number])
        took = cost.cpu + cost.reads * files.read + cost.writes * files.write
        if files.requests < math.inf and cost.writes:
            # The server takes requests of all drivers one after the other; a driver waits for the later of the two.
            self._server = max(self._server, began) + cost.writes / files.requests
            took = max(took, self._server - began)
        self._requests += cost.reads + cost.writes
        self._busy[number] += took
        self._free[number] = began + took
        return self._free[number]

    def _ready(self, number: int, life: int) -> Callable[[float], None]:
        def happen(now: float) -> None:
            slot = self._slots[number]
            if slot.life == life:
                slot.ready, slot.idle_since = True, now
                self._latest = max(self._latest, now)
                self._ask(number, now)

        return happen

    def _ask(self, number: int, now: float) -> None:
        """Let a worker's driver hand it cohorts until it has as many as it may."""
        slot, driver = self._slots[number], self._setting.driver
        waiting = self._waiting[slot.driver]
        while waiting and slot.ready and len(slot.held) + slot.asked < self._setting.cluster.in_flight:
            size, seconds = waiting.popleft()
            cost = driver.cohort + driver.hand_out.times(size)
            if self._setting.cluster.drivers > 1:
                # In company a driver lists all folders, before it locks and after.
                cost += driver.name.times(2 * self._stored)
            slot.asked += 1
            self._at(self._serve(slot.driver, now, cost), self._arrive(number, slot.life, size, seconds))

    def _arrive(self, number: int, life: int, size: int, seconds: float) -> Callable[[float], None]:
        def happen(now: float) -> None:
            slot = self._slots[number]
            if slot.life != life:
                self._waiting[slot.driver].appendleft((size, seconds))
                return
            slot.asked -= 1
            slot.held.append(seconds)
            self._sizes[number].append(size)
            if not slot.training:
                self._train(number, now)

        return happen

    def _train(self, number: int, now: float) -> None:
        """Let a worker train the first of its cohorts; the driver gets a row an epoch."""
        slot, driver, work = self._slots[number], self._setting.driver, self._setting.work
        seconds, size = slot.held[0], self._sizes[number][0]
        slot.training, slot.began = True, now
        self._waited += now - slot.idle_since
        if self._setting.cluster.inline:  # one process: it stores while it does not train
            rows = driver.begin.times(size) + driver.row.times(size * (work.epochs + 1)) + Cost(seconds)
            self._at(self._serve(slot.driver, now, rows), self._trained(number, slot.life, size))
            return
        self._serve_at(now, slot.driver, driver.begin.times(size))
        portions = min(PORTIONS, work.epochs + 1)
        for portion in range(portions):
            at = now + seconds * (portion + 1) / portions
            self._serve_at(at, slot.driver, driver.row.times(size * (work.epochs + 1) / portions), number, slot.life)
        self._at(now + seconds, self._trained(number, slot.life, size))

    def _serve_at(
        self, time: float, driver: int, cost: Cost, number: int | None = None, life: int | None = None
    ) -> None:
        """Ask a driver at a time, unless the worker's machine is lost by then."""

        def happen(now: float) -> None:
            if number is None or self._slots[number].life == life:
                self._serve(driver, now, cost)

        self._at(time, happen)

    def _trained(self, number: int, life: int, size: int) -> Callable[[float], None]:
        def happen(now: float) -> None:
            slot = self._slots[number]
            if slot.life != life:
                return
            slot.held.popleft()
            self._sizes[number].popleft()
            slot.training, slot.idle_since = False, now
            if slot.held:  # the next one is there already
                self._train(number, now)
            done = self._serve(slot.driver, now, self._setting.driver.finish.times(size))
            self._stored += size
            self._left -= 1
            self._end = max(self._end, done)
            self._ask(number, now)

        return happen

    def _plan_loss(self, machine: int, now: float) -> None:
        """Let a machine be lost some time, if machines are."""
        losses = self._setting.cluster.losses
        if losses:
            self._at(now + float(self._random.exponential(3600 / losses)), self._lose(machine))

    def _lose(self, machine: int) -> Callable[[float], None]:
        def happen(now: float) -> None:
            cluster, work = self._setting.cluster, self._setting.work
            self._lost += 1
            back = now + cluster.replacement
            for number in range(machine * cluster.node, min((machine + 1) * cluster.node, cluster.workers)):
                slot = self._slots[number]
                slot.life += 1
                slot.ready, slot.asked = False, 0  # what is on its way comes back when it arrives
                if slot.training:
                    self._repeated += now - slot.began
                again = list(zip(self._sizes[number], slot.held, strict=True))
                slot.held.clear()
                self._sizes[number].clear()
                slot.training = False
                self._at(now + cluster.notice, self._return(slot.driver, again))
                arrival = work.dataset / cluster.bandwidth if work.dataset else 0.0
                self._at(back + cluster.start + arrival + work.open, self._ready(number, slot.life))
            self._plan_loss(machine, back)

        return happen

    def _return(self, driver: int, cohorts: Sequence[tuple[int, float]]) -> Callable[[float], None]:
        def happen(now: float) -> None:
            self._waiting[driver].extendleft(reversed(cohorts))
            for number, slot in enumerate(self._slots):
                if slot.driver == driver:
                    self._ask(number, now)

        return happen


def simulate(setting: Setting) -> Outcome:
    """Simulate one study.

    >>> simulate(Setting(Work(runs=100, cohort=10, epochs=1, seconds=3.0), Cluster(workers=5))).seconds
    6.0
    """
    return Simulation(setting).run()


def without(setting: Setting, part: str) -> Setting:
    """Return a setting in which one part costs no time."""
    work, cluster = setting.work, setting.cluster
    if part in (DRIVER, DISK):
        files = FileSystem(bandwidth=setting.files.bandwidth) if part == DISK else setting.files
        return replace(setting, driver=setting.driver.without(part), files=files)
    if part == DATASET:
        return replace(setting, work=replace(work, dataset=0.0, open=0.0))
    if part == START:
        own = replace(setting.driver, command=0.0, plan_run=0.0)
        return replace(setting, cluster=replace(cluster, start=0.0), driver=own)
    if part == STRAGGLERS:
        return replace(setting, work=replace(work, seconds=work.seconds * fmean(work.ratios), ratios=(1.0,)))
    if part == LOSSES:
        return replace(setting, cluster=replace(cluster, losses=0.0))
    raise ValueError(f"no part '{part}'")


@dataclass(frozen=True)
class Bottleneck:
    """Why a study takes longer than its work divided by its workers.

    Args:
        outcome: The study itself.
        ideal: Seconds of the work divided by the workers.
        parts: Part -> seconds by which the study would end earlier without it. They need not add up.
    """

    outcome: Outcome
    ideal: float
    parts: Mapping[str, float]

    @property
    def overhead(self) -> float:
        """Return the time beyond the ideal, as a part of the ideal."""
        return self.outcome.seconds / self.ideal - 1

    @property
    def name(self) -> str:
        """Return the part without which the study would end earliest; ``none`` where nothing is worth a name."""
        if self.overhead < NEGLIGIBLE:
            return "none"
        return max(self.parts, key=lambda part: self.parts[part])


def bottleneck(setting: Setting) -> Bottleneck:
    """Simulate a study as it is, and with each part taken away in turn."""
    outcome = simulate(setting)
    parts = {
        part: outcome.seconds - simulate(without(setting, part)).seconds
        for part in (DRIVER, DISK, DATASET, START, STRAGGLERS, LOSSES)
    }
    bare = setting
    for part in (DRIVER, DISK, DATASET, START, STRAGGLERS, LOSSES):
        bare = without(bare, part)
    ideal = setting.work.total / setting.cluster.workers
    return Bottleneck(outcome, ideal, {**parts, ROUNDS: simulate(bare).seconds - ideal})
